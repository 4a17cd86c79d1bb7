"""CronWorkflows as rows: when each fires next, how its last ticks were decided, whether it is suspended."""

from __future__ import annotations

from datetime import datetime

from tui.core.fmt import age, clock, count, until
from tui.core.model import CronRow, Snapshot
from tui.show.layout import BLANK, Column, Line, Span
from tui.show.words import NONE, field, fields

COLUMNS = (
    Column(key="state", title="STATE", width=11),
    Column(key="name", title="NAME", width=16, flex=4, middle=True),
    Column(key="schedule", title="SCHEDULE", width=14, flex=3, drop=2),
    Column(key="next", title="NEXT", width=10, right=True),
    Column(key="last", title="LAST", width=8, right=True, drop=3),
    Column(key="decision", title="DECISION", width=12, flex=1),
    Column(key="policy", title="POLICY", width=7, drop=1),
    Column(key="active", title="ACTIVE", width=6, right=True, drop=4),
)
SORTS = ("", "name", "next", "last")
EMPTY: tuple[Line, ...] = (
    ((" No CronWorkflow is live.", "strong"),),
    ((" Push one to the repository; 5 opens Git.", "muted"),),
)
_TICK_LOOKS = {
    "ran": "ok",
    "caught-up": "ok",
    "replaced": "active",
    "error": "stuck",
    "missed": "blocked",
    "forbidden": "blocked",
}


def state_of(row: CronRow) -> Span:
    """`● on` or `◐ suspended`; a stale definition says so."""
    if row.stale:
        return ("▲ stale", "blocked")
    if row.suspended:
        return ("◐ suspended", "blocked" if row.is_override else "muted")
    return ("● on", "ok")


def name_of(row: CronRow) -> str:
    """Its name, with a namespace other than `default`."""
    return row.name if row.namespace == "default" else f"{row.namespace}/{row.name}"


def cells(row: CronRow, now: datetime) -> tuple[Span, ...]:
    """One for each of COLUMNS."""
    quiet = "muted" if row.suspended else ""
    return (
        state_of(row),
        (name_of(row), quiet or "strong"),
        (", ".join(row.schedules), quiet),
        (NONE if row.suspended else until(row.next_at, now), quiet),
        (age(row.last_at, now), "muted"),
        (row.last_decision or NONE, _TICK_LOOKS.get(row.last_decision, "muted")),
        (row.policy, "muted"),
        (str(row.active) if row.active else NONE, "" if row.active else "muted"),
    )


def counts(snapshot: Snapshot, now: datetime, *, wide: bool) -> Line:
    """How many there are, and how many are suspended."""
    del now, wide
    off = sum(1 for row in snapshot.crons if row.suspended)
    return ((count(len(snapshot.crons), "cron") + (f", {off} suspended" if off else ""), "muted"),)


def detail_lines(row: CronRow, now: datetime, width: int) -> tuple[Line, ...]:
    """The pane beside the list."""
    found: list[Line] = [
        ((" ", ""), state_of(row), (f"   ns {row.namespace}", "muted")),
        BLANK,
        *(line for text in row.schedules for line in fields("schedule", text, width)),
        field("timezone", (row.timezone or "the machine's", "")),
        field("policy", (row.policy or "Allow", ""), (f"   {count(row.active, 'run')} active", "muted")),
        field("next", (NONE if row.suspended else clock(row.next_at, now), ""), (f"   {until(row.next_at, now)}", "muted")),
        field("last", (clock(row.last_at, now), ""), (f"   {row.last_decision}", "muted")),
    ]
    if row.is_override:
        found += fields("drift", "an operator suspended or resumed it against its definition", width, "blocked")
    if row.stale:
        found += fields("stale", row.stale, width, "blocked")
    if row.ticks:
        strip = tuple((f"{tick} ", _TICK_LOOKS.get(tick, "muted")) for tick in row.ticks[:12])
        found += [BLANK, ((" LATEST TICKS", "title"),), ((" ", ""), *strip)]
    return tuple(found)
