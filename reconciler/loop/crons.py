"""Ticks of CronWorkflows: what is due, what was decided, and the runs that follow, with their policy claims.

(cron, UTC instant) is decided once, for ever: the watermark is written in the transaction of the decision.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from reconciler.clock import from_text, to_text
from reconciler.cron.ticks import decide_ticks, history_to_remove, run_name
from reconciler.errors import LineclearError, Refused
from reconciler.loop.context import Context
from reconciler.loop.due import remove_run
from reconciler.loop.submit import Order, source_of, submit
from reconciler.loop.telling import tell_cron_error, tell_cron_set_aside
from reconciler.manifest import parse_file
from reconciler.model.cron import (
    ActiveRun,
    ConcurrencyPolicy,
    CronSpec,
    FinishedRun,
    TickDecision,
    TickFacts,
)
from reconciler.model.spec import Kind
from reconciler.model.state import Phase, RunId, RunState
from reconciler.store import catalogue, claims, crons, runs

log = logging.getLogger(__name__)


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
    active = active_runs(ctx, row.namespace, row.name)
    facts = TickFacts(
        watermark=None if row.watermark is None else from_text(row.watermark),
        since=from_text(row.since),
        active=tuple(_describe(ctx, run) for run in active),
        resumed_at=None if row.resumed_at is None else from_text(row.resumed_at),
    )
    plan = decide_ticks(spec, facts, now=ctx.at, local_zone=ctx.options.local_zone)
    for record in plan.records:
        name, decision, reason = "", record.decision, record.reason
        if record.creates_run:
            try:
                with ctx.writer.savepoint():
                    order = Order(name=run_name(row.name, record.last_at), scheduled_at=to_text(record.last_at))
                    run = start_run(ctx, definition, spec, active, order)
                name = run.name
            except LineclearError as error:
                decision, reason = TickDecision.ERROR, str(error)
        if decision is TickDecision.ERROR:
            tell_cron_error(ctx.writer, row, to_text(record.last_at), reason)
        crons.record_tick(ctx.writer, row, record, decision=decision, reason=reason, run_name=name)
    watermark = None if plan.watermark is None else to_text(plan.watermark)
    next_at = None if plan.next_at is None else to_text(plan.next_at)
    crons.set_decided(ctx.writer, row.namespace, row.name, watermark, next_at)


def active_runs(ctx: Context, namespace: str, cron: str) -> list[RunState]:
    """The cron's runs that have not ended, or have ended and still hold locks for a failure; oldest first."""
    return [runs.get_run(ctx.writer, run_id) for run_id in crons.active(ctx.writer, namespace, cron)]


def _describe(ctx: Context, run: RunState) -> ActiveRun:
    if run.is_final:
        return ActiveRun(name=run.name, state_text=run.phase.value, holds_for_failure=True)
    if run.phase is Phase.PENDING:
        waits = crons.waited_lock(ctx.writer, run.id)
        return ActiveRun(name=run.name, state_text=f"waiting for lock {waits}" if waits else "waiting")
    return ActiveRun(name=run.name, state_text="running")


def start_run(
    ctx: Context, definition: catalogue.Definition, spec: CronSpec, active: Sequence[RunState], asked: Order
) -> RunState:
    """Creates a cron's run with its policy claim. Under Replace the active runs are asked to end first."""
    replaced = active if spec.concurrency_policy is ConcurrencyPolicy.REPLACE else ()
    waiting = [run for run in replaced if run.phase is Phase.PENDING]
    predecessor = next((run for run in replaced if run not in waiting), None)
    for run in replaced:
        _clear(ctx, run)
    order = replace(
        asked,
        name=asked.name or run_name(definition.name, ctx.at),
        cron=definition.name,
        scheduled_at=asked.scheduled_at or to_text(ctx.at),
        successor_of=predecessor.id if predecessor is not None else None,
        queue_order=min((run.queue_order for run in waiting), default=None),
    )
    run = submit(ctx, source_of(ctx, definition, "cron"), order)
    single = spec.concurrency_policy is not ConcurrencyPolicy.ALLOW
    claims.request_policy(ctx.writer, run, definition.name, single=single)
    return run


def _clear(ctx: Context, run: RunState) -> None:
    """Asks a replaced run to end; one that ended and holds locks for a failure lets them go."""
    if run.is_final:
        claims.release_all(ctx.writer, run, "replaced by the cron's next run")
    else:
        runs.set_shutdown(ctx.writer, run, "Terminate", "replace")


def trigger(ctx: Context, definition: catalogue.Definition, asked: Order) -> RunState:
    """Starts a cron's run now, by hand, under its own policy. Raises Refused where Forbid forbids it."""
    spec = cron_spec(definition.body, suspended=None)
    active = active_runs(ctx, definition.namespace, definition.name)
    if active and spec.concurrency_policy is ConcurrencyPolicy.FORBID:
        state = _describe(ctx, active[0]).state_text
        raise Refused(f"cron {definition.name} forbids a second run while {active[0].name} is {state}; wait for it or end it")
    return start_run(ctx, definition, spec, active, asked)


def rejoin(ctx: Context, run: RunState) -> None:
    """Puts an ended run that is to go on under its cron's policy again. Raises Refused where that leaves no room for it."""
    if not run.cron:
        return
    definition = catalogue.find_definition(ctx.writer, Kind.CRON_WORKFLOW, run.namespace, run.cron)
    policy = ConcurrencyPolicy.FORBID if definition is None else cron_spec(definition.body, suspended=None).concurrency_policy
    single = policy is not ConcurrencyPolicy.ALLOW
    others = [other for other in active_runs(ctx, run.namespace, run.cron) if other.id != run.id]
    if others and single:
        state = _describe(ctx, others[0]).state_text
        raise Refused(f"{run.name} cannot go on while {others[0].name} of the same cron is {state}; wait for it or end it")
    if not crons.has_policy_claim(ctx.writer, run.id):
        claims.request_policy(ctx.writer, run, run.cron, single=single)


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
