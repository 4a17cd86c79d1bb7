"""Notes what happened to locks and crons for the counters: only if somebody counts, and counted only after the commit."""

from __future__ import annotations

from reconciler.clock import from_text
from reconciler.model.state import ClaimId, LockId
from reconciler.obs import Counted
from reconciler.store.marks import Move
from reconciler.store.writer import Writer

_UNITS = (
    "SELECT l.id, l.key, c.requested_at, c.granted_at FROM claim_lock cl JOIN claim c ON c.id = cl.claim_id"
    " JOIN lock l ON l.id = cl.lock_id WHERE cl.claim_id = ? AND cl.state = 'held' AND cl.nested = 0"
)


def note_grant(writer: Writer, claim: ClaimId) -> None:
    """The claim has just got its locks; turns inside a holder take no unit and do not count."""
    if writer.is_counted:
        for _, key, asked_at, _ in writer.db.execute(_UNITS, (claim,)).fetchall():
            writer.marks.moves.append(Move("granted", key, asked_at, writer.now))


def note_release(writer: Writer, claim: ClaimId, lock: LockId | None = None) -> None:
    """The claim is about to let this lock go, or all that it holds; one that waits holds none."""
    if writer.is_counted:
        for lock_id, key, _, granted_at in writer.db.execute(_UNITS, (claim,)).fetchall():
            if lock in (None, lock_id):
                writer.marks.moves.append(Move("released", key, granted_at, writer.now))


def note_refusal(writer: Writer, why: str) -> None:
    """A claim was turned away."""
    if writer.is_counted:
        writer.marks.moves.append(Move("refused", why))


def note_tick(writer: Writer, decision: str, count: int) -> None:
    """So many instants of a cron were decided in this way."""
    if writer.is_counted:
        writer.marks.moves.append(Move("tick", decision, times=count))


def counted(move: Move) -> Counted:
    """The move as the counters take it: with the seconds between its instants; a clock that was set back counts as none."""
    spent_s = (from_text(move.until) - from_text(move.since)).total_seconds() if move.since else 0.0
    return Counted(move.kind, move.key, max(0.0, spent_s), move.times)
