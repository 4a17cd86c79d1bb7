"""When a commit finds no room: the reserve is given up for it, and until there is room again only what ends something is done."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from reconciler.errors import Transient
from reconciler.loop.outside import Outside
from reconciler.model.notice import NoticeKind
from reconciler.store import notices
from reconciler.store.trouble import may_be_room
from reconciler.store.writer import Writer

log = logging.getLogger(__name__)
LOOK_EVERY = timedelta(seconds=1)
ENDING = frozenset({"stop", "terminate", "delete", "terminate_stuck_holder", "unhold", "suspend", "cron_suspend"})
REFUSED = "the home's disk is full: until there is room again only what ends something is done; free some room and ask again"
_META = "disk_full"


def check_room(verb: str, *, is_short: bool) -> None:
    """Raises Transient for what has to wait for room."""
    if is_short and verb not in ENDING:
        raise Transient(REFUSED)


class Room:
    """Whether there is room for more than ending. `is_short` outlives no restart: a start tries anew."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._look_at: datetime | None = None
        self.is_short = False

    def give(self, error: Exception, now: datetime) -> bool:
        """Gives the reserve up if that may help; True if there was one: what failed is to be tried again at once."""
        if not may_be_room(error):
            return False
        if not self.is_short:
            log.error("no room to commit: only what ends something is done, with the reserve", extra={"action": "disk"})
        self.is_short, self._look_at = True, now + LOOK_EVERY
        return self._outside.give_reserve()

    def pause_s(self, now: datetime) -> float | None:
        """Seconds until the disk is looked at again; None if there is room."""
        return None if self._look_at is None else (self._look_at - now).total_seconds()

    def look(self, now: datetime) -> bool:
        """True if there is room again, after a time without."""
        if self._look_at is None or now < self._look_at:
            return False
        if not self._outside.keep_reserve():
            self._look_at = now + LOOK_EVERY
            return False
        self.is_short, self._look_at = False, None
        log.info("there is room again: everything goes on", extra={"action": "disk"})
        return True

    def forget_wall(self, now: datetime) -> None:
        """The clock was set."""
        self._look_at = now if self._look_at is not None else None

    def note(self, writer: Writer) -> None:
        """Writes down when the room ran out and came back: one row of the journal each, and a notice."""
        since = writer.meta(_META) or ""
        if self.is_short and not since:
            writer.set_meta(_META, writer.now)
            writer.journal("disk.full", detail={"since": writer.now})
            text = "the home's disk is full: nothing is started or submitted until there is room; what is to be ended is ended"
            notices.post(writer, NoticeKind.DISK_LOW, f"full {writer.now}", {"text": text, "free_bytes": 0, "limit_bytes": 0})
        elif since and not self.is_short:
            writer.set_meta(_META, "")
            writer.journal("disk.room", detail={"since": since})
