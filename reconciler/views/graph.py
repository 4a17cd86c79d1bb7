"""Who waits for whom: the graph over claims, and the cycles in it in which nothing can move. Reads rows, changes nothing.

A waiting claim waits for the holders of each lock that has no room, and behind the waiter before it; a holding claim ends only
after whatever waits inside its run or node. A claim is locked up if it could not go on even if everybody did who can: of a
semaphore's holders only as many have to let go as it lacks. Places in a queue never close a cycle, because an earlier waiter
that waits for the asker's run does not stand in its way. All of it takes time in proportion to the rows, and recurs nowhere.
"""

from __future__ import annotations

from typing import NamedTuple

from reconciler.store import read_history
from reconciler.views.names import node_label

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row
    from collections.abc import Iterable

    from reconciler.store.read import Reader

Spot = tuple[int, int]  # a lock, and the holding claim inside which there are turns; 0 for the lock's own units


class Party(NamedTuple):
    """A claim that is open. `run` and `namespace` are '' if the run is gone, `node` is '' for the whole run."""

    claim: int
    run_id: int
    namespace: str
    run: str
    node: str
    epoch: int | None
    since: str

    @property
    def name(self) -> str:
        """RUN or RUN/NODE."""
        run = self.run or f"(run {self.run_id} is gone)"
        return f"{run}/{self.node}" if self.node else run


class Wait(NamedTuple):
    """One step of a cycle: who waits for which lock, and who holds it."""

    waiter: Party
    key: str
    holder: Party


class Graph:
    """Everybody who holds or waits at one instant. The lists of a spot are in the order of epochs, and of serving."""

    __slots__ = ("holders", "inside", "locks", "parties", "queues", "waits")

    def __init__(self, reader: Reader) -> None:
        held, waiting = read_history.list_open_parties(reader)
        self.locks = {int(row["id"]): row for row in read_history.list_open_locks(reader)}
        self.parties: dict[int, Party] = {}
        self.holders: dict[Spot, list[int]] = {}
        self.queues: dict[Spot, list[int]] = {}
        self.waits: dict[int, list[Spot]] = {}
        for row in held:
            self._add(row, self.holders)
        for row in waiting:
            self.waits.setdefault(row["claim_id"], []).append(self._add(row, self.queues))
        self.inside = _enclosed(held, waiting, read_history.list_enclosing(reader))

    def _add(self, row: Row, lists: dict[Spot, list[int]]) -> Spot:
        claim, spot = int(row["claim_id"]), (int(row["lock_id"]), int(row["nested"]))
        if claim not in self.parties:
            node = "" if row["node"] is None else node_label(row["node"], row["display"])
            run = row["run_id"], row["namespace"] or "", row["run"] or ""
            self.parties[claim] = Party(claim, *run, node, row["epoch"], row["since"])
        lists.setdefault(spot, []).append(claim)
        return spot

    def lacking(self, spot: Spot) -> int:
        """How many holders have to let go before somebody is admitted; 0 where there is room, or a gate that a person opens."""
        lock, inside = spot
        row = self.locks[lock]
        if not inside and (row["held_back"] or not row["capacity"]):
            return 0
        return max(0, len(self.holders.get(spot, ())) - (1 if inside else int(row["capacity"])) + 1)

    def has_room(self, spot: Spot) -> bool:
        """True if the lock, or the turn inside its holder, is free for somebody now."""
        row = self.locks[spot[0]]
        limit = 1 if spot[1] else 0 if row["held_back"] else int(row["capacity"] or 0)
        return len(self.holders.get(spot, ())) < limit

    def cycles(self) -> list[list[Wait]]:
        """One shortest cycle of each knot of claims that are locked up, the oldest claim's first; [] if nobody is."""
        stuck = self._locked_up()
        edges = {claim: self._blockers(claim, stuck) for claim in sorted(stuck)}
        knots = sorted(_knots(edges), key=min)
        return [self._told(_shortest(edges, knot, min(knot))) for knot in knots]

    def cycle_of(self, run_id: int) -> list[Wait]:
        """A cycle of claims that are locked up through this run, which comes first; [] if there is none."""
        stuck = self._locked_up()
        edges = {claim: self._blockers(claim, stuck) for claim in sorted(stuck)}
        own = [claim for claim in edges if self.parties[claim].run_id == run_id and claim in self.waits]
        for knot in _knots(edges):
            for claim in own:
                if claim in knot:
                    return self._told(_shortest(edges, knot, claim))
        return []

    def _blockers(self, claim: int, stuck: set[int]) -> list[int]:
        """The locked-up claims that this one cannot go on before."""
        found = [other for other in self.inside.get(claim, ()) if other in stuck]
        for spot in self.waits.get(claim, ()):
            if self.lacking(spot):
                holders = [other for other in self.holders[spot] if other in stuck]
                if len(self.holders[spot]) - len(holders) < self.lacking(spot):
                    found += holders
        return found

    def _locked_up(self) -> set[int]:
        """The claims that could not go on although everybody does who can; places in queues are left out of account."""
        lacking = {spot: self.lacking(spot) for spot in self.queues}
        needs = {claim: sum(1 for spot in spots if lacking[spot]) for claim, spots in self.waits.items()}
        spots_of: dict[int, list[Spot]] = {}
        for spot, need in lacking.items():
            for claim in self.holders.get(spot, ()) if need else ():
                spots_of.setdefault(claim, []).append(spot)
        around: dict[int, list[int]] = {}
        for holder, waiting in self.inside.items():
            needs[holder] = len(waiting)
            for claim in waiting:
                around.setdefault(claim, []).append(holder)
        todo = [claim for claim in self.parties if not needs.get(claim, 0)]
        stuck = {claim for claim, need in needs.items() if need}
        while todo:
            claim = todo.pop()
            freed = list(around.get(claim, ()))
            for spot in spots_of.get(claim, ()):
                lacking[spot] -= 1
                if lacking[spot] == 0:
                    freed += self.queues[spot]
            for other in freed:
                needs[other] -= 1
                if needs[other] == 0:
                    stuck.discard(other)
                    todo.append(other)
        return stuck

    def _told(self, claims: list[int]) -> list[Wait]:
        """The cycle as who waits for which lock of whom; steps from a holder to what waits inside it are not told."""
        at = next(index for index, claim in enumerate(claims) if claim in self.waits)
        turned = claims[at:] + claims[:at]
        found = []
        for claim, after in zip(turned, turned[1:] + turned[:1], strict=True):
            spot = next((spot for spot in self.waits.get(claim, ()) if after in self.holders.get(spot, ())), None)
            if spot is not None:
                found.append(Wait(self.parties[claim], self.locks[spot[0]]["key"], self.parties[after]))
        return found


def _enclosed(held: list[Row], waiting: list[Row], parents: dict[int, int | None]) -> dict[int, list[int]]:
    """By holding claim, the claims that wait inside its run or node, each once."""
    of_run: dict[int, list[int]] = {}
    of_node: dict[int, int] = {}
    for claim, run, node in {(row["claim_id"], row["run_id"], row["node_id"]) for row in held}:
        if node is None:
            of_run.setdefault(run, []).append(claim)
        else:
            of_node[node] = claim
    found: dict[int, list[int]] = {}
    for claim, run, node in sorted({(row["claim_id"], row["run_id"], row["node_id"] or 0) for row in waiting}):
        for holder in of_run.get(run, ()):
            found.setdefault(holder, []).append(claim)
        above = parents.get(node)
        while above is not None:
            if above in of_node:
                found.setdefault(of_node[above], []).append(claim)
            above = parents.get(above)
    return found


def _knots(edges: dict[int, list[int]]) -> list[set[int]]:
    """The strongly connected parts in which there is a cycle: Tarjan's way, with a stack of its own instead of recursion."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    path: list[int] = []
    on_path: set[int] = set()
    found = []
    for root, first in edges.items():
        todo = [] if root in index else [(root, iter(first))]
        while todo:
            vertex, after = todo[-1]
            if vertex not in index:
                index[vertex] = low[vertex] = len(index)
                path.append(vertex)
                on_path.add(vertex)
            fresh = next((other for other in after if _is_fresh(other, vertex, index, low, on_path)), None)
            if fresh is not None:
                todo.append((fresh, iter(edges[fresh])))
                continue
            todo.pop()
            if todo:
                low[todo[-1][0]] = min(low[todo[-1][0]], low[vertex])
            if low[vertex] == index[vertex]:
                at = _last(path, vertex)
                knot = set(path[at:])
                del path[at:]
                on_path -= knot
                if len(knot) > 1:
                    found.append(knot)
    return found


def _is_fresh(other: int, vertex: int, index: dict[int, int], low: dict[int, int], on_path: set[int]) -> bool:
    """True if `other` was never looked at; else what is known of it is noted for `vertex`."""
    if other not in index:
        return True
    if other in on_path:
        low[vertex] = min(low[vertex], index[other])
    return False


def _last(path: list[int], vertex: int) -> int:
    at = len(path) - 1
    while path[at] != vertex:
        at -= 1
    return at


def _shortest(edges: dict[int, list[int]], knot: set[int], start: int) -> list[int]:
    """The shortest way from `start` back to it within its knot."""
    before: dict[int, int] = {}
    level = [start]
    while start not in before:
        following = []
        for vertex in level:
            for other in edges[vertex]:
                if other in knot and other not in before:
                    before[other] = vertex
                    following.append(other)
        level = following
    way = [before[start]]
    while way[-1] != start:
        way.append(before[way[-1]])
    return way[::-1]


def sentences(cycle: Iterable[Wait]) -> list[str]:
    """`RUN waits for LOCK, held by RUN`, one for each step of a cycle."""
    return [f"{wait.waiter.run} waits for {wait.key}, held by {wait.holder.run}" for wait in cycle]


def find_cycle(reader: Reader, row: Row) -> list[str]:
    """A cycle of runs through the run of this row, which comes first, one sentence for each wait; [] if there is none."""
    if not read_history.holds_anything(reader, row["id"]):
        return []
    return sentences(Graph(reader).cycle_of(row["id"]))
