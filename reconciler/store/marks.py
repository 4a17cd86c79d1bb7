"""What may have to be looked at again before the transaction in hand is committed.

Marks live no longer than the transaction that made them: a tick repeats its passes until none is left and only then commits, so
no mark can be lost in a crash. A sweep (at start, and now and then) marks everything.
"""

from __future__ import annotations

from typing import NamedTuple

from reconciler.model.state import ClaimId, LockId, RunId


class Move(NamedTuple):
    """Something to be counted: a lock 'granted' or 'released', a claim 'refused', a cron's 'tick' with its decision as the key.

    For a lock `since` and `until` are the instants between which it was waited for, or held.
    """

    kind: str
    key: str
    since: str = ""
    until: str = ""
    times: int = 1


class Marks:
    """Runs with their changed nodes, locks to admit to, and whether a slot may be free or wanted."""

    __slots__ = (
        "barriers", "commits", "ended", "locks", "moves", "notices", "retry_blocked", "runs", "slots", "stops", "tangled",
    )  # fmt: skip

    def __init__(self) -> None:
        self.runs: dict[RunId, dict[str, None]] = {}
        self.barriers: dict[tuple[RunId, str], None] = {}  # pipeline run and id: somebody came, failed, or went
        self.locks: dict[LockId, None] = {}
        self.ended: list[RunId] = []
        self.commits: dict[str, None] = {}  # of runs that were made: their trees will be needed
        self.moves: list[Move] = []  # for the counters, if there are any
        self.notices = False  # the outbox changed
        self.slots = False
        self.stops: dict[int, str] = {}  # attempts that were asked to end: a commit that fails does not take that back
        self.retry_blocked = False
        self.tangled: dict[ClaimId, None] = {}  # claims of steps that began to wait: a cycle may have closed

    def run(self, run_id: RunId, *nodes: str) -> None:
        """The run, or these nodes of it, changed."""
        self.runs.setdefault(run_id, {}).update(dict.fromkeys(nodes))

    def lock(self, lock_id: LockId) -> None:
        """Somebody came to the lock's queue or left it, or its limit changed."""
        self.locks[lock_id] = None
        self.retry_blocked = True

    def clear(self) -> None:
        """Forget everything: the transaction was rolled back, or is about to be committed with nothing left."""
        self.runs.clear()
        self.barriers.clear()
        self.locks.clear()
        self.ended.clear()
        self.commits.clear()
        self.moves.clear()
        self.notices = False
        self.slots = False
        self.stops.clear()
        self.retry_blocked = False
        self.tangled.clear()

    def copy(self) -> Marks:
        """The marks as they are now, to come back to."""
        other = Marks()
        other.runs = {run: dict(nodes) for run, nodes in self.runs.items()}
        other.locks, other.ended, other.commits = dict(self.locks), list(self.ended), dict(self.commits)
        other.moves, other.notices = list(self.moves), self.notices
        other.slots, other.retry_blocked = self.slots, self.retry_blocked
        other.tangled, other.barriers, other.stops = dict(self.tangled), dict(self.barriers), dict(self.stops)
        return other

    def is_empty(self) -> bool:
        """True if nothing is left to look at."""
        return not (self.runs or self.locks or self.slots or self.barriers)
