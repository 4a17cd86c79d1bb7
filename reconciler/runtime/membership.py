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


def read_numbers(path: str) -> dict[str, int]:
    """The `name number` lines of one of the kernel's files; empty if it cannot be read."""
    with contextlib.suppress(OSError, ValueError), open(path, encoding="ascii") as file:
        return {name: int(number) for name, number in (line.split() for line in file)}
    return {}


def write_file(path: str, text: str) -> None:
    """Tell the kernel; raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


class Membership:
    """One worker's groups, one for each place; the first is the one that proves its end. Without places it has none."""

    __slots__ = ("group_id", "is_out", "is_required", "name", "path", "places", "problem", "turn")

    def __init__(self, places: list[Place], name: str, *, is_required: bool) -> None:
        self.places = places
        self.is_required = is_required
        self.name = name
        self.path = ""  # of the group that proves the end; '' if there is none
        self.group_id = 0
        self.problem = ""  # why a group could not be had
        self.is_out = False  # out of the group that proves the end for a moment, to end all that is in it
        self.turn = 0

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

    def find(self, controller: str) -> tuple[str, str]:
        """The group in which limits of this kind are kept and the kind of its hierarchy; empty if there is none."""
        for place in self.places:
            if controller in place.controllers and self.path:
                return f"{place.home}/{self.name}", place.kind
        return "", ""

    def renew(self) -> None:
        """Leave what earlier attempts are still charged for to the group above: go on in new groups."""
        old = self.name
        self.turn += 1
        self.name = f"{old.partition('.')[0]}.{self.turn}"
        self.enter()
        for place in self.places:
            groups.remove(f"{place.home}/{old}")

    def end_others(self) -> bool:
        """End all that is in the group but this process, whatever it forks and whoever's rights it has taken.

        This process steps out first, which costs as much as several steps, and stays out until it is told to come back.
        """
        if not self.path:
            return False
        try:
            if not self.is_out:
                write_file(f"{self.places[0].origin}/cgroup.procs", "0")
                self.is_out = True
        except OSError:
            return False
        return groups.kill(self.path, self.group_id)

    def come_back(self) -> None:
        """Be in the groups again, before anything else begins."""
        if self.is_out:
            self.renew()

    def tidy(self) -> None:
        """Remove the groups that a step has made in its own."""
        for place in self.places if self.path else ():
            own = f"{place.home}/{self.name}"
            with contextlib.suppress(OSError):
                if os.stat(own).st_nlink > 2:
                    groups.sweep(own)

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
