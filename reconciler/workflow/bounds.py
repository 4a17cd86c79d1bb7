"""How much one run may be, and how much of it one decision may do.

Owns the rules that a decision depends on and the budget that it spends. Work is counted, never timed: a decision about the same
rows with the same budget does the same, in a test as in the daemon.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import dataclass, field

AT_ONCE = 50  # unfinished nodes that are looked at together; where a run has more, that is done in slices
UNLIMITED = sys.maxsize
LOOK = 1  # at a node, whatever comes of it
END = 2  # of a node
MAKE = 4  # a node
_TEXT = 512  # characters that cost as much as a look


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Settings that a decision depends on. `keep_locks`: a run that fails by itself keeps its workflow-level locks.

    `nodes` bounds a run's nodes, `loop_items` the turns of one loop, `depth` how deep calls may be nested.
    """

    keep_locks: bool = True
    nodes: int = 25_000
    loop_items: int = 20_000
    depth: int = 100


class Budget:
    """What a decision may still do. It may be overdrawn: by what can not be stopped half way, and by the first step."""

    __slots__ = ("_has_begun", "_left", "_whole")

    def __init__(self, whole: int = UNLIMITED) -> None:
        self._whole = self._left = whole
        self._has_begun = False

    @property
    def is_low(self) -> bool:
        """True once nothing more is to be looked at."""
        return self._left <= 0

    @property
    def is_spent(self) -> bool:
        """True once nothing more is to be begun: something was, so whoever goes on in slices gets on."""
        return self._left <= 0 and self._has_begun

    @property
    def used(self) -> int:
        """What was spent of it."""
        return self._whole - self._left

    def look(self, units: int = LOOK) -> None:
        """Takes what it costs to look at something."""
        self._left -= units

    def spend(self, units: int, characters: int = 0) -> None:
        """Takes what it costs to make or end something, and more for long texts."""
        self._left -= units + characters // _TEXT
        self._has_begun = True

    def stop(self) -> None:
        """Takes all that is left."""
        self._left = min(self._left, 0)
        self._has_begun = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """How a decision is to be made: by which rules, how much of it, and what earlier slices have left.

    `building` are the nodes whose children are still being made, to be taken up by a later slice: none of them may end before.
    `keeps_locks`: the run is being ended in slices, and what its nodes hold goes all at once with the last one.
    """

    rules: Rules = field(default_factory=Rules)
    budget: Budget = field(default_factory=Budget)
    building: Collection[str] = ()
    keeps_locks: bool = False
