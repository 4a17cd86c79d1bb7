"""The nodes of one run as a decision sees them: stored ones, and over them what the decision has changed so far.

`Stored` is what the store provides: each look-up costs one indexed read, so a decision costs what changed, not what exists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from reconciler.model.barrier import BarrierNews, Standing
from reconciler.model.plan import ClaimEnd, ClaimRequest, NewNode, NodeUpdate, RunPlan, RunUpdate
from reconciler.model.state import FINAL, AttemptState, ClaimPhase, NodeId, NodeState, NodeType, Outputs, Phase


class Stored(Protocol):
    """Read access to one run's rows."""

    def node(self, name: str) -> NodeState | None:
        """The node of that name (less the run's), or None."""

    def node_by_id(self, node_id: NodeId) -> NodeState:
        """The node with that id; it exists."""

    def children(self, node_id: NodeId) -> Sequence[NodeState]:
        """All stored children, in order of creation."""

    def unfinished_children(self, node_id: NodeId, limit: int) -> Sequence[str]:
        """Names of at most `limit` stored children that have not ended."""

    def child_phases(self, node_id: NodeId) -> Sequence[tuple[str, NodeType, Phase]]:
        """Name, type and phase of all stored children."""

    def unfinished(self) -> Sequence[NodeState]:
        """Every stored node of the run that has not ended, children before parents."""

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
        self._nodes: dict[str, NodeState] = {}
        self._parents: dict[str, str | None] = {}
        self._new: dict[str, NewNode] = {}
        self._updates: dict[str, NodeUpdate] = {}
        self._attempts: dict[str, None] = {}
        self._revoked: list[str] = []
        self._stops: list[tuple[str, str]] = []
        self._claims: list[ClaimRequest] = []
        self._claim_ends: list[ClaimEnd] = []

    def get(self, name: str) -> NodeState | None:
        """The node of that name as it will be, or None."""
        return self._nodes.get(name) or self.stored.node(name)

    def parent(self, node: NodeState) -> NodeState | None:
        """The node that made it; None for the root and the exit handler."""
        if node.name in self._parents:
            above = self._parents[node.name]
            return None if above is None else self.get(above)
        if node.parent_id is None:
            return None
        stored = self.stored.node_by_id(node.parent_id)
        return self._nodes.get(stored.name, stored)

    def children(self, node: NodeState) -> list[NodeState]:
        """All children as they will be, stored ones first."""
        found = [self._nodes.get(c.name, c) for c in self.stored.children(node.id)] if node.id else []
        found += [self._nodes[name] for name, above in self._parents.items() if above == node.name]
        return found

    def made(self, node: NodeState) -> dict[str, tuple[NodeType, Phase]]:
        """All children by name, as they will be: one read, however many they are."""
        found = {name: (kind, phase) for name, kind, phase in self.stored.child_phases(node.id)} if node.id else {}
        found.update((name, (n.type, n.phase)) for name, n in self._nodes.items() if name in found)
        new = [self._nodes[name] for name, above in self._parents.items() if above == node.name]
        return found | {n.name: (n.type, n.phase) for n in new}

    def expanded(self, parent: NodeState, name: str) -> list[NodeState]:
        """The children that are turns of the loop `name`, and their exit handlers, stored ones first."""
        found = [self._nodes.get(c.name, c) for c in self.stored.expanded(parent.id, name)] if parent.id else []
        new = [n for n, above in self._parents.items() if above == parent.name and n.startswith(f"{name}(")]
        return found + [self._nodes[n] for n in new]

    def count_unfinished(self, node: NodeState, limit: int) -> int:
        """How many children have not ended; no more than `limit` are counted."""
        found = {name for name, above in self._parents.items() if above == node.name and not self._nodes[name].is_final}
        if node.id:
            ended = sum(1 for update in self._updates if self._nodes[update].is_final)
            names = self.stored.unfinished_children(node.id, limit + ended)
            found.update(name for name in names if name not in self._nodes or not self._nodes[name].is_final)
        return min(limit, len(found))

    def has_unfinished_child(self, node: NodeState) -> bool:
        """True while a child has not ended."""
        if any(above == node.name and not self._nodes[name].is_final for name, above in self._parents.items()):
            return True
        if not node.id:
            return False
        ended = sum(1 for update in self._updates if self._nodes[update].is_final)
        names = self.stored.unfinished_children(node.id, ended + 1)
        return any(name not in self._nodes or not self._nodes[name].is_final for name in names)

    def changed(self) -> list[NodeState]:
        """The nodes that this decision made or changed, as they will be."""
        return list(self._nodes.values())

    def unfinished(self) -> list[NodeState]:
        """The nodes that will not have ended."""
        stored = [self._nodes.get(node.name, node) for node in self.stored.unfinished()]
        return [node for node in (*stored, *(self._nodes[name] for name in self._new)) if not node.is_final]

    def create(self, new: NewNode) -> NodeState:
        """Adds a node; it has no id until it is stored."""
        node = NodeState(
            NodeId(0), None, new.name, new.display, new.type, new.template, new.phase, new.message, new.inputs,
            None, None, None, None, self._now, new.outputs, new.item_json,
        )  # fmt: skip
        self._nodes[new.name], self._parents[new.name], self._new[new.name] = node, new.parent, new
        return node

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
        self._nodes[node.name] = changed
        if node.name in self._new:
            new = self._new[node.name]
            wake = new.wake_s if wake_s is None else wake_s or None
            self._new[node.name] = replace(new, phase=phase, message=message, outputs=kept, wake_s=wake)
            return changed
        before = self._updates.get(node.name)
        self._updates[node.name] = NodeUpdate(
            name=node.name,
            expected=before.expected if before else node.phase,
            phase=phase,
            message=message,
            exit_code=exit_code,
            outputs=outputs if outputs is not None or before is None else before.outputs,
            wake_s=wake_s if wake_s is not None or before is None else before.wake_s,
        )
        return changed

    def keep_items(self, node: NodeState, text: str) -> NodeState:
        """Notes with a node that this decision made what its loops run over."""
        self._new[node.name] = replace(self._new[node.name], item_json=text)
        self._nodes[node.name] = changed = replace(self._nodes[node.name], item_json=text)
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
        self._claims.append(claim)

    def end_claim(self, node: str | None, reason: str) -> None:
        """Lets locks, or the wait for them, go."""
        requested = [claim for claim in self._claims if claim.node == node]
        if requested:
            self._claims.remove(requested[0])
        else:
            self._claim_ends.append(ClaimEnd(node=node, reason=reason))

    def is_new(self, node: NodeState) -> bool:
        """True if this decision made the node."""
        return node.name in self._new

    def is_queued(self, node: NodeState) -> bool:
        """True if this decision asked for the node's process."""
        return node.name in self._attempts

    def is_asked(self, name: str) -> bool:
        """True if this decision asked for the node's locks."""
        return any(claim.node == name for claim in self._claims)

    def plan(self, run: RunUpdate | None, outputs: Mapping[str, str], barriers: tuple[BarrierNews, ...] = ()) -> RunPlan:
        """Everything collected."""
        return RunPlan(
            new_nodes=tuple(self._new.values()),
            node_updates=tuple(self._updates.values()),
            queue_attempts=tuple(self._attempts),
            revoke_attempts=tuple(self._revoked),
            stop_attempts=tuple(self._stops),
            claims=tuple(self._claims),
            claim_ends=tuple(self._claim_ends),
            barriers=barriers,
            run=run,
            run_outputs=outputs,
        )
