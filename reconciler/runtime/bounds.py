"""What one attempt may use, told to the kernel before it begins, and what it has used, read when it is over.

Standard library only and little of it: the zygote imports this file. A limit that cannot be kept is told, never taken for kept.
It must never limit the worker out of its own work: its share comes on top of the step's.
"""

from __future__ import annotations

import contextlib
import os
import resource

from reconciler.runtime.groups import V2
from reconciler.runtime.membership import Membership, read_numbers, write_file

OWN_BYTES = 8 << 20  # what a worker is charged for in its own group
OWN_PIDS = 1
PERIOD_US = 100_000
LEFT_BYTES = 1 << 20  # files in memory that an earlier attempt has left: more is not this one's to answer for
MB = 1_000_000


class Bounds:
    """What one attempt may use at most; 0 is without a limit."""

    __slots__ = ("cpus", "memory_mb", "pids")

    def __init__(self, memory_mb: int = 0, pids: int = 0, cpus: float = 0.0) -> None:
        self.memory_mb = memory_mb
        self.pids = pids
        self.cpus = cpus

    def pack(self) -> bytes:
        """One field of a launch; empty if nothing is limited."""
        return b"%d %d %r" % (self.memory_mb, self.pids, self.cpus) if self.wanted() else b""

    def wanted(self) -> dict[str, float]:
        """The limits that are asked for, by the kernel's word for what keeps them."""
        said = {"memory": self.memory_mb, "pids": self.pids, "cpu": self.cpus}
        return {name: value for name, value in said.items() if value}


def unpack_bounds(field: bytes) -> Bounds:
    """What `Bounds.pack` wrote."""
    if not field:
        return Bounds()
    memory_mb, pids, cpus = field.split()
    return Bounds(int(memory_mb), int(pids), float(cpus))


class Meter:
    """One worker's limits and counts in its groups, attempt by attempt."""

    __slots__ = ("before", "bounds", "cpu_s", "is_limited", "largest_kb", "membership", "unkept")

    def __init__(self, membership: Membership) -> None:
        self.membership = membership
        self.bounds = Bounds()
        self.is_limited = False  # the groups have limits of some attempt
        self.unkept: list[str] = []
        self.before: dict[str, int] = {}
        self.cpu_s = 0.0
        self.largest_kb = 0

    def reap(self, pid: int, options: int = 0) -> int:
        """As waitpid: its pid, or 0; what it and those it has waited for have used counts for the attempt."""
        ended, _, used = os.wait4(pid, options)
        if ended:
            self.cpu_s += used.ru_utime + used.ru_stime
            self.largest_kb = max(self.largest_kb, used.ru_maxrss)
        return ended

    def used(self) -> dict[str, object]:
        """Processor time, and the memory of the largest process: unknown if it is no larger than what it was made from."""
        known = self.largest_kb > resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {"cpu_ms": round(self.cpu_s * 1000), **({"memory_kb": self.largest_kb} if known else {})}

    def begin(self, bounds: Bounds) -> None:
        """Have the limits of the next attempt kept, and count from here."""
        self.bounds, self.unkept = bounds, []
        self.cpu_s, self.largest_kb = 0.0, 0
        wanted = bounds.wanted()
        if not wanted and not self.is_limited:
            return
        if bounds.memory_mb and self._left_bytes() > LEFT_BYTES:
            self.membership.renew()
        for name, keep in (("memory", self._limit_memory), ("pids", self._limit_pids), ("cpu", self._limit_cpu)):
            path, kind = self.membership.find(name)
            try:
                if path:
                    keep(path, kind)
                elif name in wanted:
                    self.unkept.append(f"no limit of {name} could be kept: there is no control group for it")
            except OSError as error:
                if name in wanted:
                    self.unkept.append(f"no limit of {name} could be kept: {error.strerror}")
        self.is_limited = bool(wanted)
        self.before = self._count()

    def _limit_memory(self, path: str, kind: str) -> None:
        limit = self.bounds.memory_mb * MB + OWN_BYTES
        if kind == V2:
            write_file(f"{path}/memory.max", str(limit) if self.bounds.memory_mb else "max")
            with contextlib.suppress(FileNotFoundError):  # a machine without swap
                write_file(f"{path}/memory.swap.max", "0" if self.bounds.memory_mb else "max")
            return
        text = str(limit) if self.bounds.memory_mb else "-1"
        with contextlib.suppress(OSError):  # a kernel that does not count swap
            write_file(f"{path}/memory.memsw.limit_in_bytes", "-1")
        write_file(f"{path}/memory.limit_in_bytes", text)
        with contextlib.suppress(OSError):
            write_file(f"{path}/memory.memsw.limit_in_bytes", text)

    def _limit_pids(self, path: str, _kind: str) -> None:
        write_file(f"{path}/pids.max", str(self.bounds.pids + OWN_PIDS) if self.bounds.pids else "max")

    def _limit_cpu(self, path: str, kind: str) -> None:
        quota = round(self.bounds.cpus * PERIOD_US)
        if kind == V2:
            write_file(f"{path}/cpu.max", f"{quota or 'max'} {PERIOD_US}")
        else:
            write_file(f"{path}/cpu.cfs_period_us", str(PERIOD_US))
            write_file(f"{path}/cpu.cfs_quota_us", str(quota or -1))

    def _left_bytes(self) -> int:
        path, _ = self.membership.find("memory")
        return read_numbers(f"{path}/memory.stat").get("shmem", 0) if path else 0

    def _count(self) -> dict[str, int]:
        """How often the kernel has ended a process for memory or refused one for their number."""
        memory, kind = self.membership.find("memory")
        events = read_numbers(f"{memory}/{'memory.events' if kind == V2 else 'memory.oom_control'}") if memory else {}
        pids, _ = self.membership.find("pids")
        refused = read_numbers(f"{pids}/pids.events") if pids else {}
        return {"oom": events.get("oom_kill", 0), "refused": refused.get("max", 0)}

    def end(self) -> str:
        """What the limits did to the attempt, for people; '' if nothing."""
        if not self.is_limited:
            return ""
        told = list(self.unkept)
        now = self._count()
        ended, refused = (now[name] - self.before[name] for name in ("oom", "refused"))
        if ended > 0:
            what = "one of its processes was" if ended == 1 else f"{ended} of its processes were"
            told.append(f"{what} ended by the memory limit of {self.bounds.memory_mb} MB")
        if refused > 0:
            told.append(f"it reached its limit of {self.bounds.pids} processes: new ones were refused {refused} times")
        return "; ".join(told)
