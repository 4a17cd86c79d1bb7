"""The values that screens show: one immutable snapshot of a home, and the details of one lock, run or commit.

Every instant is an aware datetime in UTC; ages are computed when a line is drawn, never stored. Texts are as the store has
them, from anybody: whatever draws them passes them through `fmt.clean` first. Nothing here reads, writes or draws.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from tui.core.record_model import CommitRow, CronRow, Finding, GitDetail, JournalRow, RunKey, SyncState

__all__ = [
    "Attempt",
    "CommitRow",
    "CronRow",
    "DaemonKind",
    "DaemonState",
    "Failure",
    "Finding",
    "Freshness",
    "FreshnessKind",
    "GitDetail",
    "Hold",
    "Holder",
    "JournalRow",
    "LockDetail",
    "LockRow",
    "LockState",
    "LogChunk",
    "NodeRow",
    "RunDetail",
    "RunKey",
    "RunRow",
    "RunState",
    "Snapshot",
    "SyncState",
    "Unchanged",
    "Waiter",
    "Waits",
]


class LockState(StrEnum):
    """A lock's state in the product's words, most urgent first; `states.of` gives word, glyph and style of each."""

    STUCK = "stuck"
    CONTENDED = "contended"
    HELD = "held"
    FREE = "free"


class RunState(StrEnum):
    """How a run stands, as one word: its phase, made more exact where the phase alone would mislead an operator."""

    HOLDING = "holding"  # ended Failed or Error by itself and keeps locks
    WAITING = "waiting"  # Pending or Running, and some claim of it waits for a lock
    STOPPING = "stopping"  # told to stop or terminate, not ended yet
    SUSPENDED = "suspended"
    RUNNING = "running"
    PENDING = "pending"  # waits for no lock: not begun, or for a slot
    FAILED = "failed"
    ERROR = "error"
    SUCCEEDED = "succeeded"


class FreshnessKind(StrEnum):
    """How current a snapshot is; `states.of` gives word, glyph and style of each."""

    LIVE = "live"
    STALE = "stale"
    OFFLINE = "offline"


class DaemonKind(StrEnum):
    """Whether somebody does the work: RUNS answers and ticks; HUNG is there and does not; NONE is not there."""

    RUNS = "runs"
    HUNG = "hung"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonState:
    """The daemon. `text` is a sentence ('pid 312, version 0.1.0' or why it does not work); `pid` 0 if there is none."""

    kind: DaemonKind
    text: str = ""
    pid: int = 0
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """How old the data is. `cause` says why polling fails ('' while it works), `retry_in` when it is tried again."""

    kind: FreshnessKind
    age: timedelta
    cause: str = ""
    retry_in: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """One claim that holds a unit of a lock. `node` is '' for the whole run; `run` is '' if the run is gone.

    `id` is LOCK#EPOCH. `since` is the grant. `verdict` and `evidence` are as `lineclear locks show` says them; `doing`
    completes 'it ...' and is filled in details only.
    """

    claim: int
    epoch: int
    id: str
    namespace: str
    run: str
    node: str
    phase: str
    since: datetime
    verdict: str
    evidence: str
    is_stuck: bool = False
    doing: str = ""

    @property
    def key(self) -> RunKey:
        """The run that holds it."""
        return RunKey(namespace=self.namespace, name=self.run)

    @property
    def label(self) -> str:
        """RUN or RUN/NODE."""
        return f"{self.run}/{self.node}" if self.node else self.run or "(run is gone)"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockRow:
    """One lock on the list. `key` (as 'default/Mutex/build') is its identity; `name` the short word of it.

    `kind` is 'Mutex', 'ConfigMap' (a semaphore), 'Policy' or another. `capacity` None: never read. `held` counts units in use,
    of whose holders `holders` has the oldest few. `since` is the oldest grant, None if free. `waiting_since` is since when the
    first waiter waits. `next_run` is the head of the queue, None if nobody waits; `next_node` its step, '' for the whole run.
    `verdict` is short ('healthy', 'holding for a failure', ...; '' if free), `evidence` why, both from the server's views.
    """

    key: str
    kind: str
    namespace: str
    name: str
    state: LockState
    capacity: int | None
    held: int
    holders: tuple[Holder, ...] = ()
    since: datetime | None = None
    queue_length: int = 0
    waiting_since: datetime | None = None
    next_run: RunKey | None = None
    next_node: str = ""
    verdict: str = ""
    evidence: str = ""

    @property
    def more_holders(self) -> int:
        """How many holders there are beyond `holders`."""
        return max(0, self.held - len(self.holders))


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiter:
    """One entry of a queue. `position` counts from 1. `also_needs` are (key, state) of the claim's other locks: all or none."""

    position: int
    namespace: str
    run: str
    node: str
    since: datetime
    priority: int
    also_needs: tuple[tuple[str, LockState], ...] = ()

    @property
    def key(self) -> RunKey:
        """The run that waits."""
        return RunKey(namespace=self.namespace, name=self.run)

    @property
    def label(self) -> str:
        """RUN or RUN/NODE."""
        return f"{self.run}/{self.node}" if self.node else self.run


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A stretch of time in which a lock's unit was held; `until` None: it still is."""

    lock: str
    namespace: str
    run: str
    node: str
    epoch: int
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LockDetail:
    """A lock's page. `queue` is the first page of `row.queue_length` waiters. `history` is newest first.

    `limit_source` is where the limit was read ('' for a mutex), `limit_trouble` what is wrong with that. `held_back` is why it
    admits nobody until `unhold`. `median_hold` is of its finished holds (None if there were none); `actions` are commands
    that fit the state, gentle ones first, and `released_when` completes 'it is released ...'.
    """

    row: LockRow
    holders: tuple[Holder, ...]
    queue: tuple[Waiter, ...]
    history: tuple[JournalRow, ...]
    holds: tuple[Hold, ...] = ()
    limit_source: str = ""
    limit_trouble: str = ""
    held_back: str = ""
    median_hold: timedelta | None = None
    released_when: str = ""
    actions: tuple[str, ...] = ()


class Waits(NamedTuple):
    """What a run waits for: the first lock that stops it, and its place in that queue (from 1)."""

    lock: str
    position: int
    since: datetime
    more: int = 0  # how many other locks are waited for at the same time


class RunRow(NamedTuple):
    """One run on the list. `id` is an arrival number: a larger one arrived later.

    A tuple with names, because thousands are made again whenever a queue moves: a tenth of the time that a dataclass takes.

    `workflow` is 'cron/NAME', 'NAME' of the template or workflow, '' for a manifest handed in. `nodes_done`/`nodes_total` count
    steps (processes) made so far. `by` is a person where one is known, else the origin: git, submit, cron or resubmit.
    `commit` is a full hash or ''. `holds` counts locks that it holds now.
    """

    id: int
    namespace: str
    name: str
    phase: str
    state: RunState
    created_at: datetime
    message: str = ""
    workflow: str = ""
    nodes_done: int = 0
    nodes_total: int = 0
    waits_for: Waits | None = None
    holds: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    origin: str = ""
    by: str = ""
    commit: str = ""
    cron: str = ""
    priority: int = 0

    @property
    def key(self) -> RunKey:
        """Its identity."""
        return RunKey(namespace=self.namespace, name=self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One process of a step. `log_path` is absolute, and '' before there is a log; `state` is the store's word."""

    id: int
    node: str
    state: str
    pid: int
    log_path: str
    queued_at: datetime | None
    finished_at: datetime | None
    exit_code: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRow:
    """One vertex of a run's tree, with its children in order. `id` is stable; 0 and below are shown, not stored.

    `type` is Argo's node type and an open set. `label` is what to show, `name` the node's name less the run's, `depth` 0 for the
    root. `waits_for` is the lock that stops this node. `attempt` is the id of its process, 0 if it has none.
    """

    id: int
    name: str
    label: str
    type: str
    phase: str
    message: str = ""
    template: str = ""
    depth: int = 0
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    attempt: int = 0
    waits_for: Waits | None = None
    children: tuple[NodeRow, ...] = ()

    @property
    def is_final(self) -> bool:
        """True once it has ended."""
        return self.finished_at is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDetail:
    """A run's page. `root` holds the nodes that have no parent: the run's own node first, then onExit and the like.

    `why` are the lines that `lineclear why` prints. `parameters` are (name, value). `holds` are LOCK#EPOCH. `actions` are
    commands that fit, gentle ones first. `place` is path:line of the manifest.
    """

    row: RunRow
    root: tuple[NodeRow, ...]
    why: tuple[str, ...]
    parameters: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    holds: tuple[str, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    actions: tuple[str, ...] = ()
    history: tuple[JournalRow, ...] = ()
    place: str = ""
    uid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything that lists show, of one instant of the store.

    `revision` grows with each snapshot that differs from the one before, so equal revisions of one `instance` are equal data.
    `instance` names the database: when it changes, drop whatever is remembered. `locks` come most urgent first, `runs` open
    ones first, then newest; `run_total` may be more than there are rows.
    """

    at: datetime
    revision: int
    instance: str
    daemon: DaemonState
    locks: tuple[LockRow, ...] = ()
    runs: tuple[RunRow, ...] = ()
    run_total: int = 0
    waiting_total: int = 0
    crons: tuple[CronRow, ...] = ()
    sync: SyncState = field(default_factory=SyncState)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchanged:
    """The answer of a poll when nothing was committed: the snapshot with this revision is still right at `at`."""

    at: datetime
    revision: int
    daemon: DaemonState


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A reading that could not be made, as a value: `text` is a sentence for people, `kind` says what to do.

    gone: there is no database; busy: try again; newer: another version of Lineclear wrote it; unreadable: it is damaged or
    not ours to read; missing: the lock or run asked for does not exist (any more); refused: it cannot be done as things are;
    choose: it must be said which one is meant.
    """

    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogChunk:
    """Whole lines of an attempt's log, decoded, uncleaned, without line feeds; `offset` is where to go on from.

    `has_more`: there is more to read at once. `is_ended`: the attempt is over and all of it was read. `begin` is where the
    first of `lines` begins. `skipped` counts bytes left out at the front when only the tail was asked for.
    """

    attempt: int
    lines: tuple[str, ...]
    begin: int
    offset: int
    has_more: bool = False
    is_ended: bool = False
    skipped: int = 0
