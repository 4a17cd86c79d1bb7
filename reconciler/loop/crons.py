"""Ticks of CronWorkflows: what is due, what was decided, and the runs that follow, under the policy that the cron asks for.

(cron, UTC instant) is decided once, for ever: the watermark is written in the transaction of the decision.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from reconciler.clock import from_text, to_text
from reconciler.cron.ticks import decide_ticks, history_to_remove, run_name
from reconciler.errors import InvariantViolated, LineclearError, Refused
from reconciler.loop.concurrency import active_runs, describe
from reconciler.loop.context import Context
from reconciler.loop.due import remove_run
from reconciler.loop.submit import Draft, Order, draft, make, source_of
from reconciler.loop.telling import tell_cron_error, tell_cron_set_aside, tell_cron_set_back
from reconciler.loop.written import Written
from reconciler.manifest import parse_file
from reconciler.model.concurrency import ConcurrencyPolicy, PolicyRule, group_of_definition
from reconciler.model.cron import CronSpec, FinishedRun, TickDecision, TickFacts, TickPlan
from reconciler.model.spec import Kind
from reconciler.model.state import RunId, RunState
from reconciler.store import catalogue, crons

log = logging.getLogger(__name__)
AHEAD = timedelta(hours=1)  # what a cron has decided lies no further ahead of the clock than this


def pass_crons(ctx: Context) -> None:
    """Decides every tick that is due."""
    for row in crons.due(ctx.writer):
        definition = catalogue.find_definition(ctx.writer, Kind.CRON_WORKFLOW, row.namespace, row.name)
        if definition is None:
            crons.set_next(ctx.writer, row.namespace, row.name, None)
            continue
        try:
            with ctx.writer.savepoint():
                _look(ctx, row, cron_spec(definition.body, suspended=row.suspended), definition)
                ctx.boundary("cron")
        except (LineclearError, LookupError, ValueError, AssertionError) as error:
            log.exception("a cron was set aside", extra={"action": "quarantine", "cron": row.name})
            crons.set_next(ctx.writer, row.namespace, row.name, None)
            ctx.writer.journal("cron.quarantined", namespace=row.namespace, subject=row.name, detail={"why": str(error)})
            tell_cron_set_aside(ctx.writer, row, str(error))


def cron_spec(body: Mapping[str, object], *, suspended: bool | None) -> CronSpec:
    """The schedule part of a CronWorkflow's plain data; an operator's override of `suspend` counts."""
    parsed = parse_file("cron.json", "", json.dumps(body).encode(), held_before=True)
    spec = parsed.documents[0].cron
    assert spec is not None
    if suspended is None or suspended == spec.suspend:
        return spec
    return replace(spec, suspend=suspended)


def _look(ctx: Context, row: crons.CronRow, spec: CronSpec, definition: catalogue.Definition) -> None:
    row = _come_back(ctx, row)
    facts = TickFacts(
        watermark=None if row.watermark is None else from_text(row.watermark),
        since=from_text(row.since),
        resumed_at=None if row.resumed_at is None else from_text(row.resumed_at),
    )
    plan = decide_ticks(spec, facts, now=ctx.at, local_zone=ctx.options.local_zone)
    drafted: Draft | LineclearError | None = None
    if any(record.creates_run for record in plan.records):  # only then it matters who is active, and under which policy
        drafted = _draft(ctx, definition, spec)
        rule = drafted.rule if isinstance(drafted, Draft) and drafted.rule is not None else _own_rule(definition, spec)
        active = tuple(describe(ctx, run) for run in active_runs(ctx, row.namespace, rule.group))
        ruled, facts = replace(spec, concurrency_policy=rule.policy), replace(facts, active=active)
        plan = decide_ticks(ruled, facts, now=ctx.at, local_zone=ctx.options.local_zone)
    _carry_out(ctx, row, definition, drafted, plan)


def _come_back(ctx: Context, row: crons.CronRow) -> crons.CronRow:
    """The row as it is, or begun anew now if an instant in it lies further ahead than AHEAD: a clock was wrong once.

    What was decided for instants that are still to come stays decided: each has its row.
    """
    latest = max(row.watermark or "", row.since, row.resumed_at or "")
    if latest <= to_text(ctx.at + AHEAD):
        return row
    text = f"its record went up to {latest[:19]}Z: the clock was ahead; it goes on from now"
    log.warning("cron %s/%s comes back: %s", row.namespace, row.name, text, extra={"action": "cron"})
    tell_cron_set_back(ctx.writer, row, text)
    return crons.begin_anew(ctx.writer, row, text)


def reset(ctx: Context, definition: catalogue.Definition) -> str:
    """Has the cron go on from now, whatever it had decided; what came of it, for people. Raises Refused if it never was seen."""
    row = crons.find(ctx.writer, definition.namespace, definition.name)
    if row is None:
        raise Refused(f"{definition.name} was never looked at: there is nothing to reset")
    crons.begin_anew(ctx.writer, row, "by hand")
    was = f"it had decided everything up to {row.watermark[:19]}Z" if row.watermark else "it had decided nothing yet"
    return f"{definition.name} goes on from now: {was}; no instant is decided twice"


def _carry_out(
    ctx: Context, row: crons.CronRow, definition: catalogue.Definition, drafted: Draft | LineclearError | None, plan: TickPlan
) -> None:
    """Records what was decided about each tick, with the run of the one that has one."""
    for record in plan.records:
        if crons.is_decided(ctx.writer, row, to_text(record.last_at)):  # by a clock that was ahead
            continue
        name, decision, reason = "", record.decision, record.reason
        if record.creates_run:
            order = Order(name=run_name(row.name, record.last_at), scheduled_at=to_text(record.last_at))
            try:
                if not isinstance(drafted, Draft):
                    raise drafted or InvariantViolated(f"{row.name} has a tick without a draft")
                with ctx.writer.savepoint():
                    name = make(ctx, drafted, _of_cron(ctx, definition, order)).name
            except LineclearError as error:
                decision, reason = TickDecision.ERROR, str(error)
        if decision is TickDecision.ERROR:
            tell_cron_error(ctx.writer, row, to_text(record.last_at), reason)
        crons.record_tick(ctx.writer, row, record, decision=decision, reason=reason, run_name=name)
    watermark = None if plan.watermark is None else to_text(plan.watermark)
    next_at = None if plan.next_at is None else to_text(plan.next_at)
    crons.set_decided(ctx.writer, row.namespace, row.name, watermark, next_at)


def _draft(ctx: Context, definition: catalogue.Definition, spec: CronSpec) -> Draft | LineclearError:
    """The cron's next run, or why there can be none: that is told with the tick that would have made it."""
    try:
        return _drafted(ctx, definition, spec, Order())
    except LineclearError as error:
        return error


def _drafted(ctx: Context, definition: catalogue.Definition, spec: CronSpec, order: Order) -> Draft:
    own = _own_rule(definition, spec)
    stated = Written(value=own.policy.value, place=own.place, group=own.group)
    order = replace(_of_cron(ctx, definition, order), policy=stated if spec.concurrency_policy is not None else None)
    drafted = draft(ctx, source_of(ctx, definition, "cron"), order)
    return drafted if drafted.rule is not None else replace(drafted, rule=own)


def _of_cron(ctx: Context, definition: catalogue.Definition, order: Order) -> Order:
    return replace(
        order,
        name=order.name or run_name(definition.name, ctx.at),
        cron=definition.name,
        scheduled_at=order.scheduled_at or to_text(ctx.at),
    )


def _own_rule(definition: catalogue.Definition, spec: CronSpec) -> PolicyRule:
    """The policy of the cron's own spec over its own runs; where it says nothing, that they may overlap."""
    return PolicyRule(
        policy=spec.concurrency_policy or ConcurrencyPolicy.ALLOW,
        group=group_of_definition(definition.kind.value, definition.name),
        place=f"{definition.place}, spec.concurrencyPolicy" if spec.concurrency_policy is not None else "the default",
    )


def trigger(ctx: Context, definition: catalogue.Definition, asked: Order) -> RunState:
    """Starts a cron's run now, by hand, under its own policy. Raises Forbidden where that forbids it."""
    spec = cron_spec(definition.body, suspended=None)
    return make(ctx, _drafted(ctx, definition, spec, asked), _of_cron(ctx, definition, asked))


def present_rule(ctx: Context, run: RunState) -> PolicyRule | None:
    """The policy that an ended run comes under if it goes on: a cron's as its spec says it now, else its own."""
    definition = catalogue.find_definition(ctx.writer, Kind.CRON_WORKFLOW, run.namespace, run.cron) if run.cron else None
    if definition is None or run.rule is None:
        return run.rule
    spec = cron_spec(definition.body, suspended=None)
    if spec.concurrency_policy is None:
        return run.rule
    return replace(run.rule, policy=spec.concurrency_policy, place=_own_rule(definition, spec).place)


def keep_history(ctx: Context, run: RunState) -> list[RunId]:
    """Removes what the history limits of an ended run's cron do not keep; never a holder or a waiter."""
    definition = catalogue.find_definition(ctx.writer, Kind.CRON_WORKFLOW, run.namespace, run.cron)
    if definition is None:
        return []
    spec = cron_spec(definition.body, suspended=None)
    finished = crons.finished(ctx.writer, run.namespace, run.cron)
    names = history_to_remove(
        [
            FinishedRun(name=name, finished_at=from_text(at), succeeded=phase == "Succeeded", is_pinned=bool(pinned))
            for _, name, phase, at, pinned in finished
        ],
        successful_limit=spec.successful_history_limit,
        failed_limit=spec.failed_history_limit,
    )
    removed = [RunId(run_id) for run_id, name, *_ in finished if name in names]
    for run_id in removed:
        remove_run(ctx, run_id, "history limit")
    return removed
