"""Rows behind a concurrency policy: which runs of a group are active, and by whose claim.

A run is under a policy from its first moment to the release of its last lock, so the open policy claims *are* the active runs.
"""

from __future__ import annotations

from reconciler.model.concurrency import policy_key
from reconciler.model.state import RunId
from reconciler.store.writer import Writer

_OPEN = "SELECT run_id FROM claim_lock WHERE lock_id = (SELECT id FROM lock WHERE key = :key) AND nested = 0 AND state = "
_ACTIVE = f"{_OPEN}'held' UNION ALL {_OPEN}'waiting' ORDER BY run_id"


def active(writer: Writer, namespace: str, group: str) -> list[RunId]:
    """Runs of the group that have not ended, or have and still hold something, by arrival."""
    return [RunId(r[0]) for r in writer.db.execute(_ACTIVE, {"key": policy_key(namespace, group)})]


def has_claim(writer: Writer, run_id: RunId) -> bool:
    """True while a run is under its policy."""
    sql = "SELECT 1 FROM claim WHERE run_id = ? AND level = 'policy' AND state <> 'released'"
    return writer.db.execute(sql, (run_id,)).fetchone() is not None


def waited_lock(writer: Writer, run_id: RunId) -> str:
    """The key of the first lock that a run waits for, policies aside, or ''."""
    sql = (
        "SELECT l.key FROM claim_lock cl JOIN lock l ON l.id = cl.lock_id"
        " WHERE cl.run_id = ? AND cl.state = 'waiting' AND l.kind <> 'Policy' ORDER BY l.id LIMIT 1"
    )
    row = writer.db.execute(sql, (run_id,)).fetchone()
    return "" if row is None else str(row[0])
