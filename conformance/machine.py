"""What this machine offers the corpus: the folders of commands behind its images, and the settings that name them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from conformance.outside import read_parameters

HERE = Path(__file__).resolve().parent
ROOT_ARGOSAY = Path("/argosay")  # the test image has its command there, and some manifests call it so
TOOLS = ("bash", "jq", "curl", "node")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A folder to work in, the settings of every run, and what is to be said of this machine."""

    work: Path
    settings: Path
    notes: tuple[str, ...]


def prepare(work: Path, runtime: str) -> Machine:
    """Makes the folders of links and the settings; `runtime` takes the place of `sandbox` in the image map."""
    notes = []
    busybox, tools = work / "busybox", work / "tools"
    busybox.mkdir()
    tools.mkdir()
    _link_tools(tools)
    program = shutil.which("busybox")
    if program is None:
        notes.append("busybox is not installed: sh in alpine and busybox images is this machine's own, not ash")
    else:
        _link_applets(busybox, program)
    text = (HERE / "images.toml").read_text(encoding="utf-8").replace('"sandbox"', f'"{runtime}"')
    for mark, folder in (("{bin}", HERE / "bin"), ("{busybox}", busybox), ("{tools}", tools)):
        text = text.replace(mark, str(folder))
    settings = work / "lineclear.toml"
    settings.write_text(text, encoding="utf-8")
    return Machine(work=work, settings=settings, notes=tuple(notes))


def _link_tools(folder: Path) -> None:
    python = os.path.realpath(sys.executable)
    for name in ("python", "python3"):
        (folder / name).symlink_to(python)
    for name in TOOLS:
        found = shutil.which(name)
        if found is not None:
            (folder / name).symlink_to(found)


def _link_applets(folder: Path, program: str) -> None:
    listed = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout
    for name in listed.split():
        (folder / name).symlink_to(program)


@contextlib.contextmanager
def root_argosay(cache: Path) -> Iterator[str]:
    """Has the test image's command at the root for as long as a harness runs; a note where that cannot be.

    Harnesses side by side share the link: the last one that leaves takes it away, if a harness made it.
    """
    program = HERE / "bin" / "argosay"
    with open(cache / "lineclear-conformance.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        note = ""
        if not ROOT_ARGOSAY.exists():
            try:
                ROOT_ARGOSAY.unlink(missing_ok=True)
                ROOT_ARGOSAY.symlink_to(program)
            except OSError as error:
                note = f"{ROOT_ARGOSAY} cannot be made ({error.strerror}): rows that call it by that path fail"
        try:
            yield note
        finally:
            with contextlib.suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if ROOT_ARGOSAY.is_symlink() and ROOT_ARGOSAY.readlink() == program:
                    ROOT_ARGOSAY.unlink()


def parameters_for(name: str) -> dict[str, str]:
    """The values that the submitter of this file gives."""
    found: dict[str, str] = {}
    for pattern, values in read_parameters().get("parameters", {}).items():
        if fnmatchcase(name, pattern):
            found |= {key: str(value) for key, value in values.items()}
    return found
