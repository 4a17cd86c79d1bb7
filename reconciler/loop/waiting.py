"""One sentence about what a run waits for: for the answer to a push or a submission."""

from __future__ import annotations

import json
from typing import Any

from reconciler.model.state import ClaimId, Phase, RunId, RunState
from reconciler.store import runs
from reconciler.store.writer import Writer

OWNER = "lineclear.dev/hold-owner"  # whose maintenance hold a run is
REASON = "lineclear.dev/hold-reason"
COUNTED = 1000  # a queue is counted up to here: an answer costs the same whatever waits
_FIRST = (
    "SELECT cl.lock_id, l.key, l.held_back, ifnull(l.capacity, -1), cl.priority, cl.queue_order, cl.claim_id, l.limit_source,"
    " CASE WHEN cl.thaws = 0 AND l.frozen_until IS NOT NULL THEN 'frozen until ' || substr(l.frozen_until, 1, 19) || 'Z by '"
    " || l.frozen_why ELSE '' END"
    " FROM claim_lock cl JOIN lock l ON l.id = cl.lock_id"
    " WHERE cl.{} = ? AND cl.state = 'waiting' AND cl.nested = 0 ORDER BY l.kind = 'Policy', l.id"
)
_OF_RUN, _OF_CLAIM = _FIRST.format("run_id"), _FIRST.format("claim_id")
_HOLDERS = (
    "SELECT r.name, r.phase, r.finished_at IS NOT NULL, CASE WHEN r.origin = 'hold' THEN r.annotations_json END"
    " FROM claim_lock cl JOIN run r ON r.id = cl.run_id"
    " WHERE cl.lock_id = ? AND cl.state = 'held' AND cl.nested = 0 ORDER BY cl.claim_id"
)
_AHEAD = (
    "SELECT count(*) FROM (SELECT 1 FROM claim_lock WHERE lock_id = ? AND state = 'waiting' AND nested = 0"
    f" AND (priority > ? OR (priority = ? AND (queue_order, claim_id) < (?, ?))) LIMIT {COUNTED})"
)


def waiting_text(writer: Writer, run_id: RunId) -> str:
    """'' if the run waits for nothing, else: waits for LOCK, held by RUN (phase), N ahead."""
    run = runs.get_run(writer, run_id)
    if run.phase is not Phase.PENDING:
        return ""
    if run.successor_of is not None:
        return f"waits until {_predecessor(writer, run)} has ended: {_policy_text(run)}"
    return _text(writer, writer.db.execute(_OF_RUN, (run_id,)).fetchall())


def claim_text(writer: Writer, claim: ClaimId) -> str:
    """The same of one waiting claim, whoever asked: waits for LOCK, held by RUN (phase), N ahead."""
    return _text(writer, writer.db.execute(_OF_CLAIM, (claim,)).fetchall())


def _text(writer: Writer, rows: list[tuple[Any, ...]]) -> str:
    parts = []
    for lock_id, key, held_back, capacity, priority, order, claim, source, frozen in rows:
        ahead = writer.db.execute(_AHEAD, (lock_id, priority, priority, order, claim)).fetchone()[0]
        holders = [_holder(*row) for row in writer.db.execute(_HOLDERS, (lock_id,))]
        if held_back:
            reason = f"held back: {held_back}"
        elif frozen:
            reason = frozen
        elif capacity < 0 and not holders:
            reason = f"its limit was never read: {source}"
        else:
            reason = f"held by {', '.join(holders)}" if holders else "free, but its turn has not come"
        parts.append(f"{key}: {reason}; position {_place(ahead)}")
    return f"waits for {' and '.join(parts)}" if parts else ""


def _predecessor(writer: Writer, run: RunState) -> str:
    before = runs.find_run_by_id(writer, run.successor_of) if run.successor_of is not None else None
    return before.name if before is not None else "the run before it"


def _policy_text(run: RunState) -> str:
    return f"concurrency policy {run.rule.policy} ({run.rule.place})" if run.rule is not None else "concurrency policy"


def _holder(name: str, phase: str, has_ended: bool, hold: str | None) -> str:  # noqa: FBT001  # a row's values
    if hold is not None:
        said = json.loads(hold)
        return f"{name} for maintenance by {said.get(OWNER) or 'somebody'}: {said.get(REASON, '')}"
    return f"{name} ({phase}, holds it for its failure)" if has_ended else f"{name} ({phase})"


def _place(ahead: int) -> str:
    return str(ahead + 1) if ahead < COUNTED else f"after {COUNTED} or more"
