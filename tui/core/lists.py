"""Makes the rows of the lists from what the store holds, and makes again only those that differ from the last time.

Everything is read anew in one transaction whenever something was committed: a row is kept if its values are the same. Nothing
here decides what a lock's state is; that comes from `reconciler.views`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from reconciler.store import read_screen as store
from reconciler.store.read import Reader
from reconciler.views.doing import STUCK
from reconciler.views.glance import HolderGlance, LockGlance
from reconciler.views.names import node_label
from tui.core import states
from tui.core.instants import instant, instant_or_none
from tui.core.model import Holder, LockRow, LockState, RunKey, RunRow, RunState, Waits

RUN_LIMIT = 20_000
_FAILED = ("Failed", "Error")
_NO_STEPS = (0, 0)
_Place = tuple[int, int, int, int] | None  # claim, lock id, position, other waits
_Raw = tuple[_Place, tuple[int, int], int]
_Change = tuple[tuple[Any, ...], _Raw, RunRow | None]
_Entry = tuple[tuple[Any, ...], _Raw, RunRow]


class Around(NamedTuple):
    """What else is known of a run: what it waits for, (ended, all) of its processes, how many locks it holds."""

    waits: Waits | None
    steps: tuple[int, int]
    holds: int


class Queues:
    """Who waits where at one instant. `by_run` has (claim, lock id, position) of its waits, `heads` first claims by lock."""

    __slots__ = ("by_run", "claims", "heads", "order")

    def __init__(self, order: list[tuple[int, int]], claims: Mapping[int, tuple[Any, ...]]) -> None:
        self.order = order
        self.claims = claims
        self.by_run: dict[int, list[tuple[int, int, int]]] = {}
        self.heads: dict[int, int] = {}
        position, last = 0, None
        for lock, claim in order:
            position = position + 1 if lock == last else 1
            if position == 1:
                self.heads[lock] = claim
            last = lock
            run = claims[claim][1]
            if run in self.by_run:
                self.by_run[run].append((claim, lock, position))
            else:
                self.by_run[run] = [(claim, lock, position)]

    def blocking(self, run: int, full: frozenset[int]) -> tuple[int, int, int, int] | None:
        """(claim, lock id, position, other waits) of the first lock without room, else of the first; None if it does not wait."""
        waits = self.by_run.get(run)
        if waits is None:
            return None
        if len(waits) == 1:
            claim, lock, position = waits[0]
            return (claim, lock, position, 0)
        waits = sorted(waits)
        first = next((wait for wait in waits if wait[1] in full), waits[0])
        return (*first, len(waits) - 1)


class LockList:
    """Rows of locks; remembers those of the last time."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[LockGlance, tuple[RunKey | None, str], LockRow]] = {}

    def rows(self, glances: Sequence[LockGlance], queues: Queues, runs: Mapping[int, RunKey]) -> tuple[LockRow, ...]:
        """All locks, the most urgent first, of those the one that is held longest."""
        kept = {}
        for glance in glances:
            head = self._head(queues.claims.get(queues.heads.get(glance.id, 0)), runs)
            last = self._kept.get(glance.id)
            same = last is not None and last[0] == glance and last[1] == head
            kept[glance.id] = last if last is not None and same else (glance, head, lock_row(glance, head))
        self._kept = kept
        return tuple(row for _, _, row in sorted(kept.values(), key=_urgency))

    @staticmethod
    def _head(claim: tuple[Any, ...] | None, runs: Mapping[int, RunKey]) -> tuple[RunKey | None, str]:
        if claim is None:
            return (None, "")
        return (runs.get(claim[1]), "" if claim[2] is None else node_label(claim[3] or "", claim[4] or ""))


def _urgency(kept: tuple[LockGlance, tuple[RunKey | None, str], LockRow]) -> tuple[int, str, str]:
    glance, _, row = kept
    return (states.of(row.state).rank, glance.since or "~", glance.key)


def lock_row(glance: LockGlance, head: tuple[RunKey | None, str]) -> LockRow:
    """One lock."""
    return LockRow(
        key=glance.key,
        kind=glance.kind,
        namespace=glance.namespace,
        name=glance.name,
        state=LockState(glance.state),
        capacity=glance.capacity,
        held=glance.held,
        holders=tuple(holder_of(one, glance.key) for one in glance.holders),
        since=instant_or_none(glance.since),
        queue_length=glance.waiting,
        waiting_since=instant_or_none(glance.oldest),
        next_run=head[0],
        next_node=head[1],
        verdict=glance.verdict,
        evidence=glance.evidence,
    )


def holder_of(one: HolderGlance, key: str, doing: str = "") -> Holder:
    """One holder of the lock with this key."""
    return Holder(
        claim=one.claim,
        epoch=one.epoch,
        id=f"{key}#{one.epoch}",
        namespace=one.namespace,
        run=one.run,
        node=one.node,
        phase=one.phase,
        since=instant(one.since),
        verdict=one.verdict,
        evidence=one.evidence,
        is_stuck=one.verdict in STUCK,
        doing=doing,
    )


class RunList:
    """Rows of runs; remembers those of the last time, with what they were made of."""

    def __init__(self, limit: int = RUN_LIMIT) -> None:
        self._limit = limit
        self._kept: dict[int, _Entry] = {}
        self._steps: dict[int, tuple[int, int]] = {}
        self._authors: dict[str, str] = {}
        self._queues = Queues([], {})
        self._since: dict[int, datetime] = {}
        self._around: tuple[Queues, frozenset[int], dict[int, int]] | None = None
        self.keys: dict[int, RunKey] = {}

    def queues(self, reader: Reader) -> Queues:
        """Who waits where: the same value as the last time if nobody moved. Known claims are not read again."""
        order = store.list_queues(reader)
        if order == self._queues.order:
            return self._queues
        known = self._queues.claims
        claims = {claim: known[claim] for _, claim in order if claim in known}
        claims |= {values[0]: values for values in store.list_claims(reader, [one for _, one in order if one not in claims])}
        self._queues = Queues(order, claims)
        self._since = {claim: since for claim, since in self._since.items() if claim in claims}
        return self._queues

    def rows(self, reader: Reader, queues: Queues, glances: Sequence[LockGlance]) -> tuple[RunRow, ...]:
        """Open runs, newest first, then ended ones that keep locks, then the newest of the others."""
        full = frozenset(glance.id for glance in glances if glance.held >= (glance.capacity or 0))
        names = {glance.id: glance.key for glance in glances}
        values = store.list_changing(reader, self._limit)
        held = store.count_held_by_run(reader)
        counted = self._count_steps(reader, values)
        last_time = self._around
        is_calm = last_time is not None and last_time[0] is queues and last_time[1:] == (full, held)
        self._around = (queues, full, held)
        kept: dict[int, _Entry] = {}
        changed: list[_Change] = []
        for one in values:
            run = one[0]
            last = self._kept.get(run)
            if last is not None and is_calm and last[0] == one and run not in counted:
                kept[run] = last
                continue
            around = (queues.blocking(run, full), self._steps.get(run, _NO_STEPS), held.get(run, 0))
            if last is not None and last[0] == one and last[1] == around:
                kept[run] = last
                continue
            changed.append((one, around, None if last is None else last[2]))
        self._make(reader, changed, kept, names)
        if kept.keys() != self._kept.keys():
            self.keys = {run: entry[2].key for run, entry in kept.items()}
            self._steps = {run: steps for run, steps in self._steps.items() if run in kept}
        self._kept = kept
        return tuple([kept[one[0]][2] for one in values])

    def _make(self, reader: Reader, changed: Sequence[_Change], kept: dict[int, _Entry], names: Mapping[int, str]) -> None:
        """Makes the rows of what changed, into `kept`."""
        new = [one[0] for one, _, row in changed if row is None]
        fixed = store.list_fixed(reader, new)
        makers = self._makers(reader, fixed)
        for one, around, row in changed:
            run, waits = one[0], self._waits(around[0], names)
            if row is None:
                made = run_row(one, fixed[run], Around(waits, around[1], around[2]), makers[run])
            else:
                made = _moved(row, one, Around(waits, around[1], around[2]), is_same=self._kept[run][0] == one)
            kept[run] = (one, around, made)

    def _waits(self, place: tuple[int, int, int, int] | None, names: Mapping[int, str]) -> Waits | None:
        if place is None:
            return None
        claim, lock, position, more = place
        since = self._since.get(claim)
        if since is None:
            since = self._since[claim] = instant(self._queues.claims[claim][5])
        return Waits(names.get(lock, "?"), position, since, more)

    def _count_steps(self, reader: Reader, values: Sequence[tuple[Any, ...]]) -> frozenset[int]:
        """Counts again for runs at work and for those that are not what they were; the ids of those that have other counts."""
        wanted = []
        for one in values:
            if one[store.STARTED_AT] is None:
                continue
            last = self._kept.get(one[0]) if one[store.FINISHED_AT] is not None else None
            if last is None or last[0] != one:
                wanted.append(one[0])
        found = store.count_steps(reader, wanted)
        changed = frozenset(run for run, steps in found.items() if self._steps.get(run) != steps)
        self._steps |= found
        return changed

    def _makers(self, reader: Reader, new: Mapping[int, tuple[Any, ...]]) -> dict[int, str]:
        """Who is behind each run that is new to us."""
        if any(one[store.COMMIT] and one[store.COMMIT] not in self._authors for one in new.values()):
            self._authors = store.list_authors(reader)
        asked = [run for run, one in new.items() if one[store.ORIGIN] in ("submit", "resubmit")]
        people = store.find_makers(reader, asked)
        return {run: people.get(run) or _origin_word(one, self._authors) for run, one in new.items()}


def who_made(reader: Reader, run_id: int) -> str:
    """Who is behind a run: a person where one is known, else where it came from."""
    fixed = store.list_fixed(reader, [run_id])
    found = store.find_makers(reader, [run_id]).get(run_id)
    return found or (_origin_word(fixed[run_id], store.list_authors(reader)) if run_id in fixed else "")


def _origin_word(values: tuple[Any, ...], authors: Mapping[str, str]) -> str:
    origin: str = values[store.ORIGIN]
    if origin == "cron" and values[store.CRON]:
        return f"cron/{values[store.CRON]}"
    return (authors.get(values[store.COMMIT], "") if origin == "git" else "") or origin


def run_row(values: tuple[Any, ...], fixed: tuple[Any, ...], around: Around, by: str) -> RunRow:
    """One run from what may change and what never does, as `store.read_screen` names the places."""
    return RunRow(
        id=values[0],
        namespace=fixed[store.NAMESPACE],
        name=fixed[store.NAME],
        phase=values[store.PHASE],
        state=state_of(values, around),
        created_at=instant(fixed[store.CREATED_AT]),
        message=values[store.MESSAGE],
        workflow=_workflow(fixed),
        nodes_done=around.steps[0],
        nodes_total=around.steps[1],
        waits_for=around.waits,
        holds=around.holds,
        started_at=instant_or_none(values[store.STARTED_AT]),
        finished_at=instant_or_none(values[store.FINISHED_AT]),
        origin=fixed[store.ORIGIN],
        by=by,
        commit=fixed[store.COMMIT],
        cron=fixed[store.CRON],
        priority=values[store.PRIORITY],
    )


def _moved(row: RunRow, values: tuple[Any, ...], around: Around, *, is_same: bool) -> RunRow:
    """The row with what is around it now; and, unless `is_same`, with what changed of the run itself."""
    state, (done, total) = state_of(values, around), around.steps
    if is_same:
        return row._replace(state=state, waits_for=around.waits, nodes_done=done, nodes_total=total, holds=around.holds)
    return row._replace(
        phase=values[store.PHASE],
        state=state,
        message=values[store.MESSAGE],
        nodes_done=done,
        nodes_total=total,
        waits_for=around.waits,
        holds=around.holds,
        started_at=instant_or_none(values[store.STARTED_AT]),
        finished_at=instant_or_none(values[store.FINISHED_AT]),
        priority=values[store.PRIORITY],
    )


def _workflow(values: tuple[Any, ...]) -> str:
    if values[store.CRON]:
        return f"cron/{values[store.CRON]}"
    name: str = values[store.ORIGIN_NAME]
    return name.partition("|")[0].rstrip("-") if "|" in name else name


def state_of(values: tuple[Any, ...], around: Around) -> RunState:
    """How a run stands, in one word."""
    phase = values[store.PHASE]
    if values[store.FINISHED_AT] is not None:
        if phase in _FAILED:
            return RunState.HOLDING if around.holds else RunState.ERROR if phase == "Error" else RunState.FAILED
        return RunState.SUCCEEDED
    if values[store.SHUTDOWN]:
        return RunState.STOPPING
    if around.waits is not None:
        return RunState.WAITING
    if values[store.SUSPENDED]:
        return RunState.SUSPENDED
    return RunState.RUNNING if phase == "Running" else RunState.PENDING
