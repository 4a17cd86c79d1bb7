"""Where the machine keeps what a step saw in its sandbox: paths are followed as the step would have followed them.

Reads the layout that the box has left. It must never follow a link of the step's out of what the step saw.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass

_LINKS = 40  # as many as the kernel follows
_OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One mount: `kind` copy, own or seen, where the step saw it, and where it is on the machine."""

    kind: str
    at: str
    place: str


def find_place(directory: str, path: str) -> str | None:
    """The machine's path of what the step saw as `path`, its links followed; None if there is nothing.

    Raises OSError: the layout cannot be read, or too many links.
    """
    pieces = _read_layout(directory)
    pending = [part for part in reversed(path.split("/")) if part not in ("", ".")]
    seen: list[str] = []
    place: str | None = None
    links = 0
    while pending:
        part = pending.pop()
        if part == "..":
            seen = seen[:-1]
            place = None
            continue
        place = _look_up(pieces, "/" + "/".join([*seen, part]))
        if place is None:
            return None
        if not os.path.islink(place):
            seen.append(part)
            continue
        links += 1
        if links > _LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        target = os.readlink(place)
        if target.startswith("/"):
            seen = []
        pending += [part for part in reversed(target.split("/")) if part not in ("", ".")]
    return place or _look_up(pieces, "/" + "/".join(seen))


def _read_layout(directory: str) -> tuple[Piece, ...]:
    """The pieces, the last mounted first."""
    box = f"{directory}/root"
    with open(f"{box}/layout", "rb") as file:
        fields = os.fsdecode(file.read()).split("\0\n")[:-1]
    pieces = (line.split("\0") for line in fields)
    return tuple(Piece(kind=kind, at=at, place=os.path.join(box, place)) for kind, at, place in pieces)[::-1]


def _look_up(pieces: tuple[Piece, ...], path: str) -> str | None:
    """The machine's path of one that has no links before its last part."""
    piece = max((one for one in pieces if _is_below(path, one.at)), key=lambda one: len(one.at))
    rest = path[len(piece.at) :].strip("/")
    place = os.path.join(piece.place, rest) if rest else piece.place
    if piece.kind == "copy" and rest:
        return _look_up_copy(piece, rest)
    return place if os.path.lexists(place) else None


def _look_up_copy(piece: Piece, rest: str) -> str | None:
    """In the upper folder if it is there, else the machine's own, unless that was removed or replaced."""
    upper = piece.place
    has_lower = True
    for part in rest.split("/"):
        upper = os.path.join(upper, part)
        try:
            facts = os.lstat(upper)
        except NotADirectoryError:
            return None
        except FileNotFoundError:
            place = os.path.join(piece.at, rest)
            return place if has_lower and os.path.lexists(place) else None
        if stat.S_ISCHR(facts.st_mode) and facts.st_rdev == 0:
            return None
        if not stat.S_ISDIR(facts.st_mode) or _is_opaque(upper):
            has_lower = False
    return upper


def _is_opaque(folder: str) -> bool:
    for name in _OPAQUE:
        try:
            if os.getxattr(folder, name, follow_symlinks=False) == b"y":
                return True
        except OSError:
            continue
    return False


def _is_below(path: str, folder: str) -> bool:
    return folder in ("/", path) or path.startswith(folder + "/")
