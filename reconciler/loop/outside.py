"""What the loop needs of the world around it: a runtime that tells of ends, and whom to tell after a commit. No behaviour."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from reconciler.model.attempt import AttemptId, Observation
from reconciler.obs import Tally


class RuntimeEnds(Protocol):
    """What the loop needs of a runtime besides starting and stopping."""

    def collect(self) -> list[Observation]:
        """Everything that happened since the last call."""

    def acknowledge(self, attempt_ids: Iterable[AttemptId]) -> None:
        """These ends are stored for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """The loop's way out: told after the commit. `applied` a live SHA; `offer_again` hand the head over once more.

    `noticed`: the outbox has changed. `free_bytes` is the room on the home's disk, None if nobody watches it or it is not known.
    `give_reserve` makes room for what ends something, True if it could; `keep_reserve` is True once the reserve is whole again.
    """

    applied: Callable[[str], None]
    offer_again: Callable[[], None]
    look_at_git: Callable[[], None]
    boundary: Callable[[str], None]
    noticed: Callable[[], None] = lambda: None
    free_bytes: Callable[[], int | None] = lambda: None
    give_reserve: Callable[[], bool] = lambda: False
    keep_reserve: Callable[[], bool] = lambda: True
    tally: Tally = field(default_factory=Tally)
