"""Takes over what the runtime saw: each observation moves one attempt and marks its node."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.loop.context import Context
from reconciler.model.attempt import Exited, Lost, NotStarted, Observation, Started
from reconciler.model.state import NO_OUTPUTS, AttemptPhase, AttemptState
from reconciler.store import attempts, runs

COMMAND_NOT_FOUND = 64


def take_over(ctx: Context, observations: Iterable[Observation]) -> None:
    """Writes down each end. A late or repeated one changes nothing."""
    for seen in observations:
        attempt = attempts.get_attempt(ctx.writer, seen.attempt_id)
        if attempt is None:
            continue
        match seen:
            case Started():
                attempts.note_started(ctx.writer, attempt, seen.pid)
            case Exited():
                _end(ctx, attempt, AttemptPhase.EXITED, seen.exit_code, seen.signal, seen.message)
            case NotStarted():
                failed = seen.exit_code == COMMAND_NOT_FOUND
                state = AttemptPhase.EXITED if failed else AttemptPhase.LOST
                _end(ctx, attempt, state, seen.exit_code, None, seen.message)
            case Lost():
                began = "" if seen.began else "it never began; "
                message = f"the process was lost: {began}{seen.evidence}"
                _end(ctx, attempt, AttemptPhase.LOST, None, None, message)


def _end(
    ctx: Context, attempt: AttemptState, state: AttemptPhase, code: int | None, signal: int | None, message: str
) -> None:
    if not attempts.end_attempt(ctx.writer, attempt, state, code, signal):
        return
    node = runs.StoredNodes(ctx.writer, attempt.run_id).node_by_id(attempt.node_id)
    if state is AttemptPhase.EXITED:
        outputs, problem = ctx.collect(attempt, node)
        if outputs != NO_OUTPUTS or problem:
            attempts.keep_outputs(ctx.writer, attempt, outputs, problem)
    if message and not node.message:
        runs.set_node_message(ctx.writer, attempt.node_id, message)
    run = runs.get_run(ctx.writer, attempt.run_id)
    detail = {"node": node.name, "attempt": attempt.id, "exit_code": code, "message": message}
    ctx.writer.journal(f"attempt.{state.value}", namespace=run.namespace, run=run.name, detail=detail)
    ctx.writer.marks.run(attempt.run_id, node.name)
    ctx.writer.marks.slots = True
