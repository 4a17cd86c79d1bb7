"""Opens files that are named by others: only regular ones, without ever waiting for one, and no more of them than fits.

A FIFO or a device in the place of a file would hold its reader up for ever. Standard library only: every start may pay for it.
"""

from __future__ import annotations

import errno
import os
import stat

_KINDS = (
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


class Unfit(OSError):
    """It is there, and no regular file, or larger than it may be; `strerror` says which."""


def open_regular(path: str, flags: int = 0) -> int:
    """A descriptor to read a regular file with. Raises Unfit for anything else, OSError as `os.open` does."""
    found = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | flags)
    mode = os.fstat(found).st_mode
    if not stat.S_ISREG(mode):
        os.close(found)
        kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "something else")
        raise Unfit(errno.EINVAL, f"it is {kind} and no regular file", path)
    return found


def read_regular(path: str, most_bytes: int) -> tuple[bytes, os.stat_result]:
    """The whole of a regular file, and its state. Raises Unfit also if it holds more than `most_bytes`."""
    with os.fdopen(open_regular(path), "rb") as file:
        status = os.fstat(file.fileno())
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise Unfit(errno.EFBIG, f"it holds more than {most_bytes} bytes", path)
    return data, status
