"""Schedules, ticks and what was decided about each.

Values only: how a schedule is read, when it fires and what a due tick does is decided in `cron`; nothing here computes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from reconciler.model.concurrency import ActiveRun, ConcurrencyPolicy

DEFAULT_SUCCESSFUL_HISTORY = 3
DEFAULT_FAILED_HISTORY = 1


class TickDecision(StrEnum):
    """What was decided about one (cron, UTC instant), once and for ever."""

    RAN = "ran"
    FORBIDDEN = "forbidden"
    REPLACED = "replaced"
    WHEN_FALSE = "when-false"
    SUSPENDED = "suspended"
    STOPPED = "stopped"
    MISSED = "missed"
    CAUGHT_UP = "caught-up"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class CronSpec:
    """The schedule part of a CronWorkflow. `timezone` is an IANA name or None for the machine's local zone.

    `starting_deadline` None or zero: a tick that was missed is not run. A negative history limit means the default;
    zero keeps none. `concurrency_policy` None: the spec says nothing, so an annotation may, and else runs may overlap.
    """

    schedules: tuple[str, ...]
    timezone: str | None = None
    concurrency_policy: ConcurrencyPolicy | None = None
    starting_deadline: timedelta | None = None
    suspend: bool = False
    successful_history_limit: int = DEFAULT_SUCCESSFUL_HISTORY
    failed_history_limit: int = DEFAULT_FAILED_HISTORY


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRun:
    """A finished run of this cron, as retention sees it. `is_pinned`: it still holds or waits, so it must stay."""

    name: str
    finished_at: datetime
    succeeded: bool
    is_pinned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """The run that a due tick would create is not wanted, and why: `when` is false, or it could not be evaluated.

    `decision` is WHEN_FALSE or ERROR.
    """

    decision: TickDecision
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TickFacts:
    """What the store knows about one cron when its ticks are decided. Every instant is aware UTC.

    `watermark` is the last decided instant, None for a cron without any. `since` is when the cron was first seen with its
    present schedules and zone; it is also what `@every` counts from. Both bounds are exclusive and the later one counts,
    so an edited schedule never makes an instant due that lies before the edit. `active` is ordered oldest first.
    `resumed_at` is when the last suspension ended: ticks up to it fell into the suspension. `stopped` is why the cron is
    stopped for good, None while it is not. `withheld` applies to the tick that would create a run.
    """

    watermark: datetime | None
    since: datetime
    active: tuple[ActiveRun, ...] = ()
    resumed_at: datetime | None = None
    stopped: str | None = None
    withheld: Withheld | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TickRecord:
    """What was decided about all `count` ticks from `first_at` to `last_at`, both included; most often one.

    `count` is a lower bound when `is_exact` is False. A record that creates a run always stands for one tick.
    `terminate` names the active runs to be ended before the new one may start, oldest first; empty unless REPLACED.
    """

    decision: TickDecision
    reason: str
    first_at: datetime
    last_at: datetime
    count: int = 1
    is_exact: bool = True
    terminate: tuple[str, ...] = ()

    @property
    def creates_run(self) -> bool:
        """True if a run with `last_at` as its scheduled time is to be created."""
        return self.decision in (TickDecision.RAN, TickDecision.REPLACED, TickDecision.CAUGHT_UP)


@dataclass(frozen=True, slots=True, kw_only=True)
class TickPlan:
    """What one look at a cron decided. `records` are in the order of time and do not overlap; at most one creates a run.

    `watermark` replaces the one in the facts. `next_at` is when to look again, None if suspended, stopped or never.
    """

    records: tuple[TickRecord, ...]
    watermark: datetime | None
    next_at: datetime | None
