"""Reads the limits that were set for database semaphores, and what they bound."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row

    from reconciler.store.read import Reader

_LIMITS = """
SELECT l.namespace, l.key, l.capacity, l.source,
  (SELECT count(*) FROM lock JOIN claim_lock c ON c.lock_id = lock.id AND c.state = 'held' AND c.nested = 0
    WHERE lock.key = l.namespace || '/Database/' || l.key) AS held,
  (SELECT count(*) FROM lock JOIN claim_lock c ON c.lock_id = lock.id AND c.state = 'waiting' AND c.nested = 0
    WHERE lock.key = l.namespace || '/Database/' || l.key) AS waiting
FROM semaphore_limit l
WHERE (:namespace IS NULL OR l.namespace = :namespace) AND (:key IS NULL OR l.key = :key) ORDER BY l.namespace, l.key"""


def list_limits(reader: Reader, namespace: str | None, key: str | None = None) -> list[Row]:
    """The limits with how many units are held and how many claims wait, by namespace and key."""
    return reader.rows(_LIMITS, namespace=namespace, key=key)
