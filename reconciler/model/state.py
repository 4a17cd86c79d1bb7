"""Runs, nodes, attempts and claims as the store holds them. Rows in, values out; nothing here changes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

from reconciler.model.concurrency import PolicyRule

RunId = NewType("RunId", int)
NodeId = NewType("NodeId", int)
ClaimId = NewType("ClaimId", int)
LockId = NewType("LockId", int)


class Phase(StrEnum):
    """Argo's phases of runs and nodes; Skipped and Omitted are for nodes only."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    ERROR = "Error"
    SKIPPED = "Skipped"
    OMITTED = "Omitted"


FINAL = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.ERROR, Phase.SKIPPED, Phase.OMITTED})
GOOD = frozenset({Phase.SUCCEEDED, Phase.SKIPPED})


class Rule(StrEnum):
    """What ended a run, or turned a waiting claim away, other than a person or the run itself; the run's message says more."""

    QUEUE_FULL = "queue-full"
    SUPERSEDED = "superseded"
    WAIT_TIMEOUT = "wait-timeout"
    DEADLOCK = "deadlock"
    HOLD_LIMIT = "hold-limit"
    HOLD_OVER = "hold-over"
    TOO_MANY_NODES = "too-many-nodes"


RULES = frozenset(rule.value for rule in Rule)


class NodeType(StrEnum):
    """Argo's node types that this engine makes."""

    POD = "Pod"
    STEPS = "Steps"
    STEP_GROUP = "StepGroup"
    DAG = "DAG"
    RETRY = "Retry"
    TASK_GROUP = "TaskGroup"
    SKIPPED = "Skipped"
    SUSPEND = "Suspend"
    LOCK = "Lock"


@dataclass(frozen=True, slots=True)
class RunState:
    """One run. Instants are RFC 3339 text in UTC, which sorts; `arguments` are the workflow's resolved parameters.

    `rule` is the concurrency policy that it is under, None if nobody asked for one. `pipeline` is set where it shares a barrier
    with other runs: the first run of its pipeline run.
    """

    id: RunId
    uid: str
    namespace: str
    name: str
    phase: Phase
    message: str
    priority: int
    queue_order: int
    spec_digest: str
    arguments: Mapping[str, str]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    commit_sha: str
    cron: str
    scheduled_at: str | None
    successor_of: RunId | None
    shutdown: str
    ended_by: str
    created_at: str
    started_at: str | None
    finished_at: str | None
    deadline_at: str | None
    suspended: bool = False
    outputs: Mapping[str, str] = field(default_factory=dict)
    rule: PolicyRule | None = None
    pipeline: RunId | None = None

    @property
    def is_final(self) -> bool:
        """True once the run has ended."""
        return self.finished_at is not None

    def is_paused(self, now: str) -> bool:
        """True while nothing of the run may begin: it is suspended, neither asked to end nor past its deadline."""
        return self.suspended and not self.shutdown and (self.deadline_at is None or now < self.deadline_at)

    @property
    def holder(self) -> str:
        """How Argo names it as a holder: NAMESPACE/NAME."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """What a node hands on: its output parameters, and its standard output where somebody reads it."""

    parameters: Mapping[str, str] = field(default_factory=dict)
    result: str | None = None


NO_OUTPUTS = Outputs()


@dataclass(frozen=True, slots=True)
class NodeState:
    """One vertex of a run. `name` lacks the run's own: '' is the root, '[0].build' a step. Id 0: not stored yet.

    `template` is the key of a template. `item_json` is the loop's item, or of a group the items that were decided ('' for none).
    `deadline_at` ends the node, `wake_at` is when it is to be looked at again: the end of a pause. `made` is for groups: how many
    of their calls and turns, in order, have nodes.
    """

    id: NodeId
    parent_id: NodeId | None
    name: str
    display: str
    type: NodeType
    template: str
    phase: Phase
    message: str
    inputs: Mapping[str, str]
    exit_code: int | None
    started_at: str | None
    finished_at: str | None
    deadline_at: str | None
    created_at: str = ""
    outputs: Outputs = NO_OUTPUTS
    item_json: str = ""
    wake_at: str | None = None
    made: int = 0

    @property
    def is_final(self) -> bool:
        """True once the node has ended."""
        return self.phase in FINAL


class AttemptPhase(StrEnum):
    """queued (waits for a slot) -> intended (written down, to be started) -> live -> exited, lost or revoked."""

    QUEUED = "queued"
    INTENDED = "intended"
    LIVE = "live"
    EXITED = "exited"
    LOST = "lost"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class AttemptState:
    """One process of a Pod node. `stop` is '' or the request to end it: 'stop' (with grace) or 'kill'.

    `problem` says why an output that the step owes could not be read. `reserved`: its record was made before it was intended.
    `is_unknown`: while it is active, nothing proves whether its processes live.
    """

    id: int
    run_id: RunId
    node_id: NodeId
    state: AttemptPhase
    stop: str
    exit_code: int | None
    boot_id: str
    outputs: Outputs = NO_OUTPUTS
    problem: str = ""
    reserved: bool = False
    is_unknown: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InfraMapping:
    """Where an infrastructure lock leads: its InfrastructureDefinition, the service, and the resolved fields, by name."""

    definition: str
    service: str
    fields: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ResolvedLock:
    """`units` of one lock of a claim, its name resolved. `values` are the (tag, value) pairs that made the name."""

    key: str
    kind: str
    namespace: str
    name: str
    template: str
    values: tuple[tuple[str, str], ...]
    nested: bool = False
    units: int = 1
    thaws: bool = False  # it is let in although the lock is frozen
    mapping: InfraMapping | None = None


class ClaimPhase(StrEnum):
    """BLOCKED is waiting and ACTIVE is held, in Harness' words."""

    WAITING = "waiting"
    HELD = "held"
    RELEASED = "released"
