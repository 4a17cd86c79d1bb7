"""Rows of the queues as the admission rule asks for them: room, heads, who is before whom. Writes only what it remembers.

A queue is ordered by priority, arrival of the run, arrival of the claim. Inside an ancestor that holds the lock there are turns
instead of units, each ancestor with a queue of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.locks.admission import Want
from reconciler.model.own_kinds import NO_BOUND
from reconciler.model.state import ClaimId, LockId, RunId
from reconciler.model.whole import WHOLE
from reconciler.store.writer import Writer

_BEFORE = (
    "FROM claim_lock m JOIN claim_lock o ON o.lock_id = m.lock_id AND o.state = 'waiting' AND o.nested = 0"
    " AND (o.priority > m.priority OR (o.priority = m.priority AND (o.queue_order, o.claim_id) < (m.queue_order, m.claim_id)))"
    " JOIN claim c ON c.id = o.claim_id WHERE m.claim_id = ? AND m.nested = 0"
)
_PASSED = f"SELECT max(CASE WHEN o.units >= {WHOLE} THEN {NO_BOUND} ELSE c.overtaken END) {_BEFORE} AND m.lock_id = ?"
LOOKAHEAD = 64  # where overtaking is allowed so many waiters are looked at, so that a release costs the same however many wait


def room(writer: Writer, lock_id: LockId) -> int:
    """Units free: negative if a limit was lowered below the holders; 0 if the limit was never read or the lock is held back."""
    sql = (
        "SELECT CASE WHEN held_back = '' THEN ifnull(capacity, 0) ELSE 0 END,"
        " (SELECT ifnull(sum(units), 0) FROM claim_lock WHERE lock_id = lock.id AND state = 'held' AND nested = 0)"
        " FROM lock WHERE id = ?"
    )
    capacity, held = writer.db.execute(sql, (lock_id,)).fetchone()
    return int(capacity) - int(held)


def admits_somebody(writer: Writer, lock_id: LockId) -> bool:
    """True if a unit is free, or if nobody holds a lock whose first waiter takes it whole, whatever the limit."""
    sql = (
        "SELECT held_back = '' AND (ifnull(capacity, 0) > held OR (ifnull(capacity, 0) = 0 AND held = 0"
        " AND EXISTS (SELECT 1 FROM claim_lock WHERE lock_id = now.id AND state = 'waiting' AND units = 2147483647)))"
        " FROM (SELECT id, held_back, capacity, (SELECT ifnull(sum(units), 0) FROM claim_lock"
        " WHERE lock_id = lock.id AND state = 'held' AND nested = 0) AS held FROM lock WHERE id = ?) AS now"
    )
    return bool(writer.db.execute(sql, (lock_id,)).fetchone()[0])


def room_for(writer: Writer, lock_id: LockId, units: int, *, thaws: bool) -> int:
    """As `room`; 0 where the lock is frozen, unless that does not stop the claim. One that takes the lock whole has all the room
    that it needs once nobody holds it, and none before.
    """
    if units < WHOLE:
        return room(writer, lock_id) if thaws or not is_frozen(writer, lock_id) else 0
    sql = (
        "SELECT held_back = '' AND NOT EXISTS"
        " (SELECT 1 FROM claim_lock WHERE lock_id = lock.id AND state = 'held' AND nested = 0)"
        " FROM lock WHERE id = ?"
    )
    return WHOLE if writer.db.execute(sql, (lock_id,)).fetchone()[0] else 0


def is_frozen(writer: Writer, lock_id: LockId) -> bool:
    """True while a window is open in which the lock admits nobody."""
    return bool(writer.db.execute("SELECT frozen_until IS NOT NULL FROM lock WHERE id = ?", (lock_id,)).fetchone()[0])


def lack(writer: Writer, lock_id: LockId, units: int) -> int:
    """How many units have to come free before there is room for so many; at most 0 if there is room."""
    if units < WHOLE:
        return units - room(writer, lock_id)
    sql = "SELECT ifnull(sum(units), 0) FROM claim_lock WHERE lock_id = ? AND state = 'held' AND nested = 0"
    return int(writer.db.execute(sql, (lock_id,)).fetchone()[0])


def front(writer: Writer, locks: Sequence[LockId]) -> tuple[int, int] | None:
    """(priority, order) of a place before every waiter of the locks; None if nobody waits."""
    sql = (
        "SELECT priority, queue_order FROM claim_lock WHERE lock_id = ? AND state = 'waiting' AND nested = 0"
        " ORDER BY priority DESC, queue_order, claim_id LIMIT 1"
    )
    heads = [row for lock in locks for row in writer.db.execute(sql, (lock,)).fetchall()]
    if not heads:
        return None
    highest = max(priority for priority, _ in heads)
    return highest, min(order for priority, order in heads if priority == highest) - 1


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


_LACKS = (  # another lock of the claim has no room for it: it need not be looked at
    "SELECT 1 FROM claim_lock n JOIN lock l ON l.id = n.lock_id WHERE n.claim_id = w.claim_id AND n.lock_id <> w.lock_id AND"
    " CASE WHEN n.nested > 0 THEN EXISTS"
    " (SELECT 1 FROM claim_lock h WHERE h.lock_id = n.lock_id AND h.state = 'held' AND h.nested = n.nested AND h.nested > 0)"
    " ELSE l.held_back <> '' OR (n.thaws = 0 AND l.frozen_until IS NOT NULL) OR CASE WHEN n.units = 2147483647 THEN EXISTS"
    " (SELECT 1 FROM claim_lock h WHERE h.lock_id = n.lock_id AND h.state = 'held' AND h.nested = 0) ELSE ifnull(l.capacity, 0)"
    " - (SELECT ifnull(sum(h.units), 0) FROM claim_lock h WHERE h.lock_id = n.lock_id AND h.state = 'held' AND h.nested = 0)"
    " < n.units END END"
)


def waiting_inside(writer: Writer, lock_id: LockId, ancestor: int) -> Iterator[ClaimId]:
    """Who waits for a turn with the lock inside that ancestor and has room at its other locks, in queue order, page by page.

    It may be left early; nothing may be written before it is.
    """
    sql = (
        "SELECT claim_id FROM claim_lock w WHERE lock_id = ? AND state = 'waiting' AND nested = ? AND nested > 0"
        f" AND NOT EXISTS ({_LACKS}) ORDER BY priority DESC, queue_order, claim_id"
    )
    for row in writer.db.execute(sql, (lock_id, ancestor)):
        yield ClaimId(row[0])


def _first_inside(writer: Writer, lock_id: LockId, ancestor: int) -> ClaimId:
    sql = (
        "SELECT claim_id FROM claim_lock WHERE lock_id = ? AND state = 'waiting' AND nested = ? AND nested > 0"
        " ORDER BY priority DESC, queue_order, claim_id LIMIT 1"
    )
    return ClaimId(writer.db.execute(sql, (lock_id, ancestor)).fetchone()[0])


_FIRST = (
    "(SELECT claim_id FROM claim_lock WHERE lock_id = :lock AND state = 'waiting' AND nested = 0{}"
    " ORDER BY priority DESC, queue_order, claim_id LIMIT 1)"
)
_FIRST_WAITER = (
    f"SELECT CASE WHEN frozen_until IS NULL THEN {_FIRST.format('')} ELSE {_FIRST.format(' AND thaws = 1')} END"
    " FROM lock WHERE id = :lock"
)


def first_waiter(writer: Writer, lock_id: LockId) -> ClaimId | None:
    """The head of the lock's queue; while it is frozen, of those in it whom that does not stop."""
    found = writer.db.execute(_FIRST_WAITER, {"lock": lock_id}).fetchone()[0]
    return None if found is None else ClaimId(found)


def waiting_nodes(writer: Writer, lock_id: LockId) -> list[tuple[ClaimId, RunId]]:
    """Node-level waiters of the lock, in queue order, whose runs hold something and whose other locks have room for them:
    nobody else can pass a waiter.
    """
    sql = (
        "SELECT w.claim_id, w.run_id FROM claim_lock w WHERE w.lock_id = ? AND w.state = 'waiting' AND w.nested = 0"
        " AND w.node_level = 1 AND EXISTS (SELECT 1 FROM claim_lock h WHERE h.run_id = w.run_id AND h.state = 'held')"
        f" AND NOT EXISTS ({_LACKS}) ORDER BY w.priority DESC, w.queue_order, w.claim_id"
    )
    return [(ClaimId(row[0]), RunId(row[1])) for row in writer.db.execute(sql, (lock_id,))]


def _overtake(writer: Writer, lock_id: LockId) -> int:
    """How often the lock's policy lets a waiter be passed."""
    return int(writer.db.execute("SELECT overtake FROM lock WHERE id = ?", (lock_id,)).fetchone()[0])


def may_pass(writer: Writer, lock_id: LockId, claim: ClaimId) -> bool:
    """True if the lock's policy lets this claim pass every waiter before it once more; nobody passes one that takes it whole."""
    most = _overtake(writer, lock_id)
    if not most:
        return False
    passed = writer.db.execute(_PASSED, (claim, lock_id)).fetchone()[0]
    return passed is None or passed < most


def first_waiters(writer: Writer, lock_id: LockId) -> list[ClaimId]:
    """The first of the queue where later ones may pass earlier ones; [] where they may not."""
    if not _overtake(writer, lock_id):
        return []
    sql = (
        "SELECT claim_id FROM claim_lock WHERE lock_id = ? AND state = 'waiting' AND nested = 0"
        " ORDER BY priority DESC, queue_order, claim_id LIMIT ?"
    )
    return [ClaimId(row[0]) for row in writer.db.execute(sql, (lock_id, LOOKAHEAD))]


def note_passed(writer: Writer, claim: ClaimId) -> None:
    """Counts, for every waiter that this claim is about to pass, that it was passed."""
    allows = "SELECT 1 FROM claim_lock cl JOIN lock l ON l.id = cl.lock_id WHERE cl.claim_id = ? AND l.overtake > 0 LIMIT 1"
    if writer.db.execute(allows, (claim,)).fetchone() is not None:
        passed = f"SELECT c.id {_BEFORE} AND (SELECT overtake FROM lock WHERE id = m.lock_id) > 0"
        writer.db.execute(f"UPDATE claim SET overtaken = overtaken + 1 WHERE id IN ({passed})", (claim,))


def earlier_waiters(writer: Writer, claim: ClaimId, lock_id: LockId) -> Iterator[ClaimId]:
    """The waiters of the lock before this claim, in queue order, as they are asked for; inside a holding ancestor, those before
    its turn. Nothing may be written before it is left.
    """
    inside = writer.db.execute("SELECT nested FROM claim_lock WHERE claim_id = ? AND lock_id = ?", (claim, lock_id)).fetchone()[0]
    group = "o.nested = m.nested AND o.nested > 0" if inside else "o.nested = 0"
    sql = (
        "SELECT o.claim_id FROM claim_lock m JOIN claim_lock o ON o.lock_id = m.lock_id AND o.state = 'waiting'"
        f" AND {group} AND (o.priority > m.priority OR (o.priority = m.priority AND (o.queue_order, o.claim_id) <"
        " (m.queue_order, m.claim_id))) WHERE m.claim_id = ? AND m.lock_id = ?"
        " ORDER BY o.priority DESC, o.queue_order, o.claim_id"
    )
    for row in writer.db.execute(sql, (claim, lock_id)):
        yield ClaimId(row[0])


def lacks_room(writer: Writer, claim: ClaimId) -> bool:
    """True if one of the locks that a claim waits for has no room for it, whoever else waits."""
    sql = f"SELECT 1 FROM (SELECT ? AS claim_id, 0 AS lock_id) w WHERE EXISTS ({_LACKS})"
    return writer.db.execute(sql, (claim,)).fetchone() is not None


def wants(writer: Writer, claim: ClaimId) -> list[Want]:
    """What a waiting claim wants, lock by lock, with the room of each and whether the claim is its queue's head."""
    sql = "SELECT lock_id, nested, units, thaws FROM claim_lock WHERE claim_id = ? AND state = 'waiting' ORDER BY lock_id"
    found = []
    for lock_id, inside, units, thaws in writer.db.execute(sql, (claim,)).fetchall():
        if inside:
            is_head = _first_inside(writer, lock_id, inside) == claim
            found.append(Want(lock=lock_id, room=room_inside(writer, lock_id, inside), is_head=is_head))
        else:
            is_head = first_waiter(writer, lock_id) == claim
            free = room_for(writer, lock_id, units, thaws=bool(thaws))
            found.append(Want(lock=lock_id, room=free, is_head=is_head, units=units))
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
    sql = "SELECT lock_id, nested, run_id, priority, queue_order, units FROM claim_lock WHERE claim_id = ? AND state = 'waiting'"
    runs: list[RunId] = []
    before: list[ClaimId] = []
    for lock_id, inside, own, priority, order, units in writer.db.execute(sql, (claim,)).fetchall():
        if inside and not room_inside(writer, lock_id, inside):
            runs.append(RunId(own))  # its turn is taken by a node of its own run
        elif not inside and lack(writer, lock_id, units) > 0:
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


def run_with_epoch(writer: Writer, epoch: int) -> RunId | None:
    """The run whose claim was granted under that epoch, or None."""
    row = writer.db.execute("SELECT run_id FROM claim WHERE epoch = ?", (epoch,)).fetchone()
    return None if row is None else RunId(row[0])


def keys_held(writer: Writer, run_id: RunId) -> list[str]:
    """The locks that a run holds now, by key, policies aside."""
    sql = (
        "SELECT DISTINCT l.key FROM claim_lock cl JOIN lock l ON l.id = cl.lock_id"
        " WHERE cl.run_id = ? AND cl.state = 'held' AND cl.nested = 0 AND l.kind <> 'Policy' ORDER BY l.key"
    )
    return [str(row[0]) for row in writer.db.execute(sql, (run_id,))]
