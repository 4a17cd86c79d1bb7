"""Rows of locks and claims. A claim's copies in claim_lock, which make one index the queue, are written here only.

The lock table is the truth: holders are derived from claims and never counted twice.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from enum import Enum, auto

from reconciler.clock import from_text, to_text
from reconciler.errors import Conflict
from reconciler.model.concurrency import policy_key
from reconciler.model.locks import LockKind
from reconciler.model.own_kinds import OVERRIDE_FREEZE, OnFailure
from reconciler.model.plan import ClaimRequest, Keep
from reconciler.model.state import ClaimId, LockId, NodeId, Phase, ResolvedLock, Rule, RunId, RunState
from reconciler.model.whole import WHOLE
from reconciler.store import limits, mappings, moves, notices, policies
from reconciler.store.writer import Writer

_GRANTED = (
    f"SELECT cl.lock_id, l.key, CASE WHEN cl.nested = 0 AND cl.units < {WHOLE} THEN l.hold_limit_s END, l.ends_hold"
    " FROM claim_lock cl JOIN lock l ON l.id = cl.lock_id WHERE cl.claim_id = ?"
)
_FROZEN = (
    "SELECT l.key, l.frozen_until, l.frozen_why FROM claim_lock cl JOIN lock l ON l.id = cl.lock_id"
    " WHERE cl.claim_id = ? AND cl.nested = 0 AND cl.thaws = 1 AND l.frozen_until IS NOT NULL ORDER BY l.id"
)
_OPEN_LOCKS = (
    "SELECT cl.lock_id, l.key FROM claim_lock cl JOIN lock l ON l.id = cl.lock_id"
    " WHERE cl.claim_id = ? AND cl.state <> 'released' ORDER BY cl.lock_id"
)


def request(writer: Writer, run: RunState, node: NodeId | None, asked: ClaimRequest) -> ClaimId:
    """Queues a claim of a run (node None) or of a node, which `asked` names; marks every lock that it waits for."""
    level = "run" if node is None else "node"
    claim = _insert(writer, run, node, level)
    is_exempt = OVERRIDE_FREEZE in run.annotations
    wanted = [replace(lock, thaws=True) for lock in asked.locks] if is_exempt else asked.locks
    turns = []
    for lock in wanted:
        lock_id = ensure_lock(writer, lock)
        inside = _holding_ancestor(writer, run, node, lock_id) if lock.nested and node is not None else 0
        _insert_want(writer, claim, lock_id, lock, inside, mutex=LockKind(lock.kind).is_mutex)
        if lock.mapping is not None:
            mappings.record(writer, lock_id, lock.namespace, lock.mapping)
        turns += [lock.key] if inside else []
        writer.marks.lock(lock_id)
    if node is not None:
        writer.marks.tangled[claim] = None
    keys = [lock.key for lock in asked.locks]
    detail: dict[str, object] = {"claim": claim, "locks": keys, "level": level, "priority": run.priority}
    if node is not None:
        detail["nested"] = turns  # of these it takes no unit, only a turn inside a holder
    detail |= _of(asked.node, run.commit_sha)
    writer.journal("claim.requested", namespace=run.namespace, run=run.name, subject=keys[0], detail=detail)
    return claim


def _holding_ancestor(writer: Writer, run: RunState, node: NodeId, lock_id: LockId) -> int:
    """The claim of the nearest enclosing node, or of the run, that holds the lock; 0 if none does."""
    sql = (
        "WITH RECURSIVE above (id, depth) AS (SELECT parent_id, 1 FROM node WHERE id = :node"
        " UNION ALL SELECT n.parent_id, depth + 1 FROM above JOIN node n ON n.id = above.id)"
        " SELECT cl.claim_id FROM claim_lock cl JOIN claim c ON c.id = cl.claim_id LEFT JOIN above a ON a.id = c.node_id"
        " WHERE cl.run_id = :run AND cl.state = 'held' AND cl.lock_id = :lock AND (c.level = 'run' OR a.id IS NOT NULL)"
        " ORDER BY c.level = 'run', a.depth LIMIT 1"
    )
    row = writer.db.execute(sql, {"node": node, "run": run.id, "lock": lock_id}).fetchone()
    return 0 if row is None else int(row[0])


def request_policy(writer: Writer, run: RunState, group: str, *, single: bool) -> ClaimId:
    """Asks for a run's turn in its group: granted at once if nobody else is of it, or not `single` (Allow); else queued."""
    lock = ResolvedLock(policy_key(run.namespace, group), LockKind.POLICY.value, run.namespace, group, group, ())
    lock_id = ensure_lock(writer, lock)
    writer.db.execute("UPDATE lock SET capacity = 1 WHERE id = ? AND capacity IS NOT 1", (lock_id,))
    sql = "SELECT 1 FROM claim_lock WHERE lock_id = ? AND nested = 0 AND state = "
    others = f"SELECT EXISTS ({sql}'held') OR EXISTS ({sql}'waiting')"
    is_alone = not writer.db.execute(others, (lock_id, lock_id)).fetchone()[0]
    claim = _insert(writer, run, None, "policy")
    _insert_want(writer, claim, lock_id, lock, 0, mutex=single)
    writer.marks.lock(lock_id)
    detail = {"claim": claim, "locks": [lock.key], "level": "policy", "priority": run.priority, **_of(None, run.commit_sha)}
    writer.journal("claim.requested", namespace=run.namespace, run=run.name, subject=lock.key, detail=detail)
    if is_alone or not single:
        grant(writer, claim)
    return claim


def _insert(writer: Writer, run: RunState, node: NodeId | None, level: str) -> ClaimId:
    cursor = writer.db.execute(
        "INSERT INTO claim (run_id, node_id, level, state, priority, queue_order, requested_at)"
        " VALUES (?, ?, ?, 'waiting', ?, ?, ?)",
        (run.id, node, level, run.priority, run.queue_order, writer.now),
    )
    return ClaimId(cursor.lastrowid or 0)


def _insert_want(
    writer: Writer, claim: ClaimId, lock_id: LockId, lock: ResolvedLock, inside: int, *, mutex: bool
) -> None:
    thaws = int(lock.thaws or lock.units >= WHOLE)
    writer.db.execute(
        "INSERT INTO claim_lock (claim_id, lock_id, nested, mutex, node_level, template, resolved_json, units, thaws, state,"
        " priority, queue_order, run_id)"
        " SELECT id, ?, ?, ?, level = 'node', ?, ?, ?, ?, state, priority, queue_order, run_id FROM claim WHERE id = ?",
        (lock_id, inside, int(mutex), lock.template, json.dumps(lock.values), lock.units, thaws, claim),
    )


def ensure_lock(writer: Writer, lock: ResolvedLock) -> LockId:
    """The lock's row, made at its first use; a semaphore's limit is then read from its ConfigMap."""
    row = writer.db.execute("SELECT id FROM lock WHERE key = ?", (lock.key,)).fetchone()
    if row is not None:
        return LockId(row[0])
    cursor = writer.db.execute(
        "INSERT INTO lock (key, kind, namespace, name, capacity) VALUES (?, ?, ?, ?, ?)",
        (lock.key, lock.kind, lock.namespace, lock.name, 1 if LockKind(lock.kind).is_mutex else None),
    )
    lock_id = LockId(cursor.lastrowid or 0)
    if lock.kind == LockKind.SEMAPHORE:
        limits.read_limit(writer, lock_id, lock.namespace, lock.name)
    elif lock.kind == LockKind.DATABASE:
        limits.take_limit(writer, lock_id, lock.namespace, lock.name)
    elif lock.kind == LockKind.CONSTRAINT:
        limits.read_capacity(writer, lock_id, lock.namespace, lock.name)
    policies.take_policy(writer, lock_id)
    return lock_id


def grant(writer: Writer, claim: ClaimId) -> list[LockId]:
    """Gives a waiting claim all its locks, under the next epoch; marks who waited. Returns the locks it took."""
    epoch = writer.next_epoch()
    sql = "UPDATE claim SET state = 'held', granted_at = ?, overdue_at = ?, epoch = ? WHERE id = ? AND state = 'waiting'"
    if writer.db.execute(sql, (writer.now, notices.first_look_at(writer), epoch, claim)).rowcount != 1:
        raise Conflict(f"claim {claim} does not wait any more")
    writer.db.execute("UPDATE claim_lock SET state = 'held' WHERE claim_id = ?", (claim,))
    row = writer.db.execute(
        "SELECT c.run_id, c.level, n.name, r.namespace, r.name, r.commit_sha, c.requested_at, c.knot FROM claim c"
        " JOIN run r ON r.id = c.run_id LEFT JOIN node n ON n.id = c.node_id WHERE c.id = ?",
        (claim,),
    ).fetchone()
    run_id, level, node, namespace, run, commit, asked_at, knot = row
    locks = writer.db.execute(_GRANTED, (claim,)).fetchall()
    for lock_id, _, limit_s, ends in locks:
        if limit_s is not None:
            until = to_text(from_text(writer.now) + timedelta(seconds=limit_s))
            sql = "UPDATE claim_lock SET due_at = ?, due_what = ? WHERE claim_id = ? AND lock_id = ?"
            writer.db.execute(sql, (until, "end" if ends else "alarm", claim, lock_id))
    if level == "policy":
        writer.forget_run(run_id)
        writer.db.execute("UPDATE run SET successor_of = NULL WHERE id = ? AND successor_of IS NOT NULL", (run_id,))
    detail = {"claim": claim, "epoch": epoch, "locks": [lock[1] for lock in locks], "level": level, **_of(node, commit)}
    if asked_at < writer.now:  # it was promoted from the queue
        detail["waited_since"] = asked_at
    writer.journal("claim.granted", namespace=namespace, run=run, subject=locks[0][1], detail=detail)
    moves.note_grant(writer, claim)
    if knot:
        untie(writer, knot)
    for key, until, by in writer.db.execute(_FROZEN, (claim,)).fetchall():
        told = {"claim": claim, "until": until, "by": by, "reason": _reason(writer, run_id)}
        writer.journal("freeze.overridden", namespace=namespace, run=run, subject=key, detail=told)
    writer.marks.run(run_id, *([node] if level == "node" else []))
    return [LockId(lock[0]) for lock in locks]


def _reason(writer: Writer, run_id: int) -> str | None:
    """Why freeze windows do not stop a run; None for a hold, which they never do."""
    text = writer.db.execute("SELECT annotations_json FROM run WHERE id = ?", (run_id,)).fetchone()[0]
    said: str | None = json.loads(text).get(OVERRIDE_FREEZE)
    return said


def _of(node: str | None, commit: str | None) -> dict[str, object]:
    """What the record says of a claim besides its run, as far as there is something: the node, and the commit of the run."""
    return {name: value for name, value in (("node", node), ("commit", commit or None)) if value is not None}


def locks_of(writer: Writer, claim: ClaimId) -> list[LockId]:
    """The locks of which the claim took a unit."""
    sql = "SELECT lock_id FROM claim_lock WHERE claim_id = ? AND nested = 0"
    return [LockId(row[0]) for row in writer.db.execute(sql, (claim,)).fetchall()]


def end_claim(writer: Writer, claim: ClaimId, reason: str, *, refused: Rule | None = None) -> None:
    """Releases a held claim, or withdraws a waiting one: by record, never by a name computed again."""
    row = writer.db.execute(
        "SELECT c.run_id, c.state, c.level, r.namespace, r.name, c.epoch, n.name, r.commit_sha, c.knot FROM claim c"
        " LEFT JOIN run r ON r.id = c.run_id LEFT JOIN node n ON n.id = c.node_id WHERE c.id = ?",
        (claim,),
    ).fetchone()
    run_id, state, level, namespace, run, epoch, node, commit, knot = row
    keys = []
    for lock_id, key in writer.db.execute(_OPEN_LOCKS, (claim,)).fetchall():
        keys.append(key)
        writer.marks.lock(LockId(lock_id))
    sql = "UPDATE claim SET state = 'released', released_at = ?, release_reason = ? WHERE id = ? AND state = ?"
    if state == "released" or writer.db.execute(sql, (writer.now, reason, claim, state)).rowcount != 1:
        raise Conflict(f"claim {claim} was released before")
    moves.note_release(writer, claim)
    writer.db.execute("UPDATE claim_lock SET state = 'released' WHERE claim_id = ?", (claim,))
    kind = "claim.refused" if refused else "claim.released" if state == "held" else "claim.withdrawn"
    detail = {"claim": claim, "locks": keys, "level": level, "reason": reason, **_of(node, commit)}
    if epoch is not None:
        detail["epoch"] = epoch
    if refused:
        detail["refusal"] = refused.value
    writer.journal(kind, namespace=namespace or "", run=run or "", subject=keys[0], detail=detail)
    if knot and state == "waiting":
        untie(writer, knot)
    if level != "policy":
        _let_policy_go(writer, RunId(run_id), reason)


def untie(writer: Writer, knot: int) -> None:
    """One of the claims that waited for one another does not wait any more: the others are looked at anew."""
    at_barriers = "UPDATE barrier SET knot = 0 WHERE knot = ? AND knot <> 0 RETURNING -id"
    for sql in ("UPDATE claim SET knot = 0 WHERE state = 'waiting' AND knot = ? AND knot > 0 RETURNING id", at_barriers):
        for (claim,) in writer.db.execute(sql, (knot,)).fetchall():
            writer.marks.tangled[ClaimId(claim)] = None


def release_lock(writer: Writer, claim: ClaimId, lock_id: LockId, reason: str) -> None:
    """Releases one lock of a held claim; with the last of them the claim itself ends."""
    others = [other for other, _ in writer.db.execute(_OPEN_LOCKS, (claim,)).fetchall() if other != lock_id]
    if not others:
        end_claim(writer, claim, reason)
        return
    moves.note_release(writer, claim, lock_id)
    sql = "UPDATE claim_lock SET state = 'released', let_go_at = ? WHERE claim_id = ? AND lock_id = ? AND state = 'held'"
    if writer.db.execute(sql, (writer.now, claim, lock_id)).rowcount != 1:
        raise Conflict(f"claim {claim} holds lock {lock_id} no more")
    writer.marks.lock(lock_id)
    key, level, namespace, run, epoch, node, commit = writer.db.execute(
        "SELECT l.key, c.level, r.namespace, r.name, c.epoch, n.name, r.commit_sha FROM claim c JOIN lock l ON l.id = ?"
        " LEFT JOIN run r ON r.id = c.run_id LEFT JOIN node n ON n.id = c.node_id WHERE c.id = ?",
        (lock_id, claim),
    ).fetchone()
    detail = {"claim": claim, "locks": [key], "level": level, "reason": reason, **_of(node, commit), "epoch": epoch}
    writer.journal("claim.released", namespace=namespace or "", run=run or "", subject=key, detail=detail)


def leave_group(writer: Writer, run: RunState, reason: str) -> None:
    """Ends the policy claim of a run that is to end before it ever began: it is in nobody's way any more."""
    row = writer.db.execute(
        "SELECT id FROM claim WHERE run_id = ? AND level = 'policy' AND state <> 'released'", (run.id,)
    ).fetchone()
    if row is not None:
        end_claim(writer, ClaimId(row[0]), reason)


def end_claim_of(writer: Writer, run: RunState, node: NodeId | None, reason: str) -> None:
    """Ends the open claim of a node, or the run's own (None), if there is one."""
    level = "run" if node is None else "node"
    sql = "SELECT id FROM claim WHERE run_id = ? AND level = ? AND ifnull(node_id, 0) = ? AND state <> 'released'"
    row = writer.db.execute(sql, (run.id, level, node or 0)).fetchone()
    if row is not None:
        end_claim(writer, ClaimId(row[0]), reason)


def release_ended_nodes(writer: Writer, run_id: RunId, limit: int) -> int:
    """Ends the claims of at most `limit` nodes of a run that have ended and were not to let go at once; returns how many."""
    sql = (
        "SELECT c.id, n.phase FROM claim c JOIN node n ON n.id = c.node_id WHERE c.run_id = ? AND c.level = 'node'"
        " AND c.state <> 'released' AND n.finished_at IS NOT NULL ORDER BY c.id LIMIT ?"
    )
    rows = writer.db.execute(sql, (run_id, limit)).fetchall()
    for claim, phase in rows:
        end_claim(writer, ClaimId(claim), f"node {phase}")
    return len(rows)


def run_ended(writer: Writer, run: RunState, phase: Phase, *, keep: Keep) -> None:
    """What becomes of an ended run's claims: waiting ones go, of held workflow-level ones what is to be kept stays."""
    sql = "SELECT id, level, state FROM claim WHERE run_id = ? AND state <> 'released' ORDER BY id"
    kept = False
    for claim, level, state in writer.db.execute(sql, (run.id,)).fetchall():
        if level == "run" and state == "held" and keep is not Keep.NOTHING:
            kept = _keep(writer, ClaimId(claim), f"run {phase.value}", keep) or kept
        elif level != "policy":
            end_claim(writer, ClaimId(claim), f"run {phase.value}")
    if not kept:
        _let_policy_go(writer, run.id, f"run {phase.value}")


_HOLDS = (
    "SELECT cl.lock_id, l.kind, l.on_failure, l.hold_for_s FROM claim_lock cl JOIN lock l ON l.id = cl.lock_id"
    " WHERE cl.claim_id = ? AND cl.state = 'held' ORDER BY cl.lock_id"
)


def _keep(writer: Writer, claim: ClaimId, reason: str, keep: Keep) -> bool:
    """Releases what a failed run does not keep of a claim; True if something stays."""
    locks = writer.db.execute(_HOLDS, (claim,)).fetchall()
    kept = [lock for lock in locks if _is_kept(lock[1], lock[2], keep)]
    for lock_id, _, _, hold_for_s in kept:
        if hold_for_s is not None:
            until = to_text(from_text(writer.now) + timedelta(seconds=hold_for_s))
            sql = "UPDATE claim_lock SET due_at = ?, due_what = 'release' WHERE claim_id = ? AND lock_id = ?"
            writer.db.execute(sql, (until, claim, lock_id))
    if not kept:
        end_claim(writer, claim, reason)
    else:
        for lock in locks:
            if lock not in kept:
                release_lock(writer, claim, LockId(lock[0]), reason)
    return bool(kept)


def _is_kept(kind: str, on_failure: str, keep: Keep) -> bool:
    if kind in (LockKind.INFRASTRUCTURE, LockKind.CONSTRAINT):
        return on_failure == OnFailure.HOLD
    default = OnFailure.RELEASE if keep is Keep.BY_POLICY_OR_RELEASE else OnFailure.HOLD
    return keep is Keep.HOLD or (on_failure or default) == OnFailure.HOLD


def _let_policy_go(writer: Writer, run_id: RunId, reason: str) -> None:
    """The policy claim goes with the last of an ended run's other claims."""
    ended = writer.db.execute("SELECT finished_at IS NOT NULL FROM run WHERE id = ?", (run_id,)).fetchone()
    if ended is None or not ended[0]:
        return
    sql = "SELECT id, level FROM claim WHERE run_id = ? AND state <> 'released'"
    rows = writer.db.execute(sql, (run_id,)).fetchall()
    if len(rows) == 1 and rows[0][1] == "policy":
        end_claim(writer, ClaimId(rows[0][0]), reason)


def release_all(writer: Writer, run: RunState, reason: str) -> int:
    """Lets everything go that an ended run still holds; returns how many claims that were."""
    sql = "SELECT id FROM claim WHERE run_id = ? AND state <> 'released' AND level <> 'policy' ORDER BY id"
    open_claims = writer.db.execute(sql, (run.id,)).fetchall()
    for (claim,) in open_claims:
        end_claim(writer, ClaimId(claim), reason)
    _let_policy_go(writer, run.id, reason)
    return len(open_claims)


def hold_back(writer: Writer, lock_id: LockId, why: str) -> None:
    """Closes a lock until `unhold` (why not ''), or opens it again."""
    writer.db.execute("UPDATE lock SET held_back = ? WHERE id = ?", (why, lock_id))
    writer.marks.lock(lock_id)


class Kept(Enum):
    """How much an ended run still holds of what it took as a whole."""

    NOTHING = auto()
    SOME = auto()
    ALL = auto()


def kept_of_run(writer: Writer, run_id: RunId, *, but_deployment: bool) -> Kept:
    """What an ended run still holds of its own claim; `but_deployment` leaves infrastructures and constraints out of account."""
    sql = (
        "SELECT max(cl.state = 'released' AND NOT (? AND l.kind IN ('Infrastructure', 'Constraint')))"
        " FROM claim c JOIN claim_lock cl ON cl.claim_id = c.id JOIN lock l ON l.id = cl.lock_id"
        " WHERE c.run_id = ? AND c.level = 'run' AND c.state = 'held'"
    )
    lacks = writer.db.execute(sql, (int(but_deployment), run_id)).fetchone()[0]
    return Kept.NOTHING if lacks is None else Kept.SOME if lacks else Kept.ALL


def ask_again_in_front(writer: Writer, run: RunState) -> None:
    """Turns what a reopened run still holds into the first places of those queues: it is to have all its locks again, or none."""
    outrank_waiters(writer, run, run)
    end_claim_of(writer, run, None, "retried: it asks for all its locks again")


def outrank_waiters(writer: Writer, taken: RunState, heir: RunState) -> None:
    """Puts the heir before every waiter of the taken run's locks; one may be older than that run, if it was retried."""
    sql = (
        "SELECT w.priority, min(w.queue_order) FROM claim_lock h JOIN claim_lock w ON w.lock_id = h.lock_id"
        " WHERE h.run_id = ? AND h.state = 'held' AND w.state = 'waiting' AND w.nested = 0"
        " GROUP BY w.priority ORDER BY w.priority DESC LIMIT 1"
    )
    priority, oldest = writer.db.execute(sql, (taken.id,)).fetchone() or (heir.priority, heir.queue_order + 1)
    if priority < heir.priority:
        return
    order = min(heir.queue_order, oldest - 1)
    writer.forget_run(heir.id)
    writer.db.execute("UPDATE run SET priority = ?, queue_order = ? WHERE id = ?", (priority, order, heir.id))
