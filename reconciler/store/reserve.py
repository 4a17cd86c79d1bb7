"""Room that a home keeps for its own end: files that hold blocks and inodes until the disk is full.

Given up, they leave room to write down what is ended; made again once there is room enough. What lies in them means nothing.
"""

from __future__ import annotations

import contextlib
import os

FILES = 8  # each holds an inode too
LEAST_BYTES = 1_000_000  # that are free beside it when there is room again


class Reserve:
    """The reserve of one home, in a folder of its own. `size` in bytes; 0: none is kept."""

    def __init__(self, folder: str, size: int) -> None:
        self._folder = folder
        self._size = size

    def keep(self) -> bool:
        """Makes what is missing of it, if the disk has twice as much free; True if it is whole, and there is room beside it."""
        each = self._size // FILES
        missing = [path for path in self._paths() if not _has(path, each)] if each else []
        try:
            found = os.statvfs(os.path.dirname(self._folder))
            room = found.f_bavail * found.f_frsize
            if room < max(LEAST_BYTES, 2 * each * len(missing)) or (found.f_files and found.f_favail < 2 * FILES):
                return False
            if not missing:
                return True
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            for path in missing:
                _hold(path, each)
        except OSError:
            self.give()
            return False
        return True

    def give(self) -> bool:
        """Gives all of it up; True if there was any."""
        given = False
        for path in self._paths():
            with contextlib.suppress(OSError):
                os.unlink(path)
                given = True
        return given

    def _paths(self) -> list[str]:
        return [os.path.join(self._folder, str(number)) for number in range(FILES)]


def _has(path: str, size: int) -> bool:
    try:
        return os.stat(path).st_size >= size
    except OSError:
        return False


def _hold(path: str, size: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.posix_fallocate(fd, 0, size)
    finally:
        os.close(fd)
