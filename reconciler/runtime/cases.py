"""Where each attempt that the runtime knows stands: one shape for each. It must never hold a secret's value."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reconciler.model.attempt import AttemptId, Launch, Observation
from reconciler.runtime import wire
from reconciler.runtime.orphans import Orphan
from reconciler.runtime.pool import Link
from reconciler.runtime.processes import Process

DEFAULT_GRACE_S = 10.0
LONGEST_PAUSE_S = 8.0  # between two tries of what the machine puts off: the first after half a second


@dataclass(slots=True, kw_only=True)
class Serving:
    """A worker of ours has it."""

    link: Link
    launch: Launch
    launched_at: float
    grace_s: float | None = None  # once a stop was asked for: the worker may die before it hears
    tries: int = 0  # how often the machine has put it off


@dataclass(slots=True, kw_only=True)
class Open:
    """No worker is known: its record has to be read under its lock, when `due_at` has come."""

    directory: str
    boot_id: str
    launch: Launch | None
    due_at: float
    launched_at: float = float("-inf")
    is_heir: bool = False  # its worker was ours: what that leaves behind becomes a child of this process
    grace_s: float | None = None
    tries: int = 0
    is_nobodys: bool = False  # no worker has it or ever will by itself: only this process can hand it over again


@dataclass(slots=True, kw_only=True)
class Adopted:
    """A worker of an earlier daemon has it."""

    directory: str
    boot_id: str
    worker: Process
    pidfd: int
    grace_s: float | None = None  # once a stop was asked for


@dataclass(slots=True, kw_only=True)
class Kept:
    """Its worker is gone; we see its processes out."""

    orphan: Orphan
    launch: Launch | None
    pidfd: int | None


@dataclass(slots=True, kw_only=True)
class Ended:
    """Reported, not yet acknowledged; `link` is the worker that waits for it."""

    link: Link | None


Case = Serving | Open | Adopted | Kept | Ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What a starting daemon learns. Attempts in neither list are still watched: their end comes by `collect`."""

    observations: tuple[Observation, ...]
    to_launch: Sequence[AttemptId]


def find_sessions(cases: Iterable[Case]) -> frozenset[int]:
    """Sessions that are somebody's: of workers of an earlier daemon, and of steps that lost theirs."""
    sessions = set()
    for case in cases:
        match case:
            case Adopted(worker=worker):
                sessions.add(worker.pid)
            case Kept(orphan=orphan) if orphan.start is not None:
                sessions.add(orphan.start.pid)
            case _:
                pass
    return frozenset(sessions)


def due_at(case: Case) -> float | None:
    """When it is to be looked at, by the monotonic clock; None: only an event can bring something."""
    match case:
        case Open(due_at=at) | Kept(orphan=Orphan(due_at=at)):
            return at
        case _:
            return None


def is_due(case: Case, now: float) -> bool:
    at = due_at(case)
    return at is not None and at <= now


def put_later(case: Case, at: float) -> None:
    """Look at it again at that time."""
    if isinstance(case, Open):
        case.due_at = at
    elif isinstance(case, Kept):
        case.orphan.due_at = at


def pause_s(tries: int) -> float:
    """Seconds until the next try of what the machine has put off so many times before."""
    return float(min(LONGEST_PAUSE_S, 0.5 * 2 ** min(tries, 10)))


def find_grace_s(launch: Launch | None, kind: int) -> float:
    if kind == wire.KILL:
        return 0.0
    return DEFAULT_GRACE_S if launch is None else launch.grace_s


def signal_worker(pidfd: int, signum: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signum)
