"""The control groups that a worker lives in: entered once, before its first attempt; left, and removed, with its last.

Whatever a step makes is born in its worker's group and stays there, whatever it does to its session, user or environment.
Standard library only and little of it: the zygote imports this file. It must never move anything but its own process.
"""

from __future__ import annotations

import contextlib
import errno
import os

from reconciler.runtime import groups

TRIES = 5  # whoever removes empty groups may take one between its making and its entering
LONGEST_PATH = 250  # what a record has room for


class Place:
    """Where one hierarchy keeps the groups of a home's workers (`home`), and the group that workers come from (`origin`)."""

    __slots__ = ("controllers", "home", "kind", "origin")

    def __init__(self, kind: str, controllers: tuple[str, ...], home: str, origin: str) -> None:
        self.kind = kind
        self.controllers = controllers  # those that limits can be asked of
        self.home = home
        self.origin = origin

    def pack(self) -> str:
        """One word for a command line."""
        return "\n".join((self.kind, ",".join(self.controllers), self.home, self.origin))


def unpack_place(word: str) -> Place:
    """What `Place.pack` wrote."""
    kind, controllers, home, origin = word.split("\n")
    return Place(kind, tuple(filter(None, controllers.split(","))), home, origin)


def make_home(place: Place) -> None:
    """Make the group above the workers', if it is not there, and let those below it have the controllers."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(place.home)
    if place.kind == groups.V2 and place.controllers:
        write_file(f"{place.home}/cgroup.subtree_control", " ".join(f"+{name}" for name in place.controllers))


def write_file(path: str, text: str) -> None:
    """Tell the kernel; raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


class Membership:
    """One worker's groups, one for each place; the first is the one that proves its end. Without places it has none."""

    __slots__ = ("group_id", "is_out", "is_required", "name", "path", "places", "problem")

    def __init__(self, places: list[Place], name: str, *, is_required: bool) -> None:
        self.places = places
        self.is_required = is_required
        self.name = name
        self.path = ""  # of the group that proves the end; '' if there is none
        self.group_id = 0
        self.problem = ""  # why a group could not be had
        self.is_out = False  # beside its groups for a moment, to end all that is in them

    def enter(self) -> None:
        """Make the groups and go into them; `problem` says what could not be had."""
        self.problem, self.is_out = "", False
        for place in self.places:
            try:
                group_id = self._enter(place)
            except OSError as error:
                self.problem = f"cannot enter a control group in {place.home}: {error.strerror}"
                if place is self.places[0]:
                    return
            else:
                if place is self.places[0]:
                    self.path, self.group_id = f"{place.home}/{self.name}", group_id

    def _enter(self, place: Place) -> int:
        path = f"{place.home}/{self.name}"
        for left in reversed(range(TRIES)):
            try:
                make_home(place)
                with contextlib.suppress(FileExistsError):
                    os.mkdir(path)
                group_id = os.stat(path).st_ino
                write_file(f"{path}/cgroup.procs", "0")
            except OSError as error:
                if not left or error.errno not in (errno.ENOENT, errno.ENODEV):
                    raise
            else:
                return group_id
        raise AssertionError

    def is_fit(self) -> bool:
        """Whether an attempt may begin: groups that are required are tried for again."""
        if self.is_required and self.problem:
            self.enter()
        return not (self.is_required and self.problem)

    def fields(self) -> dict[str, object]:
        """What a claim says of the group."""
        return {"group": self.path, "group_id": self.group_id} if self.path else {}

    def leave(self) -> None:
        """Go back to where workers come from and remove the groups; the last worker takes the home's with it."""
        for place in self.places:
            with contextlib.suppress(OSError):  # what cannot be left is removed by a later daemon
                write_file(f"{place.origin}/cgroup.procs", "0")
                groups.remove(f"{place.home}/{self.name}")
                os.rmdir(place.home)
        self.path = ""
