"""The filter language and the orders of lists. Pure: rows, a text and an instant in, rows out; nothing is remembered.

Words are found in any column; `field:a,b` wants one of the values in that column, `field>4` and `field<1h` compare numbers and
spans, `!` before a word turns it round, quotes keep blanks together. All must hold. Case never counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Generic, TypeVar

from reconciler.views.instants import parse_span
from tui.core import states
from tui.core.model import CommitRow, CronRow, JournalRow, LockRow, RunRow, Waiter

Row = TypeVar("Row")
Test = Callable[[Row], bool]
_TERM = re.compile(r'(!?)(?:([a-z-]+)([:<>]))?("[^"]*"?|\S+)', re.IGNORECASE)
_OTHER_WORDS = {"blocked": "contended", "active": "held", "idle": "free", "ok": "succeeded", "waits": "waiting"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One word of a filter. `field` is '' for any column; `sign` is ':', '<' or '>'; `values` are in lower case."""

    field: str
    sign: str
    values: tuple[str, ...]
    is_not: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns(Generic[Row]):
    """How one kind of row is searched and ordered: all its text, texts by field, numbers by field, and orders by name."""

    text: Callable[[Row], str]
    fields: Mapping[str, Callable[[Row], str]]
    numbers: Mapping[str, Callable[[Row, datetime], float | None]]
    orders: Mapping[str, Callable[[Row], object]]


@lru_cache(64)
def parse(text: str) -> tuple[Term, ...]:
    """The terms of a filter; never fails: what is no known form is a word."""
    found = []
    for mark, field, sign, word in _TERM.findall(text):
        values = (word.strip('"'),) if word.startswith('"') else tuple(word.split(",")) if field else (word,)
        values = tuple(value.lower() for value in values if value)
        if values:
            found.append(Term(field=field.lower(), sign=sign, values=values, is_not=bool(mark)))
    return tuple(found)


def select(rows: Iterable[Row], text: str, columns: Columns[Row], now: datetime) -> list[Row]:
    """The rows that the filter lets through, in their order; all of them for an empty filter."""
    found, words = list(rows), []
    for term in parse(text):
        test = _field_or_number(term, columns, now)
        if test is None:
            words.append((f"{term.field}{term.sign}{','.join(term.values)}", term.is_not))
        else:
            found = [row for row in found if test(row) != term.is_not]
    if not words:
        return found
    text_of = columns.text
    return [row for row in found if _has(text_of(row), words)]


def _has(text: str, words: list[tuple[str, bool]]) -> bool:
    return all((word in text) != is_not for word, is_not in words)


def order(rows: Iterable[Row], name: str, columns: Columns[Row], *, is_descending: bool = False) -> list[Row]:
    """The rows in one of `columns.orders`; equal ones keep their places. An unknown name changes nothing."""
    by = columns.orders.get(name)
    return list(rows) if by is None else sorted(rows, key=by, reverse=is_descending)  # type: ignore[arg-type]


def completions(text: str, columns: Columns[Row], rows: Sequence[Row], limit: int = 12) -> list[str]:
    """What the last word of a filter could become: names of fields, or values that a field has among the rows."""
    head, _, last = text.rpartition(" ")
    mark, last = ("!", last[1:]) if last.startswith("!") else ("", last)
    lead = f"{head} {mark}" if head else mark
    field, colon, begun = last.partition(":")
    if not colon:
        names = [f"{name}:" for name in columns.fields] + [f"{name}>" for name in columns.numbers]
        return [lead + name for name in names if name.startswith(last.lower())][:limit]
    value_of = columns.fields.get(field.lower())
    if value_of is None:
        return []
    values = sorted({value_of(row) for row in rows} - {""})
    return [f"{lead}{field}:{_quoted(value)}" for value in values if value.lower().startswith(begun.lower())][:limit]


def _quoted(value: str) -> str:
    return f'"{value}"' if " " in value else value


def _field_or_number(term: Term, columns: Columns[Row], now: datetime) -> Test[Row] | None:
    """What a term asks of one column; None for a word that may be in any."""
    text_of = columns.fields.get(term.field) if term.sign == ":" else None
    if text_of is not None:
        return _field_test(text_of, _state_words(term.values) if term.field == "state" else term.values)
    number_of = columns.numbers.get(term.field) if term.sign in ("<", ">") else None
    limit = _number(term.values[0])
    if number_of is not None and limit is not None:
        return _number_test(number_of, limit, now, is_more=term.sign == ">")
    return None


def _field_test(text_of: Callable[[Row], str], values: tuple[str, ...]) -> Test[Row]:
    if len(values) == 1:
        only = values[0]
        return lambda row: only in text_of(row).lower()
    return lambda row: any(value in text_of(row).lower() for value in values)


def _number_test(
    number_of: Callable[[Row, datetime], float | None], limit: float, now: datetime, *, is_more: bool
) -> Test[Row]:
    def test(row: Row) -> bool:
        number = number_of(row, now)
        return number is not None and (number > limit if is_more else number < limit)

    return test


def _state_words(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_OTHER_WORDS.get(value, value) for value in values)


def _number(text: str) -> float | None:
    try:
        return parse_span(text)
    except ValueError:
        return None


def _seconds(since: datetime | None, now: datetime) -> float | None:
    return None if since is None else (now - since).total_seconds()


def _back(instant: datetime | None) -> float:
    """Orders by how long something lasts: the longest first when descending, what has not begun shortest."""
    return float("-inf") if instant is None else -instant.timestamp()


def _run_text(row: RunRow) -> str:
    waits = row.waits_for
    lock = waits.lock if waits is not None else ""
    more = f"{row.namespace}/{row.name} {row.workflow} {row.state} {row.phase} {lock} {row.by} {row.commit} {row.message}"
    return more.lower()


def _lock_text(row: LockRow) -> str:
    holders = " ".join(holder.label for holder in row.holders)
    head = row.next_run.name if row.next_run is not None else ""
    return f"{row.key} {row.kind} {row.name} {row.state} {holders} {head} {row.verdict} {row.evidence}".lower()


def _journal_text(row: JournalRow) -> str:
    return f"{row.kind} {row.actor} {row.namespace}/{row.run} {row.subject} {row.text}".lower()


def _cron_text(row: CronRow) -> str:
    state = "suspended" if row.suspended else "scheduled"
    return f"{row.namespace}/{row.name} {' '.join(row.schedules)} {row.policy} {state} {row.last_decision} {row.stale}".lower()


RUNS: Columns[RunRow] = Columns(
    text=_run_text,
    fields={
        "state": lambda row: row.state,
        "name": lambda row: row.name,
        "ns": lambda row: row.namespace,
        "lock": lambda row: row.waits_for.lock if row.waits_for is not None else "",
        "by": lambda row: row.by,
        "from": lambda row: row.origin,
        "wf": lambda row: row.workflow,
        "cron": lambda row: row.cron,
        "commit": lambda row: row.commit,
        "phase": lambda row: row.phase,
        "message": lambda row: row.message,
    },
    numbers={
        "age": lambda row, now: _seconds(row.created_at, now),
        "waits": lambda row, now: _seconds(row.waits_for.since, now) if row.waits_for is not None else None,
        "position": lambda row, _: row.waits_for.position if row.waits_for is not None else None,
        "priority": lambda row, _: row.priority,
        "holds": lambda row, _: row.holds,
    },
    orders={
        "state": lambda row: states.of(row.state).rank,
        "name": lambda row: row.name,
        "workflow": lambda row: row.workflow,
        "steps": lambda row: (row.nodes_done, row.nodes_total),
        "waits": lambda row: (row.waits_for is None, row.waits_for and (row.waits_for.lock, row.waits_for.position)),
        "age": lambda row: _back(row.created_at),
        "by": lambda row: row.by,
        "priority": lambda row: row.priority,
        "arrival": lambda row: row.id,
    },
)
LOCKS: Columns[LockRow] = Columns(
    text=_lock_text,
    fields={
        "state": lambda row: row.state,
        "kind": lambda row: row.kind,
        "name": lambda row: row.name,
        "ns": lambda row: row.namespace,
        "lock": lambda row: row.key,
        "holder": lambda row: " ".join(holder.label for holder in row.holders),
        "next": lambda row: row.next_run.name if row.next_run is not None else "",
        "verdict": lambda row: row.verdict,
    },
    numbers={
        "age": lambda row, now: _seconds(row.since, now),
        "waits": lambda row, _: row.queue_length,
        "held": lambda row, _: row.held,
        "limit": lambda row, _: row.capacity,
    },
    orders={
        "state": lambda row: (states.of(row.state).rank, -_back(row.since)),
        "kind": lambda row: row.kind,
        "lock": lambda row: row.key,
        "held": lambda row: row.held,
        "holder": lambda row: row.holders[0].label if row.holders else "",
        "for": lambda row: _back(row.since),
        "queue": lambda row: row.queue_length,
        "next": lambda row: row.next_run.name if row.next_run is not None else "",
    },
)
QUEUE: Columns[Waiter] = Columns(
    text=lambda row: f"{row.namespace}/{row.label} {' '.join(key for key, _ in row.also_needs)}".lower(),
    fields={"name": lambda row: row.label, "ns": lambda row: row.namespace},
    numbers={"age": lambda row, now: _seconds(row.since, now), "priority": lambda row, _: row.priority},
    orders={"position": lambda row: row.position},
)
CRONS: Columns[CronRow] = Columns(
    text=_cron_text,
    fields={
        "state": lambda row: "suspended" if row.suspended else "scheduled",
        "name": lambda row: row.name,
        "ns": lambda row: row.namespace,
        "policy": lambda row: row.policy,
        "last": lambda row: row.last_decision,
    },
    numbers={"active": lambda row, _: row.active},
    orders={
        "name": lambda row: (row.namespace, row.name),
        "next": lambda row: (row.next_at is None, row.next_at and row.next_at.timestamp()),
        "last": lambda row: _back(row.last_at),
    },
)
COMMITS: Columns[CommitRow] = Columns(
    text=lambda row: f"{row.sha} {row.author} {row.subject} {row.state} {row.outcome} {row.message}".lower(),
    fields={"state": lambda row: row.state, "by": lambda row: row.author, "commit": lambda row: row.sha},
    numbers={"age": lambda row, now: _seconds(row.seen_at, now)},
    orders={"seen": lambda row: row.id},
)
JOURNAL: Columns[JournalRow] = Columns(
    text=_journal_text,
    fields={
        "kind": lambda row: row.kind,
        "by": lambda row: row.actor,
        "ns": lambda row: row.namespace,
        "name": lambda row: row.run,
        "lock": lambda row: row.subject,
    },
    numbers={"age": lambda row, now: _seconds(row.at, now)},
    orders={"at": lambda row: row.seq},
)
