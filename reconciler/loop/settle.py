"""The passes that repeat until nothing changes: workflows, then locks, then slots. Each looks only at what is marked."""

from __future__ import annotations

from datetime import timedelta

from reconciler.clock import from_text, to_text
from reconciler.errors import InvariantViolated, LineclearError
from reconciler.locks.admission import is_admitted, waits_for
from reconciler.loop.context import Context
from reconciler.loop.deadlocks import pass_deadlocks
from reconciler.loop.deciding import workflow_pass
from reconciler.loop.pipelines import pass_barriers
from reconciler.model.state import AttemptState, ClaimId, LockId, RunId
from reconciler.store import attempts, barriers, claims, queue, runs, slices, tangles
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


# locks ---------------------------------------------------------------------------------------------------------------------


def lock_pass(ctx: Context) -> None:
    """Admits to every marked lock, and to those whose first waiter another lock held up, as long as somebody fits."""
    writer = ctx.writer
    if ctx.draining:
        writer.marks.locks.clear()  # nobody is admitted any more; the next daemon's first sweep finds them
    while writer.marks.locks:
        marked, writer.marks.locks = writer.marks.locks, {}
        if writer.marks.retry_blocked:
            writer.marks.retry_blocked = False
            marked.update(dict.fromkeys(queue.blocked_heads(writer)))
        for lock in marked:
            _admit(ctx, lock)


def _admit(ctx: Context, lock: LockId) -> None:
    writer = ctx.writer
    blocked = _admit_inside(ctx, lock)
    while queue.admits_somebody(writer, lock):
        head = queue.first_waiter(writer, lock)
        if head is None:
            break
        admitted = head if _may_take(ctx, head) else _find_later(ctx, lock, head)
        if admitted is None:
            blocked = True
            break
        _grant(ctx, admitted)
    queue.set_blocked_head(writer, lock, blocked=blocked)


def _find_later(ctx: Context, lock: LockId, head: ClaimId) -> ClaimId | None:
    """A waiter behind the head that may go although the head cannot: a policy lets it pass, or nobody stands in its way."""
    for claim in dict.fromkeys([*queue.first_waiters(ctx.writer, lock), *queue.waiting_nodes(ctx.writer, lock)]):
        if claim != head and _may_take(ctx, claim, lock):
            return claim
    return None


def _admit_inside(ctx: Context, lock: LockId) -> bool:
    """Gives turns inside ancestors that hold the lock; True if a free turn could be given to nobody."""
    blocked = False
    for ancestor in queue.free_turns(ctx.writer, lock):
        waiting = queue.waiting_inside(ctx.writer, lock, ancestor)
        admitted = next((claim for claim in waiting if _may_take(ctx, claim)), None)
        if admitted is None:
            blocked = True
        else:
            _grant(ctx, admitted)
    return blocked


def _grant(ctx: Context, claim: ClaimId) -> None:
    queue.note_passed(ctx.writer, claim)  # whichever lock it was looked at for: it may be first there and not elsewhere
    for other in claims.grant(ctx.writer, claim):
        ctx.writer.marks.lock(other)  # also its own: what its run holds now may let that run pass elsewhere
    ctx.boundary("admit")


def _may_take(ctx: Context, claim: ClaimId, scanned: LockId | None = None) -> bool:
    """`scanned` is the lock of which everybody before the claim was found unable to go."""
    wanted = queue.wants(ctx.writer, claim)
    return is_admitted(wanted, lambda lock: _may_overtake(ctx, claim, lock, scanned) or _all_exempt(ctx, claim, lock))


def _may_overtake(ctx: Context, claim: ClaimId, lock: LockId, scanned: LockId | None) -> bool:
    """True if the lock's policy lets the claim pass all before it, none of whom could go itself."""
    if not queue.may_pass(ctx.writer, lock, claim):
        return False
    if lock == scanned:
        return True
    earlier = queue.earlier_waiters(ctx.writer, claim, lock)
    return len(earlier) < queue.LOOKAHEAD and not any(_may_take(ctx, other, lock) for other, _ in earlier)


def _all_exempt(ctx: Context, claim: ClaimId, lock: LockId) -> bool:
    """True if every earlier waiter of the lock waits, through whomever, for the asker's own run, and cannot go itself."""
    writer = ctx.writer
    run = queue.run_of(writer, claim)
    if not queue.holds_anything(writer, run):
        return False
    earlier = queue.earlier_waiters(writer, claim, lock)
    return all(
        waits_for(c, run, lambda c: queue.holders_and_queue(writer, c), lambda r: queue.waiting_claims(writer, r))
        and not _may_take(ctx, c)
        for c, _ in earlier
    )


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
        attempts.intend_attempt(writer, attempt, ctx.options.boot_id, find_deadline(ctx, attempt))
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
