"""What one tick was given, and what comes of it until it is committed. No behaviour."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from reconciler.loop.inbox import Work
from reconciler.loop.revision import Applied
from reconciler.model.attempt import Observation
from reconciler.model.state import RunId


@dataclass(slots=True, kw_only=True)
class TickWork:
    """`later` are ends that cannot be taken over yet, `answers` are given after the commit, `removed` are runs that are gone."""

    ends: list[Observation]
    messages: list[Work]
    is_sweep: bool
    is_behind: bool = False
    is_left: bool = False  # a large run can go on
    later: list[Observation] = field(default_factory=list)
    answers: list[Callable[[], None]] = field(default_factory=list)
    removed: list[RunId] = field(default_factory=list)
    applied: list[Applied] = field(default_factory=list)
    commits: Iterable[str] = ()

    def restart(self) -> None:
        """It was rolled back: nothing came of it."""
        self.later, self.answers, self.removed, self.applied, self.commits = [], [], [], [], ()
