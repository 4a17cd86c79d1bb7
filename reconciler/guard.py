"""Sees to it that a private home does not outlive its command: a process of its own that waits for the command's end.

Steps are the children of workers that survive whoever started them; that is right for a daemon and wrong for `run`. If the
command dies without a word, its guard has the workers kill their steps, and removes the home. It must never touch a process
that does not carry the home's path in its command line.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time

from reconciler.errors import Unreachable
from reconciler.home import Home

ENDED_WITHIN_S = 30.0
LOOK_EVERY_S = 0.05
_SHIM_FLAGS = b"\0-I\0-S\0"
_DEAF_TO = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class HomeNotMade(Unreachable):
    """There is no home to run in; what was made of it is of no use."""

    def __init__(self, home: Home, why: Exception) -> None:
        reason = why.strerror if isinstance(why, OSError) else why
        super().__init__(f"could not make the home {home.root}: {reason}; make room there, or name another folder with --keep")


class Guard:
    """The guard of one home, from its start to `release`. Made before any thread is: it is a fork."""

    def __init__(self, home: Home, *, keep: bool) -> None:
        self._home = home
        read, self._write = os.pipe2(os.O_CLOEXEC)
        self.pid = os.fork()
        if self.pid == 0:
            with contextlib.suppress(OSError):
                os.close(self._write)
                _stand_by(read, home, keep=keep)
            os._exit(0)
        os.close(read)

    def release(self) -> None:
        """The command has ended everything itself. Harmless after `end`, and if the guard was killed."""
        if self.pid:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._write, b".")
            self._wait()

    def end(self) -> None:
        """Has every step killed now, and the home removed unless it is kept; waits until that is done."""
        if self.pid and os.WIFSIGNALED(self._wait()):
            end_steps(self._home)

    def _wait(self) -> int:
        os.close(self._write)
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return status


def _stand_by(read: int, home: Home, *, keep: bool) -> None:
    os.setsid()
    for number in _DEAF_TO:
        signal.signal(number, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nowhere, fd)
    if os.read(read, 1):
        return
    end_steps(home)
    if not keep:
        shutil.rmtree(home.root, ignore_errors=True)


def end_steps(home: Home) -> None:
    """Has every worker of the home kill its step, and waits until all are gone."""
    deadline = time.monotonic() + ENDED_WITHIN_S
    while (pids := find_workers(home)) and time.monotonic() < deadline:
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGUSR1)  # a worker's word for KILL; it leaves when its step's whole tree is gone
                os.kill(pid, signal.SIGCONT)
        time.sleep(LOOK_EVERY_S)


def find_workers(home: Home) -> list[int]:
    """The zygote and the workers of a home, told by the home's socket in their command line."""
    mark = b"\0" + os.fsencode(home.socket) + b"\0"
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        with contextlib.suppress(OSError), open(f"/proc/{name}/cmdline", "rb") as file:
            line = file.read()
            if _SHIM_FLAGS in line and mark in line:
                found.append(int(name))
    return found
