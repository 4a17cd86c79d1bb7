"""Draws who waits for whom: as data, as text with the cycles first, and in Graphviz' language. Finds nothing by itself."""

from __future__ import annotations

from reconciler.model.whole import shown_units
from reconciler.views.clean import clean
from reconciler.views.graph import sentences
from reconciler.views.instants import age

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from reconciler.locks.deadlock import Spot
    from reconciler.views.graph import Graph, Party, Wait

_SHOWN_HOLDERS = 3
_DEEPEST = 20
_STYLES = {"held": "solid", "behind": "dashed", "inside": "dotted", "barrier": "bold"}


class Drawing:
    """A graph as data, text or DOT; only locks of `namespace` are drawn (None: all), cycles always."""

    __slots__ = ("_cycle_of", "_drawn", "_graph", "_now_s", "_spots", "cycles")

    def __init__(self, graph: Graph, namespace: str | None, now_s: float) -> None:
        self._graph, self._now_s = graph, now_s
        self.cycles = graph.cycles()
        self._cycle_of: dict[int, int] = {}
        for number, cycle in enumerate(self.cycles, 1):
            for wait in cycle:
                self._cycle_of |= {wait.waiter.claim: number, wait.holder.claim: number}
        order = {lock: place for place, lock in enumerate(graph.locks)}
        wanted = [spot for spot in graph.queues if namespace in (None, graph.locks[spot[0]]["namespace"])]
        self._spots = sorted(wanted, key=lambda spot: (order[spot[0]], spot[1]))
        self._drawn: set[Spot] = set()

    def graph_object(self) -> dict[str, Any]:
        """Claims as nodes, and edges from who waits to what it waits for.

        `held` leads to a holder of the lock, `behind` to the waiter just before, `inside` from a holder to what waits inside it,
        `barrier` from who waits at one to the waits of those who have not come. A claim below 0 is a wait at a barrier.
        """
        edges = list(self._edges())
        named = sorted({claim for edge in edges for claim in edge[:2]})
        return {
            "kind": "LockGraph",
            "cycles": [
                {"runs": list(dict.fromkeys(w.waiter.run for w in cycle)), "waits": sentences(cycle), "next": remedies(cycle)}
                for cycle in self.cycles
            ],
            "nodes": [self._node(self._graph.parties[claim]) for claim in named],
            "edges": [{"from": start, "to": end, "kind": kind, "lock": key} for start, end, kind, key in edges],
        }

    def _node(self, party: Party) -> dict[str, Any]:
        state = "held" if party.epoch is not None else "waiting"
        return party._asdict() | {"state": state, "cycle": self._cycle_of.get(party.claim)}

    def _edges(self) -> Iterator[tuple[int, int, str, str]]:
        graph, seen = self._graph, set()
        for spot in self._spots:
            key, queue = str(graph.locks[spot[0]]["key"]), graph.queues[spot]
            holders = graph.holders.get(spot, []) if graph.is_full(spot) else []
            seen.update(queue)
            for place, claim in enumerate(queue):
                yield from ((claim, holder, "held", key) for holder in holders)
                if place:
                    yield claim, queue[place - 1], "behind", key
        for claim in sorted(claim for claim in graph.waits if claim < 0):
            seen.add(claim)
            for spot in graph.waits[claim]:
                yield from ((claim, other, "barrier", str(graph.locks[spot[0]]["key"])) for other in graph.holders[spot])
        for holder, inner in sorted(graph.inside.items()):
            yield from ((holder, claim, "inside", "") for claim in inner if claim in seen)

    def dot(self) -> str:
        """The same in Graphviz' language; what is in a cycle is red."""
        edges = list(self._edges())
        lines = ["digraph locks {", "  rankdir=LR;", "  node [shape=box];"]
        for claim in sorted({claim for edge in edges for claim in edge[:2]}):
            party = self._graph.parties[claim]
            what = f"epoch {party.epoch}" if party.epoch is not None else f"waits {age(party.since, self._now_s)}"
            red = ", color=red" if claim in self._cycle_of else ""
            lines.append(f'  {_vertex(claim)} [label="{_quoted(party.name)}\\n{what}"{red}];')
        for start, end, kind, key in edges:
            red = ", color=red" if kind != "behind" and {start, end} <= self._cycle_of.keys() else ""
            lines.append(f'  {_vertex(start)} -> {_vertex(end)} [label="{_quoted(key or kind)}", style={_STYLES[kind]}{red}];')
        return "\n".join([*lines, "}"]) + "\n"

    def text(self, limit: int) -> str:
        """Cycles first; then each lock that is waited for, with holders and queue; below a waiter the locks that it holds itself.

        At most `limit` waiters of a lock are shown, 0 means all.
        """
        lines = []
        for number, cycle in enumerate(self.cycles, 1):
            lines.append(f"Cycle {number}: these wait for one another; nothing in it moves until one of them is stopped")
            lines += [f"  {sentence}" for sentence in sentences(cycle)]
            lines += ["What you can do, gentle ways first:", *(f"  {command}" for command in remedies(cycle)), ""]
        held_by: dict[int, list[Spot]] = {}
        waiting = {self._graph.parties[claim].run_id for claim in self._graph.waits}
        for spot in self._spots:
            for claim in self._graph.holders.get(spot, ()):
                held_by.setdefault(self._graph.parties[claim].run_id, []).append(spot)
        first = [spot for spot in self._spots if not self._runs(spot) & waiting]
        for root in [*first, *self._spots]:
            if root not in self._drawn:
                lines += self._tree(root, held_by, limit)
        lines += self._at_barriers()
        return "".join(clean(line) + "\n" for line in lines) or "Nobody waits for a lock.\n"

    def _at_barriers(self) -> list[str]:
        lines = []
        for claim in sorted((claim for claim in self._graph.waits if claim < 0), reverse=True):
            party, spots = self._graph.parties[claim], self._graph.waits[claim]
            key = self._graph.locks[spots[0][0]]["key"] if spots else "?"
            told = f"since {age(party.since, self._now_s)}{self._mark(claim)}"
            lines.append(f'{party.name} waits at barrier "{key}" for {len(spots)} more, {told}')
        return lines

    def _runs(self, spot: Spot) -> set[int]:
        return {self._graph.parties[claim].run_id for claim in self._graph.holders.get(spot, ())}

    def _tree(self, root: Spot, held_by: dict[int, list[Spot]], limit: int) -> list[str]:
        lines: list[str] = []
        todo: list[tuple[int, Spot | str]] = [(0, root)]
        while todo:
            depth, item = todo.pop()
            if isinstance(item, str):
                lines.append("  " * min(depth, _DEEPEST) + item)
                continue
            again = item in self._drawn
            lines.append("  " * min(depth, _DEEPEST) + self._lock(item, again=again))
            if again:
                continue
            self._drawn.add(item)
            todo += reversed(self._queue(item, depth + 1, held_by, limit))
        return lines

    def _queue(self, spot: Spot, depth: int, held_by: dict[int, list[Spot]], limit: int) -> list[tuple[int, Spot | str]]:
        """The waiters as lines at a depth, each followed by the locks that its run holds."""
        queue = self._graph.queues[spot]
        shown = queue[: limit or len(queue)]
        found: list[tuple[int, Spot | str]] = []
        for place, claim in enumerate(shown, 1):
            party = self._graph.parties[claim]
            since = f"since {age(party.since, self._now_s)}{self._mark(claim)}"
            found.append((depth, f"{place}. {self._who(party, spot)} waits, {since}"))
            found += [(depth + 1, other) for other in held_by.get(party.run_id, ()) if other != spot]
        if len(queue) > len(shown):
            found.append((depth, f"and {len(queue) - len(shown)} more; --limit 0 shows all"))
        return found

    def _lock(self, spot: Spot, *, again: bool) -> str:
        row, holders = self._graph.locks[spot[0]], self._graph.holders.get(spot, [])
        name = f"a turn with {row['key']}" if spot[1] else f"{row['key']}"
        if again:
            return f"{name}: see above"
        limit = 1 if spot[1] else "?" if row["capacity"] is None else row["capacity"]
        shown = ", ".join(self._holder(self._graph.parties[claim], spot) for claim in holders[:_SHOWN_HOLDERS])
        more = f" and {len(holders) - _SHOWN_HOLDERS} more" if len(holders) > _SHOWN_HOLDERS else ""
        closed = "; held back until `lineclear unhold`" if row["held_back"] else "; closed: its limit is 0" if limit == 0 else ""
        return f"{name} ({self._shown(spot)}/{limit}) held by {shown or 'nobody'}{more}{closed}"

    def _shown(self, spot: Spot) -> int:
        """The units that are taken; of a lock that is held whole all that there are."""
        return shown_units(self._graph.held(spot), self._graph.locks[spot[0]]["capacity"])

    def _holder(self, party: Party, spot: Spot) -> str:
        return f"{self._who(party, spot)} (epoch {party.epoch}, since {age(party.since, self._now_s)}{self._mark(party.claim)})"

    def _who(self, party: Party, spot: Spot) -> str:
        is_near = party.namespace in ("", self._graph.locks[spot[0]]["namespace"])
        return party.name if is_near else f"{party.namespace}/{party.name}"

    def _mark(self, claim: int) -> str:
        return f", in cycle {self._cycle_of[claim]}" if claim in self._cycle_of else ""


def remedies(cycle: list[Wait]) -> list[str]:
    """Commands that a person may use on a cycle: look first; then end one run, the one with the latest grant first."""
    latest = sorted(cycle, key=lambda wait: -(wait.holder.epoch or 0))
    runs = dict.fromkeys((wait.holder.run, wait.holder.namespace) for wait in latest)
    words = [run if namespace == "default" else f"{run} -n {namespace}" for run, namespace in runs]
    return [f"lineclear why {words[0]}", *(f"lineclear stop {word}" for word in words)]


def _vertex(claim: int) -> str:
    return f"c{claim}" if claim > 0 else f"b{-claim}"


def _quoted(text: str) -> str:
    return clean(text).replace("\\", "\\\\").replace('"', '\\"')
