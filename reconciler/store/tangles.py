"""The part of the wait-for graph around one run: who holds what it waits for, what those wait for, and so on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from reconciler.locks.deadlock import Spot, Tangle
from reconciler.model.state import ClaimId, LockId, RunId
from reconciler.store import queue
from reconciler.store.writer import Writer

_WAITS = "SELECT lock_id, nested, units, run_id FROM claim_lock WHERE claim_id = ? AND state = 'waiting' ORDER BY lock_id"
_HOLDERS = (
    "SELECT cl.claim_id, cl.units, cl.run_id, c.node_id, n.type FROM claim_lock cl JOIN claim c ON c.id = cl.claim_id"
    " LEFT JOIN node n ON n.id = c.node_id WHERE cl.lock_id = ? AND cl.state = 'held' AND cl.nested = ? ORDER BY cl.claim_id"
)
_OF_RUN = "SELECT DISTINCT claim_id FROM claim_lock WHERE run_id = ? AND state = 'waiting' ORDER BY claim_id"
_INSIDE = (
    "WITH RECURSIVE above (claim, node) AS (SELECT c.id, c.node_id FROM claim_lock cl JOIN claim c ON c.id = cl.claim_id"
    " WHERE cl.run_id = :run AND cl.state = 'waiting'"
    " UNION SELECT claim, n.parent_id FROM above JOIN node n ON n.id = above.node)"
    " SELECT claim FROM above WHERE node = :node AND claim <> :holder ORDER BY claim"
)
_IS_INSIDE = (
    "WITH RECURSIVE above (node) AS (SELECT node_id FROM claim WHERE id = :claim"
    " UNION SELECT n.parent_id FROM above JOIN node n ON n.id = above.node)"
    " SELECT 1 FROM claim_lock h JOIN claim c ON c.id = h.claim_id JOIN claim w ON w.id = :claim"
    " WHERE h.run_id = w.run_id AND h.state = 'held' AND c.level <> 'policy' AND c.id <> w.id"
    " AND (c.node_id IS NULL OR c.node_id IN (SELECT node FROM above)) LIMIT 1"
)
_CANDIDATES = (
    "SELECT w.claim_id FROM claim_lock w WHERE w.state = 'waiting' AND w.nested = 0 AND w.node_level = 1"
    " AND EXISTS (SELECT 1 FROM claim_lock h WHERE h.run_id = w.run_id AND h.state = 'held') ORDER BY w.claim_id LIMIT 1000"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What one waiting claim is entangled in. `run_of` knows the run of every claim in `tangle`."""

    tangle: Tangle
    run_of: dict[int, RunId] = field(default_factory=dict)


def waiting_inside_holders(writer: Writer) -> list[ClaimId]:
    """The first of the claims of steps that wait while their run holds something: what a sweep looks at."""
    return [ClaimId(row[0]) for row in writer.db.execute(_CANDIDATES)]


def look_around(writer: Writer, start: ClaimId) -> Around | None:
    """The part of the graph that a claim's wait leads to; None if it waits no more, or nothing around it holds a lock."""
    if writer.db.execute(_IS_INSIDE, {"claim": start}).fetchone() is None:
        return None
    needs: dict[int, list[tuple[Spot, int]]] = {}
    holders: dict[Spot, list[tuple[int, int]]] = {}
    inside: dict[int, list[int]] = {}
    run_of: dict[int, RunId] = {}
    todo = [int(start)]
    while todo:
        claim = todo.pop()
        if claim in needs:
            continue
        needs[claim] = []
        for lock, nested, units, run in writer.db.execute(_WAITS, (claim,)).fetchall():
            run_of[claim] = RunId(run)
            spot = (lock, nested)
            lack = units - _room(writer, spot)
            needs[claim].append((spot, lack))
            if lack > 0 and spot not in holders:
                holders[spot] = []
                for other, taken, owner, node, kind in writer.db.execute(_HOLDERS, spot).fetchall():
                    holders[spot].append((other, taken))
                    run_of[other] = RunId(owner)
                    if other not in inside:
                        inside[other] = _inside(writer, other, owner, node, kind)
                        todo += inside[other]
    return Around(tangle=Tangle(needs, holders, inside), run_of=run_of)


def _inside(writer: Writer, holder: int, run: int, node: int | None, kind: str | None) -> list[int]:
    """The claims that wait inside a holding one; a Pod has nothing inside."""
    if node is None:
        return [row[0] for row in writer.db.execute(_OF_RUN, (run,)).fetchall()]
    if kind == "Pod":
        return []
    return [row[0] for row in writer.db.execute(_INSIDE, {"run": run, "node": node, "holder": holder}).fetchall()]


def _room(writer: Writer, spot: Spot) -> int:
    lock, nested = LockId(spot[0]), spot[1]
    return queue.room_inside(writer, lock, nested) if nested else queue.room(writer, lock)


def tell_waits(writer: Writer, cycle: Iterable[int], run_of: dict[int, RunId]) -> list[tuple[ClaimId, str]]:
    """The waiting claims of a cycle, each with `RUN waits for LOCK, held by RUN`."""
    claims = list(cycle)
    found = []
    for claim, after in zip(claims, claims[1:] + claims[:1], strict=True):
        row = writer.db.execute(
            "SELECT w.name, l.key, h.name FROM claim_lock cl JOIN claim_lock o ON o.lock_id = cl.lock_id AND o.claim_id = ?"
            " AND o.state = 'held' JOIN lock l ON l.id = cl.lock_id JOIN run w ON w.id = cl.run_id JOIN run h ON h.id = o.run_id"
            " WHERE cl.claim_id = ? AND cl.state = 'waiting' ORDER BY l.id LIMIT 1",
            (after, claim),
        ).fetchone()
        if row is not None and claim in run_of:
            found.append((ClaimId(claim), f"{row[0]} waits for {row[1]}, held by {row[2]}"))
    return found


def same_knot(writer: Writer, claims: Sequence[ClaimId]) -> bool:
    """True if these claims were seen in one knot before, others with them or not; from now on they were."""
    marks = ", ".join("?" * len(claims))
    sql = f"SELECT min(knot), max(knot) FROM claim WHERE id IN ({marks})"
    least, most = writer.db.execute(sql, claims).fetchone()
    if least == most and least > 0:
        return True
    writer.db.execute(f"UPDATE claim SET knot = ? WHERE id IN ({marks})", (min(claims), *claims))
    return False


def policy_against(writer: Writer, claims: Iterable[ClaimId]) -> str:
    """A policy of a lock that these claims wait for which says to end the youngest; '' if none does."""
    for claim in claims:
        row = writer.db.execute(
            "SELECT l.policy FROM claim_lock cl JOIN lock l ON l.id = cl.lock_id"
            " WHERE cl.claim_id = ? AND cl.state = 'waiting' AND l.fails_youngest = 1 ORDER BY l.id LIMIT 1",
            (claim,),
        ).fetchone()
        if row is not None:
            return str(row[0])
    return ""
