"""The wall clock beside the awake time: what was set, slept or switched off moves every limit that is still to come.

Limits count awake time. The two clocks are written down together, so that a clock that is set while no daemon runs is noticed by
the next one. Of a start of the machine in between nobody knows how long it was off: only the time since then counts as awake.
"""

from __future__ import annotations

import json
import logging
from datetime import datetime, timedelta
from typing import NamedTuple

from reconciler.clock import Clock, from_text, to_text
from reconciler.loop.due import shift_limits
from reconciler.store import crons
from reconciler.store.writer import Writer

log = logging.getLogger(__name__)
DRIFT = timedelta(seconds=2)
_META = "clocks"


class Look(NamedTuple):
    """Both clocks at one moment."""

    wall: datetime
    awake_s: float


class Awake:
    """Looks at both clocks; `drift` is what has to be made up for in the next transaction."""

    def __init__(self, writer: Writer, clock: Clock, boot_id: str) -> None:
        self._clock = clock
        self._boot_id = boot_id
        self._last = Look(clock.now(), clock.monotonic())
        self.drift, self.is_guess = self._since_last_daemon(writer)
        self.is_new = True  # nothing was written down by this process yet

    def look(self, now: datetime) -> timedelta:
        """How far the wall clock has left the awake time since the last look; it is added to `drift`."""
        wall, awake_s = self._last
        self._last = Look(now, self._clock.monotonic())
        moved = (now - wall) - timedelta(seconds=self._last.awake_s - awake_s)
        if abs(moved) <= DRIFT:
            return timedelta(0)
        log.warning("the clock moved by %s s", moved.total_seconds(), extra={"action": "clock"})
        self.drift += moved
        return moved

    def shift(self, writer: Writer, *, sweep: bool) -> None:
        """Moves what is still to come, inside the caller's transaction. Schedules are wall time: every cron is looked at."""
        if self.drift:
            shift_limits(writer, self.drift, is_guess=self.is_guess)
        if self.drift or self.is_new:
            crons.look_at_all(writer)
        if self.drift or self.is_new or sweep:
            both = {"wall": to_text(self._last.wall), "awake_s": round(self._last.awake_s, 6), "boot": self._boot_id}
            writer.set_meta(_META, json.dumps(both))

    def committed(self) -> None:
        """What `shift` wrote is there to stay."""
        self.drift, self.is_guess, self.is_new = timedelta(0), False, False

    def _since_last_daemon(self, writer: Writer) -> tuple[timedelta, bool]:
        text = writer.meta(_META)
        if text is None:
            return timedelta(0), False
        both = json.loads(text)
        is_guess = both["boot"] != self._boot_id
        awake_s = self._last.awake_s - (0.0 if is_guess else float(both["awake_s"]))
        moved = (self._last.wall - from_text(both["wall"])) - timedelta(seconds=awake_s)
        if abs(moved) <= DRIFT:
            return timedelta(0), False
        how = "since the machine was started again, as far as can be told" if is_guess else "while no daemon ran"
        log.warning("the clock moved by %s s %s", moved.total_seconds(), how, extra={"action": "clock"})
        return moved, is_guess
