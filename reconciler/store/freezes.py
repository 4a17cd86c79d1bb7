"""Freeze windows of locks: what the policy says is kept in the lock's row, with what follows from it at the last look.

A look is due at each begin and end of a window; what a row says holds until then, whatever happens to the daemon.
"""

from __future__ import annotations

import json

from reconciler.clock import from_text, to_text
from reconciler.cron.freezes import frost_at
from reconciler.model.own_kinds import FreezeWindow
from reconciler.model.state import LockId
from reconciler.store.writer import Writer

_ROW = "SELECT key, namespace, policy, freeze_json, frozen_until, frozen_why, freeze_at FROM lock WHERE id = ?"
_DUE = "SELECT id FROM lock WHERE freeze_at <= ? ORDER BY freeze_at, id"
_WITH_WINDOWS = "SELECT id FROM lock WHERE freeze_at IS NOT NULL ORDER BY id"


def windows_json(windows: tuple[FreezeWindow, ...]) -> str:
    """The windows as a lock's row has them."""
    return json.dumps([[one.schedule, one.duration_s, one.timezone, one.reason] for one in windows])


def look_at_windows(writer: Writer, *, everywhere: bool) -> None:
    """Freezes and opens the locks whose windows begin or end; `everywhere` also where nothing is due: the clock went back."""
    rows = writer.db.execute(_WITH_WINDOWS) if everywhere else writer.db.execute(_DUE, (writer.now,))
    for (lock_id,) in rows.fetchall():
        refresh(writer, LockId(lock_id))


def refresh(writer: Writer, lock_id: LockId) -> None:
    """Writes into a lock's row whether it is frozen now, until when and why; told in the record where that changes."""
    key, namespace, policy, text, *before = writer.db.execute(_ROW, (lock_id,)).fetchone()
    windows = [FreezeWindow(*one) for one in json.loads(text)]
    frost = frost_at(windows, from_text(writer.now))
    until = None if frost.until is None else to_text(frost.until)
    why = f"{f'LockPolicy {policy}' if policy else 'its policy'}{f': {frost.reason}' if frost.reason else ''}" if until else ""
    after = [until, why, None if frost.next_at is None else to_text(frost.next_at)]
    if after == before:
        return
    sql = "UPDATE lock SET frozen_until = ?, frozen_why = ?, freeze_at = ? WHERE id = ?"
    writer.db.execute(sql, (*after, lock_id))
    writer.marks.lock(lock_id)
    if until != before[0]:
        kind = "lock.frozen" if until else "lock.thawed"
        detail = {"until": until, "by": why} if until else {"was": before[0]}
        writer.journal(kind, namespace=namespace, subject=key, detail=detail)
