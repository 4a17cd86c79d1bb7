"""Who waits for whom: the graph over claims, and the cycles in it in which nothing can move. Reads rows, changes nothing.

A waiting claim waits for the holders of each lock that has no room, and behind the waiter before it; a holding claim ends only
after whatever waits inside its run or node. What is locked up for good is found by `reconciler.locks.deadlock`.
"""

from __future__ import annotations

from typing import NamedTuple

from reconciler.locks.deadlock import Tangle
from reconciler.model.whole import WHOLE
from reconciler.store import read_barriers, read_history
from reconciler.views.names import node_label

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row
    from collections.abc import Iterable
    from typing import Any

    from reconciler.locks.deadlock import Spot
    from reconciler.store.read import Reader


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

    __slots__ = ("holders", "inside", "locks", "parties", "queues", "units", "waits")

    def __init__(self, reader: Reader) -> None:
        held, waiting = read_history.list_open_parties(reader)
        self.locks: dict[int, Any] = {int(row["id"]): row for row in read_history.list_open_locks(reader)}
        self.parties: dict[int, Party] = {}
        self.holders: dict[Spot, list[int]] = {}
        self.queues: dict[Spot, list[int]] = {}
        self.waits: dict[int, list[Spot]] = {}
        self.units: dict[tuple[int, Spot], int] = {}  # what a claim holds, or wants, at a spot
        for row in held:
            self._add(row, self.holders)
        for row in waiting:
            self.waits.setdefault(row["claim_id"], []).append(self._add(row, self.queues))
        parents = read_history.list_enclosing(reader)
        arrived = read_barriers.list_arrived(reader)
        if arrived:
            parents |= read_barriers.list_enclosing_barriers(reader) | {-wait["node_id"]: wait["node_id"] for wait in arrived}
        self.inside = _enclosed(held, waiting, arrived, parents)
        self._add_barriers(reader, arrived)

    def _add_barriers(self, reader: Reader, arrived: list[Row]) -> None:
        """Adds waits at barriers as claims below 0. Who is waited for and does nothing but wait is a lock that its waits hold."""
        for wait in arrived:
            node = node_label(wait["node"], wait["display"])
            party = Party(-wait["id"], wait["run_id"], wait["namespace"], wait["run"], node, None, wait["since"])
            self.parties[party.claim] = party
            self.waits[party.claim] = []
        waits_of: dict[int, list[int]] = {}
        for claim in self.waits:
            waits_of.setdefault(self.parties[claim].run_id, []).append(claim)
        for wait in {wait["id"]: wait for wait in arrived}.values():
            for other in read_barriers.list_awaited(reader, wait):
                spot, held_up = (-other["id"], 0), [] if other["may_go_on"] else waits_of.get(other["run_id"], [])
                self.locks[spot[0]] = {"key": wait["barrier"], "capacity": len(held_up), "held_back": ""}
                self.waits[-wait["id"]].append(spot)
                self.holders[spot] = held_up
                self.units |= {(claim, spot): 1 for claim in (-wait["id"], *held_up)}

    def _add(self, row: Row, lists: dict[Spot, list[int]]) -> Spot:
        claim, spot = int(row["claim_id"]), (int(row["lock_id"]), int(row["nested"]))
        if claim not in self.parties:
            node = "" if row["node"] is None else node_label(row["node"], row["display"])
            run = row["run_id"], row["namespace"] or "", row["run"] or ""
            self.parties[claim] = Party(claim, *run, node, row["epoch"], row["since"])
        lists.setdefault(spot, []).append(claim)
        self.units[claim, spot] = int(row["units"])
        return spot

    def is_full(self, spot: Spot) -> bool:
        """True if a holder has to let go before anybody is admitted; not where a person opens a gate."""
        row = self.locks[spot[0]]
        if not spot[1] and (row["held_back"] or not row["capacity"]) and self.held(spot) < WHOLE:
            return False
        return not self.has_room(spot)

    def has_room(self, spot: Spot) -> bool:
        """True if a unit of the lock, or the turn inside its holder, is free for somebody now."""
        row = self.locks[spot[0]]
        limit = 1 if spot[1] else 0 if row["held_back"] else int(row["capacity"] or 0)
        return self.held(spot) < limit

    def cycles(self) -> list[list[Wait]]:
        """One shortest cycle of each knot of claims that are locked up, the oldest claim's first; [] if nobody is."""
        return [self._told(cycle) for cycle in self._tangle().cycles()]

    def cycle_of(self, run_id: int) -> list[Wait]:
        """A cycle of claims that are locked up through this run, which comes first; [] if there is none."""
        own = [claim for claim in sorted(self.waits) if self.parties[claim].run_id == run_id]
        cycle = self._tangle().cycle_through(own)
        return self._told(cycle) if cycle else []

    def _tangle(self) -> Tangle:
        taken = {spot: self.held(spot) for spot in self.holders}  # once for each: many may wait there
        needs = {
            claim: [(spot, self._lack(claim, spot, taken.get(spot, 0))) for spot in spots] for claim, spots in self.waits.items()
        }
        held = {spot: [(claim, self.units[claim, spot]) for claim in claims] for spot, claims in self.holders.items()}
        return Tangle(needs, held, self.inside)

    def _lack(self, claim: int, spot: Spot, held: int) -> int:
        """How many units have to come free at a spot, of which so many are held, before there is room for this waiter."""
        row = self.locks[spot[0]]
        if self.units[claim, spot] >= WHOLE:
            return held
        if not spot[1] and (row["held_back"] or not row["capacity"]):
            return 0
        return max(0, held + self.units[claim, spot] - (1 if spot[1] else int(row["capacity"])))

    def held(self, spot: Spot) -> int:
        """The units of a spot that are taken."""
        return sum(self.units[claim, spot] for claim in self.holders.get(spot, ()))

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


def _enclosed(
    held: list[Row], waiting: list[Row], arrived: list[Row], parents: dict[int, int | None]
) -> dict[int, list[int]]:
    """By holding claim, what waits inside its run or node, each once; a barrier's wait is a node below the one that waits."""
    of_run: dict[int, list[int]] = {}
    of_node: dict[int, int] = {}
    for claim, run, node in {(row["claim_id"], row["run_id"], row["node_id"]) for row in held}:
        if node is None:
            of_run.setdefault(run, []).append(claim)
        else:
            of_node[node] = claim
    found: dict[int, list[int]] = {}
    inner = {(row["claim_id"], row["run_id"], row["node_id"] or 0) for row in waiting}
    inner |= {(-row["id"], row["run_id"], -row["node_id"]) for row in arrived}
    for claim, run, node in sorted(inner):
        for holder in of_run.get(run, ()):
            found.setdefault(holder, []).append(claim)
        above = parents.get(node)
        while above is not None:
            if above in of_node:
                found.setdefault(of_node[above], []).append(claim)
            above = parents.get(above)
    return found


def sentences(cycle: Iterable[Wait]) -> list[str]:
    """`RUN waits for LOCK, held by RUN`, or `RUN waits at barrier NAME for RUN`, one for each step of a cycle."""
    return [
        f"{wait.waiter.run} waits for {wait.key}, held by {wait.holder.run}"
        if wait.waiter.claim > 0
        else f'{wait.waiter.run} waits at barrier "{wait.key}" for {wait.holder.run}'
        for wait in cycle
    ]


def find_cycle(reader: Reader, row: Row) -> list[str]:
    """A cycle of runs through the run of this row, which comes first, one sentence for each wait; [] if there is none."""
    if not (read_history.holds_anything(reader, row["id"]) or read_barriers.has_barriers(reader, row["id"])):
        return []
    return sentences(Graph(reader).cycle_of(row["id"]))
