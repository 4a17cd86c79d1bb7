"""Takes over what the runtime saw: each observation moves one attempt and marks its node."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from reconciler.loop import machine
from reconciler.loop.context import Context
from reconciler.model.attempt import Exited, Hindered, HolderFound, HolderUnknown, Lost, NotStarted, Observation, Started
from reconciler.model.state import NO_OUTPUTS, AttemptPhase, AttemptState, NodeState, Outputs
from reconciler.runtime.faults import MachineFault
from reconciler.store import attempts, notices, runs
from reconciler.store.apply import request_stop
from reconciler.store.nodes import StoredNodes
from reconciler.store.writer import Writer

log = logging.getLogger(__name__)
COMMAND_NOT_FOUND = 64


def take_over(ctx: Context, observations: Sequence[Observation]) -> list[Observation]:
    """Writes down each end. A late or repeated one changes nothing.

    Returns the ends that cannot be taken over yet, for the machine keeps what the steps left from being read: those attempts
    have not ended, as far as the rows know, and the same observations are to be handed in again.
    """
    later = []
    for seen in observations:
        attempt = attempts.get_attempt(ctx.writer, seen.attempt_id)
        if attempt is None or attempt.state not in (AttemptPhase.INTENDED, AttemptPhase.LIVE):
            continue
        try:
            _take(ctx, attempt, seen)
        except MachineFault as fault:
            machine.hinder(ctx, attempt, str(fault), began=True)
            later.append(seen)
    if observations:
        machine.look_up(ctx)
    return later


def _take(ctx: Context, attempt: AttemptState, seen: Observation) -> None:
    match seen:
        case Started():
            machine.go_on(ctx, attempt)
            attempts.note_started(ctx.writer, attempt, seen.pid)
        case Hindered():
            machine.hinder(ctx, attempt, seen.message, began=seen.began)
        case Exited():
            _end(ctx, attempt, AttemptPhase.EXITED, seen.exit_code, seen.signal, seen.message)
            attempts.keep_usage(ctx.writer, attempt, seen.cpu_ms, seen.memory_kb)
        case NotStarted():
            failed = seen.exit_code == COMMAND_NOT_FOUND
            state = AttemptPhase.EXITED if failed else AttemptPhase.LOST
            _end(ctx, attempt, state, seen.exit_code, None, seen.message)
        case HolderUnknown():
            _note_unknown(ctx, attempt, seen)
        case HolderFound():
            if attempts.note_found(ctx.writer, attempt):
                _journal(ctx, attempt, "attempt.found", "its shim lives: its end will be told")
        case Lost():
            began = "" if seen.began else "it never began; "
            message = f"the process was lost: {began}{seen.evidence}"
            _end(ctx, attempt, AttemptPhase.LOST, None, None, message)


def _note_unknown(ctx: Context, attempt: AttemptState, seen: HolderUnknown) -> None:
    why = unknown_text(seen)
    if attempts.note_unknown(ctx.writer, attempt, why) and not attempt.is_unknown:
        log.warning("a holder is unknown", extra={"action": "unknown", "attempt": attempt.id})
        node = _journal(ctx, attempt, "attempt.unknown", why)
        notices.post_unknown(ctx.writer, attempt, node.name, why)


def _journal(ctx: Context, attempt: AttemptState, kind: str, message: str) -> NodeState:
    run = runs.get_run(ctx.writer, attempt.run_id)
    node = StoredNodes(ctx.writer, attempt.run_id).node_by_id(attempt.node_id)
    detail = {"node": node.name, "attempt": attempt.id, "message": message}
    ctx.writer.journal(kind, namespace=run.namespace, run=run.name, detail=detail)
    return node


def unknown_text(seen: HolderUnknown) -> str:
    """Why nothing is known of an attempt, with the processes of it that were seen."""
    pids = f"; pids seen: {', '.join(map(str, seen.pids))}" if seen.pids else ""
    return f"{seen.evidence}{pids}"


def _end(
    ctx: Context, attempt: AttemptState, state: AttemptPhase, code: int | None, signal: int | None, message: str
) -> None:
    node = StoredNodes(ctx.writer, attempt.run_id).node_by_id(attempt.node_id)
    outputs, problem = _outputs(ctx, attempt, node) if state is AttemptPhase.EXITED else (NO_OUTPUTS, "")
    if not attempts.end_attempt(ctx.writer, attempt, state, code, signal):
        return
    waited = machine.forget(ctx, attempt)
    if outputs != NO_OUTPUTS or problem:
        attempts.keep_outputs(ctx.writer, attempt, outputs, problem)
    if message and (waited or not node.message):
        runs.set_node_message(ctx.writer, attempt.node_id, message)
    run = runs.get_run(ctx.writer, attempt.run_id)
    detail = {"node": node.name, "attempt": attempt.id, "exit_code": code, "message": message}
    ctx.writer.journal(f"attempt.{state.value}", namespace=run.namespace, run=run.name, detail=detail)
    ctx.writer.marks.run(attempt.run_id, node.name)
    ctx.writer.marks.slots = True


def _outputs(ctx: Context, attempt: AttemptState, node: NodeState) -> tuple[Outputs, str]:
    """What the step left; raises MachineFault if that cannot be told yet, unless the step was asked to end: then it is lost."""
    try:
        return ctx.collect(attempt, node)
    except MachineFault as fault:
        if not attempt.stop:
            raise
        return NO_OUTPUTS, str(fault)


def ask_all_to_end(writer: Writer) -> None:
    """Asks every process that is to be running to end."""
    for attempt in attempts.active_attempts(writer):
        request_stop(writer, attempt.node_id, "kill" if attempt.is_unknown else "stop")
        runs.set_node_message(writer, attempt.node_id, "ended by lineclear down --kill-steps")
