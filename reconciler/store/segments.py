"""The record in segments: stretches of rows that are closed with their last hash, and dropped whole when retention says so.

Only a sweep calls this; a row that is written knows nothing of segments. What is dropped is told by a row of the record itself,
which the chain protects: rows that are merely missing are no retention.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from reconciler.clock import from_text, to_text
from reconciler.store.writer import Writer

MOST_AT_ONCE = 2  # segments dropped in one transaction: 10,000 rows take 20 to 50 ms, and everybody waits
DROPPED = "journal.dropped"

_LAST = "SELECT number, last_seq FROM segment ORDER BY number DESC LIMIT 1"
_BEGIN = "SELECT at FROM journal WHERE seq > ? ORDER BY seq LIMIT 1"
_CLOSE = """
INSERT INTO segment (number, first_seq, last_seq, first_at, last_at, head, closed_at)
SELECT :number, first.seq, last.seq, first.at, last.at, last.hash, :now FROM journal first, journal last
WHERE first.seq = (SELECT min(seq) FROM journal WHERE seq > :after)
  AND last.seq = (SELECT max(seq) FROM journal WHERE seq <= :until) AND last.seq >= first.seq"""
_KEPT = "SELECT number, first_seq, last_seq, last_at, head FROM segment WHERE dropped_at IS NULL ORDER BY number LIMIT ?"
_LATEST = "SELECT first_at FROM segment ORDER BY number DESC LIMIT 1"
_OPEN_CLAIM = "SELECT min(requested_at) FROM claim WHERE state <> 'released'"
_DELETE = "DELETE FROM journal WHERE seq <= ?"
_DROP = "UPDATE segment SET dropped_at = ? WHERE number <= ? AND dropped_at IS NULL"

_Kept = tuple[int, int, int, str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How much of the record is kept: rows that are not older than `age`, and never many more than `rows`.

    A segment is closed when it has `segment_rows`, or when its first row is older than `segment_age`.
    """

    age: timedelta = timedelta(days=365)
    rows: int = 1_000_000
    segment_rows: int = 10_000
    segment_age: timedelta = timedelta(days=1)


def close_segments(writer: Writer, keep: Retention) -> None:
    """Closes what is full, and what is old; an empty stretch stays open."""
    number, after = writer.db.execute(_LAST).fetchone() or (0, 0)
    while True:
        last = writer.head().seq
        if last - after >= keep.segment_rows:
            last = after + keep.segment_rows
        elif not _is_old(writer, after, keep.segment_age):
            return
        number += 1
        names = {"number": number, "after": after, "until": last, "now": writer.now}
        if writer.db.execute(_CLOSE, names).rowcount != 1:  # rows were taken out by another hand: `journal verify` names them
            return
        after = last


def _is_old(writer: Writer, after: int, age: timedelta) -> bool:
    row = writer.db.execute(_BEGIN, (after,)).fetchone()
    return row is not None and row[0] < to_text(from_text(writer.now) - age)


def drop_segments(writer: Writer, keep: Retention) -> bool:
    """Drops the oldest closed segments that are beyond retention, and writes that down; True if more are left to drop.

    By age none is dropped that may tell of a claim which is still open. The number of rows is a bound, whatever is open. Age is
    counted back from the beginning of the latest closed segment: a clock that was set wrong for an hour costs no record.
    """
    kept: list[_Kept] = writer.db.execute(_KEPT, (MOST_AT_ONCE + 1,)).fetchall()
    if not kept:
        return False
    latest = min(writer.now, writer.db.execute(_LATEST).fetchone()[0])
    spare, oldest = writer.head().seq - kept[0][1] + 1 - keep.rows, to_text(from_text(latest) - keep.age)
    if spare <= 0 and kept[0][3] >= oldest:
        return False
    oldest = min(oldest, writer.db.execute(_OPEN_CLAIM).fetchone()[0] or oldest)
    going: list[_Kept] = []
    for segment in kept:
        is_spare = segment[1] < kept[0][1] + spare
        if not is_spare and segment[3] >= oldest:
            break
        going.append(segment)
    if not going:
        return False
    _drop(writer, going[:MOST_AT_ONCE], keep)
    return len(going) > MOST_AT_ONCE


def _drop(writer: Writer, going: list[_Kept], keep: Retention) -> None:
    number, _, last, at, head = going[-1]
    count = writer.db.execute(_DELETE, (last,)).rowcount
    writer.db.execute(_DROP, (writer.now, number))
    detail = {
        "through": last,
        "head": head.hex(),
        "rows": count,
        "segments": [going[0][0], number],
        "until": at,
        "reason": f"retention: {keep.age.days} days, {keep.rows} rows",
    }
    writer.journal(DROPPED, detail=detail)
