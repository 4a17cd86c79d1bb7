"""Claims that are locked up: they could not go on even if everybody did who can. Pure, and on the path of read commands.

A waiting claim needs units to come free at each lock that has no room for it; a holding claim ends only after whatever waits
inside its run or node. Of a semaphore's holders only as many have to let go as the waiter lacks. Places in a queue never close
a cycle, because an earlier waiter that waits for the asker's run does not stand in its way. All of it takes time in proportion
to what it is given, and recurs nowhere.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Spot = tuple[int, int]  # a lock, and the holding claim inside which there are turns; 0 for the lock's own units


class Tangle:
    """Who waits for whom.

    `needs` gives for each waiting claim where it waits and how many units have to come free there, `holders` who holds how many
    units of a spot, `inside` the claims that wait inside a holding one.
    """

    __slots__ = ("_holders", "_inside", "_known", "_needs")

    def __init__(
        self,
        needs: Mapping[int, Sequence[tuple[Spot, int]]],
        holders: Mapping[Spot, Sequence[tuple[int, int]]],
        inside: Mapping[int, Sequence[int]],
    ) -> None:
        self._needs, self._holders, self._inside = needs, holders, inside
        self._known: dict[int, list[int]] | None = None  # the edges, once they were asked for

    def cycles(self) -> list[list[int]]:
        """One shortest cycle of each knot of claims that are locked up, the oldest claim's first; [] if nobody is."""
        edges = self._edges()
        return [_shortest(edges, knot, min(knot)) for knot in sorted(_knots(edges), key=min)]

    def knots(self) -> list[set[int]]:
        """Every knot of claims that wait for one another."""
        return _knots(self._edges())

    def cycle_in(self, knot: set[int], claim: int) -> list[int]:
        """A shortest cycle through a claim of a knot."""
        return _shortest(self._edges(), knot, claim)

    def cycle_through(self, claims: Iterable[int]) -> list[int]:
        """A shortest cycle of locked-up claims through the first of these that is in one; [] if none is."""
        of_claim = {claim: knot for knot in self.knots() for claim in knot}
        first = next((claim for claim in claims if claim in of_claim), None)
        return [] if first is None else self.cycle_in(of_claim[first], first)

    def _edges(self) -> dict[int, list[int]]:
        if self._known is None:
            stuck = self.locked_up()
            self._known = {claim: self._blockers(claim, stuck) for claim in sorted(stuck)}
        return self._known

    def _blockers(self, claim: int, stuck: set[int]) -> list[int]:
        """The locked-up claims that this one cannot go on before."""
        found = [other for other in self._inside.get(claim, ()) if other in stuck]
        for spot, lack in self._needs.get(claim, ()):
            holders = self._holders.get(spot, ())
            if sum(units for other, units in holders if other not in stuck) < lack:
                found += [other for other, _ in holders if other in stuck]
        return found

    def locked_up(self) -> set[int]:
        """The claims that could not go on although everybody does who can."""
        open_needs = {claim: sum(1 for _, lack in needs if lack > 0) for claim, needs in self._needs.items()}
        queues: dict[Spot, list[tuple[int, int]]] = {}  # by spot, (lack, claim), those that lack most first
        for claim, needs in self._needs.items():
            for spot, lack in needs:
                if lack > 0:
                    queues.setdefault(spot, []).append((lack, claim))
        for queue in queues.values():
            queue.sort(reverse=True)
        held: dict[int, list[tuple[Spot, int]]] = {}
        for spot, holders in self._holders.items():
            for claim, units in holders:
                held.setdefault(claim, []).append((spot, units))
        around: dict[int, list[int]] = {}
        for holder, waiting in self._inside.items():
            open_needs[holder] = open_needs.get(holder, 0) + len(waiting)
            for claim in waiting:
                around.setdefault(claim, []).append(holder)
        return _left_over(open_needs, queues, held, around)


def _left_over(
    open_needs: dict[int, int],
    queues: dict[Spot, list[tuple[int, int]]],
    held: dict[int, list[tuple[Spot, int]]],
    around: dict[int, list[int]],
) -> set[int]:
    """Lets everybody go who needs nothing more, again and again; those that are left."""
    stuck = {claim for claim, need in open_needs.items() if need}
    todo = [claim for claim in {*open_needs, *held} if claim not in stuck]
    free: dict[Spot, int] = {}
    while todo:
        claim = todo.pop()
        met = list(around.get(claim, ()))
        for spot, units in held.get(claim, ()):
            free[spot] = free.get(spot, 0) + units
            queue = queues.get(spot, [])
            while queue and queue[-1][0] <= free[spot]:
                met.append(queue.pop()[1])
        for other in met:
            open_needs[other] -= 1
            if open_needs[other] == 0:
                stuck.discard(other)
                todo.append(other)
    return stuck


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
