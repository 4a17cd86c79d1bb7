"""When to poll next, and how fresh what is shown is. Pure: instants in, values out; whoever polls hands them in."""

from __future__ import annotations

from datetime import datetime, timedelta

from tui.core.model import Failure, Freshness, FreshnessKind, Snapshot, Unchanged

PERIOD = timedelta(seconds=1)
_STALE_AFTER = 3
_SLOWEST = timedelta(seconds=15)
_STEPS = 4


class Pace:
    """Remembers the last good answer and how many were bad since. `seen` is None before the first good one."""

    def __init__(self, period: timedelta = PERIOD) -> None:
        self.period = period
        self.seen: datetime | None = None
        self.failure: Failure | None = None
        self.next_at: datetime | None = None
        self._begun: datetime | None = None
        self._bad = 0

    def note(self, answer: Snapshot | Unchanged | Failure, now: datetime) -> bool:
        """Takes an answer; True if it is the first good one after a bad one."""
        self._begun = self._begun or now
        if isinstance(answer, Failure):
            self._bad, self.failure = self._bad + 1, answer
            self.next_at = now + min(_SLOWEST, self.period * 2 ** min(self._bad, _STEPS))
            return False
        is_back = self.failure is not None
        self.seen, self.failure, self._bad, self.next_at = now, None, 0, now + self.period
        return is_back

    def retry_now(self, now: datetime) -> None:
        """The next poll is due at once."""
        self.next_at = now

    def is_due(self, now: datetime) -> bool:
        """True when it is time to poll."""
        return self.next_at is None or now >= self.next_at

    def freshness(self, now: datetime) -> Freshness:
        """Live below three periods, stale above; offline while polling fails. Age counts from the last good answer."""
        age = max(timedelta(0), now - (self.seen or self._begun or now))
        if self.failure is not None:
            left = max(timedelta(0), (self.next_at or now) - now)
            return Freshness(kind=FreshnessKind.OFFLINE, age=age, cause=self.failure.text, retry_in=left)
        kind = FreshnessKind.STALE if age > self.period * _STALE_AFTER else FreshnessKind.LIVE
        return Freshness(kind=kind, age=age)
