"""The passes that repeat until nothing changes: workflows, then locks, then slots.

Each looks only at what is marked. A run whose decision raises is quarantined alone: its part is rolled back, it ends in Error and
says why, and everybody else goes on.
"""

from __future__ import annotations

import logging
import sqlite3
from datetime import timedelta

from reconciler.clock import from_text, to_text
from reconciler.errors import InvariantViolated, LineclearError
from reconciler.loop.admitting import lock_pass
from reconciler.loop.context import Context
from reconciler.loop.deadlocks import pass_deadlocks
from reconciler.loop.pipelines import pass_barriers
from reconciler.model.plan import Keep, RunPlan, RunUpdate
from reconciler.model.state import AttemptState, Phase, RunId
from reconciler.store import attempts, barriers, queue, runs, tangles
from reconciler.store.apply import apply_run_plan
from reconciler.workflow.calls import seconds
from reconciler.workflow.engine import decide, scope_of

log = logging.getLogger(__name__)
MAX_ROUNDS = 10_000
BROKEN = (LineclearError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError, AssertionError, RecursionError)


def settle(ctx: Context) -> None:
    """Runs the passes until no mark is left. Raises InvariantViolated if they never come to rest."""
    for _ in range(MAX_ROUNDS):
        if ctx.writer.marks.is_empty():
            if not ctx.writer.marks.tangled:
                return
            pass_deadlocks(ctx)
            continue
        workflow_pass(ctx)
        pass_barriers(ctx)
        lock_pass(ctx)
        slot_pass(ctx)
    raise InvariantViolated("the passes do not come to rest; the tick is rolled back")


def mark_everything(ctx: Context) -> None:
    """A sweep: every open run with its unfinished nodes, every lock that is waited for, and the slots."""
    marks = ctx.writer.marks
    for run in runs.open_runs(ctx.writer):
        marks.run(run.id, *(node.name for node in runs.StoredNodes(ctx.writer, run.id).unfinished()))
    for lock in queue.waiting_locks(ctx.writer):
        marks.lock(lock)
    marks.tangled.update(dict.fromkeys(tangles.waiting_inside_holders(ctx.writer)))
    marks.barriers.update(dict.fromkeys(barriers.open_groups(ctx.writer)))
    marks.slots = True


# workflows -----------------------------------------------------------------------------------------------------------------


def workflow_pass(ctx: Context) -> None:
    """Decides and applies what each marked run does next."""
    marked, ctx.writer.marks.runs = ctx.writer.marks.runs, {}
    for run_id, nodes in marked.items():
        try:
            with ctx.writer.savepoint():
                _decide_run(ctx, run_id, nodes)
        except (*BROKEN, sqlite3.IntegrityError) as error:
            log.exception("a run was quarantined", extra={"action": "quarantine", "run": run_id})
            with ctx.writer.savepoint():
                _quarantine(ctx, run_id, f"{type(error).__name__}: {error}")


def _decide_run(ctx: Context, run_id: RunId, nodes: dict[str, None]) -> None:
    run = runs.get_run(ctx.writer, run_id)
    if ctx.draining and run.phase is Phase.PENDING and not run.shutdown:
        return  # nothing begins any more; the next daemon's first sweep finds it
    spec = ctx.specs.get(run.spec_digest)
    stored = runs.StoredNodes(ctx.writer, run_id)
    plan = decide(run, spec, stored, nodes, ctx.writer.now, ctx.options.rules)
    if plan != RunPlan():
        apply_run_plan(ctx.writer, run, plan)
    if run.pipeline is not None:
        barriers.mark_waits(ctx.writer, run_id)


def _quarantine(ctx: Context, run_id: RunId, reason: str) -> None:
    """Ends a run that cannot be decided, once its processes have ended. It keeps its locks, like any that fails by itself."""
    run = runs.get_run(ctx.writer, run_id)
    if run.is_final:
        return
    running = runs.give_up_nodes(ctx.writer, run, f"quarantined: {reason}")
    if not running:
        update = RunUpdate(expected=run.phase, phase=Phase.ERROR, message=f"quarantined: {reason}", keep=Keep.BY_POLICY_OR_HOLD)
        apply_run_plan(ctx.writer, run, RunPlan(run=update))


# slots ---------------------------------------------------------------------------------------------------------------------


def slot_pass(ctx: Context) -> None:
    """Gives free slots to waiting attempts, in order; a run at its own `spec.parallelism`, or suspended, is passed over."""
    writer = ctx.writer
    if not writer.marks.slots:
        return
    writer.marks.slots = False
    active = attempts.active_attempts(writer)
    free = ctx.options.parallelism - len(active)
    if free <= 0 or ctx.draining:
        return
    for attempt in _next_attempts(ctx, active, free):
        is_reserved = ctx.reserve(attempt)
        attempts.intend_attempt(writer, attempt, ctx.options.boot_id, find_deadline(ctx, attempt), is_reserved=is_reserved)
        _note_running(ctx, attempt)


def _next_attempts(ctx: Context, active: list[AttemptState], free: int) -> list[AttemptState]:
    running: dict[RunId, int] = {}
    for attempt in active:
        running[attempt.run_id] = running.get(attempt.run_id, 0) + 1
    full: set[RunId] = set()  # at their own limit, or suspended: whatever of them waits is passed over
    chosen: dict[int, AttemptState] = {}
    while True:
        known = len(full)
        for attempt in attempts.queued_attempts(ctx.writer, free, full):
            cap = _cap(ctx, attempt.run_id)
            if attempt.id in chosen or len(chosen) == free:
                continue
            if cap is not None and running.get(attempt.run_id, 0) >= cap:
                full.add(attempt.run_id)
            else:
                chosen[attempt.id] = attempt
                running[attempt.run_id] = running.get(attempt.run_id, 0) + 1
        if len(full) == known or len(chosen) == free:
            return [*chosen.values()]


def _cap(ctx: Context, run_id: RunId) -> int | None:
    run = runs.get_run(ctx.writer, run_id)
    if run.is_paused(ctx.writer.now):
        return 0
    return ctx.specs.get(run.spec_digest).parallelism


def _note_running(ctx: Context, attempt: AttemptState) -> None:
    """Marks a node that a hook may want to see running; nobody else asks for that."""
    run = runs.get_run(ctx.writer, attempt.run_id)
    if ctx.specs.get(run.spec_digest).has_running_hooks:
        node = runs.StoredNodes(ctx.writer, run.id).node_by_id(attempt.node_id)
        ctx.writer.marks.run(run.id, node.name)


def find_deadline(ctx: Context, attempt: AttemptState) -> str | None:
    """When the process is to be ended: activeDeadlineSeconds from now; None for never. A bad one counts as passed."""
    run = runs.get_run(ctx.writer, attempt.run_id)
    stored = runs.StoredNodes(ctx.writer, run.id)
    node = stored.node_by_id(attempt.node_id)
    spec = ctx.specs.get(run.spec_digest)
    text = spec.templates[node.template].active_deadline
    if not text:
        return None
    try:
        length_s = seconds(text, scope_of(run, spec, stored, node, ctx.writer.now)) or 0.0
    except LineclearError as error:
        runs.set_node_message(ctx.writer, node.id, f"activeDeadlineSeconds cannot be used: {error}")
        length_s = 0.0
    return to_text(from_text(ctx.writer.now) + timedelta(seconds=max(length_s, 0.001)))
