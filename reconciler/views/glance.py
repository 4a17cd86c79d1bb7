"""All locks at a glance: bare values that compare, so that a screen redraws only what differs. Reads only."""

from __future__ import annotations

from typing import NamedTuple

from reconciler.store import read_locks
from reconciler.views.doing import STUCK, holder_verdict
from reconciler.views.lock_state import LockLine, limit_trouble, state_of
from reconciler.views.locks import LockList
from reconciler.views.names import node_label

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row

    from reconciler.store.read import Reader

SHOWN_HOLDERS = 3


class HolderGlance(NamedTuple):
    """One holder. `run` and `phase` are '' if the run is gone, `node` is '' for the whole run."""

    claim: int
    epoch: int
    namespace: str
    run: str
    node: str
    phase: str
    since: str
    verdict: str
    evidence: str


class LockGlance(NamedTuple):
    """One lock; `state` and `verdict` are as `lineclear locks` prints them, `evidence` is why. Instants are texts, or ''."""

    id: int
    key: str
    kind: str
    namespace: str
    name: str
    capacity: int | None
    state: str
    verdict: str
    evidence: str
    held: int
    holders: tuple[HolderGlance, ...]
    since: str
    waiting: int
    oldest: str


def lock_glances(reader: Reader, boot_id: str) -> list[LockGlance]:
    """Every lock, those that need a person first."""
    lost = read_locks.find_lost_steps(reader, boot_id)
    return [_glance(line, state, verdict, lost) for line, state, verdict in LockList(reader, None, boot_id).lines(0)]


def lock_glance(reader: Reader, line: LockLine, lost: dict[int, str]) -> LockGlance:
    """One lock."""
    state, verdict = state_of(reader, line, lost)
    return _glance(line, state, verdict, lost)


def _glance(line: LockLine, state: str, verdict: str, lost: dict[int, str]) -> LockGlance:
    row, holders = line.row, line.holders
    shown = sorted((holder_glance(holder, lost) for holder in holders), key=_stuck_last)[-SHOWN_HOLDERS:][::-1]
    return LockGlance(
        id=row["id"],
        key=row["key"],
        kind=row["kind"],
        namespace=row["namespace"],
        name=row["name"],
        capacity=row["capacity"],
        state=state,
        verdict=verdict,
        evidence=_evidence(row, shown),
        held=line.held,
        holders=tuple(shown),
        since=holders[0]["granted_at"] if holders else "",
        waiting=line.waiting,
        oldest=line.oldest,
    )


def holder_glance(holder: Row, lost: dict[int, str]) -> HolderGlance:
    """One holder."""
    verdict, evidence = holder_verdict(holder, lost)
    return HolderGlance(
        claim=holder["claim_id"],
        epoch=holder["epoch"],
        namespace=holder["namespace"] or "",
        run=holder["run"] or "",
        node="" if holder["node"] is None else node_label(holder["node"], holder["display"]),
        phase=holder["phase"] or "",
        since=holder["granted_at"],
        verdict=verdict,
        evidence=evidence,
    )


def _stuck_last(holder: HolderGlance) -> tuple[bool, int]:
    return (holder.verdict in STUCK, -holder.epoch)


def _evidence(row: Row, shown: list[HolderGlance]) -> str:
    if shown and shown[0].verdict in STUCK:
        return shown[0].evidence
    return row["held_back"] or limit_trouble(row) or (shown[0].evidence if shown else "")
