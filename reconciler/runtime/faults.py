"""Whose fault an error of the system is: the machine's, which passes or is mended, or that of what was asked for.

Standard library only and little of it: the zygote imports this file. It must never call an error the machine's that a person
has to mend in a manifest: such a step would wait for ever.
"""

from __future__ import annotations

import errno
import os

OF_HOST = frozenset(
    {
        errno.EAGAIN,  # no process more: a limit of the account or of the machine
        errno.EDQUOT,
        errno.EIO,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOLCK,
        errno.ENOMEM,
        errno.ENOSPC,  # no room, or no inode
        errno.EROFS,
        errno.ESTALE,
        errno.EUCLEAN,  # the file system is damaged
    }
)


class MachineFault(Exception):
    """The machine cannot do now what it is asked for; the same thing asked for later may work. The text is for people."""


def is_of_host(error: OSError) -> bool:
    """True for what fails whatever was asked for: descriptors, room, inodes, memory, processes, a broken disk."""
    return error.errno in OF_HOST


def describe(error: OSError) -> str:
    """Why, with the place where there is one: `No space left on device: /srv/lineclear/runs/7`."""
    why = error.strerror or str(error)
    place = error.filename
    return why if place is None else f"{why}: {os.fsdecode(place) if isinstance(place, bytes | str) else place}"
