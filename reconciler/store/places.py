"""The places in a lock's queue: how many there are, who goes when there are more, and how long one may be kept.

Places count holders and waiters. Turns inside an ancestor that holds the lock take none, nor do maintenance holds, which nobody
turns away.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from reconciler.clock import from_text, to_text
from reconciler.model.own_kinds import Overflow
from reconciler.model.state import ClaimId, LockId, Rule
from reconciler.model.whole import WHOLE
from reconciler.store.refusals import refuse
from reconciler.store.writer import Writer

_LIMITED = (
    "SELECT l.id, l.key, l.policy, l.queue_limit, l.overflow, l.reserved, l.wait_limit_s, r.origin IN ('submit', 'resubmit'),"
    " r.name"
    " FROM claim_lock cl JOIN lock l ON l.id = cl.lock_id JOIN run r ON r.id = cl.run_id"
    f" WHERE cl.claim_id = ? AND cl.nested = 0 AND cl.units < {WHOLE}"
    " AND (l.queue_limit IS NOT NULL OR l.wait_limit_s IS NOT NULL) ORDER BY l.id"
)
_TAKEN = (
    "SELECT (SELECT count(*) FROM (SELECT 1 FROM claim_lock WHERE lock_id = :lock AND state = 'held' AND nested = 0"
    f" AND units < {WHOLE} LIMIT :most))"
    " + (SELECT count(*) FROM (SELECT 1 FROM claim_lock WHERE lock_id = :lock AND state = 'waiting' AND nested = 0"
    f" AND units < {WHOLE} LIMIT :most))"
)
_OTHERS = (
    "SELECT claim_id FROM claim_lock WHERE lock_id = ? AND state = 'waiting' AND nested = 0 AND claim_id <> ?"
    f" AND units < {WHOLE}"
    " ORDER BY claim_id LIMIT ?"
)


def take_place(writer: Writer, claim: ClaimId, wait_limit_s: float | None = None) -> None:
    """Gives a claim that was just made its places, or turns away whom the policies of its locks say: it, or earlier waiters.

    `wait_limit_s` is what its own run allows it to wait; the shortest limit counts.
    """
    patience = [] if wait_limit_s is None else [wait_limit_s]
    rows = writer.db.execute(_LIMITED, (claim,)).fetchall()
    patience += [row[6] for row in rows if row[6] is not None]
    going: dict[ClaimId, str] = {}  # nobody goes for a newcomer that is turned away by another of its queues
    for row in rows:
        told = _full_text(writer, row)
        if told:
            others = _who_goes(writer, LockId(row[0]), claim, Overflow(row[4]))
            if not others:
                refuse(writer, claim, Rule.QUEUE_FULL, f"{told}; wait until others have ended, and submit it again")
                return
            going |= dict.fromkeys(others, f"{told}; {row[8]} came later")
    for other, told in going.items():
        refuse(writer, other, Rule.SUPERSEDED, told)
    if patience:
        until = to_text(from_text(writer.now) + timedelta(seconds=min(patience)))
        writer.db.execute("UPDATE claim SET wait_until = ? WHERE id = ? AND state = 'waiting'", (until, claim))


def _limit_text(limit: int, places: int) -> str:
    text = f"it has {limit} {'entry' if limit == 1 else 'entries'}, its holder included"
    return text if places == limit else f"{text}, and the last {limit - places} are kept for what people submit"


def _full_text(writer: Writer, row: tuple[Any, ...]) -> str:
    """That a queue has no place for the claim that stands in it already; '' if it has one. The row is one of _LIMITED."""
    lock_id, key, policy, limit, _, reserved, _, is_person, _ = row
    if limit is None:
        return ""
    places = limit if is_person else limit - reserved
    taken = int(writer.db.execute(_TAKEN, {"lock": lock_id, "most": limit + 1}).fetchone()[0])
    if taken <= places:
        return ""
    return f"the queue of {key} is full: {_limit_text(limit, places)}{f' (LockPolicy {policy})' if policy else ''}"


def _who_goes(writer: Writer, lock_id: LockId, claim: ClaimId, overflow: Overflow) -> list[ClaimId]:
    """The earlier waiters that go for a newcomer; [] if it is the newcomer, as where nobody waits before it."""
    if overflow is Overflow.REJECT_NEW:
        return []
    count = 1 if overflow is Overflow.DROP_OLDEST else -1
    return [ClaimId(row[0]) for row in writer.db.execute(_OTHERS, (lock_id, claim, count)).fetchall()]
