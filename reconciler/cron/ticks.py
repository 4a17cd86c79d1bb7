"""Which ticks of a cron are due and what each of them does. Owns the rule for late ticks.

It decides on values and never does anything: creating, terminating and remembering are for the loop, in one commit with
the new watermark. Deviations from Argo, on purpose: a decided tick stays decided, so one that Forbid skipped is not run
when the active run ends; every tick leaves a record; work is bounded however long the daemon was away.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from reconciler.cron.concurrency import decide_start, describe_active
from reconciler.cron.timetable import (
    Timetable,
    count_ticks,
    latest_tick,
    next_tick,
    read_timetable,
    until_before,
)
from reconciler.model.concurrency import ConcurrencyPolicy
from reconciler.model.cron import (
    DEFAULT_FAILED_HISTORY,
    DEFAULT_SUCCESSFUL_HISTORY,
    CronSpec,
    FinishedRun,
    TickDecision,
    TickFacts,
    TickPlan,
    TickRecord,
)

# A pass may be slow and a daemon may be restarted; this much later is still the tick itself and not a missed one. Argo's
# timer fires however late it is, so users expect the run; it is far below the minute that separates two cron ticks.
GRACE = timedelta(seconds=10)
# Missed ticks are counted up to here and then called "this many or more", so that a year of minutes costs no more.
COUNT_LIMIT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """One look at one cron: everything a decision is made from."""

    spec: CronSpec
    timetable: Timetable
    facts: TickFacts
    after: datetime
    now: datetime


def decide_ticks(spec: CronSpec, facts: TickFacts, *, now: datetime, local_zone: tzinfo) -> TickPlan:
    """What becomes of every tick in (max(watermark, since), now], and when to look again.

    Only the latest of them can create a run. It is on time up to GRACE late, caught up while `startingDeadlineSeconds`
    lasts (now < tick + deadline, as in Argo) and missed afterwards; all earlier ones are one record. While suspended, or
    stopped for good, ticks are recorded so and none creates a run; those still inside the deadline stay undecided during
    a suspension, so that resuming in time runs the latest of them once (Argo: cron resume).

    The same facts give the same plan, and the plan's watermark gives none of its ticks again, also if the clock went
    back. Raises ValueError for a spec that `read_timetable` refuses.
    """
    timetable = read_timetable(spec, local_zone=local_zone, anchor=facts.since)
    after = facts.since if facts.watermark is None else max(facts.watermark, facts.since)
    look = _Look(spec=spec, timetable=timetable, facts=facts, after=after, now=now)
    records = tuple(record for record in _decide_all(look) if record is not None)
    is_asleep = spec.suspend or facts.stopped is not None
    return TickPlan(
        records=records,
        watermark=records[-1].last_at if records else facts.watermark,
        next_at=None if is_asleep else next_tick(timetable, max(now, after)),
    )


def run_name(cron_name: str, scheduled_at: datetime) -> str:
    """The name of the run of one tick: the same tick never has two names (Argo: `<cron>-<unix seconds>`)."""
    return f"{cron_name}-{int(scheduled_at.timestamp())}"


def history_to_remove(
    finished: Iterable[FinishedRun],
    *,
    successful_limit: int = DEFAULT_SUCCESSFUL_HISTORY,
    failed_limit: int = DEFAULT_FAILED_HISTORY,
) -> tuple[str, ...]:
    """The names of the runs that retention removes, newest first, successful ones before failed ones.

    Of each kind the newest by `finished_at` are kept, as many as its limit says; a negative limit means the default and 0
    keeps none. A pinned run takes a place like any other and is never removed.
    """
    runs = sorted(finished, key=lambda run: (run.finished_at, run.name), reverse=True)
    kept_successful = DEFAULT_SUCCESSFUL_HISTORY if successful_limit < 0 else successful_limit
    kept_failed = DEFAULT_FAILED_HISTORY if failed_limit < 0 else failed_limit
    surplus = [run for run in runs if run.succeeded][kept_successful:]
    surplus += [run for run in runs if not run.succeeded][kept_failed:]
    return tuple(run.name for run in surplus if not run.is_pinned)


def _decide_all(look: _Look) -> tuple[TickRecord | None, ...]:
    if look.facts.stopped is not None:
        return (_summarise(look, look.after, look.now, TickDecision.STOPPED, look.facts.stopped),)
    if look.spec.suspend:
        return (_summarise(look, look.after, _suspended_until(look), TickDecision.SUSPENDED, "suspended"),)
    latest = latest_tick(look.timetable, look.after, look.now)
    if latest is None:
        return ()
    if _may_run(look, latest):
        earlier = _pass_over(look, until_before(latest), "only the latest missed tick is run")
        return (*earlier, _decide_run(look, latest))
    return _pass_over(look, look.now, _late_reason(look))


def _suspended_until(look: _Look) -> datetime:
    return look.now - (look.spec.starting_deadline or timedelta(0))


def _may_run(look: _Look, tick: datetime) -> bool:
    deadline = look.spec.starting_deadline or timedelta(0)
    return look.now < tick + deadline or _is_on_time(look, tick)


def _is_on_time(look: _Look, tick: datetime) -> bool:
    fell_in_suspension = look.facts.resumed_at is not None and tick <= look.facts.resumed_at
    return look.now - tick <= GRACE and not fell_in_suspension


def _pass_over(look: _Look, until: datetime, missed_reason: str) -> tuple[TickRecord | None, ...]:
    """The records of ticks in (after, until] of which none runs: those of a suspension, then those that were missed."""
    resumed_at = look.facts.resumed_at or look.after
    turn = min(max(resumed_at, look.after), until)
    return (
        _summarise(look, look.after, turn, TickDecision.SUSPENDED, "suspended at the time"),
        _summarise(look, turn, until, TickDecision.MISSED, missed_reason),
    )


def _late_reason(look: _Look) -> str:
    deadline = look.spec.starting_deadline
    if not deadline:
        return f"more than {_text(GRACE)} late, and startingDeadlineSeconds is not set"
    return f"later than startingDeadlineSeconds {_seconds(deadline)}"


def _summarise(look: _Look, after: datetime, until: datetime, decision: TickDecision, reason: str) -> TickRecord | None:
    """One record for every tick in (after, until], None if there is none."""
    last_at = latest_tick(look.timetable, after, until)
    if last_at is None:
        return None
    first_at = next_tick(look.timetable, after)
    assert first_at is not None, f"a latest tick {last_at} without a first one"
    count = count_ticks(look.timetable, after, last_at, limit=COUNT_LIMIT + 1)
    if count > 1:
        number = str(count) if count <= COUNT_LIMIT else f"{COUNT_LIMIT} or more"
        reason = f"{reason} ({number} ticks since {first_at:%Y-%m-%dT%H:%M:%SZ})"
    return TickRecord(
        decision=decision,
        reason=reason,
        first_at=first_at,
        last_at=last_at,
        count=min(count, COUNT_LIMIT),
        is_exact=count <= COUNT_LIMIT,
    )


def _decide_run(look: _Look, tick: datetime) -> TickRecord:
    """What the one tick that may run does: `when` first, then the concurrency policy (Argo: cron/operator.go)."""
    if look.facts.withheld is not None:
        return _record(tick, look.facts.withheld.decision, look.facts.withheld.reason)
    policy, lateness = look.spec.concurrency_policy or ConcurrencyPolicy.ALLOW, _describe_lateness(look, tick)
    start = decide_start(policy, look.facts.active)
    if start.is_forbidden:
        return _record(tick, TickDecision.FORBIDDEN, f"concurrencyPolicy {policy}: {describe_active(look.facts.active)}")
    decision = TickDecision.RAN if _is_on_time(look, tick) else TickDecision.CAUGHT_UP
    if not (start.ends or start.waits_for):
        return _record(tick, decision, lateness)
    reason = f"{lateness}; concurrencyPolicy {policy}: {describe_active(look.facts.active)}"
    decision = TickDecision.REPLACED if start.ends else decision
    return _record(tick, decision, reason, terminate=tuple(run.name for run in start.ends))


def _describe_lateness(look: _Look, tick: datetime) -> str:
    if _is_on_time(look, tick):
        return "on time"
    deadline = look.spec.starting_deadline or timedelta(0)
    return f"{_text(look.now - tick)} late, within startingDeadlineSeconds {_seconds(deadline)}"


def _record(tick: datetime, decision: TickDecision, reason: str, *, terminate: tuple[str, ...] = ()) -> TickRecord:
    return TickRecord(decision=decision, reason=reason, first_at=tick, last_at=tick, terminate=terminate)


def _text(lag: timedelta) -> str:
    return _seconds(lag) + " s" if lag < timedelta(minutes=10) else str(timedelta(seconds=lag // timedelta(seconds=1)))


def _seconds(duration: timedelta) -> str:
    return str(duration // timedelta(seconds=1))
