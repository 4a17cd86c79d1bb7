"""What the machine withholds from a step, told where people look, and taken back once it is mended.

Nothing that is written here ends anything: what did not begin has not failed, and what succeeded stays so.
"""

from __future__ import annotations

import json
import logging

from reconciler.loop.context import Context
from reconciler.loop.settle import find_deadline
from reconciler.model.hindered import WAITS_FOR_MACHINE
from reconciler.model.notice import NoticeKind
from reconciler.model.state import AttemptState
from reconciler.store import attempts, notices, runs
from reconciler.store.nodes import StoredNodes

log = logging.getLogger(__name__)
_TROUBLE = "machine_trouble"
_SINCE = " (since "


def is_waiting(message: str) -> bool:
    """True for a node's message that was written here."""
    return message.startswith(WAITS_FOR_MACHINE)


def hinder(ctx: Context, attempt: AttemptState, why: str, *, began: bool) -> None:
    """The node says what it waits for and since when. The time for which a step may run does not begin before the step does."""
    node = StoredNodes(ctx.writer, attempt.run_id).node_by_id(attempt.node_id)
    _note_trouble(ctx, why)
    if node.message and not is_waiting(node.message):
        return  # somebody is ending it, and that is what it says
    since = node.message.rpartition(_SINCE)[2].rstrip(")") if is_waiting(node.message) else f"{ctx.writer.now[:19]}Z"
    told = f"{WAITS_FOR_MACHINE}{why}{_SINCE}{since})"
    if told == node.message:
        return
    if not node.message:
        run = runs.get_run(ctx.writer, attempt.run_id)
        detail = {"node": node.name, "attempt": attempt.id, "began": began, "message": why}
        ctx.writer.journal("attempt.hindered", namespace=run.namespace, run=run.name, detail=detail)
    runs.set_node_message(ctx.writer, node.id, told)
    if not began and find_deadline(ctx, attempt) is not None:
        attempts.set_deadline(ctx.writer, attempt, None)


def go_on(ctx: Context, attempt: AttemptState) -> None:
    """The step has begun after all: its own deadline counts from now."""
    if ctx.writer.meta(_TROUBLE) and forget(ctx, attempt):
        deadline = find_deadline(ctx, attempt)
        if deadline is not None:
            attempts.set_deadline(ctx.writer, attempt, deadline)


def forget(ctx: Context, attempt: AttemptState) -> bool:
    """It waits for the machine no more; False if it did not."""
    node = StoredNodes(ctx.writer, attempt.run_id).node_by_id(attempt.node_id)
    if not is_waiting(node.message):
        return False
    runs.set_node_message(ctx.writer, node.id, "")
    return True


def look_up(ctx: Context) -> None:
    """Tells that the machine is in order again, once nobody waits for it any more."""
    trouble = ctx.writer.meta(_TROUBLE)
    if trouble and not attempts.any_with_message(ctx.writer, WAITS_FOR_MACHINE):
        ctx.writer.set_meta(_TROUBLE, "")
        ctx.writer.journal("machine.recovered", detail=json.loads(trouble))
        log.info("no step waits for the machine any more", extra={"action": "machine"})


def _note_trouble(ctx: Context, why: str) -> None:
    """Once from the first step that waits to the last: told, logged and in the journal."""
    if ctx.writer.meta(_TROUBLE):
        return
    detail = {"since": ctx.writer.now, "why": why}
    ctx.writer.set_meta(_TROUBLE, json.dumps(detail))
    ctx.writer.journal("machine.trouble", detail=detail)
    text = f"steps wait for the machine: {why}; none of them fails for it, and they go on by themselves once it is mended"
    log.warning("%s", text, extra={"action": "machine"})
    notices.post(ctx.writer, NoticeKind.MACHINE, ctx.writer.now, {"text": text, **detail})
