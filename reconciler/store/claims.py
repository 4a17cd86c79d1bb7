"""Rows of locks and claims. A claim's copies in claim_lock, which make one index the queue, are written here only.

The lock table is the truth: holders are derived from claims and never counted twice.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from reconciler.errors import Conflict
from reconciler.locks.admission import Want
from reconciler.model.locks import LockKind
from reconciler.model.state import ClaimId, LockId, NodeId, Phase, ResolvedLock, RunId, RunState
from reconciler.store import limits
from reconciler.store.writer import Writer

UNBOUNDED = 2**31 - 1


def request(writer: Writer, run: RunState, node: NodeId | None, locks: Sequence[ResolvedLock]) -> ClaimId:
    """Queues a claim of a run (node None) or of a node; marks every lock that it waits for."""
    level = "run" if node is None else "node"
    claim = _insert(writer, run, node, level)
    for lock in locks:
        lock_id = ensure_lock(writer, lock)
        inside = _holding_ancestor(writer, run, node, lock_id) if lock.nested and node is not None else 0
        _insert_want(writer, claim, lock_id, lock, inside, mutex=LockKind(lock.kind).is_mutex)
        writer.marks.lock(lock_id)
    keys = [lock.key for lock in locks]
    detail = {"claim": claim, "locks": keys, "level": level, "priority": run.priority}
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


def request_policy(writer: Writer, run: RunState, cron: str, *, single: bool) -> ClaimId:
    """Queues the policy claim of a cron's run. `single` False (Allow) leaves the lock unbounded."""
    lock = ResolvedLock(f"{run.namespace}/Policy/{cron}", "Policy", run.namespace, cron, cron, ())
    lock_id = ensure_lock(writer, lock)
    capacity = 1 if single else UNBOUNDED
    writer.db.execute("UPDATE lock SET capacity = ? WHERE id = ? AND capacity IS NOT ?", (capacity, lock_id, capacity))
    if not single:  # claims made under another policy bind nobody any more
        writer.db.execute("UPDATE claim_lock SET mutex = 0 WHERE lock_id = ? AND mutex = 1", (lock_id,))
    claim = _insert(writer, run, None, "policy")
    _insert_want(writer, claim, lock_id, lock, 0, mutex=single)
    writer.marks.lock(lock_id)
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
    writer.db.execute(
        "INSERT INTO claim_lock (claim_id, lock_id, nested, mutex, node_level, template, resolved_json, state, priority,"
        " queue_order, run_id)"
        " SELECT id, ?, ?, ?, level = 'node', ?, ?, state, priority, queue_order, run_id FROM claim WHERE id = ?",
        (lock_id, inside, int(mutex), lock.template, json.dumps(lock.values), claim),
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
    return lock_id


# admission -----------------------------------------------------------------------------------------------------------------


def room(writer: Writer, lock_id: LockId) -> int:
    """Units free: negative if a limit was lowered below the holders; 0 if the limit was never read or the lock is held back."""
    sql = (
        "SELECT CASE WHEN held_back = '' THEN ifnull(capacity, 0) ELSE 0 END,"
        " (SELECT count(*) FROM claim_lock WHERE lock_id = lock.id AND state = 'held' AND nested = 0) FROM lock WHERE id = ?"
    )
    capacity, held = writer.db.execute(sql, (lock_id,)).fetchone()
    return int(capacity) - int(held)


def room_inside(writer: Writer, lock_id: LockId, ancestor: int) -> int:
    """1 if nobody inside that holding ancestor has its turn with the lock, else 0."""
    sql = "SELECT NOT EXISTS (SELECT 1 FROM claim_lock WHERE lock_id = ? AND state = 'held' AND nested = ? AND nested > 0)"
    return int(writer.db.execute(sql, (lock_id, ancestor)).fetchone()[0])


def free_turns(writer: Writer, lock_id: LockId) -> list[int]:
    """Holding ancestors (their claims) inside which somebody waits for a turn with the lock and nobody has it."""
    sql = (
        "SELECT DISTINCT w.nested FROM claim_lock w WHERE w.lock_id = ? AND w.state = 'waiting' AND w.nested > 0 AND NOT EXISTS"
        " (SELECT 1 FROM claim_lock h WHERE h.lock_id = w.lock_id AND h.state = 'held' AND h.nested = w.nested AND h.nested > 0)"
    )
    return [int(row[0]) for row in writer.db.execute(sql, (lock_id,)).fetchall()]


def waiting_inside(writer: Writer, lock_id: LockId, ancestor: int, limit: int = -1) -> list[ClaimId]:
    """Who waits for a turn with the lock inside that ancestor, in queue order."""
    sql = (
        "SELECT claim_id FROM claim_lock WHERE lock_id = ? AND state = 'waiting' AND nested = ? AND nested > 0"
        " ORDER BY priority DESC, queue_order, claim_id LIMIT ?"
    )
    return [ClaimId(row[0]) for row in writer.db.execute(sql, (lock_id, ancestor, limit))]


def first_waiter(writer: Writer, lock_id: LockId) -> ClaimId | None:
    """The head of the lock's queue."""
    sql = (
        "SELECT claim_id FROM claim_lock WHERE lock_id = ? AND state = 'waiting' AND nested = 0"
        " ORDER BY priority DESC, queue_order, claim_id LIMIT 1"
    )
    row = writer.db.execute(sql, (lock_id,)).fetchone()
    return None if row is None else ClaimId(row[0])


def _first_inside(writer: Writer, lock_id: LockId, ancestor: int) -> ClaimId:
    return waiting_inside(writer, lock_id, ancestor, limit=1)[0]


def waiting_nodes(writer: Writer, lock_id: LockId) -> list[ClaimId]:
    """Node-level waiters of the lock, in queue order, whose runs hold something: nobody else can pass a waiter."""
    sql = (
        "SELECT w.claim_id FROM claim_lock w WHERE w.lock_id = ? AND w.state = 'waiting' AND w.nested = 0 AND w.node_level = 1"
        " AND EXISTS (SELECT 1 FROM claim_lock h WHERE h.run_id = w.run_id AND h.state = 'held')"
        " ORDER BY w.priority DESC, w.queue_order, w.claim_id"
    )
    return [ClaimId(row[0]) for row in writer.db.execute(sql, (lock_id,))]


def earlier_waiters(writer: Writer, claim: ClaimId, lock_id: LockId) -> list[tuple[ClaimId, RunId]]:
    """The waiters of the lock before this claim, in queue order; inside a holding ancestor, those before its turn."""
    inside = writer.db.execute("SELECT nested FROM claim_lock WHERE claim_id = ? AND lock_id = ?", (claim, lock_id)).fetchone()[0]
    group = "o.nested = m.nested AND o.nested > 0" if inside else "o.nested = 0"
    sql = (
        "SELECT o.claim_id, o.run_id FROM claim_lock m JOIN claim_lock o ON o.lock_id = m.lock_id AND o.state = 'waiting'"
        f" AND {group} AND (o.priority > m.priority OR (o.priority = m.priority AND (o.queue_order, o.claim_id) <"
        " (m.queue_order, m.claim_id))) WHERE m.claim_id = ? AND m.lock_id = ?"
        " ORDER BY o.priority DESC, o.queue_order, o.claim_id"
    )
    return [(ClaimId(r[0]), RunId(r[1])) for r in writer.db.execute(sql, (claim, lock_id))]


def wants(writer: Writer, claim: ClaimId) -> list[Want]:
    """What a waiting claim wants, lock by lock, with the room of each and whether the claim is its queue's head."""
    sql = "SELECT lock_id, nested FROM claim_lock WHERE claim_id = ? AND state = 'waiting' ORDER BY lock_id"
    found = []
    for lock_id, inside in writer.db.execute(sql, (claim,)).fetchall():
        if inside:
            is_head = _first_inside(writer, lock_id, inside) == claim
            found.append(Want(lock=lock_id, room=room_inside(writer, lock_id, inside), is_head=is_head))
        else:
            is_head = first_waiter(writer, lock_id) == claim
            found.append(Want(lock=lock_id, room=room(writer, lock_id), is_head=is_head))
    return found


def run_of(writer: Writer, claim: ClaimId) -> RunId:
    """The run that asked."""
    return RunId(writer.db.execute("SELECT run_id FROM claim WHERE id = ?", (claim,)).fetchone()[0])


def holds_anything(writer: Writer, run: RunId) -> bool:
    """True if the run holds a lock, policies aside."""
    sql = "SELECT 1 FROM claim WHERE run_id = ? AND state = 'held' AND level <> 'policy' LIMIT 1"
    return writer.db.execute(sql, (run,)).fetchone() is not None


def holders_and_queue(writer: Writer, claim: ClaimId) -> tuple[list[RunId], list[ClaimId]]:
    """What a waiting claim waits for: the runs that hold its full locks, and the claim just before it in each queue."""
    sql = "SELECT lock_id, nested, run_id, priority, queue_order FROM claim_lock WHERE claim_id = ? AND state = 'waiting'"
    runs: list[RunId] = []
    before: list[ClaimId] = []
    for lock_id, inside, own, priority, order in writer.db.execute(sql, (claim,)).fetchall():
        if inside and not room_inside(writer, lock_id, inside):
            runs.append(RunId(own))  # its turn is taken by a node of its own run
        elif not inside and room(writer, lock_id) <= 0:
            sql = "SELECT run_id FROM claim_lock WHERE lock_id = ? AND state = 'held' AND nested = 0"
            runs += [RunId(r[0]) for r in writer.db.execute(sql, (lock_id,)).fetchall()]
        before += _just_before(writer, (lock_id, inside, priority, order, claim))
    return runs, before


def _just_before(writer: Writer, place: tuple[int, int, int, int, int]) -> list[ClaimId]:
    """The waiter before a place in a queue, if there is one: (lock, ancestor, priority, order, claim). Two seeks, no scan."""
    lock_id, inside, priority, order, claim = place
    group = "lock_id = ? AND nested = ? AND state = 'waiting'" + (" AND nested > 0" if inside else " AND nested = 0")
    sql = f"SELECT claim_id FROM claim_lock WHERE {group} AND priority = ? AND (queue_order, claim_id) < (?, ?)"
    latest = " ORDER BY queue_order DESC, claim_id DESC LIMIT 1"
    row = writer.db.execute(sql + latest, (lock_id, inside, priority, order, claim)).fetchone()
    if row is None:
        sql = f"SELECT claim_id FROM claim_lock WHERE {group} AND priority > ? ORDER BY priority,"
        row = writer.db.execute(sql + latest.removeprefix(" ORDER BY"), (lock_id, inside, priority)).fetchone()
    return [] if row is None else [ClaimId(row[0])]


def waiting_claims(writer: Writer, run: RunId) -> list[ClaimId]:
    """The claims that a run waits with."""
    sql = "SELECT id FROM claim WHERE run_id = ? AND state = 'waiting' ORDER BY id"
    return [ClaimId(r[0]) for r in writer.db.execute(sql, (run,))]


def blocked_heads(writer: Writer) -> list[LockId]:
    """Locks with room whose first waiter lacks another lock."""
    return [LockId(r[0]) for r in writer.db.execute("SELECT id FROM lock WHERE blocked_head = 1 ORDER BY id")]


def set_blocked_head(writer: Writer, lock_id: LockId, *, blocked: bool) -> None:
    """Remembers, or forgets, that a lock has room which nobody may take yet."""
    sql = "UPDATE lock SET blocked_head = ? WHERE id = ? AND blocked_head <> ?"
    writer.db.execute(sql, (int(blocked), lock_id, int(blocked)))


def waiting_locks(writer: Writer) -> list[LockId]:
    """Every lock that somebody waits for: what a sweep looks at."""
    sql = "SELECT DISTINCT lock_id FROM claim_lock WHERE state = 'waiting' ORDER BY lock_id"
    return [LockId(r[0]) for r in writer.db.execute(sql)]


def grant(writer: Writer, claim: ClaimId) -> list[LockId]:
    """Gives a waiting claim all its locks, under the next epoch; marks who waited. Returns the locks it took."""
    epoch = writer.next_epoch()
    sql = "UPDATE claim SET state = 'held', granted_at = ?, epoch = ? WHERE id = ? AND state = 'waiting'"
    if writer.db.execute(sql, (writer.now, epoch, claim)).rowcount != 1:
        raise Conflict(f"claim {claim} does not wait any more")
    writer.db.execute("UPDATE claim_lock SET state = 'held' WHERE claim_id = ?", (claim,))
    row = writer.db.execute(
        "SELECT c.run_id, c.level, n.name, r.namespace, r.name FROM claim c JOIN run r ON r.id = c.run_id"
        " LEFT JOIN node n ON n.id = c.node_id WHERE c.id = ?",
        (claim,),
    ).fetchone()
    run_id, level, node, namespace, run = row
    locks = writer.db.execute(
        "SELECT cl.lock_id, l.key FROM claim_lock cl JOIN lock l ON l.id = cl.lock_id WHERE cl.claim_id = ?", (claim,)
    ).fetchall()
    if level == "policy":
        writer.forget_run(run_id)
        writer.db.execute("UPDATE run SET successor_of = NULL WHERE id = ? AND successor_of IS NOT NULL", (run_id,))
    detail = {"claim": claim, "epoch": epoch, "locks": [key for _, key in locks], "level": level}
    writer.journal("claim.granted", namespace=namespace, run=run, subject=locks[0][1], detail=detail)
    writer.marks.run(run_id, *([node] if level == "node" else []))
    return [LockId(lock_id) for lock_id, _ in locks]


def locks_of(writer: Writer, claim: ClaimId) -> list[LockId]:
    """The locks of which the claim took a unit."""
    sql = "SELECT lock_id FROM claim_lock WHERE claim_id = ? AND nested = 0"
    return [LockId(row[0]) for row in writer.db.execute(sql, (claim,)).fetchall()]


def end_claim(writer: Writer, claim: ClaimId, reason: str) -> None:
    """Releases a held claim, or withdraws a waiting one: by record, never by a name computed again."""
    row = writer.db.execute(
        "SELECT c.run_id, c.state, c.level, r.namespace, r.name FROM claim c LEFT JOIN run r ON r.id = c.run_id WHERE c.id = ?",
        (claim,),
    ).fetchone()
    run_id, state, level, namespace, run = row
    sql = "UPDATE claim SET state = 'released', released_at = ?, release_reason = ? WHERE id = ? AND state = ?"
    if state == "released" or writer.db.execute(sql, (writer.now, reason, claim, state)).rowcount != 1:
        raise Conflict(f"claim {claim} was released before")
    writer.db.execute("UPDATE claim_lock SET state = 'released' WHERE claim_id = ?", (claim,))
    keys = []
    locks = writer.db.execute(
        "SELECT cl.lock_id, l.key FROM claim_lock cl JOIN lock l ON l.id = cl.lock_id WHERE cl.claim_id = ?", (claim,)
    ).fetchall()
    for lock_id, key in locks:
        keys.append(key)
        writer.marks.lock(LockId(lock_id))
    kind = "claim.released" if state == "held" else "claim.withdrawn"
    detail = {"claim": claim, "locks": keys, "reason": reason}
    writer.journal(kind, namespace=namespace or "", run=run or "", subject=keys[0], detail=detail)
    if level != "policy":
        _let_policy_go(writer, RunId(run_id), reason)


def end_claim_of(writer: Writer, run: RunState, node: NodeId | None, reason: str) -> None:
    """Ends the open claim of a node, or the run's own (None), if there is one."""
    level = "run" if node is None else "node"
    sql = "SELECT id FROM claim WHERE run_id = ? AND level = ? AND ifnull(node_id, 0) = ? AND state <> 'released'"
    row = writer.db.execute(sql, (run.id, level, node or 0)).fetchone()
    if row is not None:
        end_claim(writer, ClaimId(row[0]), reason)


def run_ended(writer: Writer, run: RunState, phase: Phase, *, keep: bool) -> None:
    """What becomes of an ended run's claims: waiting ones go, held workflow-level ones stay if it keeps them."""
    sql = "SELECT id, level, state FROM claim WHERE run_id = ? AND state <> 'released' ORDER BY id"
    kept = False
    for claim, level, state in writer.db.execute(sql, (run.id,)).fetchall():
        if level == "run" and state == "held" and keep:
            kept = True
        elif level != "policy":
            end_claim(writer, ClaimId(claim), f"run {phase.value}")
    if not kept:
        _let_policy_go(writer, run.id, f"run {phase.value}")


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
