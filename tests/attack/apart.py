"""Homes in a mount namespace of their own: on a small disk, or where no control groups are mounted.

The namespace lives as long as a keeper process that this module starts and ends; its mounts are seen by nobody else and go
with it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

from attack.house import SETTINGS, House

GROUPS = "/sys/fs/cgroup"


def into_namespace():
    """The words that start a program in a mount namespace of its own; without root in a user namespace too."""
    user = ["--user", "--map-root-user"] if os.geteuid() else []
    return ["unshare", *user, "--mount", "--propagation", "private"]


def why_not():
    """Why no namespace with mounts can be had here, or ''."""
    if not shutil.which("unshare") or not shutil.which("nsenter"):
        return "there is no unshare or nsenter"
    argv = [*into_namespace(), "mount", "-t", "tmpfs", "none", "/mnt"]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    return "" if done.returncode == 0 else f"no mount namespace can be had: {done.stderr.strip()[-200:]}"


class Apart(House):
    """A home whose commands run in a namespace. `mounts` is a shell line that runs there first; `{place}` is a folder for it."""

    def __init__(self, mounts, *, below=False, **more):
        self.mounts, self.below = mounts, below
        self.keeper = None
        super().__init__(**more)

    def prepare(self):
        place = self.folder / "disk"
        place.mkdir()
        script = f"{self.mounts.format(place=place)} && echo ready && exec sleep 86400"
        argv = [*into_namespace(), "sh", "-c", script]
        self.keeper = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert self.keeper.stdout.readline() == "ready\n", f"could not do {script!r} in a namespace"
        user = ["--user", "--preserve-credentials"] if os.geteuid() else []
        self.inside = ("nsenter", "-t", str(self.keeper.pid), "--mount", *user, "--")
        if self.below:
            self.root = place / "home"
        self.seen = Path(f"/proc/{self.keeper.pid}/root{self.root}")

    def close(self):
        try:
            super().close()
        finally:
            self.keeper.kill()
            self.keeper.wait()
            self.keeper.stdout.close()


def small_disk(options):
    """A home on a file system in memory, made with these options."""
    return Apart(f"mount -t tmpfs -o {options} none {{place}}", below=True)


def without_groups():
    """A home whose daemon finds no control group to work with; one that is told to use none where it cannot be kept from them."""
    if os.geteuid() or why_not():
        return House(settings=f'{SETTINGS}groups = "off"\n')
    return Apart(f"umount --recursive --lazy {GROUPS}")


@contextlib.contextmanager
def read_only(home, name):
    """Nothing can be made in a folder of such a home, by nobody."""
    folder, other = str(home.root / name), str(home.folder / "other")
    (home.folder / "other").mkdir()
    for words in (["--bind", folder, other], ["-o", "remount,bind,ro", other], ["--move", other, folder]):
        subprocess.run([*home.inside, "mount", *words], check=True)
    try:
        yield
    finally:
        subprocess.run([*home.inside, "umount", "--lazy", folder], check=True)
