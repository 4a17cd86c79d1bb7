"""Reads the outbox: what is to be sent next, and what became of the latest notices. Nothing here writes."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row

    from reconciler.store.read import Reader

_NEXT = "SELECT id, kind, at, detail_json, tries, next_at FROM notice WHERE state = 'waiting' ORDER BY next_at, id LIMIT 1"
_LATEST = """
SELECT id, kind, key, at, detail_json, state, tries, next_at, done_at, problem FROM notice ORDER BY id DESC LIMIT :limit"""


def find_next(reader: Reader) -> Row | None:
    """The notice whose turn comes first; its `next_at` may lie ahead. None if nothing waits."""
    return reader.row(_NEXT)


def list_notices(reader: Reader, limit: int) -> list[Row]:
    """The latest notices, newest first."""
    return reader.rows(_LATEST, limit=limit)
