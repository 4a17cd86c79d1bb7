"""Which processes of an attempt are left, when its worker is not there to tell. It must never count a process out unseen.

Found are carriers of the attempt's token, the session of its main process, everything below those, and what the kernel
handed to this process from a dead worker: children with the out-of-memory score of a step, which only a step passes on.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from reconciler.runtime import wire
from reconciler.runtime.processes import Process, find_descendants, read_processes
from reconciler.runtime.records import Start


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """How an attempt's processes are known. `spared` are sessions of others, or None if orphans do not come to us."""

    token: str
    start: Start | None
    spared: frozenset[int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Survivors:
    """`sure` belong to the attempt; `doubtful` may: a pid could have been taken over, so they may not be killed."""

    sure: tuple[Process, ...]
    doubtful: tuple[Process, ...]


def read_environment(pid: int) -> bytes | None:
    """The environment a process was given at its start, or None if it may not be seen or is gone."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return b"\0" + file.read() + b"\0"
    except OSError:
        return None


def read_oom_score(pid: int) -> bytes | None:
    """How readily the kernel kills this process; None if it is gone."""
    try:
        with open(f"/proc/{pid}/oom_score_adj", "rb") as file:
            return file.read()
    except OSError:
        return None


def find_survivors(marks: Marks) -> Survivors:
    """Every living process of the attempt that can be found; zombies are dead."""
    table = read_processes()
    own = table[os.getpid()]
    token = f"\0{wire.TOKEN}={marks.token}\0".encode()
    environments = {pid: read_environment(pid) for pid in table if pid != own.pid}
    sure = {pid for pid, environment in environments.items() if environment and token in environment}
    doubtful: set[int] = set()
    if marks.start is not None:
        members = {process.pid for process in table.values() if process.session == marks.start.pid}
        leader = table.get(marks.start.pid)
        if leader is None and marks.spared is None:
            doubtful = members - sure
        elif leader is None or leader.ticks == marks.start.ticks:
            sure |= members
    if marks.spared is not None:
        sure |= _find_handed_over(table, own, environments, marks.spared)
    for pid in tuple(sure):
        sure |= {process.pid for process in find_descendants(pid, table)}
    doubtful -= sure
    return Survivors(sure=_living(table, sure - {own.pid}), doubtful=_living(table, doubtful))


def _find_handed_over(
    table: dict[int, Process], own: Process, environments: dict[int, bytes | None], spared: frozenset[int]
) -> set[int]:
    """Children of this process that it did not make: escaped from a worker that is gone. Its own share its score."""
    found = set()
    own_score = read_oom_score(own.pid)
    for process in table.values():
        if process.parent != own.pid or process.session in spared or read_oom_score(process.pid) == own_score:
            continue
        environment = environments.get(process.pid) or b""
        if f"\0{wire.TOKEN}=".encode() not in environment and f"\0{wire.SHIM_MARK}=".encode() not in environment:
            found.add(process.pid)
    return found


def _living(table: dict[int, Process], pids: set[int]) -> tuple[Process, ...]:
    return tuple(table[pid] for pid in sorted(pids) if table[pid].state not in "ZX")
