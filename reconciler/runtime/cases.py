"""Where each attempt that the runtime knows stands: one shape for each. It must never hold a secret's value."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reconciler.clock import Clock
from reconciler.model.attempt import AttemptId, HolderUnknown, Intent, Launch, Observation
from reconciler.runtime import wire
from reconciler.runtime.orphans import Orphan
from reconciler.runtime.poller import Poller
from reconciler.runtime.pool import Link
from reconciler.runtime.processes import Process
from reconciler.runtime.reports import Reports

DEFAULT_GRACE_S = 10.0
BUSY_FOR_S = 1.0
UNPROVEN_AGAIN_S = 1.0
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

    intent: Intent
    launch: Launch | None
    due_at: float
    launched_at: float = float("-inf")
    grace_s: float | None = None
    tries: int = 0
    is_nobodys: bool = False  # no worker has it or ever will by itself: only this process can hand it over again
    busy_since: float | None = None
    told: HolderUnknown | None = None  # what was told of it last

    def is_busy_too_long(self, now: float) -> bool:
        """Whether somebody has kept its lock without a word for longer than any start takes."""
        self.busy_since = now if self.busy_since is None else self.busy_since
        return now >= self.busy_since + BUSY_FOR_S

    def tell_unknown(self, evidence: str, clock: Clock, reports: Reports) -> None:
        """Say once what is unknown, and look again now and then: what is missing may be put back."""
        self.due_at = clock.monotonic() + UNPROVEN_AGAIN_S
        if self.told is None or self.told.evidence != evidence:
            self.told = HolderUnknown(attempt_id=self.intent.attempt_id, at=clock.now(), evidence=evidence)
            reports.add(self.told)


@dataclass(slots=True, kw_only=True)
class Adopted:
    """A worker of an earlier daemon has it."""

    intent: Intent
    worker: Process
    pidfd: int
    grace_s: float | None = None  # once a stop was asked for


@dataclass(slots=True, kw_only=True)
class Kept:
    """Its worker is gone; we wait for a proof of its end."""

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


def intent_of(launch: Launch, boot_id: str, *, began: bool = False) -> Intent:
    """What is known of an attempt of this boot that was to be launched."""
    place, reserved = launch.directory, launch.reserved
    return Intent(attempt_id=launch.attempt_id, directory=place, boot_id=boot_id, reserved=reserved, began=began)


def due_at(case: Case) -> float | None:
    """When it is to be looked at, by the monotonic clock; None: only an event can bring something."""
    match case:
        case Open(due_at=at) | Kept(orphan=Orphan(due_at=at)):
            return at
        case _:
            return None


class Cases(dict[AttemptId, Case]):
    """By attempt; `restless` are those of kind Open or Kept, which come to nothing unless they are looked at."""

    def __init__(self, poller: Poller) -> None:
        super().__init__()
        self.restless: set[AttemptId] = set()
        self._poller = poller

    def put(self, attempt_id: AttemptId, case: Case) -> None:
        """Where the attempt stands now."""
        self[attempt_id] = case
        if isinstance(case, Open | Kept):
            self.restless.add(attempt_id)
        else:
            self.restless.discard(attempt_id)

    def drop(self, attempt_id: AttemptId) -> None:
        """Forget a case and close what it holds."""
        case = self.pop(attempt_id)
        self.restless.discard(attempt_id)
        if isinstance(case, Adopted | Kept) and case.pidfd is not None:
            self._poller.unregister(case.pidfd)
            os.close(case.pidfd)
        if isinstance(case, Kept):
            case.orphan.close()

    def are_over(self) -> bool:
        """True if every attempt that is known has ended, written down or not."""
        return all(isinstance(case, Ended) for case in self.values())

    def due(self, now: float) -> Iterator[tuple[AttemptId, Case]]:
        """Those to be looked at, in order; what one look does to another counts."""
        for attempt_id in sorted(self.restless):
            at = due_at(self[attempt_id]) if attempt_id in self.restless else None
            if at is not None and at <= now:
                yield attempt_id, self[attempt_id]


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
