"""The concurrency policy of runs, of crons and of any other workflow: who may start beside whom, and who ends for it.

A run under a policy has a claim of its own for its group, asked for in the transaction that makes the run. So whatever submits
runs comes through `start`, and a run that is to go on after its end through `rejoin`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from reconciler.cron.concurrency import decide_start, resolve_key, state_of
from reconciler.errors import Forbidden, ManifestError, Refused
from reconciler.loop.context import Context
from reconciler.loop.written import Layer, Written, find_written
from reconciler.model.concurrency import (
    KEY_ANNOTATION,
    POLICY_ANNOTATION,
    ActiveRun,
    ConcurrencyPolicy,
    PolicyRule,
    group_of_key,
)
from reconciler.model.state import Phase, RunId, RunState
from reconciler.store import claims, concurrency, runs

REPLACED, SUPERSEDED = "replace", "superseded"  # what ended a run: `ended_by`


def rule_of(layers: Sequence[Layer], arguments: Mapping[str, str], stated: Written | None) -> PolicyRule | None:
    """The rule for a run whose settings are looked up in `layers`; `stated` goes before them: a cron's spec says it itself.

    None: nobody asks for a policy. Raises ManifestError for a policy that does not exist and a key that names no group.
    """
    said = stated or find_written(layers, POLICY_ANNOTATION)
    if said is None:
        return None
    if said.value not in [*ConcurrencyPolicy]:
        known = " or ".join(ConcurrencyPolicy)
        raise ManifestError(f'{said.place}: annotation "{POLICY_ANNOTATION}" is "{said.value}"; use {known}')
    key = find_written(layers, KEY_ANNOTATION)
    group = said.group if key is None else group_of_key(resolve_key(key.value, arguments, key.place))
    return PolicyRule(policy=ConcurrencyPolicy(said.value), group=group, place=said.place)


def rule_again(run: RunState, arguments: Mapping[str, str]) -> PolicyRule | None:
    """The rule for a new run of an earlier one's frozen spec, with other arguments."""
    if run.rule is None or KEY_ANNOTATION not in run.annotations:
        return run.rule
    key = resolve_key(run.annotations[KEY_ANNOTATION], arguments, run.name)
    return replace(run.rule, group=group_of_key(key))


def active_runs(ctx: Context, namespace: str, group: str) -> list[RunState]:
    """The group's runs that have not ended, or have ended and still hold locks for a failure; oldest first."""
    return [runs.get_run(ctx.writer, run_id) for run_id in concurrency.active(ctx.writer, namespace, group)]


def describe(ctx: Context, run: RunState) -> ActiveRun:
    """An active run as the decision sees it and people read it."""
    if run.is_final:
        return ActiveRun(name=run.name, state_text=run.phase.value, holds_for_failure=True)
    if run.phase is Phase.PENDING:
        waits = concurrency.waited_lock(ctx.writer, run.id)
        return ActiveRun(name=run.name, state_text=f"waiting for lock {waits}" if waits else "waiting", is_pending=True)
    return ActiveRun(name=run.name, state_text="running")


def start(ctx: Context, new: runs.NewRun, *, instead_of: RunId | None = None) -> RunState:
    """Creates a run as its policy allows. `instead_of` is an ended run whose locks it takes over: it does not count.

    Runs that are to make room are asked to end first; one that had not begun gives its place in every queue to this one. What
    has begun is waited for: until it is gone the new run holds nothing. Raises Forbidden, and then nothing was written.
    """
    rule = new.rule
    if rule is None:
        return runs.get_run(ctx.writer, runs.create_run(ctx.writer, new))
    active = {run.name: run for run in active_runs(ctx, new.namespace, rule.group) if run.id != instead_of}
    decided = decide_start(rule.policy, [describe(ctx, run) for run in active.values()])
    if decided.is_forbidden:
        raise _forbidden(describe(ctx, next(iter(active.values()))), rule)
    places = [active[run.name].queue_order for run in decided.ends if run.is_pending]
    if new.queue_order is not None:
        places.append(new.queue_order)
    for ended in decided.ends:
        _make_room(ctx, active[ended.name], new.name, rule.policy)
    predecessor = active[decided.waits_for[0].name].id if decided.waits_for else None
    made = replace(new, successor_of=predecessor, queue_order=min(places, default=None))
    run = runs.get_run(ctx.writer, runs.create_run(ctx.writer, made))
    claims.request_policy(ctx.writer, run, rule.group, single=rule.policy is not ConcurrencyPolicy.ALLOW)
    return run


def _forbidden(active: ActiveRun, rule: PolicyRule) -> Forbidden:
    return Forbidden(
        f"{active.name} is active: it is {state_of(active)}, and concurrency policy {rule.policy} ({rule.place}) forbids a second"
        f" run of {rule.group} beside it; wait for it, or end it"
    )


def _make_room(ctx: Context, run: RunState, successor: str, rule: ConcurrencyPolicy) -> None:
    """Asks a run to end for its successor; one that ended and holds locks for a failure lets them go."""
    ended_by, verb = (SUPERSEDED, "superseded") if rule is ConcurrencyPolicy.LATEST else (REPLACED, "replaced")
    reason = f"{verb} by {successor}"
    if run.is_final:
        claims.release_all(ctx.writer, run, reason)
    else:
        runs.set_shutdown(ctx.writer, run, "Terminate", ended_by, reason=reason, message=reason)
        if run.phase is Phase.PENDING:
            claims.leave_group(ctx.writer, run, reason)


def rejoin(ctx: Context, run: RunState, rule: PolicyRule | None) -> None:
    """Puts an ended run that is to go on under its policy again. Raises Refused where that leaves no room for it."""
    if rule is None:
        return
    others = [other for other in active_runs(ctx, run.namespace, rule.group) if other.id != run.id]
    is_under = concurrency.has_claim(ctx.writer, run.id)
    if is_under:  # it never left: what waits behind it goes on waiting
        others = [other for other in others if other.phase is not Phase.PENDING]
    if others and rule.policy is not ConcurrencyPolicy.ALLOW:
        other = describe(ctx, others[0])
        raise Refused(
            f"{run.name} cannot go on while {other.name} of {rule.group} is {state_of(other)}:"
            f" concurrency policy {rule.policy} ({rule.place}); wait for it or end it"
        )
    if not is_under:
        claims.request_policy(ctx.writer, run, rule.group, single=rule.policy is not ConcurrencyPolicy.ALLOW)
