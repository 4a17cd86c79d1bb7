"""Clearing a lock whose holder will not let go: compare with what was shown, end the holder, prove its death, release.

Unreachable is never dead: without proof only `release_unproven` lets go, and the lock is then held back until `unhold`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.errors import NotFound, Refused, UsageError
from reconciler.loop.context import Context
from reconciler.loop.unproven import hold_back, let_go, look_at, pids_of, unknown_of
from reconciler.model.attempt import Liveness
from reconciler.model.state import AttemptState, ClaimId, LockId, NodeType, RunId, RunState
from reconciler.store import attempts, claims, queue, runs
from reconciler.store.apply import request_stop
from reconciler.store.nodes import StoredNodes

Seen = list[tuple[AttemptState, Liveness]]
_CLAIM = (
    "SELECT c.id, c.epoch, c.state, c.level, c.node_id, c.run_id, l.id, l.key FROM lock l"
    " LEFT JOIN claim_lock cl ON cl.lock_id = l.id AND cl.state = 'held' AND cl.nested = 0"
    " LEFT JOIN claim c ON c.id = cl.claim_id WHERE l.key = ? ORDER BY c.id"
)


def terminate_stuck_holder(ctx: Context, args: Mapping[str, Any]) -> dict[str, Any]:
    """Ends the holder that the operator was shown, or refuses because the state is another by now."""
    key, reason = str(args.get("lock") or ""), str(args.get("reason") or "").strip()
    if not reason:
        raise UsageError("a reason is needed: it goes to the journal")
    claim, level, node_id, run_id, lock_id = _claim_as_shown(ctx, key, args)
    run = runs.get_run(ctx.writer, run_id)
    detail = {"lock": key, "epoch": args.get("epoch"), "reason": reason, "level": level}
    ctx.writer.journal("holder.terminated", namespace=run.namespace, run=run.name, subject=key, detail=detail)
    if run.is_final:
        claims.release_all(ctx.writer, run, f"terminated: {reason}")
        return _answer(ctx, run, lock_id, "released", f"the lock was released; {run.name} stays {run.phase.value}")
    if ctx.specs.get(run.spec_digest).hold:
        raise Refused(f"{key} is held for maintenance by {run.name}, which is not stuck: `lineclear unhold {key}` ends it early")
    seen = look_at(ctx, run)
    alive = [evidence for _, evidence in seen if evidence.state == "alive"]
    if alive and not args.get("not_stuck"):
        raise Refused(
            f"{run.name} is {run.phase.value} and alive ({alive[0].evidence}): it is not stuck; wait for it, `lineclear stop"
            f" {run.name}`, or say --not-stuck"
        )
    if args.get("release_unproven"):
        if args.get("node_only"):
            raise UsageError("--node-only and --release-unproven exclude each other: the whole run is ended on your word")
        return _release_unproven(ctx, run, claim, lock_id, seen, reason)
    if args.get("node_only"):
        if node_id is None:
            raise Refused(f"{key} is held by the run {run.name} itself, not by a node of it: end it without --node-only")
        _stop_below(ctx, run, node_id)
    else:
        runs.set_shutdown(ctx.writer, run, "Terminate", "terminate")
    unknown = unknown_of(seen)
    if unknown:
        told = unproven_text(run, seen, key)
        return _answer(ctx, run, lock_id, "unproven", f"{run.name} was told to end, and keeps its locks: {told}")
    return _answer(ctx, run, lock_id, "terminating", f"{run.name} is being ended; the lock goes when its death is proved")


def _claim_as_shown(ctx: Context, key: str, args: Mapping[str, Any]) -> tuple[ClaimId, str, int | None, RunId, LockId]:
    rows = ctx.writer.db.execute(_CLAIM, (key,)).fetchall()
    if not rows:
        raise NotFound(f"lock {key!r} does not exist; `lineclear locks` lists them")
    held = [row for row in rows if row[0] is not None]
    if not held:
        raise Refused(f"{key} is free now: nobody holds it")
    if args.get("epoch") is None:
        raise UsageError("an epoch is needed: the one that `lineclear locks show` names after the lock's #")
    for claim, epoch, _, level, node_id, run_id, lock_id, _ in held:
        if epoch == int(args["epoch"]):
            return ClaimId(claim), str(level), node_id, RunId(run_id), LockId(lock_id)
    now = ", ".join(f"{runs.get_run(ctx.writer, RunId(row[5])).name} with {key}#{row[1]}" for row in held)
    raise Refused(f"the state changed: {key}#{args['epoch']} is over; it is held by {now}")


def unproven_text(run: RunState, seen: Seen, key: str = "LOCK") -> str:
    """What keeps a run that was told to end from ending, and what a person can do."""
    why = next(evidence.evidence for attempt, evidence in seen if attempt.is_unknown and evidence.state == "unknown")
    pids = pids_of(seen)
    found = f"; pids seen: {', '.join(map(str, pids))}" if pids else ""
    return (
        f"holder unknown: {why}{found}; once you have looked: `lineclear terminate-stuck-holder {key} --release-unproven`,"
        f" or `lineclear terminate {run.name} --release-unproven`"
    )


def _release_unproven(ctx: Context, run: RunState, claim: ClaimId, lock_id: LockId, seen: Seen, reason: str) -> dict[str, Any]:
    """Lets go without proof, because a person said so: the lock admits nobody until `unhold`."""
    if seen and all(evidence.state == "dead" for _, evidence in seen):
        raise Refused(f"the processes of {run.name} are proven dead: terminate it without --release-unproven")
    pids = pids_of(seen)
    why = f"{run.name} was let go unproven ({reason}); live pids then: {pids or 'none that could be found'}"
    runs.set_shutdown(ctx.writer, run, "Terminate", "terminate")
    claims.end_claim(ctx.writer, claim, f"released unproven: {reason}")
    hold_back(ctx, claim, why)
    let_go(ctx, run, unknown_of(seen), reason, why)
    detail = {"claim": claim, "pids": pids, "evidence": [evidence.evidence for _, evidence in seen], "reason": reason}
    ctx.writer.journal("claim.released-unproven", namespace=run.namespace, run=run.name, detail=detail)
    message = f"the lock was let go unproven; it admits nobody until `lineclear unhold`: {why}"
    return _answer(ctx, run, lock_id, "held back", message)


def release_run_unproven(ctx: Context, run: RunState, reason: str) -> str:
    """Ends a run, locks or none, of which processes are unknown, because a person said so. Raises Refused if none are."""
    if not reason:
        raise UsageError("--release-unproven wants a reason: the journal says who let go without proof, and why")
    seen = look_at(ctx, run)
    unknown = unknown_of(seen)
    if not unknown:
        raise Refused(f"no process of {run.name} is unknown: terminate it without --release-unproven")
    pids = pids_of(seen)
    why = f"{run.name} was let go unproven ({reason}); live pids then: {pids or 'none that could be found'}"
    runs.set_shutdown(ctx.writer, run, "Terminate", "terminate", reason=reason)
    let_go(ctx, run, unknown, reason, why)
    detail = {"pids": pids, "evidence": [evidence.evidence for _, evidence in seen], "reason": reason}
    ctx.writer.journal("run.released-unproven", namespace=run.namespace, run=run.name, detail=detail)
    return f"let go unproven; every lock that it held admits nobody until `lineclear unhold`: {why}"


def _stop_below(ctx: Context, run: RunState, node_id: int) -> None:
    """Asks every process of a node, and below it, to end; the run itself goes on."""
    stored = StoredNodes(ctx.writer, run.id)
    unfinished = list(stored.unfinished_nodes())
    top = next(node for node in unfinished if node.id == node_id)
    inside = [node for node in unfinished if node is top or node.name.startswith(tuple(top.name + mark for mark in ".[("))]
    if any(node.type is NodeType.RETRY for node in inside):
        raise Refused(f"{run.name}{top.name} tries again by its retryStrategy and would keep the lock: end the run instead")
    for node in inside:
        runs.set_node_message(ctx.writer, node.id, "terminated by an operator")
        request_stop(ctx.writer, node.id, "stop")
        if attempts.withdraw_queued(ctx.writer, node.id):
            ctx.writer.marks.run(run.id, node.name)


def _answer(ctx: Context, run: RunState, lock_id: LockId, state: str, message: str) -> dict[str, Any]:
    following = queue.first_waiter(ctx.writer, lock_id)
    follower = None if following is None else runs.get_run(ctx.writer, queue.run_of(ctx.writer, following)).name
    return {"message": message, "state": state, "next": follower, "holder": run.name}
