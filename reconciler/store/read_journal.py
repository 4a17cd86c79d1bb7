"""Reads the record for a check of its chain: rows as exact bytes, its segments, and what other rows say of its end.

Nothing here writes, and no statement trusts an index that a person could have bent.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from reconciler.store.read import Reader

    Row = tuple[Any, ...]

PAGE = 2000
_ROWS = """
SELECT seq, at, kind, actor, namespace, run, subject, detail_json, hash FROM journal NOT INDEXED
WHERE seq > :after ORDER BY seq LIMIT :limit"""
_SEGMENTS = """
SELECT number, first_seq, last_seq, first_at, last_at, head, closed_at, dropped_at FROM segment NOT INDEXED ORDER BY number"""
_NEWEST = "SELECT id, epoch FROM claim NOT INDEXED WHERE epoch IS NOT NULL ORDER BY epoch DESC LIMIT 1"
_TOLD = "SELECT seq, detail_json FROM journal NOT INDEXED WHERE kind = 'claim.granted' ORDER BY seq DESC LIMIT 1"


def each_row(reader: Reader) -> Iterator[Row]:
    """Every row with its hash, by number; texts are bytearrays. One page is held at a time."""
    after = -(2**63)
    while page := reader.exact(_ROWS, after=after, limit=PAGE):
        yield from page
        after = page[-1][0]


def list_segments(reader: Reader) -> list[Row]:
    """(number, first, last, first_at, last_at, head, closed_at, dropped_at) of the closed segments, oldest first."""
    return reader.tuples(_SEGMENTS)


def find_newest_grant(reader: Reader) -> tuple[int, int] | None:
    """(claim, epoch) of the latest grant that the rows of claims know; None before the first."""
    found = reader.tuples(_NEWEST)
    return found[0] if found else None


def find_told_grant(reader: Reader) -> tuple[int, bytes] | None:
    """(row, detail) of the latest grant that the record tells of; None if it tells of none."""
    found = reader.exact(_TOLD)
    return found[0] if found else None
