"""How good the expected starts of a lock were: each of its latest waits is guessed again from what was known when it began.

Nothing is written down for it: the rows of ended claims tell what was known then, and what came of it.
"""

from __future__ import annotations

from typing import NamedTuple

from reconciler.store import read_history
from reconciler.views.instants import epoch_s, span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from reconciler.store.read import Reader

FEWEST = 5  # as many holds must have ended before a wait began, and as many waits be guessed, before anything is said
_KNOWN = 100  # the latest ended holds that a guess counts
_GUESSED = 50
_MOST = 200  # claims of the lock that are read


class Hold(NamedTuple):
    """One granted claim: seconds since 1970; `released` None while it is held."""

    asked: float
    granted: float
    released: float | None


class Accuracy(NamedTuple):
    """Half, and 95 %, of so many guesses were off by at most so many seconds."""

    waits: int
    half_s: float
    most_s: float

    def told(self) -> str:
        """As half a sentence."""
        half, most = span(self.half_s), span(self.most_s)
        return f"of its last {self.waits} waits half began within {half} of what was expected, and 95 % within {most}"

    def as_object(self) -> dict[str, Any]:
        """As plain data."""
        return {"count": self.waits, "p50ErrorSeconds": round(self.half_s, 3), "p95ErrorSeconds": round(self.most_s, 3)}


def accuracy(reader: Reader, lock_id: int, capacity: int | None) -> Accuracy | None:
    """How good the guesses of a lock were; None if too few waits can be guessed again."""
    rows = read_history.list_grants(reader, lock_id, _MOST)
    holds = [Hold(epoch_s(row[0]), epoch_s(row[1]), None if row[2] is None else epoch_s(row[2])) for row in rows]
    return judge(holds, capacity or 1)


def judge(holds: list[Hold], capacity: int) -> Accuracy | None:
    """The same for holds in the order of their grants, the latest first."""
    errors: list[float] = []
    for place, hold in enumerate(holds):
        if len(errors) == _GUESSED:
            break
        if hold.granted <= hold.asked:
            continue
        guess = _guess(hold, holds[place + 1 :], capacity)
        if guess is not None:
            errors.append(abs(hold.granted - guess))
    if len(errors) < FEWEST:
        return None
    errors.sort()
    return Accuracy(len(errors), errors[(len(errors) - 1) // 2], errors[max(0, -(-len(errors) * 95 // 100) - 1)])


def _guess(wait: Hold, before: list[Hold], capacity: int) -> float | None:
    """When a wait would have been expected to end at the instant at which it began; `before` were granted before it."""
    now = wait.asked
    ended = [hold.released - hold.granted for hold in before if hold.released is not None and hold.released <= now]
    if len(ended) < FEWEST:
        return None
    spans = sorted(ended[:_KNOWN])
    half = spans[(len(spans) - 1) // 2]
    held = [hold for hold in before if hold.granted <= now and (hold.released is None or hold.released > now)]
    ahead = sum(hold.asked <= now < hold.granted for hold in before)
    free = sorted([max(now, hold.granted + half) for hold in held] + [now] * max(0, capacity - len(held)))
    for place in range(ahead):
        free.append(free[place] + half)
    return free[ahead] if ahead < len(free) else None
