"""Windows in which locks admit nobody: whether an instant lies in one, until when, and when that changes. Pure.

A window begins at each tick of its schedule and lasts its length in elapsed time, its first instant included and its last not.
Windows that overlap or touch are one. It must never ask what time it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from reconciler.cron.schedule import latest_between, load_zone, next_after, parse_schedule
from reconciler.model.own_kinds import FreezeWindow

_MOST_JOINED = 100  # windows that follow one another without a gap; then the end is told as far as it was looked


@dataclass(frozen=True, slots=True, kw_only=True)
class Frost:
    """What holds at an instant. `until` None: open. `next_at` is when to look again, None for never."""

    until: datetime | None = None
    reason: str = ""
    next_at: datetime | None = None


def frost_at(windows: Iterable[FreezeWindow], now: datetime) -> Frost:
    """Whether one of the windows is open at `now` (aware UTC in and out). Raises ValueError for a schedule that is none."""
    known = tuple(windows)
    until, reason = _end(known, now)
    if until is None:
        starts = (next_after(parse_schedule(one.schedule), now, load_zone(one.timezone)) for one in known)
        return Frost(next_at=min((start for start in starts if start is not None), default=None))
    for _ in range(_MOST_JOINED):
        later, _ = _end(known, until)
        if later is None:
            break
        until = later
    return Frost(until=until, reason=reason, next_at=until)


def _end(windows: tuple[FreezeWindow, ...], now: datetime) -> tuple[datetime | None, str]:
    """The latest end of the windows around an instant, and that one's reason."""
    found: tuple[datetime | None, str] = (None, "")
    for one in windows:
        length = timedelta(seconds=one.duration_s)
        start = latest_between(parse_schedule(one.schedule), now - length, now, load_zone(one.timezone))
        if start is not None and (found[0] is None or start + length > found[0]):
            found = start + length, one.reason
    return found
