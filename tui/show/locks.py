"""Locks as rows, and one lock as a page: who holds it, why, who is next and what that one needs besides."""

from __future__ import annotations

from datetime import datetime

from reconciler.views.doing import MAINTENANCE
from tui.core import states
from tui.core.fmt import age, clock, count, span, units
from tui.core.model import Holder, LockDetail, LockRow, LockState, Snapshot, Waiter
from tui.show.layout import BLANK, Column, Line, Span, fit
from tui.show.words import NONE, field, fields, heading

COLUMNS = (
    Column(key="state", title="STATE", width=11),
    Column(key="kind", title="KIND", width=5, drop=2),
    Column(key="lock", title="LOCK", width=16, flex=5, middle=True),
    Column(key="held", title="HELD", width=5, right=True, drop=1),
    Column(key="holder", title="HOLDER", width=14, flex=4, middle=True),
    Column(key="for", title="FOR", width=6, right=True),
    Column(key="queue", title="QUEUE", width=5, right=True),
    Column(key="next", title="NEXT", width=12, flex=2, drop=3, middle=True),
)
SORTS = ("", "lock", "for", "queue", "holder")
_KINDS = {"Mutex": "mutex", "ConfigMap": "sema", "Policy": "group", "Infrastructure": "infra", "Constraint": "units"}
KIND_WORDS = {"Mutex": "mutex", "ConfigMap": "semaphore", "Policy": "concurrency policy"}
SHOWN_NEXT = 8
SHOWN_HISTORY = 8


def short_kind(kind: str) -> str:
    """A lock's kind in at most five letters."""
    return _KINDS.get(kind, kind.lower()[:5])


def lock_name(row: LockRow) -> str:
    """How a lock is called on a list: its name, with a namespace other than `default`."""
    return row.name if row.namespace == "default" else f"{row.namespace}/{row.name}"


def holder_text(row: LockRow) -> str:
    """The oldest holder, and how many more there are."""
    if not row.holders:
        return NONE
    more = 0 if row.holders[0].verdict == MAINTENANCE else row.held - 1
    return row.holders[0].label + (f" +{more}" if more > 0 else "")


def next_text(row: LockRow) -> str:
    """The head of the queue."""
    if row.next_run is None:
        return NONE
    return f"{row.next_run.name}/{row.next_node}" if row.next_node else row.next_run.name


def cells(row: LockRow, now: datetime) -> tuple[Span, ...]:
    """One for each of COLUMNS."""
    shown = states.of(row.state)
    quiet = "muted" if row.state is LockState.FREE else ""
    return (
        (f"{shown.glyph} {shown.word}", shown.style),
        (short_kind(row.kind), "muted"),
        (lock_name(row), quiet or "strong"),
        (units(row.held, row.capacity), quiet),
        (holder_text(row), quiet),
        (age(row.since, now), "alarm" if row.state is LockState.STUCK else quiet),
        (str(row.queue_length) if row.queue_length else NONE, "" if row.queue_length else "muted"),
        (next_text(row), quiet or "muted"),
    )


def counts(snapshot: Snapshot, now: datetime, *, wide: bool) -> Line:
    """How many locks are in each state, and how long the longest wait is."""
    found: list[Span] = []
    for state in (LockState.STUCK, LockState.CONTENDED, LockState.HELD, LockState.FREE):
        number = sum(1 for row in snapshot.locks if row.state is state)
        shown = states.of(state)
        if number or wide:
            found.append((f"{shown.glyph} {number} {shown.word}   ", shown.style if number else "muted"))
    oldest = min((row.waiting_since for row in snapshot.locks if row.waiting_since is not None), default=None)
    waiting = snapshot.waiting_total
    if wide:
        found.append((f"{count(waiting, 'run')} waiting" + (f", oldest {age(oldest, now)}" if oldest else ""), "muted"))
    return tuple(found)


EMPTY: tuple[Line, ...] = (
    ((" No lock was ever asked for.", "strong"),),
    ((" A lock appears here when a run asks for it: push a Workflow with `synchronization`.", "muted"),),
    ((" 5 opens Git, 2 the runs.", "muted"),),
)


def nothing_matches(what: str, filter_text: str, hidden: int) -> tuple[Line, ...]:
    """What a list says that a filter has emptied."""
    return (
        ((f" No {what} match ", "strong"), (f"`{filter_text}`", "key"), (".", "strong")),
        ((f" esc clears the filter ({hidden:,} hidden).", "muted"),),
    )


# one lock


def summary(row: LockRow) -> Line:
    """State, kind and limit in one line."""
    shown = states.of(row.state)
    kind = KIND_WORDS.get(row.kind, row.kind)
    limit = "limit ?" if row.capacity is None else f"limit {row.capacity}"
    return (
        (f" {shown.glyph} {shown.word} ", shown.style),
        (f" {kind}   {limit}   held {row.held}   ns {row.namespace}", "muted"),
    )


def row_lines(row: LockRow, now: datetime, width: int) -> tuple[Line, ...]:
    """What the row alone can tell, until its detail is read."""
    holders = tuple(line for holder in row.holders for line in holder_lines(holder, now, width))
    return (summary(row), BLANK, *(holders or (_free(row),)))


def _free(row: LockRow) -> Line:
    return ((" Nobody holds it." if not row.queue_length else " Nobody holds it, and somebody waits.", "muted"),)


def holder_lines(holder: Holder, now: datetime, width: int) -> tuple[Line, ...]:
    """One holder: who, since when, what it does, and why it is thought stuck or not."""
    look = "alarm" if holder.is_stuck else "strong"
    found = [
        field("holder", (holder.label, look)),
        field("held", (f"{age(holder.since, now)}", look), (f"   since {clock(holder.since, now)}   #{holder.epoch}", "muted")),
        *fields("verdict", f"{holder.verdict}: {holder.evidence}" if holder.evidence else holder.verdict, width,
                "alarm" if holder.is_stuck else ""),
    ]  # fmt: skip
    if holder.doing:
        found += fields("", f"it {holder.doing}", width, "muted")
    return tuple(found)


def detail_lines(detail: LockDetail, now: datetime, width: int) -> tuple[Line, ...]:
    """The pane beside the list: holders, who is next, what helps."""
    row = detail.row
    found: list[Line] = [summary(row), BLANK]
    for holder in detail.holders[:3]:
        found += holder_lines(holder, now, width)
    if len(detail.holders) > 3:
        found.append(field("", (f"and {count(len(detail.holders) - 3, 'holder')} more", "muted")))
    if not detail.holders:
        found.append(_free(row))
    found += _limits(detail, width)
    if detail.median_hold is not None and detail.holders:
        found.append(field("usually", (f"held for {span(detail.median_hold)}", "muted")))
    shown = detail.queue[:SHOWN_NEXT]
    if shown:
        found += [BLANK, heading("NEXT IN LINE", f"{row.queue_length} waiting"), *queue_lines(shown, now, width)]
        if row.queue_length > len(shown):
            found.append(((f"    … {row.queue_length - len(shown):,} more  (enter shows the queue)", "muted"),))
    return tuple([*found, BLANK, *_helps(detail, width)] if detail.actions or detail.released_when else found)


def _limits(detail: LockDetail, width: int) -> list[Line]:
    found: list[Line] = []
    if detail.limit_trouble:
        found += fields("limit", detail.limit_trouble, width, "blocked")
    elif detail.limit_source:
        found += fields("limit", f"from {detail.limit_source}", width, "muted")
    if detail.held_back:
        found += fields("held back", detail.held_back, width, "blocked")
    return found


def _helps(detail: LockDetail, width: int) -> list[Line]:
    found: list[Line] = []
    if detail.released_when:
        found += fields("released", detail.released_when, width)
    for index, command in enumerate(detail.actions):
        found += fields("you can" if not index else "", command, width, "key")
    return found


def queue_lines(queue: tuple[Waiter, ...], now: datetime, width: int) -> tuple[Line, ...]:
    """Waiters with their place, their wait, and the other locks that they need at once."""
    name = max(12, (width - 16) * 3 // 5)
    found: list[Line] = []
    for waiter in queue:
        also = also_needs(waiter)
        found.append(
            (
                (f" {waiter.position:>2} ", "muted"),
                (fit(waiter.label, name, middle=True), ""),
                (f" {age(waiter.since, now):>6}  ", "muted"),
                *also,
            )
        )
    return tuple(found)


def also_needs(waiter: Waiter) -> Line:
    """The other locks of a claim with the state that they are in: taken ones will stop it at once."""
    if not waiter.also_needs:
        return ((NONE, "muted"),)
    found: list[Span] = []
    for key, state in waiter.also_needs:
        shown = states.of(state)
        look = "ok" if state is LockState.FREE else shown.style
        found.append((f"{key.rpartition('/')[2]} {shown.glyph} ", look))
    return tuple(found)


QUEUE_COLUMNS = (
    Column(key="position", title="#", width=4, right=True),
    Column(key="run", title="RUN", width=16, flex=4, middle=True),
    Column(key="waits", title="WAITS", width=6, right=True),
    Column(key="priority", title="PRI", width=4, right=True, drop=2),
    Column(key="needs", title="ALSO NEEDS", width=12, flex=3, drop=1),
)


def queue_cells(waiter: Waiter, now: datetime) -> tuple[Span, ...]:
    """One for each of QUEUE_COLUMNS."""
    needs = also_needs(waiter)
    worst = next((look for _, look in needs if look not in ("ok", "muted")), "muted")
    return (
        (str(waiter.position), "muted"),
        (waiter.label if waiter.namespace == "default" else f"{waiter.namespace}/{waiter.label}", ""),
        (age(waiter.since, now), ""),
        (str(waiter.priority) if waiter.priority else NONE, "muted"),
        ("".join(text for text, _ in needs).strip(), worst),
    )


def page_lines(detail: LockDetail, now: datetime, width: int) -> tuple[Line, ...]:
    """The page's side: all holders, limits, help, and what happened last."""
    row = detail.row
    found: list[Line] = [summary(row), BLANK]
    for holder in detail.holders:
        found += [*holder_lines(holder, now, width), BLANK]
    if not detail.holders:
        found += [_free(row), BLANK]
    found += _limits(detail, width)
    if detail.median_hold is not None:
        found.append(field("usually", (f"held for {span(detail.median_hold)}", "muted")))
    found += _helps(detail, width)
    if detail.holds:
        found += [BLANK, heading("HELD BEFORE")]
        for hold in detail.holds[:SHOWN_HISTORY]:
            length = (hold.until or now) - hold.since
            who = f"{hold.run}/{hold.node}" if hold.node else hold.run
            when = f" {clock(hold.since, now)}  "
            found.append(((when, "muted"), (f"{span(length):>6}  ", ""), (f"{who}  ", ""), (f"#{hold.epoch}", "muted")))
    if detail.history:
        found += [BLANK, heading("WHAT HAPPENED")]
        found += [
            ((f" {clock(entry.at, now)}  ", "muted"), (f"{entry.kind:<12} ", ""), (entry.text, "muted"))
            for entry in detail.history[:SHOWN_HISTORY]
        ]
    return tuple(found)
