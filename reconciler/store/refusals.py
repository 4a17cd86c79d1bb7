"""Waiting claims that are turned away: the run that has not begun ends with the reason, or the node that waits does."""

from __future__ import annotations

from reconciler.model.notice import NoticeKind
from reconciler.model.state import ClaimId, Rule, RunId, RunState
from reconciler.store import claims, moves, notices, runs
from reconciler.store.writer import Writer


def refuse(writer: Writer, claim: ClaimId, why: Rule, message: str) -> None:
    """Takes a waiting claim out of every queue; what asked for it fails with the message."""
    run_id, node_id, level = writer.db.execute("SELECT run_id, node_id, level FROM claim WHERE id = ?", (claim,)).fetchone()
    claims.end_claim(writer, claim, message, refused=why)
    run = runs.get_run(writer, RunId(run_id))
    moves.note_refusal(writer, why.value)
    if why is Rule.QUEUE_FULL:
        detail = {"text": f"{run.holder} was refused: {message}", "namespace": run.namespace, "run": run.name, "message": message}
        notices.post(writer, NoticeKind.QUEUE_FULL, f"{run.holder} claim {claim}", detail)
    if level == "node":
        sql = "UPDATE node SET message = ?, deadline_at = ? WHERE id = ? AND finished_at IS NULL RETURNING name"
        for (name,) in writer.db.execute(sql, (message, writer.now, node_id)).fetchall():
            writer.marks.run(run.id, name)
    else:
        end_by_rule(writer, run, why, message)


def end_by_rule(writer: Writer, run: RunState, why: Rule, message: str) -> None:
    """Writes down that a rule ends the run, and why; one that is asked to end already ends as it was asked to."""
    if not run.shutdown:
        runs.set_shutdown(writer, run, "Terminate", why.value, reason=message)
        writer.forget_run(run.id)
        writer.db.execute("UPDATE run SET message = ? WHERE id = ?", (message, run.id))
