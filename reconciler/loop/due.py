"""What time alone brings: deadlines of runs and steps, the ends that ttlStrategy sets, and the record's retention."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from datetime import timedelta

from reconciler.clock import from_text, to_text
from reconciler.loop.context import Context
from reconciler.model.state import RunId
from reconciler.store import claims, runs, segments, slices
from reconciler.store.nodes import StoredNodes
from reconciler.store.writer import Writer
from reconciler.workflow.bounds import AT_ONCE

log = logging.getLogger(__name__)
FIRST, LAST = "1970-01-01T00:00:00.000000Z", "9999-12-31T00:00:00.000000Z"
_NEXT = (
    "SELECT min(at) FROM ("
    " SELECT min(deadline_at) AS at FROM run WHERE deadline_at > :after AND finished_at IS NULL"
    " UNION ALL SELECT min(deadline_at) FROM node WHERE deadline_at > :after AND finished_at IS NULL"
    " UNION ALL SELECT min(wake_at) FROM node WHERE wake_at > :after AND finished_at IS NULL"
    " UNION ALL SELECT min(ttl_at) FROM run WHERE ttl_at > :after"
    " UNION ALL SELECT min(overdue_at) FROM claim WHERE overdue_at > :after AND state = 'held'"
    " UNION ALL SELECT min(until_at) FROM run WHERE until_at > :after AND finished_at IS NULL"
    " UNION ALL SELECT min(freeze_at) FROM lock WHERE freeze_at > :after"
    " UNION ALL SELECT min(next_at) FROM cron WHERE next_at > :after"
    " UNION ALL SELECT min(wait_until) FROM claim WHERE wait_until > :after AND state = 'waiting'"
    " UNION ALL SELECT min(due_at) FROM claim_lock WHERE due_at > :after AND state = 'held')"
)
_OVERDUE = (  # of one run, with all that is below, as far as the limit
    "WITH RECURSIVE late (id, name, depth) AS ("
    " SELECT id, name, 0 FROM node INDEXED BY node_deadline WHERE deadline_at <= :now AND finished_at IS NULL AND run_id = :run"
    " UNION SELECT n.id, n.name, depth + 1 FROM late JOIN node n ON n.run_id = :run AND n.parent_id = late.id"
    " WHERE n.finished_at IS NULL LIMIT :limit)"
    " SELECT name FROM late ORDER BY depth DESC, id"  # children before parents
)
_AWAKE = "SELECT name FROM node INDEXED BY node_wake WHERE wake_at <= :now AND finished_at IS NULL AND run_id = :run LIMIT :limit"
_LATE_RUNS = (  # by the index of what is due: how many others wait must not matter
    "SELECT run_id, max(deadline_at) FROM node INDEXED BY node_deadline WHERE deadline_at <= ? AND finished_at IS NULL"
    " GROUP BY run_id"
)
_AWAKE_RUNS = (
    "SELECT run_id, max(wake_at) FROM node INDEXED BY node_wake WHERE wake_at <= ? AND finished_at IS NULL GROUP BY run_id"
)


_LIMITS = (  # table, key, column, which rows are still open
    ("run", "id", "deadline_at", "finished_at IS NULL"),
    ("node", "id", "deadline_at", "finished_at IS NULL"),
    ("node", "id", "wake_at", "finished_at IS NULL"),
    ("run", "id", "ttl_at", "1"),
    ("claim", "id", "wait_until", "state = 'waiting'"),
    ("claim_lock", "claim_id, lock_id", "due_at", "state = 'held'"),
    ("claim", "id", "overdue_at", "state = 'held'"),
    ("notice", "id", "next_at", "state = 'waiting'"),
    ("notice", "id", "tried_at", "state = 'waiting'"),
)


def next_due(ctx: Context, after: str) -> str | None:
    """The first instant after `after` at which time brings something; None if nothing is planned."""
    row = ctx.writer.db.execute(_NEXT, {"after": after}).fetchone()
    return None if row[0] is None else str(row[0])


def pass_deadlines(ctx: Context) -> None:
    """Marks runs past their deadline, nodes past theirs with all that is below them, and nodes whose pause has ended.

    Where that is much, it is looked at in slices, and only when its time has just come.
    """
    writer = ctx.writer
    sql = "SELECT id, deadline_at FROM run WHERE deadline_at <= ? AND finished_at IS NULL AND phase = 'Running'"
    for run_id, at in writer.db.execute(sql, (writer.now,)).fetchall():
        names = StoredNodes(writer, RunId(run_id)).unfinished(AT_ONCE + 1)
        _mark_due(ctx, RunId(run_id), names, at, ends=True)
    for runs_sql, nodes_sql, ends in ((_LATE_RUNS, _OVERDUE, True), (_AWAKE_RUNS, _AWAKE, False)):
        for run_id, at in writer.db.execute(runs_sql, (writer.now,)).fetchall():
            rows = writer.db.execute(nodes_sql, {"now": writer.now, "run": run_id, "limit": AT_ONCE + 1}).fetchall()
            _mark_due(ctx, RunId(run_id), [row[0] for row in rows], at, ends=ends)


def _mark_due(ctx: Context, run_id: RunId, names: Sequence[str], at: str, *, ends: bool) -> None:
    if len(names) <= AT_ONCE:
        ctx.writer.marks.run(run_id, *names)
    elif at > ctx.since:
        slices.look_at_all(ctx.writer, run_id, ends=ends)


def pass_ttl(ctx: Context) -> list[RunId]:
    """Ends for good what ttlStrategy says is due: locks go, the run is removed. Returns the removed runs."""
    sql = "SELECT id FROM run WHERE ttl_at <= ? AND finished_at IS NOT NULL"
    removed = []
    for (run_id,) in ctx.writer.db.execute(sql, (ctx.writer.now,)).fetchall():
        remove_run(ctx, RunId(run_id), "ttlStrategy")
        removed.append(RunId(run_id))
    return removed


def remove_run(ctx: Context, run_id: RunId, reason: str) -> None:
    """Lets everything go that an ended run holds, and removes it."""
    run = runs.get_run(ctx.writer, run_id)
    claims.release_all(ctx.writer, run, reason)
    runs.delete_run(ctx.writer, run, reason)


def pass_journal(ctx: Context) -> bool:
    """Closes segments of the record and drops those beyond retention; True if more are left to drop. For sweeps only."""
    try:
        with ctx.writer.savepoint():
            segments.close_segments(ctx.writer, ctx.options.keep)
            ctx.boundary("retention")
            return segments.drop_segments(ctx.writer, ctx.options.keep)
    except (sqlite3.IntegrityError, ValueError):  # rows that another hand bent must not keep everything else from going on
        log.exception("the journal could not be tended; look at it with `lineclear journal verify`", extra={"action": "journal"})
        return False


def shift_limits(writer: Writer, drift: timedelta, *, is_guess: bool = False) -> None:
    """Moves every deadline and end that is still to come by the drift of the wall clock; `is_guess`: nobody knows all of it."""
    for table, key, column, is_open in _LIMITS:
        rows = writer.db.execute(f"SELECT {key}, {column} FROM {table} WHERE {column} IS NOT NULL AND {is_open}").fetchall()
        for *row_id, at in rows:
            moved = moved_text(at, drift)
            which = ", ".join("?" * len(row_id))
            writer.db.execute(f"UPDATE {table} SET {column} = ? WHERE ({key}) = ({which})", (moved, *row_id))
    writer.seen_runs.clear()
    writer.journal("clock.moved", detail={"seconds": drift.total_seconds(), **({"guess": True} if is_guess else {})})


def moved_text(at: str, drift: timedelta) -> str:
    """An instant moved, or the first or last there is if that lies beyond."""
    try:
        return to_text(from_text(at) + drift)
    except OverflowError:
        return FIRST if drift < timedelta(0) else LAST
