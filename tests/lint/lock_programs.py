"""Little programs of workflows that take mutexes, as manifests, and a reference model that tries out all that can happen.

The model knows the admission rule from its words alone: a claim takes all its locks or none; earlier runs come first and nobody
is overtaken, except a waiter that itself waits for the asker's run; a lock of an enclosing holder is a turn inside it.
"""

from __future__ import annotations

from typing import NamedTuple

WAITING, HELD, DONE = "waiting", "held", "done"


class Node(NamedTuple):
    """What it locks, and its groups of nodes one after the other, those of a group side by side; none is a program."""

    locks: frozenset[str]
    groups: tuple[tuple[Node, ...], ...] = ()


def node(locks: str, *groups: tuple[Node, ...]) -> Node:
    """A node that locks each letter."""
    return Node(frozenset(locks), groups)


def manifest(name: str, workflow: Node) -> str:
    """A Workflow: the outermost node's locks are its own, and its only child is the entrypoint."""
    lines = [f"apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {{name: {name}}}\nspec:\n  entrypoint: t0"]
    if workflow.locks:
        lines.append(f"  synchronization: {_block(workflow)}")
    lines.append("  templates:")
    waiting = [workflow.groups[0][0]]
    for number, one in enumerate(waiting):
        lines.append(f"  - name: t{number}")
        if one.locks:
            lines.append(f"    synchronization: {_block(one)}")
        if not one.groups:
            lines.append("    container: {image: host, command: [sh]}")
            continue
        lines.append("    steps:")
        for group in one.groups:
            calls = []
            for child in group:
                calls.append(f"{{name: s{len(waiting)}, template: t{len(waiting)}}}")
                waiting.append(child)
            lines.append(f"    - [{', '.join(calls)}]")
    return "\n".join(lines) + "\n"


def _block(one: Node) -> str:
    return "{mutexes: [" + ", ".join(f"{{name: lock-{lock}}}" for lock in sorted(one.locks)) + "]}"


Spot = tuple[int, tuple[int, ...]]  # a run, and the way down to a node of it: group, child, group, child...
State = tuple[tuple[int, ...], tuple[tuple[Spot, str], ...]]  # the runs as they came; each node begun, as it asked, and how it is


class Model:
    """All states that some runs can come to, whenever each of them starts and however long its programs take."""

    def __init__(self, runs: tuple[Node, ...]) -> None:
        self._runs = runs
        self._nodes: dict[Spot, Node] = {}
        for number, run in enumerate(runs):
            self._add((number, ()), run)

    def _add(self, spot: Spot, one: Node) -> None:
        self._nodes[spot] = one
        for g, group in enumerate(one.groups):
            for c, child in enumerate(group):
                self._add((spot[0], (*spot[1], g, c)), child)

    def finds_deadlock(self, most_states: int = 1_000_000) -> bool:
        """True if there is a state in which nothing runs, all have come, and not all are done."""
        start: State = ((), ())
        seen, todo = {start}, [start]
        while todo:
            came, begun = state = todo.pop()
            following = [self._arrive(state, run) for run in self._next_runs(came)]
            following += [self._go_on(state, spot) for spot, how in begun if how == HELD and self._can_go_on(begun, spot)]
            if not following and any(how != DONE for _, how in begun):
                return True
            todo += [new for new in following if new not in seen]
            seen.update(following)
            assert len(seen) < most_states
        return False

    def _next_runs(self, came: tuple[int, ...]) -> list[int]:
        """The runs that may come; of two of one workflow the first."""
        found: dict[Node, int] = {}
        for number, run in enumerate(self._runs):
            if number not in came:
                found.setdefault(run, number)
        return list(found.values())

    def _arrive(self, state: State, run: int) -> State:
        came, begun = state
        return self._settle((*came, run), {**dict(begun), (run, ()): WAITING})

    def _can_go_on(self, begun: tuple[tuple[Spot, str], ...], spot: Spot) -> bool:
        """True for a program that can end, and for a node that has not begun its first group yet."""
        return not self._nodes[spot].groups or (spot[0], (*spot[1], 0, 0)) not in dict(begun)

    def _go_on(self, state: State, spot: Spot) -> State:
        came, begun = state
        now = dict(begun)
        if self._nodes[spot].groups:
            self._begin(now, spot, 0)
            return self._settle(came, now)
        now[spot] = DONE
        while spot[1]:
            run, way = spot
            spot, group = (run, way[:-2]), way[-2]
            groups = self._nodes[spot].groups
            if any(now[run, (*spot[1], group, c)] != DONE for c in range(len(groups[group]))):
                break
            if group + 1 < len(groups):
                self._begin(now, spot, group + 1)
                break
            now[spot] = DONE
        return self._settle(came, now)

    def _begin(self, now: dict[Spot, str], spot: Spot, group: int) -> None:
        for c in range(len(self._nodes[spot].groups[group])):
            now[spot[0], (*spot[1], group, c)] = WAITING

    def _settle(self, came: tuple[int, ...], now: dict[Spot, str]) -> State:
        """Admits whom the rule admits until that changes nothing."""
        while True:
            asks = {spot: number for number, spot in enumerate(now)}
            queue = sorted((s for s in now if now[s] == WAITING), key=lambda s: (came.index(s[0]), asks[s]))
            admitted = next((spot for spot in queue if self._is_admitted(now, queue, spot)), None)
            if admitted is None:
                return came, self._order(now)
            now[admitted] = HELD

    def _order(self, now: dict[Spot, str]) -> tuple[tuple[Spot, str], ...]:
        """Only the order of those that wait matters."""
        return (
            *sorted(item for item in now.items() if item[1] != WAITING),
            *(item for item in now.items() if item[1] == WAITING),
        )

    def _is_admitted(self, now: dict[Spot, str], queue: list[Spot], spot: Spot) -> bool:
        for lock in self._nodes[spot].locks:
            if self._holder(now, spot, lock) is not None:
                return False
            if any(not self._waits_for(now, queue, other, spot[0]) for other in self._before(queue, spot, lock)):
                return False
        return True

    def _inside(self, spot: Spot, lock: str) -> Spot | None:
        """The nearest enclosing node with the lock: inside it there are only turns."""
        run, way = spot
        while way:
            way = way[:-2]
            if lock in self._nodes[run, way].locks:
                return run, way
        return None

    def _holder(self, now: dict[Spot, str], spot: Spot, lock: str) -> Spot | None:
        """Who has what the claim wants: the lock, or the turn with it."""
        inside = self._inside(spot, lock)
        return next(
            (
                other
                for other, how in now.items()
                if how == HELD and lock in self._nodes[other].locks and self._inside(other, lock) == inside
            ),
            None,
        )

    def _before(self, queue: list[Spot], spot: Spot, lock: str) -> list[Spot]:
        inside = self._inside(spot, lock)
        earlier = queue[: queue.index(spot)]
        return [other for other in earlier if lock in self._nodes[other].locks and self._inside(other, lock) == inside]

    def _waits_for(self, now: dict[Spot, str], queue: list[Spot], spot: Spot, run: int) -> bool:
        """True if that waiter waits, directly or through others, for something that the run holds."""
        seen, todo = {spot}, [spot]
        while todo:
            one = todo.pop()
            reached: set[Spot] = set()
            for lock in self._nodes[one].locks:
                holder = self._holder(now, one, lock)
                if holder is not None and holder[0] == run:
                    return True
                reached.update(other for other in queue if holder is not None and other[0] == holder[0])
                reached.update(self._before(queue, one, lock))
            todo += reached - seen
            seen |= reached
        return False
