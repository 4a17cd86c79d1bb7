"""Control groups by path and identity: whether one is empty, how all in it are ended, how what is left of it goes.

Standard library only and little of it: the zygote imports this file. It must never call a group empty that it could not
read, nor touch a folder that is not a control group.
"""

from __future__ import annotations

import contextlib
import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

EMPTY = "empty"  # nobody is in the group or below it: what was in it is gone
POPULATED = "populated"
UNKNOWN = "unknown"  # absent, made anew, unreadable or no control group: nothing may be concluded

V1, V2 = "cgroup", "cgroup2"  # as the kernel calls the two kinds of hierarchy
MOST_BELOW = 10_000  # a step may make groups in its own


class Hierarchy:
    """One mounted hierarchy: its kind, device, controllers (v1), and where its own `root` group is in the file system."""

    __slots__ = ("controllers", "device", "kind", "mount", "root")

    def __init__(self, line: str) -> None:
        head, _, tail = line.partition(" - ")
        fields, (kind, _, options) = head.split(), tail.split()[:3]
        major, _, minor = fields[2].partition(":")
        self.device = os.makedev(int(major), int(minor))
        self.root, self.mount = _unescaped(fields[3]), _unescaped(fields[4])
        self.kind = kind
        self.controllers = tuple(one for one in options.split(",") if one not in ("rw", "ro")) if kind == V1 else ()


def _unescaped(field: str) -> str:
    """A field of mountinfo: blanks and the like are written in octal."""
    head, *rest = field.split("\\")
    return head + "".join(chr(int(part[:3], 8)) + part[3:] for part in rest)


def find_hierarchies() -> list[Hierarchy]:
    """Every hierarchy that is mounted where this process can see it; empty if that cannot be read."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            lines = [line for line in file if " - cgroup" in line]
    except OSError:
        return []
    return [found for found in map(Hierarchy, lines) if found.kind in (V1, V2)]


def look(path: str, group_id: int) -> str:
    """EMPTY, POPULATED or UNKNOWN: what the group at `path` with this inode number says of itself and all groups below."""
    try:
        with _open(path, group_id) as group:
            if group.kind == V1:
                return POPULATED if group.members() else EMPTY
            events = dict(line.split() for line in group.read("cgroup.events").splitlines())
            return {"0": EMPTY, "1": POPULATED}.get(events.get("populated", ""), UNKNOWN)
    except (OSError, ValueError):
        return UNKNOWN


def find_members(path: str, group_id: int) -> tuple[int, ...]:
    """The processes in the group and below it that this process can name, for people and for signals; no proof of anything."""
    try:
        with _open(path, group_id) as group:
            return tuple(sorted(group.members() - {0, os.getpid()}))
    except (OSError, ValueError):
        return ()


def kill(path: str, group_id: int) -> bool:
    """Send KILL to all in the group and below it; False if nothing could be done.

    It does not wait: whoever wants it empty looks, and calls again as long as it is not. What forks meanwhile is met:
    by the kernel (v2), else by forbidding forks or by freezing first. A group that holds this process is refused.
    """
    try:
        with _open(path, group_id) as group:
            if os.getpid() in group.members():
                return False
            group.kill()
    except (OSError, ValueError):
        return False
    return True


def remove(path: str) -> bool:
    """Remove the group and all below it, if nobody is in them; True if it is gone."""
    try:
        with _open(path) as group:
            for name in group.below():
                os.rmdir(f"{path}/{name}")
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def sweep(home_group: str, keep: frozenset[str] | set[str] = frozenset()) -> int:
    """Remove every empty group directly below a home's, but for the paths to keep; how many went."""
    try:
        names = [entry.path for entry in os.scandir(home_group) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return 0
    return sum(path not in keep and remove(path) for path in sorted(names))


@contextlib.contextmanager
def _open(path: str, group_id: int | None = None) -> Iterator[_Group]:
    """The group at `path`, if it is one and, given an inode number, that one. Raises OSError or ValueError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        facts = os.fstat(fd)
        kinds = [one.kind for one in find_hierarchies() if one.device == facts.st_dev]
        if not kinds or group_id not in (None, facts.st_ino):
            raise ValueError(path)
        yield _Group(fd, kinds[0])
    finally:
        os.close(fd)


class _Group:
    """An open group: every file of it is reached through its descriptor, so that it stays the one that was opened."""

    def __init__(self, fd: int, kind: str) -> None:
        self.fd = fd
        self.kind = kind

    def read(self, name: str) -> str:
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.fd)
        with open(fd, encoding="utf-8") as file:
            return file.read()

    def write(self, name: str, text: str) -> None:
        fd = os.open(name, os.O_WRONLY | os.O_CLOEXEC, dir_fd=self.fd)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)

    def has(self, name: str) -> bool:
        return os.access(name, os.F_OK, dir_fd=self.fd)

    def below(self) -> list[str]:
        """The groups below, the deepest first, as paths from this one. Raises ValueError if they are too many to walk."""
        found = [""]
        for inside in found:  # grows while it is walked
            with contextlib.suppress(FileNotFoundError):  # it was removed meanwhile
                found += [f"{inside}{name}/" for name in self._names(inside)]
            if len(found) > MOST_BELOW:
                raise ValueError(inside)
        return [path.rstrip("/") for path in reversed(found[1:])]

    def _names(self, inside: str) -> list[str]:
        fd = os.open(inside or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=self.fd)
        try:
            with os.scandir(fd) as entries:
                return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        finally:
            os.close(fd)

    def members(self) -> set[int]:
        """Every process in the group and below it. One that this process cannot see by number is there as 0."""
        found = set(self.read("cgroup.procs").split())
        for path in self.below():
            with contextlib.suppress(FileNotFoundError):
                found |= set(self.read(f"{path}/cgroup.procs").split())
        return set(map(int, found))

    def kill(self) -> None:
        if self.has("cgroup.kill"):
            self.write("cgroup.kill", "1")
        elif self.has("pids.max"):
            self.write("pids.max", "0")
            self.signal_members()
        elif self.kind == V2:
            self._kill_frozen("cgroup.freeze", "1", "0")
        else:
            self._kill_frozen("freezer.state", "FROZEN", "THAWED")

    def _kill_frozen(self, name: str, frozen: str, thawed: str) -> None:
        self.write(name, frozen)
        try:
            self.signal_members()
        finally:
            self.write(name, thawed)

    def signal_members(self) -> None:
        """KILL to each. The pidfd is opened first, membership read again after: a number that is another's by now is left out."""
        pidfds = {}
        for pid in self.members() - {0, os.getpid()}:
            with contextlib.suppress(ProcessLookupError):
                pidfds[pid] = os.pidfd_open(pid)
        still = self.members()
        for pid, pidfd in pidfds.items():
            if pid in still:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)
