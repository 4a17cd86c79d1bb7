"""What the runtime has seen and the loop has not taken yet, in order. It must never hold anything back, nor decide an end."""

from __future__ import annotations

from reconciler.clock import Clock
from reconciler.model.attempt import AttemptId, Hindered, NotStarted, Observation, Started
from reconciler.runtime import wire
from reconciler.runtime.records import Record


class Reports:
    """Observations until they are taken. A start is told once for each attempt."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ready: list[Observation] = []
        self._announced: set[AttemptId] = set()

    def __bool__(self) -> bool:
        return bool(self._ready)

    def take(self) -> list[Observation]:
        """All since the last call."""
        ready, self._ready = self._ready, []
        return ready

    def add(self, seen: Observation) -> None:
        self._ready.append(seen)

    def add_start(self, attempt_id: AttemptId, record: Record | None) -> None:
        """The step's process exists, if the record says so."""
        if record is not None and record.start is not None and attempt_id not in self._announced:
            self._announced.add(attempt_id)
            self.add(Started(attempt_id=attempt_id, pid=record.start.pid, at=record.start.at))

    def has_started(self, attempt_id: AttemptId) -> bool:
        """Whether its start was told."""
        return attempt_id in self._announced

    def hinder(self, attempt_id: AttemptId, why: str, *, began: bool) -> None:
        """The machine keeps it waiting."""
        self.add(Hindered(attempt_id=attempt_id, at=self._clock.now(), began=began, message=why))

    def forget(self, attempt_id: AttemptId) -> None:
        """Its end is stored."""
        self._announced.discard(attempt_id)

    def not_started(self, attempt_id: AttemptId, message: str, *, exit_code: int = wire.NOT_STARTED_CODE) -> NotStarted:
        """The end of what could not be started, for a fault of its own."""
        return NotStarted(attempt_id=attempt_id, exit_code=exit_code, at=self._clock.now(), message=message)
