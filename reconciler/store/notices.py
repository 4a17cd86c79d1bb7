"""The outbox: what people are to be told, written in the transaction of what it tells, and what came of telling it.

Nothing is sent here. An occurrence, (kind, key), is written once; what nobody wants to hear is not written at all.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from reconciler.clock import from_text, to_text
from reconciler.model.notice import NoticeKind
from reconciler.model.state import AttemptState, ClaimId, RunState
from reconciler.store.writer import Writer

log = logging.getLogger(__name__)
KEPT = timedelta(days=30)
LONGEST_PAUSE_S = 600.0
_POST = (
    "INSERT INTO notice (kind, key, at, detail_json, state, next_at) VALUES (:kind, :key, :now, :detail, 'waiting', :now)"
    " ON CONFLICT (kind, key) DO NOTHING"
)
_HELD = (
    "SELECT l.key, c.epoch, (SELECT count(*) FROM claim_lock w WHERE w.lock_id = l.id AND w.state = 'waiting' AND w.nested = 0)"
    " FROM claim c JOIN claim_lock cl ON cl.claim_id = c.id JOIN lock l ON l.id = cl.lock_id"
    " WHERE c.run_id = ? AND c.level = 'run' AND cl.state = 'held' ORDER BY l.key"
)
_HELD_AT_ALL = _HELD.replace("c.level = 'run'", "c.level <> 'policy'")
_WATCH = (
    "UPDATE claim SET overdue_at = :now WHERE state = 'held' AND overdue_at IS NULL AND level <> 'policy'"
    " AND id IN (SELECT claim_id FROM claim_lock WHERE state = 'held' AND nested = 0)"
)


def is_wanted(writer: Writer, kind: NoticeKind) -> bool:
    """True if somebody is to be told of this kind: whoever has to look something up for a notice asks first."""
    return kind.value in writer.telling.kinds


def post(writer: Writer, kind: NoticeKind, key: str, detail: Mapping[str, object]) -> bool:
    """Writes that people are to be told, once for each (kind, key) in thirty days; False if it was written or is not wanted.

    `detail["text"]` is the sentence for people: what happened to what, and who waits for it.
    """
    if not is_wanted(writer, kind):
        return False
    values = {"kind": kind.value, "key": key, "now": writer.now, "detail": json.dumps(detail)}
    is_new = writer.db.execute(_POST, values).rowcount == 1
    writer.marks.notices = writer.marks.notices or is_new
    return is_new


def post_holds(writer: Writer, run: RunState, phase: str, message: str) -> None:
    """Tells of a run that has just ended by itself and keeps locks, if it does."""
    kind = NoticeKind.HELD_FOR_A_FAILURE
    held = writer.db.execute(_HELD, (run.id,)).fetchall() if is_wanted(writer, kind) else []
    if not held:
        return
    waiting = sum(count for *_, count in held)
    text = f"{run.holder} ended {phase} and keeps {', '.join(key for key, *_ in held)}; {waiting} waiting"
    detail = {
        "text": text,
        "namespace": run.namespace,
        "run": run.name,
        "phase": phase,
        "message": message,
        "locks": [{"key": key, "epoch": epoch, "waiting": count} for key, epoch, count in held],
    }
    post(writer, kind, f"{run.holder}#{held[0][1]} {writer.now}", detail)


def post_unknown(writer: Writer, attempt: AttemptState, node: str, why: str) -> None:
    """Tells of a run of which nothing proves whether a process lives: nothing but a person ends that."""
    kind = NoticeKind.HOLDER_UNKNOWN
    if not is_wanted(writer, kind):
        return
    holder, namespace, run = writer.db.execute(
        "SELECT namespace || '/' || name, namespace, name FROM run WHERE id = ?", (attempt.run_id,)
    ).fetchone()
    held = writer.db.execute(_HELD_AT_ALL, (attempt.run_id,)).fetchall()
    keeps = f"; it keeps {', '.join(key for key, *_ in held)}; {sum(row[2] for row in held)} waiting" if held else ""
    detail = {
        "text": f"holder unknown: {holder}{node}: {why}{keeps}",
        "namespace": namespace,
        "run": run,
        "node": node,
        "message": why,
        "locks": [{"key": key, "epoch": epoch, "waiting": count} for key, epoch, count in held],
    }
    post(writer, kind, f"attempt {attempt.id} {writer.now}", detail)


# overdue holders ---------------------------------------------------------------------------------------------------------------


def first_look_at(writer: Writer) -> str | None:
    """When a hold that begins now is first asked about; None if nobody wants to be told.

    Short holds are never asked about: only one that is still there then costs a look at the lock's history.
    """
    if not is_wanted(writer, NoticeKind.OVERDUE):
        return None
    return to_text(from_text(writer.now) + timedelta(seconds=writer.telling.overdue_after_s))


def watch_held(writer: Writer) -> None:
    """Has every present holder asked about: at start, for the settings may have changed. What was told is not told again."""
    if is_wanted(writer, NoticeKind.OVERDUE):
        writer.db.execute(_WATCH, {"now": writer.now})


def due_holds(writer: Writer) -> list[tuple[ClaimId, str]]:
    """Claims to be asked about now, each with the instant of its grant."""
    sql = "SELECT id, granted_at FROM claim WHERE overdue_at <= ? AND overdue_at IS NOT NULL AND state = 'held' ORDER BY id"
    return [(ClaimId(row[0]), row[1]) for row in writer.db.execute(sql, (writer.now,)).fetchall()]


def look_again(writer: Writer, claim: ClaimId, at: datetime | None) -> None:
    """When the claim is asked about next; None: never."""
    writer.db.execute("UPDATE claim SET overdue_at = ? WHERE id = ?", (None if at is None else to_text(at), claim))


# what came of it ---------------------------------------------------------------------------------------------------------------


def set_sent(writer: Writer, notice: int, tries: int) -> None:
    """The command took the notice, at the try after so many."""
    sql = (
        "UPDATE notice SET state = 'sent', tries = tries + 1, tried_at = ifnull(tried_at, :now), next_at = NULL, done_at = :now,"
        " problem = '' WHERE id = :id AND tries = :tries AND state = 'waiting'"
    )
    writer.db.execute(sql, {"id": notice, "tries": tries, "now": writer.now})
    writer.marks.notices = True


def set_failed(writer: Writer, notice: int, tries: int, problem: str) -> None:
    """The try after so many failed: there will be another, later and later, or the notice is given up."""
    sql = "SELECT kind, key, ifnull(tried_at, ?) FROM notice WHERE id = ? AND tries = ? AND state = 'waiting'"
    row = writer.db.execute(sql, (writer.now, notice, tries)).fetchone()
    if row is None:
        return  # this outcome is known
    kind, key, tried_at = row
    now = from_text(writer.now)
    is_over = now - from_text(tried_at) >= timedelta(seconds=writer.telling.give_up_s)
    next_at = None if is_over else to_text(now + timedelta(seconds=pause_s(tries + 1)))
    sql = (
        "UPDATE notice SET state = CASE WHEN :next IS NULL THEN 'given-up' ELSE 'waiting' END, tries = tries + 1,"
        " tried_at = :tried, next_at = :next, done_at = CASE WHEN :next IS NULL THEN :now END, problem = :problem WHERE id = :id"
    )
    writer.db.execute(sql, {"id": notice, "tried": tried_at, "next": next_at, "now": writer.now, "problem": problem})
    writer.marks.notices = True
    if is_over:
        detail = {"kind": kind, "tries": tries + 1, "problem": problem}
        writer.journal("notice.given-up", subject=key, detail=detail)
        log.warning("a notice was given up: %s", problem, extra={"action": "notify", "kind": kind, "key": key})


def pause_s(tries: int) -> float:
    """Seconds from the last of so many tries, all failed, to the next: one, then twice as long each time up to ten minutes."""
    return float(min(LONGEST_PAUSE_S, 2 ** min(tries - 1, 20)))


def forget_old(writer: Writer) -> None:
    """Removes notices that were done with a month ago."""
    writer.db.execute("DELETE FROM notice WHERE done_at < ?", (to_text(from_text(writer.now) - KEPT),))
