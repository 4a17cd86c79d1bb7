"""The pass over locks: admits to every marked lock, as the one admission rule says, as long as somebody fits.

Its cost is bounded by the queues that it looks at: whoever lacks room elsewhere is left out by one statement, and who was found
unable to go is not looked at twice. It decides no rule of its own.
"""

from __future__ import annotations

from itertools import islice

from reconciler.locks.admission import is_admitted, waits_for
from reconciler.loop.context import Context
from reconciler.model.state import ClaimId, LockId, RunId
from reconciler.store import claims, queue


def lock_pass(ctx: Context) -> None:
    """Admits to every marked lock, and to those whose first waiter another lock held up, as long as somebody fits."""
    writer = ctx.writer
    if ctx.draining:
        writer.marks.locks.clear()  # nobody is admitted any more; the next daemon's first sweep finds them
    admission = Admission(ctx)
    while writer.marks.locks:
        marked, writer.marks.locks = writer.marks.locks, {}
        if writer.marks.retry_blocked:
            writer.marks.retry_blocked = False
            marked.update(dict.fromkeys(queue.blocked_heads(writer)))
        for lock in marked:
            admission.admit(lock)


class Admission:
    """One pass over locks. Who was found unable to go is not looked at again before somebody was let in: only that changes it."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._writer = ctx.writer
        self._unable: set[tuple[ClaimId, LockId | None]] = set()

    def admit(self, lock: LockId) -> None:
        """Lets in whom the lock has room for, and remembers if its room cannot be taken yet."""
        writer = self._writer
        blocked = self._admit_inside(lock)
        while queue.admits_somebody(writer, lock):
            head = queue.first_waiter(writer, lock)
            if head is None:
                break
            admitted = head if self._may_take(head) else self._find_later(lock, head)
            if admitted is None:
                blocked = True
                break
            self._grant(admitted)
        queue.set_blocked_head(writer, lock, blocked=blocked)

    def _find_later(self, lock: LockId, head: ClaimId) -> ClaimId | None:
        """A waiter behind the head that may go although the head cannot: a policy lets it pass, or nobody stands in its way."""
        first = queue.first_waiters(self._writer, lock)
        for claim in first:
            if claim != head and self._may_take(claim, lock):
                return claim
        seen = {head, *first}
        stopped: set[RunId] = set()  # runs of which one was kept by somebody before it: he is before their later ones too
        for claim, run in queue.waiting_nodes(self._writer, lock):
            if claim in seen or run in stopped:
                continue
            if self._may_take(claim, lock):
                return claim
            if not self._is_free_of(claim, lock):
                stopped.add(run)
        return None

    def _is_free_of(self, claim: ClaimId, lock: LockId) -> bool:
        """True if it is not the waiters of this lock before it that keep the claim."""
        return queue.may_pass(self._writer, lock, claim) or self._all_exempt(claim, lock)

    def _admit_inside(self, lock: LockId) -> bool:
        """Gives turns inside ancestors that hold the lock; True if a free turn could be given to nobody."""
        blocked = False
        for ancestor in queue.free_turns(self._writer, lock):
            admitted = next((one for one in queue.waiting_inside(self._writer, lock, ancestor) if self._may_take(one)), None)
            if admitted is None:
                blocked = True
            else:
                self._grant(admitted)
        return blocked

    def _grant(self, claim: ClaimId) -> None:
        self._unable.clear()
        queue.note_passed(self._writer, claim)  # whichever lock it was looked at for: it may be first there and not elsewhere
        for other in claims.grant(self._writer, claim):
            self._writer.marks.lock(other)  # also its own: what its run holds now may let that run pass elsewhere
        self._ctx.boundary("admit")

    def _may_take(self, claim: ClaimId, scanned: LockId | None = None) -> bool:
        """`scanned` is the lock of which everybody before the claim was found unable to go."""
        if (claim, scanned) in self._unable:
            return False
        can = not queue.lacks_room(self._writer, claim) and is_admitted(
            queue.wants(self._writer, claim),
            lambda lock: self._may_overtake(claim, lock, scanned) or self._all_exempt(claim, lock),
        )
        if not can:
            self._unable.add((claim, scanned))
        return can

    def _may_overtake(self, claim: ClaimId, lock: LockId, scanned: LockId | None) -> bool:
        """True if the lock's policy lets the claim pass all before it, none of whom could go itself."""
        if not queue.may_pass(self._writer, lock, claim):
            return False
        if lock == scanned:
            return True
        earlier = list(islice(queue.earlier_waiters(self._writer, claim, lock), queue.LOOKAHEAD))
        return len(earlier) < queue.LOOKAHEAD and not any(self._may_take(other, lock) for other in earlier)

    def _all_exempt(self, claim: ClaimId, lock: LockId) -> bool:
        """True if every earlier waiter of the lock waits, through whomever, for the asker's own run, and cannot go itself."""
        writer = self._writer
        run = queue.run_of(writer, claim)
        if not queue.holds_anything(writer, run):
            return False
        return all(
            waits_for(c, run, lambda c: queue.holders_and_queue(writer, c), lambda r: queue.waiting_claims(writer, r))
            and not self._may_take(c)
            for c in queue.earlier_waiters(writer, claim, lock)
        )
