"""The passes that repeat until nothing changes: workflows, then locks, then slots. Each looks only at what is marked."""

from __future__ import annotations

from datetime import timedelta

from reconciler.clock import from_text, to_text
from reconciler.errors import InvariantViolated, LineclearError
from reconciler.loop.admitting import lock_pass
from reconciler.loop.context import Context
from reconciler.loop.deadlocks import pass_deadlocks
from reconciler.loop.deciding import workflow_pass
from reconciler.loop.pipelines import pass_barriers
from reconciler.model.state import AttemptState, RunId
from reconciler.store import attempts, barriers, queue, runs, slices, tangles
from reconciler.store.nodes import StoredNodes
from reconciler.workflow.calls import seconds
from reconciler.workflow.scope import scope_of

MAX_ROUNDS = 10_000


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
        slices.look_at_all(ctx.writer, run.id, is_written=False)
    for lock in queue.waiting_locks(ctx.writer):
        marks.lock(lock)
    marks.tangled.update(dict.fromkeys(tangles.waiting_inside_holders(ctx.writer)))
    marks.barriers.update(dict.fromkeys(barriers.open_groups(ctx.writer)))
    marks.slots = True

# slots ---------------------------------------------------------------------------------------------------------------------


def slot_pass(ctx: Context) -> None:
    """Gives free slots to waiting attempts, in order; a run at its own `spec.parallelism`, or suspended, is passed over."""
    writer = ctx.writer
    if not writer.marks.slots:
        return
    writer.marks.slots = False
    active = attempts.active_attempts(writer)
    free = ctx.options.parallelism - len(active)
    if free <= 0 or ctx.draining or ctx.is_short:
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
    if run.is_paused(ctx.writer.now) or slices.slice_of(ctx.writer, run_id).ends:
        return 0
    return ctx.specs.get(run.spec_digest).parallelism


def _note_running(ctx: Context, attempt: AttemptState) -> None:
    """Marks a node that a hook may want to see running; nobody else asks for that."""
    run = runs.get_run(ctx.writer, attempt.run_id)
    if ctx.specs.get(run.spec_digest).has_running_hooks:
        node = StoredNodes(ctx.writer, run.id).node_by_id(attempt.node_id)
        ctx.writer.marks.run(run.id, node.name)


def find_deadline(ctx: Context, attempt: AttemptState) -> str | None:
    """When the process is to be ended: activeDeadlineSeconds from now; None for never. A bad one counts as passed."""
    run = runs.get_run(ctx.writer, attempt.run_id)
    stored = StoredNodes(ctx.writer, run.id)
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
