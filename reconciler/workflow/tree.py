"""The nodes of one run as a decision sees them: stored ones, and over them what the decision has changed so far.

`Stored` is what the store provides: each look-up costs one indexed read, so a decision costs what changed, not what exists. What
was read is kept as long as the decision lives, for nobody else changes it meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from heapq import merge
from itertools import chain
from typing import NamedTuple, Protocol

from reconciler.model.barrier import BarrierNews, Standing
from reconciler.model.plan import ClaimEnd, ClaimRequest, NewNode, NodeUpdate, RunPlan, RunUpdate
from reconciler.model.state import FINAL, AttemptState, ClaimPhase, NodeId, NodeState, NodeType, Outputs, Phase

BAD = (Phase.FAILED, Phase.ERROR)
_AT_ONCE = 8  # unfinished children that are read together: mostly the first of them is enough


class BadChild(NamedTuple):
    """A child that ended Failed or Error. `began`: a process was asked for."""

    id: NodeId
    name: str
    display: str
    type: NodeType
    phase: Phase
    message: str
    began: bool


class Stored(Protocol):
    """Read access to one run's rows."""

    def node(self, name: str) -> NodeState | None:
        """The node of that name (less the run's), or None."""

    def node_by_id(self, node_id: NodeId) -> NodeState:
        """The node with that id; it exists."""

    def count(self) -> int:
        """How many nodes the run has."""

    def children(self, node_id: NodeId) -> Sequence[NodeState]:
        """All stored children, in order of creation."""

    def last_child(self, node_id: NodeId) -> str | None:
        """The name of the child that was made last."""

    def open_children(self, node_id: NodeId, after: NodeId, limit: int) -> Sequence[tuple[NodeId, str]]:
        """At most `limit` stored children that have not ended, those with an id above `after`, in order of creation."""

    def count_open(self, node_id: NodeId) -> int:
        """How many stored children have not ended."""

    def bad_children(self, node_id: NodeId) -> Iterable[BadChild]:
        """The stored children that ended Failed or Error, in order of creation, read as they are asked for."""

    def child_phases(self, node_id: NodeId) -> Sequence[tuple[str, NodeType, Phase]]:
        """Name, type and phase of all stored children."""

    def unfinished(self, limit: int) -> Sequence[str]:
        """Names of at most `limit` nodes of the run that have not ended, children before parents."""

    def unfinished_nodes(self) -> Iterator[NodeState]:
        """Every stored node of the run that has not ended, read as they are asked for."""

    def failed_pods(self) -> Sequence[NodeState]:
        """Stored Pod nodes that ended Failed or Error."""

    def expanded(self, parent_id: NodeId, name: str) -> Sequence[NodeState]:
        """The stored children that are turns of the loop `name`, and their exit handlers, in order of creation."""

    def config_value(self, namespace: str, name: str, key: str) -> str | None:
        """One value of a live ConfigMap, or None."""

    def barriers(self) -> Mapping[str, Standing]:
        """Where the run stands with each barrier that other runs of its pipeline run have too."""

    def awaited_at(self, barrier: str) -> Sequence[str]:
        """Names of the runs that have not come to a barrier of the run's."""

    def attempt(self, node_id: NodeId) -> AttemptState | None:
        """The attempt of a Pod node, or None if none was queued."""

    def claim(self, node_id: NodeId | None) -> ClaimPhase | None:
        """The open claim of a node, or of the run (None)."""

    def held_keys(self, node_id: NodeId | None) -> Sequence[str]:
        """Keys of the locks that a node (or the run) holds by its own claim."""


class Tree:
    """Stored nodes with the changes of one decision over them; collects the plan."""

    def __init__(self, stored: Stored, now: str) -> None:
        self.stored = stored
        self._now = now
        self._read: dict[str, NodeState | None] = {}
        self._names: dict[NodeId, str] = {}  # of stored nodes that were read
        self._nodes: dict[str, NodeState] = {}  # made or changed
        self._below: dict[str, dict[str, None]] = {}  # node -> its children that were made or changed
        self._parents: dict[str, str | None] = {}  # of the new ones
        self._new: dict[str, NewNode] = {}
        self._new_open: dict[str, int] = {}  # node -> how many of its new children have not ended
        self._waits_for: dict[str, Sequence[tuple[NodeId, str]]] = {}  # node -> the next of its unfinished stored children, read
        self._open: dict[str, int] = {}  # node -> how many of its children have not ended
        self._made: dict[str, dict[str, tuple[NodeType, Phase]]] = {}
        self._updates: dict[str, NodeUpdate] = {}
        self._attempts: dict[str, None] = {}
        self._revoked: list[str] = []
        self._stops: list[tuple[str, str]] = []
        self._claims: dict[str | None, ClaimRequest] = {}
        self._claim_ends: list[ClaimEnd] = []

    # looking -------------------------------------------------------------------------------------------------------

    def get(self, name: str) -> NodeState | None:
        """The node of that name as it will be, or None."""
        found = self._nodes.get(name)
        if found is None:
            found = self._read[name] if name in self._read else self._keep(name, self.stored.node(name))
        return found

    def _keep(self, name: str, node: NodeState | None) -> NodeState | None:
        self._read[name] = node
        if node is not None:
            self._names[node.id] = name
        return node

    def parent(self, node: NodeState) -> NodeState | None:
        """The node that made it; None for the root and the exit handler."""
        above = self._above(node)
        return None if above is None else self.get(above)

    def _above(self, node: NodeState) -> str | None:
        if node.name in self._parents:
            return self._parents[node.name]
        if node.parent_id is None:
            return None
        if node.parent_id not in self._names:
            stored = self.stored.node_by_id(node.parent_id)
            self._keep(stored.name, stored)
        return self._names[node.parent_id]

    def children(self, node: NodeState) -> list[NodeState]:
        """All children as they will be, stored ones first."""
        found = [self._nodes.get(c.name, c) for c in self.stored.children(node.id)] if node.id else []
        return found + self._new_below(node)

    def _new_below(self, node: NodeState) -> list[NodeState]:
        return [self._nodes[name] for name in self._below.get(node.name, ()) if name in self._new]

    def last_child(self, node: NodeState) -> NodeState | None:
        """The child that was made last; None if there is none."""
        new = next((name for name in reversed(self._below.get(node.name, {})) if name in self._new), None)
        name = new if new is not None or not node.id else self.stored.last_child(node.id)
        return None if name is None else self.get(name)

    def made(self, node: NodeState) -> Mapping[str, tuple[NodeType, Phase]]:
        """All children by name, as they will be: one read, however many they are."""
        found = self._made.get(node.name)
        if found is None:
            found = {name: (kind, phase) for name, kind, phase in self.stored.child_phases(node.id)} if node.id else {}
            changed = [self._nodes[name] for name in self._below.get(node.name, ())]
            found.update((n.name, (n.type, n.phase)) for n in changed)
            self._made[node.name] = found
        return found

    def expanded(self, parent: NodeState, name: str) -> list[NodeState]:
        """The children that are turns of the loop `name`, and their exit handlers, stored ones first."""
        found = [self._nodes.get(c.name, c) for c in self.stored.expanded(parent.id, name)] if parent.id else []
        return found + [node for node in self._new_below(parent) if node.name.startswith(f"{name}(")]

    def bad(self, node: NodeState) -> Iterator[BadChild]:
        """The children that will have ended Failed or Error, in order of creation."""
        changed = [self._nodes[name] for name in self._below.get(node.name, ())]
        bad = [child for child in changed if child.phase in BAD]
        before = self.stored.bad_children(node.id) if node.id else ()
        ended = sorted((child for child in bad if child.id), key=lambda child: child.id)
        return chain(
            merge(before, map(self._bad_child, ended), key=lambda child: child.id),
            (self._bad_child(child) for child in bad if not child.id),
        )

    def _bad_child(self, node: NodeState) -> BadChild:
        began = node.type is NodeType.POD and bool(node.id) and self.stored.attempt(node.id) is not None
        return BadChild(node.id, node.name, node.display, node.type, node.phase, node.message, began)

    def count_unfinished(self, node: NodeState) -> int:
        """How many children have not ended."""
        found = self._open.get(node.name)
        if found is None:
            changed = [self._nodes[name] for name in self._below.get(node.name, ())]
            ended = sum(1 for child in changed if child.id and child.is_final)
            stored = self.stored.count_open(node.id) if node.id else 0
            found = self._open[node.name] = stored - ended + self._new_open.get(node.name, 0)
        return found

    def has_unfinished_child(self, node: NodeState) -> bool:
        """True while a child has not ended. However often it is asked, each child is read once."""
        if self._new_open.get(node.name):
            return True
        if not node.id:
            return False
        waiting = self._waits_for.get(node.name) or self.stored.open_children(node.id, NodeId(0), _AT_ONCE)
        while waiting:
            for index, (_, name) in enumerate(waiting):
                if name not in self._nodes or not self._nodes[name].is_final:
                    self._waits_for[node.name] = waiting[index:]
                    return True
            self._waits_for[node.name] = waiting[-1:]
            waiting = self.stored.open_children(node.id, waiting[-1][0], _AT_ONCE)
        return False

    def changed(self) -> list[NodeState]:
        """The nodes that this decision made or changed, as they will be."""
        return list(self._nodes.values())

    def unfinished(self) -> Iterator[NodeState]:
        """The nodes that will not have ended, read as they are asked for."""
        stored = (self._nodes.get(node.name, node) for node in self.stored.unfinished_nodes())
        return (node for node in chain(stored, (self._nodes[name] for name in self._new)) if not node.is_final)

    def is_new(self, node: NodeState) -> bool:
        """True if this decision made the node."""
        return node.name in self._new

    def is_queued(self, node: NodeState) -> bool:
        """True if this decision asked for the node's process."""
        return node.name in self._attempts

    def is_asked(self, name: str) -> bool:
        """True if this decision asked for the node's locks."""
        return name in self._claims

    # changing ------------------------------------------------------------------------------------------------------

    def create(self, new: NewNode) -> NodeState:
        """Adds a node; it has no id until it is stored."""
        node = NodeState(
            NodeId(0), None, new.name, new.display, new.type, new.template, new.phase, new.message, new.inputs,
            None, None, None, None, self._now, new.outputs, new.item_json,
        )  # fmt: skip
        self._parents[new.name], self._new[new.name] = new.parent, new
        if new.parent is not None:
            self._new_open[new.parent] = self._new_open.get(new.parent, 0) + 1
            if new.parent in self._open:
                self._open[new.parent] += 1
        self._set(node)
        return node

    def _set(self, node: NodeState) -> None:
        """The node is so from now on."""
        above = self._above(node)
        self._nodes[node.name] = node
        if above is not None:
            self._below.setdefault(above, {})[node.name] = None
            if above in self._made:
                self._made[above][node.name] = (node.type, node.phase)

    def update(
        self,
        node: NodeState,
        phase: Phase,
        message: str = "",
        exit_code: int | None = None,
        outputs: Outputs | None = None,
        wake_s: float | None = None,
    ) -> NodeState:
        """Moves a node to another phase. `wake_s`: it is to be looked at again then; 0 ends a pause."""
        kept = node.outputs if outputs is None else outputs
        finished = self._now if phase in FINAL else None
        changed = replace(node, phase=phase, message=message, exit_code=exit_code, outputs=kept, finished_at=finished)
        if wake_s == 0:
            changed = replace(changed, wake_at=None)
        if phase in FINAL and not node.is_final:
            self._count_end(node)
        self._set(changed)
        if node.name in self._new:
            new = self._new[node.name]
            wake = new.wake_s if wake_s is None else wake_s or None
            self._new[node.name] = replace(new, phase=phase, message=message, outputs=kept, wake_s=wake)
            return changed
        before = self._update_of(node)
        self._updates[node.name] = replace(
            before,
            phase=phase,
            message=message,
            exit_code=exit_code,
            outputs=before.outputs if outputs is None else outputs,
            wake_s=before.wake_s if wake_s is None else wake_s,
        )
        return changed

    def _update_of(self, node: NodeState) -> NodeUpdate:
        """What is to change about a stored node so far."""
        known = self._updates.get(node.name)
        return known or NodeUpdate(name=node.name, expected=node.phase, phase=node.phase, message=node.message)

    def _count_end(self, node: NodeState) -> None:
        above = self._above(node)
        if above is not None:
            if node.name in self._new:
                self._new_open[above] -= 1
            if above in self._open:
                self._open[above] -= 1

    def note_loops(self, node: NodeState, *, made: int, items: str | None = None) -> NodeState:
        """Notes with a group how many of its calls and turns are made, and what its loops run over (None: as it is)."""
        text = node.item_json if items is None else items
        if (made, text) == (node.made, node.item_json):
            return node
        changed = replace(node, made=made, item_json=text)
        self._set(changed)
        if node.name in self._new:
            self._new[node.name] = replace(self._new[node.name], made=made, item_json=text)
        else:
            before = self._update_of(node)
            self._updates[node.name] = replace(before, made=made, item_json=before.item_json if items is None else items)
        return changed

    def queue_attempt(self, node: NodeState) -> None:
        """Asks for the node's one process."""
        self._attempts[node.name] = None

    def revoke_attempt(self, node: NodeState) -> None:
        """Withdraws a process that was not started."""
        if self._attempts.pop(node.name, 0) == 0:
            self._revoked.append(node.name)

    def stop_attempt(self, node: NodeState, how: str) -> None:
        """Asks for the end of a process that may run."""
        self._stops.append((node.name, how))

    def request(self, claim: ClaimRequest) -> None:
        """Asks for locks."""
        self._claims[claim.node] = claim

    def end_claim(self, node: str | None, reason: str) -> None:
        """Lets locks, or the wait for them, go."""
        if self._claims.pop(node, None) is None:
            self._claim_ends.append(ClaimEnd(node=node, reason=reason))

    def plan(self, run: RunUpdate | None, outputs: Mapping[str, str], barriers: tuple[BarrierNews, ...] = ()) -> RunPlan:
        """Everything collected."""
        return RunPlan(
            new_nodes=tuple(self._new.values()),
            node_updates=tuple(self._updates.values()),
            queue_attempts=tuple(self._attempts),
            revoke_attempts=tuple(self._revoked),
            stop_attempts=tuple(self._stops),
            claims=tuple(self._claims.values()),
            claim_ends=tuple(self._claim_ends),
            barriers=barriers,
            run=run,
            run_outputs=outputs,
        )

