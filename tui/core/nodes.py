"""Makes the tree of a run's nodes: those that there are, and behind them what has not begun. Reads inside its transaction."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

from reconciler.store import read_runs
from reconciler.store.read import Reader
from reconciler.views import waiting
from reconciler.views.expected import Expected, Forecast
from tui.core.instants import instant, instant_or_none
from tui.core.model import NodeRow, Waits

NOT_STARTED = "Not started"
_CALLERS = frozenset({"DAG", "Steps"})
_Rows = dict[int | None, list[Any]]


class Forest:
    """One run's nodes with what they wait for, made into trees from the leaves up."""

    def __init__(self, reader: Reader, row: Any, waits: list[Any], room: waiting.Room) -> None:
        self._run = row
        self._room = room
        self._rows = read_runs.list_nodes(reader, row["id"])
        self._waits: dict[int, list[Any]] = {}
        for wait in waits:
            self._waits.setdefault(wait["node_id"] or 0, []).append(wait)
        is_over = row["finished_at"] is not None
        spec = "{}" if is_over else read_runs.read_spec(reader, row["spec_digest"])
        self._forecast = Forecast(json.loads(spec))
        self._ids = count(-1, -1)

    def trees(self) -> tuple[NodeRow, ...]:
        """The run's own node first, then others that have no parent, then what comes at the end."""
        if not self._rows:
            return () if self._run["finished_at"] is not None else tuple(self._planned(self._forecast.roots(), 0))
        below = self._by_parent()
        depths = _depths(below)
        made: dict[int, NodeRow] = {}
        for row, depth in reversed(depths):
            children = tuple(made[child["id"]] for child in below.get(row["id"], ()))
            if row["type"] in _CALLERS and row["finished_at"] is None:
                known = frozenset(child.name for child in children)
                children += tuple(self._planned(self._forecast.below(row["template"], row["name"], known), depth + 1))
            made[row["id"]] = self._node(row, depth, children)
        roots = tuple(made[row["id"]] for row in below.get(None, ()))
        if self._run["finished_at"] is not None:
            return roots
        return (*roots, *self._planned(self._forecast.at_end(frozenset(root.name for root in roots)), 0))

    def _by_parent(self) -> _Rows:
        known = {row["id"] for row in self._rows}
        below: _Rows = {}
        for row in self._rows:
            below.setdefault(row["parent_id"] if row["parent_id"] in known else None, []).append(row)
        return below

    def _node(self, row: Any, depth: int, children: tuple[NodeRow, ...]) -> NodeRow:
        mine = waiting.waits_at(self._waits, row)
        message = waiting.node_message(self._room, mine, row, self._run["namespace"])
        return NodeRow(
            id=row["id"],
            name=row["name"],
            label=row["display"] or self._run["name"],
            type=row["type"],
            phase=row["phase"],
            message=message,
            template=row["template"],
            depth=depth,
            created_at=instant_or_none(row["created_at"]),
            started_at=instant_or_none(row["started_at"]),
            finished_at=instant_or_none(row["finished_at"]),
            exit_code=row["exit_code"],
            attempt=row["attempt_id"] or 0,
            waits_for=waits_of(self._room, mine),
            children=children,
        )

    def _planned(self, expected: tuple[Expected, ...], depth: int) -> Iterator[NodeRow]:
        for one in expected:
            yield NodeRow(
                id=next(self._ids),
                name=one.name,
                label=one.label or self._run["name"],
                type=one.type,
                phase=NOT_STARTED,
                message=one.after,
                template=one.template,
                depth=depth,
                children=tuple(self._planned(one.children, depth + 1)),
            )


def _depths(below: _Rows) -> list[tuple[Any, int]]:
    """All nodes with their depths, parents before children."""
    found: list[tuple[Any, int]] = []
    stack = [(row, 0) for row in below.get(None, ())]
    while stack:
        row, depth = stack.pop()
        found.append((row, depth))
        stack.extend((child, depth + 1) for child in below.get(row["id"], ()))
    return found


def waits_of(room: waiting.Room, waits: list[Any]) -> Waits | None:
    """What these waiting claims come to: the first lock that stops them."""
    if not waits:
        return None
    first = waiting.blocking(room, waits)
    return Waits(first["key"], room.position(first), instant(first["requested_at"]), len(waits) - 1)
