"""What is to change about one run: the result of a decision, applied by the store in the same transaction.

Nodes are known by name inside a plan, because a new one has no id yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from reconciler.model.barrier import BarrierNews
from reconciler.model.state import NO_OUTPUTS, NodeType, Outputs, Phase, ResolvedLock


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNode:
    """A node to create. `parent` is a name, or None for the root and the exit handler.

    It is to be ended `deadline_s` seconds from now, and to be looked at again after `wake_s`. `made` is for groups: how many of
    their calls and turns, in order, have nodes.
    """

    name: str
    parent: str | None
    display: str
    type: NodeType
    template: str
    phase: Phase
    message: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Outputs = NO_OUTPUTS
    item_json: str = ""
    deadline_s: float | None = None
    wake_s: float | None = None
    made: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeUpdate:
    """A node's next phase; `expected` guards the write. `outputs`, `made` and `item_json` None: as they are.

    `wake_s` seconds from now it is to be looked at again; 0 ends a pause, None leaves it.
    """

    name: str
    expected: Phase
    phase: Phase
    message: str = ""
    exit_code: int | None = None
    outputs: Outputs | None = None
    wake_s: float | None = None
    made: int | None = None
    item_json: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRequest:
    """Locks wanted, all or none. `node` None: the run itself, held until the run lets go. It may wait `wait_limit_s` seconds."""

    node: str | None
    locks: tuple[ResolvedLock, ...]
    wait_limit_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimEnd:
    """A claim of a node (or of the run: None) to release, or to withdraw if it still waits."""

    node: str | None
    reason: str


class Keep(StrEnum):
    """Which workflow-level locks outlive their run: none, all mutexes and semaphores, or those whose policy says so.

    The last two differ in what a lock without a policy of its own does. Infrastructure locks and constraints go at any end,
    unless a policy says otherwise.
    """

    NOTHING = "nothing"
    HOLD = "hold"
    BY_POLICY_OR_HOLD = "policy, else hold"
    BY_POLICY_OR_RELEASE = "policy, else release"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunUpdate:
    """The run's next phase; `keep` says which of its workflow-level locks outlive the end."""

    expected: Phase
    phase: Phase
    message: str = ""
    deadline_s: int | None = None
    ttl_s: int | None = None
    keep: Keep = Keep.NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """All changes to one run, in the order in which they are to be applied.

    A decision that has done enough for one slice stops: `later` are the nodes to take up again, in that order, before any of them
    may end. `sweeps`: all unfinished nodes of the run are to be looked at, slice by slice. `too_much` says which bound of a run
    the next node would exceed: it is to be ended.
    """

    new_nodes: tuple[NewNode, ...] = ()
    node_updates: tuple[NodeUpdate, ...] = ()
    queue_attempts: tuple[str, ...] = ()
    revoke_attempts: tuple[str, ...] = ()
    stop_attempts: tuple[tuple[str, str], ...] = ()
    claims: tuple[ClaimRequest, ...] = ()
    claim_ends: tuple[ClaimEnd, ...] = ()
    barriers: tuple[BarrierNews, ...] = ()
    run: RunUpdate | None = None
    run_outputs: Mapping[str, str] = field(default_factory=dict)
    later: tuple[str, ...] = ()
    sweeps: bool = False
    too_much: str = ""
