"""One daemon a home: a file lock held for life. Whoever holds it may write the database; nobody else ever does.

The file names its holder (pid, start ticks, boot id) for people and for `down --force`; the kernel's lock is the truth.
"""

from __future__ import annotations

import fcntl
import os
import stat
from types import TracebackType
from typing import Self

from reconciler.errors import Refused
from reconciler.home import Home


def read_boot_id() -> str:
    """The id of this start of the machine."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def start_ticks(pid: int) -> str:
    """When a process began, in clock ticks after the boot; '' if it is gone. With the boot id this tells pids apart."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[19]
    except OSError:
        return ""


def check_private(home: Home) -> str:
    """What was put right so that the home is its owner's alone, '' if nothing.

    Raises Refused where others could write: what lies there may be theirs, and is run. Who could only read is shut out.
    """
    if not os.path.isdir(home.root):
        return ""
    mode = stat.S_IMODE(os.stat(home.root).st_mode)
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise Refused(
            f"could not use the home {home.root}: others may write in it (mode {mode:04o}), and what is there is run; see that"
            f" nothing in it is theirs, then: chmod 700 {home.root}"
        )
    if not mode & 0o077:
        return ""
    os.chmod(home.root, mode & 0o700)
    return f"others could read in the home {home.root} (mode {mode:04o}); it is {mode & 0o700:04o} now"


class Instance:
    """The home's instance lock, held until `release`. Raises Refused, naming the holder, if another process has it."""

    def __init__(self, home: Home) -> None:
        self._fd = os.open(home.instance_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._fd, 200, 0).decode("utf-8", "replace").split()
            os.close(self._fd)
            pid = holder[0] if holder else "unknown"
            raise Refused(f"{home.root}: a daemon runs already, pid {pid}; end it with `lineclear down`") from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()} {start_ticks(os.getpid())} {read_boot_id()}\n".encode(), 0)

    def release(self) -> None:
        """Lets the lock go."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()
