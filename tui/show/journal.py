"""The record as rows: when, who, what, about what; and one entry whole."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from tui.core.fmt import age, clock
from tui.core.model import JournalRow
from tui.show.layout import BLANK, Column, Line, Span
from tui.show.words import NONE, field, fields

COLUMNS = (
    Column(key="seq", title="#", width=6, right=True, drop=3),
    Column(key="at", title="WHEN (UTC)", width=14),
    Column(key="actor", title="WHO", width=10, flex=1, drop=1, middle=True),
    Column(key="kind", title="WHAT", width=14, flex=1),
    Column(key="target", title="ABOUT", width=16, flex=3, drop=2, middle=True),
    Column(key="text", title="TEXT", width=20, flex=5),
)
SORTS = ("",)
EMPTY: tuple[Line, ...] = (((" Nothing has happened yet.", "strong"),),)
_LOUD = ("terminate", "refused", "failed", "error", "lost", "stuck", "release")


def key_of(row: JournalRow) -> str:
    """An entry's identity."""
    return str(row.seq)


def target(row: JournalRow) -> str:
    """The run, else the subject."""
    return row.run or row.subject or NONE


def cells(row: JournalRow, now: datetime) -> tuple[Span, ...]:
    """One for each of COLUMNS."""
    look = "blocked" if any(word in row.kind.lower() for word in _LOUD) else ""
    return (
        (str(row.seq), "muted"),
        (clock(row.at, now), "muted"),
        (row.actor or NONE, "muted"),
        (row.kind, look or "strong"),
        (target(row), ""),
        (row.text, "muted"),
    )


def entry_lines(row: JournalRow, now: datetime, width: int) -> tuple[Line, ...]:
    """One entry whole, for the pane beside the list."""
    found: list[Line] = [
        field("entry", (f"{row.seq}", "strong")),
        field("when", (clock(row.at, now), ""), (f"   {age(row.at, now)} ago", "muted")),
        *fields("what", row.kind, width, "strong"),
        *fields("who", row.actor or NONE, width),
    ]
    if row.run:
        found += fields("run", f"{row.namespace}/{row.run}", width)
    if row.subject:
        found += fields("about", row.subject, width)
    if row.text:
        found += [BLANK, *fields("", row.text, width, pad=0)]
    if row.detail:
        found.append(BLANK)
        found += _detail(row.detail, width)
    return tuple(found)


def _detail(detail: Mapping[str, object], width: int) -> list[Line]:
    found: list[Line] = []
    for name, value in detail.items():
        found += fields(name[:14], str(value), width, pad=14)
    return found
