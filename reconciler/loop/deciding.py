"""Decides and applies what each marked run does next, and goes on with large runs, slice by slice.

All that large runs want is done in portions: together they get so much work a tick, by turns, and what is left is written down in
the tick's own transaction. A run whose decision raises is quarantined alone: its part is rolled back, it ends in Error and says
why, and everybody else goes on.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import replace

from reconciler.errors import LineclearError
from reconciler.loop.context import Context
from reconciler.model.plan import Keep, RunPlan, RunUpdate
from reconciler.model.slice import FIRST, Slice
from reconciler.model.state import FINAL, Phase, Rule, RunId
from reconciler.store import barriers, claims, runs, slices
from reconciler.store.apply import apply_run_plan
from reconciler.store.nodes import StoredNodes
from reconciler.workflow.bounds import AT_ONCE, Budget, Portion
from reconciler.workflow.engine import decide

log = logging.getLogger(__name__)
BROKEN = (LineclearError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError, AssertionError, RecursionError)
MOST_MARKED = 4 * AT_ONCE  # nodes of one run; more are looked at in slices
_SHARES = 16  # a marked run gets at least this part of a tick's work, however much was done before
_FLOOR = 4  # that part of a tick's work is for slices, however much else was decided
_GIVEN_UP = 2_000  # nodes of a quarantined run that are ended in one slice


def workflow_pass(ctx: Context) -> None:
    """Decides and applies what each marked run does next."""
    marked, ctx.writer.marks.runs = ctx.writer.marks.runs, {}
    for run_id, nodes in marked.items():
        if len(nodes) > MOST_MARKED:
            slices.look_at_all(ctx.writer, run_id)
            continue
        _guarded(ctx, run_id, lambda run_id=run_id, nodes=nodes: _decide_run(ctx, run_id, nodes))  # type: ignore[misc]


def pass_slices(ctx: Context) -> None:
    """Goes on with large runs, those that were served longest ago first, until a tick's work is done."""
    waiting = [run_id for run_id in slices.all_slices(ctx.writer) if _can_go_on(ctx, run_id)]
    end = max(ctx.options.work, ctx.spent + ctx.options.work // _FLOOR + 1)  # however much changed, they get on
    share = max(1, (end - ctx.spent) // max(1, len(waiting)))
    for run_id in waiting:
        limit = min(end, ctx.spent + share)
        if ctx.spent >= limit:
            return
        while ctx.spent < limit and run_id in slices.all_slices(ctx.writer):
            work = limit - ctx.spent
            _guarded(ctx, run_id, lambda run_id=run_id, work=work: _go_on(ctx, run_id, work))  # type: ignore[misc]
            ctx.boundary("slice")
        slices.move_behind(ctx.writer, run_id)


def has_more(ctx: Context) -> bool:
    """True while a large run can go on."""
    return any(_can_go_on(ctx, run_id) for run_id in slices.all_slices(ctx.writer))


def _can_go_on(ctx: Context, run_id: RunId) -> bool:
    run = runs.find_run_by_id(ctx.writer, run_id)
    if run is None or run.is_final or run.is_paused(ctx.writer.now):
        return False
    return run.phase is not Phase.PENDING or run.shutdown != ""


def _guarded(ctx: Context, run_id: RunId, act: Callable[[], None]) -> None:
    """Does one run's part; one that cannot be decided is put into quarantine."""
    try:
        with ctx.writer.savepoint():
            act()
    except (*BROKEN, sqlite3.IntegrityError) as error:
        log.exception("a run was quarantined", extra={"action": "quarantine", "run": run_id})
        with ctx.writer.savepoint():
            _quarantine(ctx, run_id, f"{type(error).__name__}: {error}")


def _decide_run(ctx: Context, run_id: RunId, nodes: Iterable[str]) -> None:
    """Decides what follows from changed nodes."""
    left = slices.slice_of(ctx.writer, run_id)
    least = max(1, ctx.options.work // _SHARES)
    plan = _apply(ctx, run_id, nodes, left, max(least, ctx.options.work - ctx.spent))
    later = (*plan.later, *(name for name in left.later if name not in plan.later))
    _leave(ctx, run_id, left, replace(left, later=later), plan)


def _go_on(ctx: Context, run_id: RunId, work: int) -> None:
    """Takes up what a large run left: the nodes that are not made ready first, then the next of those to be looked at."""
    left = slices.slice_of(ctx.writer, run_id)
    if left.later:
        names, rest = left.later, replace(left, later=())
    else:
        assert left.below is not None
        names = tuple(StoredNodes(ctx.writer, run_id).unfinished_below(left.below, AT_ONCE))
        rest = replace(left, below=names[-1] if len(names) == AT_ONCE else None)
    if not names and left.ends:
        _release(ctx, run_id, left)
        return
    if rest.below is None and not rest.later and left.ends:
        rest = replace(rest, below="")  # nothing sorts before it: the last slice is for the locks
    plan = _apply(ctx, run_id, names, left, work)
    _leave(ctx, run_id, left, replace(rest, later=plan.later), plan)


def _apply(ctx: Context, run_id: RunId, names: Iterable[str], left: Slice, work: int) -> RunPlan:
    """Decides about these nodes, with so much work, and applies it."""
    run = runs.get_run(ctx.writer, run_id)
    if ctx.draining and run.phase is Phase.PENDING and not run.shutdown:
        return RunPlan()  # nothing begins any more; the next daemon's first sweep finds it
    spec = ctx.specs.get(run.spec_digest)
    budget = Budget(work)
    portion = Portion(rules=ctx.options.rules, budget=budget, building=left.later, keeps_locks=left.ends)
    plan = decide(run, spec, StoredNodes(ctx.writer, run_id), names, ctx.writer.now, portion)
    ctx.spent += max(1, budget.used)
    if plan != RunPlan():
        apply_run_plan(ctx.writer, run, plan)
    if run.pipeline is not None:
        barriers.mark_waits(ctx.writer, run_id)
    return plan


def _leave(ctx: Context, run_id: RunId, before: Slice, left: Slice, plan: RunPlan) -> None:
    """Writes down what is left to do of a run, and ends one that would become too large."""
    if plan.run is not None and plan.run.phase in FINAL:
        return
    if plan.sweeps:
        left = replace(left, below=FIRST)
    if left != before:
        is_swept = not before.is_done and not before.is_written and not left.later and not plan.sweeps
        slices.put(ctx.writer, run_id, replace(left, is_written=not is_swept))
    if plan.too_much:
        run = runs.get_run(ctx.writer, run_id)
        strategy = "Terminate" if run.shutdown else "Stop"  # its exit handler may be what is too large
        runs.set_shutdown(ctx.writer, run, strategy, Rule.TOO_MANY_NODES.value, reason=plan.too_much, message=plan.too_much)


def _release(ctx: Context, run_id: RunId, left: Slice) -> None:
    """The last slice of an end: the locks of the nodes that have ended go, and what waited for that goes on."""
    limit = max(1, ctx.options.work // _SHARES)
    released = claims.release_ended_nodes(ctx.writer, run_id, limit)
    ctx.spent += max(1, released * _SHARES)
    if released < limit:
        slices.put(ctx.writer, run_id, replace(left, below=None))
        ctx.writer.marks.run(run_id)
        ctx.writer.marks.slots = True


def _quarantine(ctx: Context, run_id: RunId, reason: str) -> None:
    """Ends a run that cannot be decided, once its processes have ended. It keeps its locks, like any that fails by itself."""
    run = runs.get_run(ctx.writer, run_id)
    if run.is_final:
        return
    ctx.spent += ctx.options.work // _SHARES
    is_running, has_nodes = runs.give_up_nodes(ctx.writer, run, f"quarantined: {reason}", _GIVEN_UP)
    if is_running:
        slices.forget(ctx.writer, run_id)  # the ends of its processes bring it here again
    elif has_nodes:
        slices.look_at_all(ctx.writer, run_id)
    else:
        update = RunUpdate(expected=run.phase, phase=Phase.ERROR, message=f"quarantined: {reason}", keep=Keep.BY_POLICY_OR_HOLD)
        apply_run_plan(ctx.writer, run, RunPlan(run=update))
