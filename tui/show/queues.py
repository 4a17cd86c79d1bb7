"""Queues as rows: one for each lock that somebody waits for."""

from __future__ import annotations

from datetime import datetime

from tui.core import states
from tui.core.fmt import age, count
from tui.core.model import LockRow, Snapshot
from tui.show.layout import Column, Line, Span
from tui.show.locks import holder_text, lock_name, next_text, short_kind

COLUMNS = (
    Column(key="queue", title="QUEUE", width=16, flex=4, middle=True),
    Column(key="kind", title="KIND", width=5, drop=2),
    Column(key="depth", title="DEPTH", width=6, right=True),
    Column(key="waits", title="WAITS", width=6, right=True),
    Column(key="head", title="FIRST", width=16, flex=4, middle=True),
    Column(key="behind", title="BEHIND", width=14, flex=3, drop=1, middle=True),
    Column(key="state", title="LOCK IS", width=11),
)
SORTS = ("", "queue", "depth", "waits")
EMPTY: tuple[Line, ...] = (
    ((" Nobody waits for a lock.", "strong"),),
    ((" A queue appears here while a run waits; 1 opens the locks.", "muted"),),
)


def rows_of(snapshot: Snapshot) -> tuple[LockRow, ...]:
    """The locks with a queue, in the snapshot's order of urgency."""
    return tuple(row for row in snapshot.locks if row.queue_length)


def cells(row: LockRow, now: datetime) -> tuple[Span, ...]:
    """One for each of COLUMNS."""
    shown = states.of(row.state)
    return (
        (lock_name(row), "strong"),
        (short_kind(row.kind), "muted"),
        (f"{row.queue_length:,}", ""),
        (age(row.waiting_since, now), ""),
        (next_text(row), ""),
        (holder_text(row), "muted"),
        (f"{shown.glyph} {shown.word}", shown.style),
    )


def counts(snapshot: Snapshot, now: datetime, *, wide: bool) -> Line:
    """How many queues there are, and how many wait."""
    del now, wide
    rows = rows_of(snapshot)
    return ((f"{count(len(rows), 'queue')}, {count(snapshot.waiting_total, 'run')} waiting", "muted"),)
