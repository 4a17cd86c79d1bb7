"""Where this machine lets a home keep control groups for its workers, and, where it does not, why.

Paths come from what the kernel says of its mounts and of this process, never from habit. It must never move or end a
process other than its own.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reconciler.runtime.groups import V1, V2, Hierarchy, find_hierarchies
from reconciler.runtime.membership import LONGEST_PATH, Place, make_home, write_file

DAEMON_LEAF = "lineclear-daemon"  # the daemon's own group, beside the home's: see DelegateSubgroup in the systemd unit
PROVING = ("pids", "freezer")  # the v1 hierarchies in which a tree can be ended whatever it forks
NAME_ROOM = 40  # for a worker's own name below the home's group


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """The places, the one that proves an end first; empty if there are none. `problem`: what cannot be had, and why."""

    places: tuple[Place, ...] = ()
    is_required: bool = False
    problem: str = ""

    @property
    def controllers(self) -> frozenset[str]:
        """Those that limits can be asked of."""
        return frozenset(name for place in self.places for name in place.controllers)

    @property
    def weakness(self) -> str:
        """What is promised less for want of groups, and why, as a sentence for people; '' if there are groups."""
        if self.places:
            return ""
        weaker = "if a shim is killed, its holder is unknown and waits for a person"
        return f"steps run without control groups ({self.problem}): {weaker}"

    def words(self) -> list[str]:
        """For the zygote's command line."""
        return ["required" if self.is_required else "", *(place.pack() for place in self.places)]


NO_GROUPS = Grouping(problem="steps.groups is off")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Own:
    """The group that this process is in, in one hierarchy."""

    hierarchy: Hierarchy
    path: str


def find_grouping(home: Path, *, wanted: frozenset[str] = frozenset(), is_required: bool = False) -> Grouping:
    """Where the workers of this home can have groups, with as many of the wanted controllers as can be had."""
    own = list(_find_own(Path("/proc/self/cgroup").read_text(errors="surrogateescape"), find_hierarchies()))
    facts = home.stat()
    name = f"lineclear-{facts.st_dev:x}-{facts.st_ino:x}"
    problems: list[str] = []
    proving = next(_usable(_proving(own), name, wanted, problems), None)
    if proving is None:
        why = "; ".join(problems) or "no hierarchy of control groups is mounted here"
        return Grouping(is_required=is_required, problem=f"a worker has no control group of its own: {why}")
    places = [proving]
    missing = wanted.difference(proving.controllers)
    for one in own:
        if one.hierarchy.kind == V1 and missing.intersection(one.hierarchy.controllers):
            places += _usable([one], name, missing, problems)
            missing = missing.difference(places[-1].controllers)
    unlimited = f"no limit of {', '.join(sorted(missing))} is kept: " + ("; ".join(problems) or "no hierarchy has it")
    return Grouping(places=tuple(places), is_required=is_required, problem=unlimited if missing else "")


def _find_own(text: str, hierarchies: list[Hierarchy]) -> Iterator[_Own]:
    """This process' groups, as far as they can be seen below the mounts."""
    for line in text.splitlines():
        _, names, path = line.split(":", 2)
        for one in hierarchies:
            is_it = set(names.split(",")) <= set(one.controllers) if names else one.kind == V2
            root = one.root.rstrip("/")
            if is_it and (path + "/").startswith(root + "/") and ".." not in path.split("/"):
                yield _Own(hierarchy=one, path=(one.mount + path[len(root) :]).rstrip("/"))
                break


def _proving(own: list[_Own]) -> list[_Own]:
    """The hierarchies in which an empty group is proof, the best first."""
    first = [one for one in own if one.hierarchy.kind == V2]
    return first + [one for name in PROVING for one in own if name in one.hierarchy.controllers]


def _usable(candidates: list[_Own], name: str, wanted: frozenset[str], problems: list[str]) -> Iterator[Place]:
    """The places among them that this process may use; why not is added to the problems."""
    for one in candidates:
        try:
            yield _make_place(one, name, wanted, problems)
        except OSError as error:
            problems.append(f"{one.path}: {error.strerror}")


def _make_place(own: _Own, name: str, wanted: frozenset[str], problems: list[str]) -> Place:
    """Raises OSError if no group can be made there, or nobody moved into it."""
    origin = base = own.path
    if os.path.basename(base) == DAEMON_LEAF:
        base = os.path.dirname(base)
    controllers = tuple(sorted(wanted.intersection(own.hierarchy.controllers)))
    if own.hierarchy.kind == V2:
        kind = _read(f"{base}/cgroup.type").strip()
        if kind not in ("", "domain"):
            raise OSError(0, f"its type is {kind}, which has no groups of processes below it")
        offered = wanted.intersection(_read(f"{base}/cgroup.controllers").split())
        origin, controllers = _delegate(base, origin, sorted(offered), problems)
    place = Place(own.hierarchy.kind, controllers, f"{base}/{name}", origin)
    if len(place.home) + NAME_ROOM > LONGEST_PATH:
        raise OSError(0, "the path is too long for an attempt's record")
    for group in (base, origin):
        if not os.access(f"{group}/cgroup.procs", os.W_OK):
            raise PermissionError(1, "it may not be changed by this account; have it delegated")
    make_home(place)
    with contextlib.suppress(OSError):  # others are using it
        os.rmdir(place.home)
    return place


def _delegate(base: str, origin: str, controllers: list[str], problems: list[str]) -> tuple[str, tuple[str, ...]]:
    """Let the groups below `base` have these controllers: where this process is then, and those that they have."""
    if set(controllers) <= set(_read(f"{base}/cgroup.subtree_control").split()):
        return origin, tuple(controllers)
    if origin == base and base.endswith(".service"):
        problems.append(f"{base}: its unit needs DelegateSubgroup={DAEMON_LEAF}, of systemd 254 or later")
        return origin, ()
    try:
        if origin == base and os.path.exists(f"{base}/cgroup.type"):  # but for the root, a group has processes or controllers
            leaf = f"{base}/{DAEMON_LEAF}"
            with contextlib.suppress(FileExistsError):
                os.mkdir(leaf)
            write_file(f"{leaf}/cgroup.procs", str(os.getpid()))
            origin = leaf
        write_file(f"{base}/cgroup.subtree_control", " ".join(f"+{name}" for name in controllers))
    except OSError as error:
        problems.append(f"{base}: {error.strerror}; other processes may be in it")
        return origin, ()
    return origin, tuple(controllers)


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except FileNotFoundError:
        return ""
