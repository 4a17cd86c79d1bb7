"""The one admission rule, for every kind of lock.

A claim takes all its locks or none. It is admitted if each of them has room and no earlier waiter wants that lock; an earlier
waiter that itself waits, directly or through others, for a lock that the asker's run holds does not stand in its way, since it
could never go first. Where a lock's policy allows it, earlier waiters that cannot go may be passed, each so many times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from reconciler.model.state import ClaimId, LockId, RunId


@dataclass(frozen=True, slots=True)
class Want:
    """`units` of one lock of a waiting claim: the lock's free units now, and whether the claim is first in its queue."""

    lock: LockId
    room: int
    is_head: bool
    units: int = 1


def is_admitted(wanted: Sequence[Want], may_pass: Callable[[LockId], bool]) -> bool:
    """True if the claim may take all its locks now.

    `may_pass` tells of a lock whether the claim may go before every earlier waiter of it; it is asked only where the claim is
    not first. A claim that wants nothing (every lock is held by an ancestor) is admitted.
    """
    return all(want.room >= want.units for want in wanted) and all(want.is_head or may_pass(want.lock) for want in wanted)


def waits_for(
    claim: ClaimId,
    run: RunId,
    blockers: Callable[[ClaimId], tuple[Iterable[RunId], Iterable[ClaimId]]],
    claims_of: Callable[[RunId], Iterable[ClaimId]],
) -> bool:
    """True if the waiting claim cannot go on before `run` lets something go.

    `blockers` gives the runs that hold a claim's locks and the claims before it in their queues; `claims_of` the claims that a
    run waits with. Every claim is looked at once.
    """
    seen = {claim}
    todo = [claim]
    while todo:
        holders, before = blockers(todo.pop())
        reached = set(before)
        for holder in holders:
            if holder == run:
                return True
            reached.update(claims_of(holder))
        fresh = reached - seen
        seen |= fresh
        todo.extend(fresh)
    return False
