"""How long an attack goes on, and what it says. It must never judge: what broke is said by the attack's own oracle."""

from __future__ import annotations

import contextlib
import time

from attack.house import House


class Done(str):
    """A word on what was done; every other text that a campaign yields is something that broke."""

    __slots__ = ()


class Budget:
    """Rounds, numbered from 0, until there were enough or the time is over; at least one."""

    def __init__(self, rounds, seconds):
        self.rounds, self.end, self.spent = rounds, time.monotonic() + seconds, 0

    def __iter__(self):
        while not self.spent or (time.monotonic() < self.end and not 0 < self.rounds <= self.spent):
            self.spent += 1
            yield self.spent - 1


@contextlib.contextmanager
def house(**more):
    """A home for one round."""
    made = House(**more)
    try:
        yield made
    finally:
        made.close()
