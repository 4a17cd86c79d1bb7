"""What follows in the same tick from runs that have ended: a deletion that was asked for, and history limits."""

from __future__ import annotations

from reconciler.loop.context import Context
from reconciler.loop.crons import keep_history
from reconciler.loop.due import remove_run
from reconciler.model.state import RunId
from reconciler.store import runs


def after_ends(ctx: Context) -> list[RunId]:
    """Removes what is to go with the runs that ended; returns the removed ones."""
    ended, ctx.writer.marks.ended = ctx.writer.marks.ended, []
    removed: list[RunId] = []
    for run_id in ended:
        if run_id in removed:
            continue
        run = runs.find_run_by_id(ctx.writer, run_id)
        if run is None:  # ttlStrategy removed it in this very tick
            continue
        if run.ended_by == "delete":
            remove_run(ctx, run_id, "deleted")
            removed.append(run_id)
        elif run.cron:
            removed += keep_history(ctx, run)
    return removed
