"""Attempts of which nothing proves whether their processes live: what may be told of them, and a person's word in place of proof.

Such an attempt is no end: its node runs, its slot is taken, its locks stay, whatever was asked of its run. It must never be ended
here but by a person who says so, and the locks that it was under then admit nobody until `unhold`.
"""

from __future__ import annotations

import json

from reconciler.loop.context import Context
from reconciler.model.attempt import Liveness
from reconciler.model.state import AttemptPhase, AttemptState, ClaimId, RunState
from reconciler.runtime.recover import UNPROVEN
from reconciler.store import attempts, claims, runs
from reconciler.store.nodes import StoredNodes

_COVERING = (  # held claims of the run itself, and of the nodes that these are or lie below; what is nested took no unit
    "WITH RECURSIVE above (id) AS (SELECT value FROM json_each(:nodes)"
    " UNION SELECT n.parent_id FROM above JOIN node n ON n.id = above.id WHERE n.parent_id IS NOT NULL)"
    " SELECT id FROM claim WHERE run_id = :run AND state = 'held'"
    " AND (level = 'run' OR (level = 'node' AND node_id IN (SELECT id FROM above))) ORDER BY id"
)


def look_at(ctx: Context, run: RunState) -> list[tuple[AttemptState, Liveness]]:
    """The run's active attempts and what is seen of each now; where nobody can look, those that the rows call unknown."""
    found = [attempt for attempt in attempts.active_attempts(ctx.writer) if attempt.run_id == run.id]
    look = ctx.liveness
    if look is None:
        said = Liveness(state="unknown", pids=(), evidence=f"its shim was lost and {UNPROVEN}")
        return [(attempt, said) for attempt in found if attempt.is_unknown]
    return [(attempt, look(attempt)) for attempt in found]


def unknown_of(seen: list[tuple[AttemptState, Liveness]]) -> list[AttemptState]:
    """Those whose end nothing will tell. One that is only about to begin is none of them: it is asked to end like any other."""
    return [attempt for attempt, evidence in seen if attempt.is_unknown and evidence.state == "unknown"]


def pids_of(seen: list[tuple[AttemptState, Liveness]]) -> list[int]:
    """The processes that could be found."""
    return [pid for _, evidence in seen for pid in evidence.pids]


def let_go(ctx: Context, run: RunState, unknown: list[AttemptState], reason: str, why: str) -> None:
    """Ends attempts on a person's word, and closes every lock that they were under until `unhold`."""
    if not unknown:
        return
    nodes = json.dumps([attempt.node_id for attempt in unknown])
    for (claim,) in ctx.writer.db.execute(_COVERING, {"run": run.id, "nodes": nodes}).fetchall():
        hold_back(ctx, ClaimId(claim), why)
    stored = StoredNodes(ctx.writer, run.id)
    for attempt in unknown:
        if attempts.end_attempt(ctx.writer, attempt, AttemptPhase.LOST, None, None):
            node = stored.node_by_id(attempt.node_id)
            message = f"holder unknown, let go unproven by a person: {reason}"
            runs.set_node_message(ctx.writer, attempt.node_id, message)
            detail = {"node": node.name, "attempt": attempt.id, "exit_code": None, "message": message}
            ctx.writer.journal("attempt.lost", namespace=run.namespace, run=run.name, detail=detail)
            ctx.writer.marks.run(run.id, node.name)
    ctx.writer.marks.slots = True


def hold_back(ctx: Context, claim: ClaimId, why: str) -> None:
    """Closes the locks of a claim until `unhold`."""
    for lock in claims.locks_of(ctx.writer, claim):
        claims.hold_back(ctx.writer, lock, why)
