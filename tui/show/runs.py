"""Runs as rows, and one run's facts: what it is, what it waits for, what it holds."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from tui.core import states
from tui.core.fmt import age, clock, count, short_sha, took
from tui.core.model import RunDetail, RunRow, RunState, Snapshot
from tui.show.layout import BLANK, Column, Line, Span
from tui.show.words import NONE, field, fields

COLUMNS = (
    Column(key="state", title="STATE", width=11),
    Column(key="run", title="RUN", width=18, flex=5, middle=True),
    Column(key="workflow", title="WORKFLOW", width=12, flex=2, drop=4, middle=True),
    Column(key="steps", title="STEPS", width=6, right=True, drop=3),
    Column(key="waits", title="WAITS FOR", width=18, flex=4, middle=True),
    Column(key="age", title="AGE", width=6, right=True),
    Column(key="by", title="BY", width=8, drop=2),
)
SORTS = ("", "run", "age", "waits", "state")
ENDED = (RunState.SUCCEEDED, RunState.FAILED, RunState.ERROR)
EMPTY: tuple[Line, ...] = (
    ((" No run yet.", "strong"),),
    ((" Push a Workflow to the repository, or `lineclear submit FILE`.", "muted"),),
)


def run_name(row: RunRow) -> str:
    """How a run is called on a list: its name, with a namespace other than `default`."""
    return row.name if row.namespace == "default" else f"{row.namespace}/{row.name}"


def short_lock(key: str) -> str:
    """A lock by the last word of its key."""
    return key.split("/", 2)[2] if key.count("/") >= 2 else key


def waits_text(row: RunRow) -> Span:
    """The lock that stops it and its place in that queue; else what it holds or says."""
    if row.waits_for is not None:
        more = f" +{row.waits_for.more}" if row.waits_for.more else ""
        return (f"{short_lock(row.waits_for.lock)} #{row.waits_for.position}{more}", "blocked")
    if row.state is RunState.HOLDING:
        return (f"keeps {count(row.holds, 'lock')}", "stuck")
    if row.message:
        return (row.message, "muted")
    return (NONE, "muted")


def cells(row: RunRow, now: datetime) -> tuple[Span, ...]:
    """One for each of COLUMNS."""
    shown = states.of(row.state)
    quiet = "muted" if row.state in ENDED else ""
    return (
        (f"{shown.glyph} {shown.word}", shown.style),
        (run_name(row), quiet or "strong"),
        (row.workflow or NONE, "muted"),
        (f"{row.nodes_done}/{row.nodes_total}" if row.nodes_total else NONE, quiet),
        waits_text(row),
        (age(row.created_at, now), quiet),
        (row.by or row.origin, "muted"),
    )


def counts(snapshot: Snapshot, now: datetime, *, wide: bool) -> Line:
    """How many runs are open, in each state that needs an eye."""
    del now
    numbers = Counter([row.state for row in snapshot.runs])
    found: list[Span] = []
    for state in (RunState.HOLDING, RunState.WAITING, RunState.RUNNING, RunState.FAILED):
        number = numbers[state]
        shown = states.of(state)
        if number:
            found.append((f"{shown.glyph} {number} {shown.word}   ", shown.style))
    if wide:
        found.append((f"{count(snapshot.run_total, 'run')}", "muted"))
    return tuple(found)


def facts(detail: RunDetail, now: datetime, width: int) -> tuple[Line, ...]:
    """What a run is, in a few lines."""
    row = detail.row
    commit = f" @{short_sha(row.commit)}" if row.commit else ""
    place = f"   {detail.place}" if detail.place else ""
    started = clock(row.started_at, now) if row.started_at else "not started"
    length = f"   took {took(row.started_at, row.finished_at, now)}" if row.finished_at and row.started_at else ""
    if row.started_at and not row.finished_at:
        length = f"   running {age(row.started_at, now)}"
    found = [
        *fields("workflow", f"{row.workflow or row.name}{commit}{place}", width),
        field("from", (f"{row.origin}" + (f" by {row.by}" if row.by and row.by != row.origin else ""), ""),
              (f"   priority {row.priority}" if row.priority else "", "muted")),
        field("started", (started, ""), (length, "muted")),
    ]  # fmt: skip
    if detail.parameters:
        found += fields("params", " ".join(f"{name}={value}" for name, value in detail.parameters), width)
    if detail.holds:
        found += fields("holds", ", ".join(detail.holds), width, "active")
    return tuple(found)


def why(detail: RunDetail, width: int) -> tuple[Line, ...]:
    """The explanation, as `lineclear why` gives it, wrapped."""
    from tui.show.layout import wrap

    found: list[Line] = []
    for index, text in enumerate(detail.why):
        indent = len(text) - len(text.lstrip(" "))
        look = "strong" if not index else "key" if text.strip().startswith("lineclear ") else ""
        pieces = wrap(text.strip(), max(20, width - indent - 2))
        found += [((" " * (indent + 1) + piece, look),) for piece in pieces]
    return tuple(found) or (BLANK,)
