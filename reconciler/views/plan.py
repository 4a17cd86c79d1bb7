"""What a push would do, as values, as an object with stable keys, and as lines for people. Nothing is decided or read here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

ACTIVE, BLOCKED, SUSPENDED, REJECTED, ALREADY_RAN = "ACTIVE", "BLOCKED", "SUSPENDED", "REJECTED", "ALREADY_RAN"
FORBIDDEN, SUPERSEDED = "FORBIDDEN", "SUPERSEDED"
AHEAD_KEPT = 50
_NAMED = 3
_WIDTH = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A holder or a waiter. `node` '' for a whole run; `is_new`: this plan itself would submit it."""

    run: str
    namespace: str
    phase: str
    node: str = ""
    is_new: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedLock:
    """One lock of a claim. `position` counts from 1 in the queue, 0: it would be held. `reason` is what is wrong with the lock.

    `ahead` has the first AHEAD_KEPT waiters before it; `node` names the step for a template-level lock.
    """

    key: str
    kind: str
    template: str
    values: Mapping[str, str]
    limit: int | None
    position: int = 0
    holders: tuple[Party, ...] = ()
    ahead: tuple[Party, ...] = ()
    reason: str = ""
    node: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """A run that would be submitted, or would not. `reason` says why it is rejected, forbidden or has ended at once, or
    which run its concurrency policy makes it wait for.

    `name_is_known` False: its end is made from a commit that does not exist yet. `earlier` is the run that had this content.
    """

    state: str
    namespace: str
    name: str
    workflow: str
    place: str
    phase: str = ""
    reason: str = ""
    priority: int = 0
    name_is_known: bool = True
    earlier: str = ""
    resubmit: str = ""
    waiting_steps: int = 0
    locks: tuple[PlannedLock, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedRun:
    """A run of a Workflow that goes: `is_cancelled`, or it goes on."""

    namespace: str
    workflow: str
    run: str
    phase: str
    is_cancelled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DisplacedRun:
    """An earlier run that would end for a new one, as the concurrency policy says; `reason` names the new one."""

    namespace: str
    run: str
    phase: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedChange:
    """One change to a definition. For a cron `ticks` are the next ones (UTC) and `notes` what else is to be known."""

    change: str
    kind: str
    namespace: str
    name: str
    place: str = ""
    reason: str = ""
    ticks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedLimit:
    """A semaphore whose limit is read anew."""

    key: str
    before: int | None
    after: int | None
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """A run, or a step of one, that waits now and would have its lock at once."""

    namespace: str
    run: str
    node: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that one revision would do. `held` is why it waits for a person, '' if it does not; `runs` are in their order."""

    changes: tuple[PlannedChange, ...] = ()
    runs: tuple[PlannedRun, ...] = ()
    removed_runs: tuple[RemovedRun, ...] = ()
    limits: tuple[PlannedLimit, ...] = ()
    admitted: tuple[Admission, ...] = ()
    displaced: tuple[DisplacedRun, ...] = ()
    held: str = ""

    @property
    def has_refusal(self) -> bool:
        """True if something in it would not run that was meant to."""
        return any(run.state == REJECTED or run.phase == "Error" for run in self.runs)

    @property
    def has_forbidden(self) -> bool:
        """True if a concurrency policy keeps something in it from running."""
        return any(run.state == FORBIDDEN for run in self.runs)


# objects -------------------------------------------------------------------------------------------------------------------


def plan_object(plan: Plan) -> dict[str, Any]:
    """The plan with the keys that `-o json` promises."""
    return {
        "held": plan.held,
        "definitions": [_change_object(change) for change in plan.changes],
        "limits": [{"key": x.key, "before": x.before, "after": x.after, "source": x.source} for x in plan.limits],
        "runs": [_run_object(run) for run in plan.runs],
        "removedRuns": [
            {
                "namespace": x.namespace,
                "workflow": x.workflow,
                "run": x.run,
                "phase": x.phase,
                "outcome": "cancelled" if x.is_cancelled else "goes on",
            }
            for x in plan.removed_runs
        ],
        "displacedRuns": [
            {"namespace": x.namespace, "run": x.run, "phase": x.phase, "reason": x.reason} for x in plan.displaced
        ],
        "admitted": [{"namespace": x.namespace, "run": x.run, "node": x.node, "key": x.key} for x in plan.admitted],
    }


def _change_object(change: PlannedChange) -> dict[str, Any]:
    found: dict[str, Any] = {
        "change": change.change,
        "kind": change.kind,
        "namespace": change.namespace,
        "name": change.name,
        "place": change.place,
        "reason": change.reason,
    }
    if change.kind == "CronWorkflow":
        found |= {"nextTicks": list(change.ticks), "notes": list(change.notes)}
    return found


def _run_object(run: PlannedRun) -> dict[str, Any]:
    return {
        "state": run.state,
        "namespace": run.namespace,
        "name": run.name,
        "nameIsKnown": run.name_is_known,
        "workflow": run.workflow,
        "place": run.place,
        "phase": run.phase,
        "priority": run.priority,
        "reason": run.reason,
        "earlierRun": run.earlier,
        "resubmit": run.resubmit,
        "stepsWaitingForSlots": run.waiting_steps,
        "locks": [_lock_object(lock) for lock in run.locks],
    }


def _lock_object(lock: PlannedLock) -> dict[str, Any]:
    return {
        "key": lock.key,
        "kind": lock.kind,
        "node": lock.node,
        "template": lock.template,
        "values": dict(lock.values),
        "limit": lock.limit,
        "state": "waiting" if lock.position else "held",
        "position": lock.position,
        "reason": lock.reason,
        "holders": [_party_object(party) for party in lock.holders],
        "ahead": [_party_object(party) for party in lock.ahead],
    }


def _party_object(party: Party) -> dict[str, Any]:
    found = {"namespace": party.namespace, "run": party.run, "node": party.node, "phase": party.phase}
    return {**found, "inThisPlan": party.is_new}


# lines ---------------------------------------------------------------------------------------------------------------------


def change_lines(plan: Plan) -> Iterator[str]:
    """What changes besides runs, the limits, and whom that concerns."""
    for change in plan.changes:
        where = f" ({change.place})" if change.place else ""
        text = f"{change.change}: {change.kind} {change.namespace}/{change.name}{where}"
        yield text + (f": {change.reason}" if change.reason else "")
        if change.ticks:
            yield f"{'':{_WIDTH}} next {', '.join(change.ticks)}"
        yield from (f"{'':{_WIDTH}} {note}" for note in change.notes)
    for limit in plan.limits:
        before, after = ("unread" if x is None else x for x in (limit.before, limit.after))
        yield f"limit: {limit.key}: {before} -> {after} ({limit.source})"
    for run in plan.removed_runs:
        what = "it is queued and would be cancelled" if run.is_cancelled else f"it is {run.phase} and goes on"
        yield f"removed with its Workflow {run.namespace}/{run.workflow}: run {run.run}: {what}"
    for ended in plan.displaced:
        yield f"ends: run {ended.namespace}/{ended.run}, which is {ended.phase}: {ended.reason}"
    for one in plan.admitted:
        node = f"/{one.node}" if one.node else ""
        yield f"starts at once: {one.namespace}/{one.run}{node}, which waits for {one.key}"


def run_lines(run: PlannedRun) -> Iterator[str]:
    """One run, its state first, its locks below."""
    state = "NOT RUN" if run.state == ALREADY_RAN else run.state
    where = "" if run.namespace == "default" else f"{run.namespace}/"
    yield f"{state:{_WIDTH}} {where}{run.name} ({run.place}){_tail(run)}"
    indent = " " * (_WIDTH + 1)
    for lock in run.locks:
        made = ", ".join(f"{tag} = {value}" for tag, value in lock.values.items())
        node = f"{lock.node}: " if lock.node else ""
        yield f"{indent}{node}{lock.key}{f' ({made})' if made else ''}: {_lock_text(lock, run.namespace)}"


def _tail(run: PlannedRun) -> str:
    if run.state == ALREADY_RAN:
        return f": this content ran as {run.earlier}; to run it again: {run.resubmit}"
    if run.state == SUSPENDED:
        return ": it is suspended until `lineclear resume`"
    if run.reason:
        return f": {f'ends {run.phase}: ' if run.state == ACTIVE else ''}{run.reason}"
    if run.waiting_steps and run.state == ACTIVE:
        steps = "1 step waits" if run.waiting_steps == 1 else f"{run.waiting_steps} steps wait"
        return f": {steps} for a free slot (parallelism)"
    return ""


def _lock_text(lock: PlannedLock, namespace: str) -> str:
    if not lock.position:
        return "has room, would be held"
    parts = [f"position {lock.position}"]
    if lock.reason:
        parts.append(lock.reason)
    if lock.holders:
        parts.append(f"held by {_names(lock.holders, len(lock.holders), namespace)}")
    elif not lock.reason:
        parts.append("free, but its turn has not come")
    if lock.ahead:
        parts.append(f"behind {_names(lock.ahead, lock.position - 1, namespace)}")
    return ", ".join(parts)


def _names(parties: tuple[Party, ...], count: int, namespace: str) -> str:
    """The nearest to their goal first; the rest counted."""
    shown = ", ".join(_name(party, namespace) for party in parties[:_NAMED])
    return shown + (f" and {count - _NAMED} more" if count > _NAMED else "")


def _name(party: Party, namespace: str) -> str:
    where = "" if party.namespace == namespace else f"{party.namespace}/"
    node = f"/{party.node}" if party.node else ""
    said = "this push" if party.is_new else party.phase
    return f"{where}{party.run}{node}" + (f" ({said})" if said and said != "Pending" else "")


def summary(plan: Plan) -> str:
    """The plan counted."""
    counts: dict[str, int] = {}
    for run in plan.runs:
        counts[run.state] = counts.get(run.state, 0) + 1
    words = {ACTIVE: "ACTIVE", BLOCKED: "BLOCKED", SUSPENDED: "SUSPENDED", REJECTED: "REJECTED", ALREADY_RAN: "not run again"}
    words |= {FORBIDDEN: "FORBIDDEN", SUPERSEDED: "SUPERSEDED"}
    parts = [f"{counts[state]} {word}" for state, word in words.items() if state in counts]
    told = f"{len(plan.runs)} run{'s' if len(plan.runs) != 1 else ''}" + (f" ({', '.join(parts)})" if parts else "")
    changes = len(plan.changes)
    return f"{told}, {changes} other change{'s' if changes != 1 else ''}"
