"""Rows of maintenance holds, as the loop asks for them. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.model.state import LockId, RunId
from reconciler.model.whole import WHOLE
from reconciler.store.writer import Writer

_OF_LOCK = f"SELECT run_id FROM claim_lock WHERE lock_id = ? AND state = ? AND nested = 0 AND units = {WHOLE} ORDER BY claim_id"


def known_locks(writer: Writer, keys: Iterable[str]) -> list[LockId]:
    """Those of the locks that were asked for before."""
    sql = "SELECT id FROM lock WHERE key = ?"
    return [LockId(row[0]) for key in keys for row in writer.db.execute(sql, (key,)).fetchall()]


def holds_of(writer: Writer, lock_id: LockId) -> tuple[list[RunId], list[RunId]]:
    """The hold that has the lock, and those that wait for it, each in the order in which they were asked for."""
    held, waiting = (writer.db.execute(_OF_LOCK, (lock_id, state)).fetchall() for state in ("held", "waiting"))
    return [RunId(row[0]) for row in held], [RunId(row[0]) for row in waiting]
