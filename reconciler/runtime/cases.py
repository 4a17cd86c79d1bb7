"""Where each attempt that the runtime knows stands: one shape for each. It must never hold a secret's value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reconciler.model.attempt import Launch
from reconciler.runtime.orphans import Orphan
from reconciler.runtime.pool import Link
from reconciler.runtime.processes import Process


@dataclass(slots=True, kw_only=True)
class Serving:
    """A worker of ours has it."""

    link: Link
    launch: Launch
    launched_at: float
    grace_s: float | None = None  # once a stop was asked for: the worker may die before it hears


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
