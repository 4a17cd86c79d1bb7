"""Takes up, at start, what an earlier daemon left: attempts that rows call intended or live.

Killed anywhere in here and started again, it comes to the same.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable

from reconciler.clock import Clock, to_text
from reconciler.errors import Refused
from reconciler.home import Home
from reconciler.loop.effects import Effects
from reconciler.loop.launch import intent_of
from reconciler.runtime.host import HostRuntime
from reconciler.store import attempts, notices
from reconciler.store.trouble import may_be_room, words
from reconciler.store.writer import Writer

log = logging.getLogger(__name__)


def recover(  # noqa: PLR0913 - the composition root's parts, once
    writer: Writer,
    home: Home,
    runtime: HostRuntime,
    effects: Effects,
    clock: Clock,
    boot_id: str,
    *,
    make_room: Callable[[], bool],
) -> None:
    """Adopts living attempts and takes over ended ones; those that never began are launched by the effects.

    Raises Refused for a new database beside existing attempts: its runs would all be made again. `make_room` helps a disk that
    is full; a home that was served before is served all the same if it stays so.
    """
    _refuse_lost_state(writer, home)
    is_new = writer.meta("boot_id") is None
    try:
        _begin(writer, clock, boot_id)
    except sqlite3.Error as error:
        if may_be_room(error) and make_room():
            _begin(writer, clock, boot_id)
        elif is_new:
            raise
        else:
            log.error("the start could not be written down: %s", words(error), extra={"action": "recover"})  # noqa: TRY400
    active = attempts.active_attempts(writer)
    found = runtime.recover([intent_of(home, attempt) for attempt in active])
    anew = set(found.to_launch)
    for attempt in active:
        if attempt.id not in anew:
            effects.knows(attempt.id)
    effects.add_seen(found.observations)


def _begin(writer: Writer, clock: Clock, boot_id: str) -> None:
    with writer.write(to_text(clock.now())):
        if writer.meta("boot_id") != boot_id:
            writer.set_meta("boot_id", boot_id)
        notices.watch_held(writer)


def _refuse_lost_state(writer: Writer, home: Home) -> None:
    fresh = writer.meta("boot_id") is None
    folder = home.path("runs")
    if fresh and os.path.isdir(folder) and os.listdir(folder):
        raise Refused(
            f"{home.database} is new, but {folder} holds attempts of an earlier one: everything in Git would run again;"
            " restore the database, or move that folder away if its runs are to be forgotten"
        )
