"""The part of the wait-for graph around one wait: who holds what it waits for, what those wait for, and so on.

A wait is a claim's id or, below 0, that of a barrier's row: a run that has arrived waits until each of the absent ones goes on
with something. So the spot (-ROW, 0) of an absent run is full while all that the run does is wait.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
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
_OF_RUN = (
    "SELECT claim_id FROM claim_lock WHERE run_id = :run AND state = 'waiting'"
    " UNION SELECT -id FROM barrier WHERE run_id = :run AND state = 'arrived' ORDER BY 1"
)
_INSIDE = (
    "WITH RECURSIVE above (claim, node) AS (SELECT c.id, c.node_id FROM claim_lock cl JOIN claim c ON c.id = cl.claim_id"
    " WHERE cl.run_id = :run AND cl.state = 'waiting'"
    " UNION SELECT -b.id, n.id FROM barrier b JOIN node at ON at.id = b.node_id JOIN node n ON n.run_id = b.run_id"
    " AND n.type = 'Suspend' AND n.finished_at IS NULL AND n.template = at.template WHERE b.run_id = :run AND b.state = 'arrived'"
    " UNION SELECT claim, n.parent_id FROM above JOIN node n ON n.id = above.node)"
    " SELECT claim FROM above WHERE node = :node AND claim <> :holder ORDER BY claim"
)
_IS_INSIDE = (
    "WITH RECURSIVE above (node) AS (SELECT node_id FROM claim WHERE id = :claim"
    " UNION SELECT n.parent_id FROM above JOIN node n ON n.id = above.node)"
    " SELECT 1 FROM claim w JOIN above CROSS JOIN claim c ON c.run_id = w.run_id AND c.state <> 'released'"  # from the few above
    " AND c.level = CASE WHEN above.node IS NULL THEN 'run' ELSE 'node' END AND ifnull(c.node_id, 0) = ifnull(above.node, 0)"
    " WHERE w.id = :claim AND c.id <> w.id AND c.state = 'held'"
    " UNION ALL SELECT 1 FROM claim w JOIN barrier mine ON mine.run_id = w.run_id AND mine.state = 'absent'"
    " JOIN barrier b ON b.pipeline = mine.pipeline AND b.name = mine.name AND b.state = 'arrived' WHERE w.id = :claim LIMIT 1"
)
_ABSENT = (
    "SELECT -b.id, b.run_id FROM barrier mine JOIN barrier b ON b.pipeline = mine.pipeline AND b.name = mine.name"
    " WHERE mine.id = -? AND mine.state = 'arrived' AND b.state = 'absent' ORDER BY b.id"
)
_MAY_GO_ON = (  # something other than its waits can take the run on: a process, an instant, a person, its end
    "SELECT 1 FROM run r WHERE r.id = :run AND (r.suspended = 1 OR r.shutdown <> '' OR r.successor_of IS NOT NULL"
    " OR r.finished_at IS NOT NULL"
    " OR EXISTS (SELECT 1 FROM attempt a WHERE a.run_id = r.id AND a.state IN ('queued', 'intended', 'live'))"
    " OR EXISTS (SELECT 1 FROM node n WHERE n.run_id = r.id AND n.finished_at IS NULL"
    " AND (n.wake_at IS NOT NULL OR (n.type = 'Suspend' AND n.phase = 'Running'))"
    " AND NOT (n.type = 'Suspend' AND n.template IN (SELECT at.template FROM barrier b JOIN node at ON at.id = b.node_id"
    " WHERE b.run_id = r.id AND b.state = 'arrived'))))"
)
_CANDIDATES = (
    "SELECT w.claim_id FROM claim_lock w WHERE w.state = 'waiting' AND w.nested = 0 AND w.node_level = 1"
    " AND EXISTS (SELECT 1 FROM claim_lock h WHERE h.run_id = w.run_id AND h.state = 'held') ORDER BY w.claim_id LIMIT 1000"
)


_AT_BARRIER = (
    "SELECT r.name, b.name, o.name FROM barrier b JOIN run r ON r.id = b.run_id JOIN run o ON o.id = :other WHERE b.id = -:wait"
)
_KNOWN = (
    "SELECT knot FROM claim WHERE id IN (SELECT value FROM json_each(:waits)) AND knot <> 0"
    " UNION ALL SELECT knot FROM barrier WHERE id IN (SELECT -value FROM json_each(:waits)) AND knot <> 0 LIMIT 1"
)
_AGAINST = (
    "SELECT cl.claim_id FROM json_each(:waits) w JOIN claim_lock cl ON cl.claim_id = w.value JOIN lock l ON l.id = cl.lock_id"
    " WHERE cl.state = 'waiting' AND l.fails_youngest = 1 ORDER BY w.key LIMIT 1"
)
_KNOT = "UPDATE claim SET knot = :knot WHERE id IN (SELECT value FROM json_each(:waits)) AND knot <> :knot"
_KNOT_AT_BARRIER = "UPDATE barrier SET knot = :knot WHERE id IN (SELECT -value FROM json_each(:waits)) AND knot <> :knot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What one wait is entangled in: the claims of `tangle`, those of them that wait, and the run of each."""

    tangle: Tangle
    waits: frozenset[int] = frozenset()
    run_of: dict[int, RunId] = field(default_factory=dict)

    def waiting(self, claims: Iterable[int]) -> frozenset[int]:
        """Those of the claims that wait."""
        return self.waits.intersection(claims)


def waiting_inside_holders(writer: Writer) -> list[ClaimId]:
    """The first 1,000 claims of steps that wait while their run holds something: what a sweep looks at.

    It is a net below the marks, which miss only a cycle that a lowered limit has closed.
    """
    return [ClaimId(row[0]) for row in writer.db.execute(_CANDIDATES)]


def look_around(writer: Writer, starts: Iterable[ClaimId]) -> Around:
    """The part of the graph that these waits lead to, in time that grows with its size and not with how many they are.

    A wait that is over, or for whose run nobody could wait, leads nowhere.
    """
    needs: dict[int, list[tuple[Spot, int]]] = {}
    holders: dict[Spot, list[tuple[int, int]]] = {}
    inside: dict[int, list[int]] = {}
    run_of: dict[int, RunId] = {}
    todo = [int(start) for start in starts if start < 0 or writer.db.execute(_IS_INSIDE, {"claim": start}).fetchone() is not None]
    todo.reverse()
    while todo:
        claim = todo.pop()
        if claim in needs:
            continue
        needs[claim] = []
        for lock, nested, units, run in writer.db.execute(_WAITS, (claim,)).fetchall():
            run_of[claim] = RunId(run)
            spot = (lock, nested)
            lack = _lack(writer, spot, units)
            needs[claim].append((spot, lack))
            if lack > 0 and spot not in holders:
                holders[spot] = []
                for other, taken, owner, node, kind in writer.db.execute(_HOLDERS, spot).fetchall():
                    holders[spot].append((other, taken))
                    run_of[other] = RunId(owner)
                    if other not in inside:
                        inside[other] = _inside(writer, other, owner, node, kind)
                        todo += inside[other]
        for spot, waits in _absent(writer, claim, run_of).items():
            needs[claim].append((spot, 1))
            holders[spot] = [(wait, 1) for wait in waits]
            todo += waits
    return Around(tangle=Tangle(needs, holders, inside), waits=frozenset(needs), run_of=run_of)


def _absent(writer: Writer, wait: int, run_of: dict[int, RunId]) -> dict[Spot, list[int]]:
    """By the spot of each run that is waited for at a barrier and itself does nothing but wait: its waits."""
    if wait > 0:
        return {}
    found: dict[Spot, list[int]] = {}
    run_of.update((wait, RunId(own[0])) for own in writer.db.execute("SELECT run_id FROM barrier WHERE id = -?", (wait,)))
    for row, run in writer.db.execute(_ABSENT, (wait,)).fetchall():
        names = {"run": run}
        waits = [one[0] for one in writer.db.execute(_OF_RUN, names)]
        if waits and writer.db.execute(_MAY_GO_ON, names).fetchone() is None:
            found[row, 0] = waits
            run_of |= dict.fromkeys(waits, RunId(run))
    return found


def _inside(writer: Writer, holder: int, run: int, node: int | None, kind: str | None) -> list[int]:
    """The claims that wait inside a holding one; a Pod has nothing inside."""
    if node is None:
        return [row[0] for row in writer.db.execute(_OF_RUN, {"run": run}).fetchall()]
    if kind == "Pod":
        return []
    return [row[0] for row in writer.db.execute(_INSIDE, {"run": run, "node": node, "holder": holder}).fetchall()]


def _lack(writer: Writer, spot: Spot, units: int) -> int:
    lock, nested = LockId(spot[0]), spot[1]
    return units - queue.room_inside(writer, lock, nested) if nested else queue.lack(writer, lock, units)


def tell_waits(writer: Writer, cycle: Iterable[int], run_of: dict[int, RunId]) -> list[tuple[ClaimId, str]]:
    """The waits of a cycle, each with `RUN waits for LOCK, held by RUN` or `RUN waits at barrier NAME for RUN`."""
    claims = list(cycle)
    found = []
    for claim, after in zip(claims, claims[1:] + claims[:1], strict=True):
        if claim < 0:
            row = writer.db.execute(_AT_BARRIER, {"wait": claim, "other": run_of[after]}).fetchone()
            found.append((ClaimId(claim), f'{row[0]} waits at barrier "{row[1]}" for {row[2]}'))
            continue
        row = writer.db.execute(
            "SELECT w.name, l.key, h.name FROM claim_lock cl JOIN claim_lock o ON o.lock_id = cl.lock_id AND o.claim_id = ?"
            " AND o.state = 'held' JOIN lock l ON l.id = cl.lock_id JOIN run w ON w.id = cl.run_id JOIN run h ON h.id = o.run_id"
            " WHERE cl.claim_id = ? AND cl.state = 'waiting' ORDER BY l.id LIMIT 1",
            (after, claim),
        ).fetchone()
        if row is not None and claim in run_of:
            found.append((ClaimId(claim), f"{row[0]} waits for {row[1]}, held by {row[2]}"))
    return found


def same_knot(writer: Writer, claims: Iterable[int]) -> bool:
    """True if some of these waits were seen to wait for one another before; from now on all of them were.

    What is noted is forgotten as soon as one of them waits no more. Without a claim the knot is known by a barrier, below 0.
    """
    waiting = sorted(claims)
    names = {"waits": json.dumps(waiting)}
    found = writer.db.execute(_KNOWN, names).fetchone()
    knot = found[0] if found else min((claim for claim in waiting if claim > 0), default=waiting[0])
    for sql in (_KNOT, _KNOT_AT_BARRIER):
        writer.db.execute(sql, {**names, "knot": knot})
    return found is not None


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


def first_against(writer: Writer, claims: Iterable[ClaimId]) -> list[ClaimId]:
    """The first of these claims that waits for a lock whose policy says to end the youngest; [] if none does."""
    names = {"waits": json.dumps(list(claims))}
    return [ClaimId(row[0]) for row in writer.db.execute(_AGAINST, names)]
