"""Processes as /proc shows them, and the only ways to signal one.

Standard library only and little of it: the zygote imports this file. It must never signal a bare pid that another
process could have taken over.
"""

from __future__ import annotations

import ctypes
import os
import signal

PR_SET_CHILD_SUBREAPER = 36


class Process:
    """One line of /proc: `ticks` (start time) and pid together name a process for as long as the machine is up."""

    __slots__ = ("parent", "pid", "session", "state", "ticks")

    def __init__(self, pid: int, fields: list[bytes]) -> None:
        self.pid = pid
        self.state = fields[0].decode()
        self.parent = int(fields[1])
        self.session = int(fields[3])
        self.ticks = int(fields[19])


def read_process(pid: int) -> Process | None:
    """The process with this pid now, zombies included; None if there is none."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return None
    try:
        text = os.read(fd, 1024)
    except ProcessLookupError:
        return None
    finally:
        os.close(fd)
    return Process(pid, text[text.rindex(b")") + 2 :].split())


def read_processes() -> dict[int, Process]:
    """Every process that can be seen."""
    found = (read_process(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return {process.pid: process for process in found if process is not None}


def find_descendants(root: int, table: dict[int, Process]) -> list[Process]:
    """All processes below `root`, parents first."""
    children: dict[int, list[Process]] = {}
    for process in table.values():
        children.setdefault(process.parent, []).append(process)
    found: list[Process] = []
    pending = [root]
    while pending:
        below = children.pop(pending.pop(), [])
        found += below
        pending += [process.pid for process in below]
    return found


def send_signal(process: Process, signum: int) -> bool:
    """Signal exactly this process: pidfd opened first, start ticks compared after. False if it is gone."""
    try:
        pidfd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        now = read_process(process.pid)
        if now is None or now.ticks != process.ticks:
            return False
        signal.pidfd_send_signal(pidfd, signum)
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)
    return True


def become_subreaper() -> None:
    """Let orphaned descendants become children of this process."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
