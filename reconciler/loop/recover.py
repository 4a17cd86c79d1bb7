"""Takes up, at start, what an earlier daemon left: attempts that rows call intended or live.

Killed anywhere in here and started again, it comes to the same.
"""

from __future__ import annotations

import os

from reconciler.clock import Clock, to_text
from reconciler.errors import Refused
from reconciler.home import Home
from reconciler.loop.effects import Effects
from reconciler.loop.launch import intent_of
from reconciler.runtime.host import HostRuntime
from reconciler.store import attempts, notices
from reconciler.store.writer import Writer


def recover(writer: Writer, home: Home, runtime: HostRuntime, effects: Effects, clock: Clock, boot_id: str) -> None:
    """Adopts living attempts and takes over ended ones; those that never began are launched by the effects.

    Raises Refused for a new database beside existing attempts: its runs would all be made again.
    """
    _refuse_lost_state(writer, home)
    with writer.write(to_text(clock.now())):
        if writer.meta("boot_id") != boot_id:
            writer.set_meta("boot_id", boot_id)
        notices.watch_held(writer)
    active = attempts.active_attempts(writer)
    found = runtime.recover([intent_of(home, attempt) for attempt in active])
    anew = set(found.to_launch)
    for attempt in active:
        if attempt.id not in anew:
            effects.knows(attempt.id)
    effects.add_seen(found.observations)


def _refuse_lost_state(writer: Writer, home: Home) -> None:
    fresh = writer.meta("boot_id") is None
    folder = home.path("runs")
    if fresh and os.path.isdir(folder) and os.listdir(folder):
        raise Refused(
            f"{home.database} is new, but {folder} holds attempts of an earlier one: everything in Git would run again;"
            " restore the database, or move that folder away if its runs are to be forgotten"
        )
