"""What time does to claims: a wait that was long enough is refused, a hold beyond its limit is told, ended or let go."""

from __future__ import annotations

from reconciler.clock import from_text
from reconciler.loop.context import Context
from reconciler.loop.telling import tell_overheld
from reconciler.loop.waiting import claim_text
from reconciler.model.state import ClaimId, LockId, Rule, RunId
from reconciler.store import claims, runs
from reconciler.store.refusals import end_by_rule, refuse
from reconciler.views.instants import span

_IMPATIENT = "SELECT id, requested_at FROM claim WHERE state = 'waiting' AND wait_until <= ? ORDER BY wait_until, id"
_DUE = (
    "SELECT cl.claim_id, cl.lock_id, cl.due_what, cl.run_id, l.key, c.granted_at FROM claim_lock cl"
    " JOIN lock l ON l.id = cl.lock_id JOIN claim c ON c.id = cl.claim_id"
    " WHERE cl.state = 'held' AND cl.due_at <= ? ORDER BY cl.due_at, cl.claim_id, cl.lock_id"
)
_TOLD = "UPDATE claim_lock SET due_at = NULL, due_what = '' WHERE claim_id = ? AND lock_id = ?"


def pass_patience(ctx: Context) -> None:
    """Refuses every claim that has waited as long as it may; called once everybody who can go has gone."""
    writer = ctx.writer
    for claim, since in writer.db.execute(_IMPATIENT, (writer.now,)).fetchall():
        waited = _span(since, writer.now)
        refuse(writer, ClaimId(claim), Rule.WAIT_TIMEOUT, f"gave up after {waited}: {claim_text(writer, ClaimId(claim))}")


def pass_holds(ctx: Context) -> None:
    """Does what is due to holds: those of a run that goes on are told or ended, those of one that has ended are let go."""
    writer = ctx.writer
    for claim, lock_id, what, run_id, key, since in writer.db.execute(_DUE, (writer.now,)).fetchall():
        run = runs.get_run(writer, RunId(run_id))
        held = _span(since, writer.now)
        writer.db.execute(_TOLD, (claim, lock_id))
        if what == "release" or (what == "end" and run.is_final):
            claims.release_lock(writer, ClaimId(claim), LockId(lock_id), f"its policy lets it be held no longer than {held}")
        else:
            detail = {"claim": claim, "held": held, "action": what}
            writer.journal("claim.overheld", namespace=run.namespace, run=run.name, subject=key, detail=detail)
            tell_overheld(writer, run, key, claim, held)
            if what == "end":
                message = f"ended by the policy of {key}: it held that for {held}"
                end_by_rule(writer, run, Rule.HOLD_LIMIT, message)


def _span(since: str, now: str) -> str:
    return span(round((from_text(now) - from_text(since)).total_seconds()))
