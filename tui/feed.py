"""The one thread that reads: it polls the home, reads the wanted detail again after each change, and follows logs.

Whatever it finds is delivered as a value; it decides nothing about the screen. All reading blocks here and nowhere else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from tui.core.model import (
    Failure,
    GitDetail,
    JournalRow,
    LockDetail,
    LogChunk,
    RunDetail,
    RunKey,
    Snapshot,
    Unchanged,
)
from tui.core.pace import Pace
from tui.core.record import JournalWish

Detail = LockDetail | RunDetail | GitDetail | tuple[JournalRow, ...] | Failure
Target = tuple[str, str]  # 'lock', 'run', 'git' or 'journal', and a key
PERIOD = timedelta(seconds=0.5)
LOG_ROUNDS = 20
TAIL_BYTES = 1 << 22
JOURNAL_ROWS = 2000


class Reader(Protocol):
    """What the feed reads from: `tui.core.source.Source`, or a script of values in tests."""

    def poll(self, since: int | None = None) -> Snapshot | Unchanged | Failure: ...

    def lock(self, key: str) -> LockDetail | Failure: ...

    def run(self, key: RunKey) -> RunDetail | Failure: ...

    def git(self) -> GitDetail | Failure: ...

    def journal(self, wish: JournalWish) -> tuple[JournalRow, ...] | Failure: ...

    def log(self, key: RunKey, attempt: int, offset: int = 0) -> LogChunk | Failure: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """What the feed delivers: a poll's answer, or the wanted detail, or lines of the wanted run's logs: (step, text).

    `is_first`: the logs are read from their beginning, so what was shown of them is to be forgotten.
    """

    poll: Snapshot | Unchanged | Failure | None = None
    is_back: bool = False
    target: Target | None = None
    detail: Detail | None = None
    is_first: bool = False
    lines: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class _Logs:
    """Which processes of a run have logs, and how far each has been read."""

    key: RunKey
    nodes: dict[int, str] = field(default_factory=dict)
    offsets: dict[int, int] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)


def run_key(text: str) -> RunKey:
    """The key that is written NAMESPACE/NAME."""
    namespace, _, name = text.partition("/")
    return RunKey(namespace=namespace, name=name)


class Feed:
    """Owns the thread. `deliver` is called on it and must return at once."""

    def __init__(
        self,
        open_reader: Callable[[], Reader],
        deliver: Callable[[Arrived], None],
        clock: Callable[[], datetime],
        period: timedelta = PERIOD,
    ) -> None:
        self._open = open_reader
        self._deliver = deliver
        self._clock = clock
        self.pace = Pace(period)
        self._wake = threading.Event()
        self._stopping = False
        self._hurry = False
        self._wanted: tuple[Target | None, bool] = (None, False)
        self._logs: _Logs | None = None
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        """Begins to read."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, and waits for it."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def want(self, target: Target | None, *, logs: bool = False) -> None:
        """Reads this detail from now on, of a run its logs too; only the last one asked for counts."""
        if (target, logs) != self._wanted:
            self._wanted = (target, logs)
            self._wake.set()

    def refresh(self) -> None:
        """Reads again at once."""
        self._hurry = True
        self._wake.set()

    def _run(self) -> None:
        reader = self._open()
        revision: int | None = None
        read: tuple[Target | None, bool] = (None, False)
        try:
            while not self._stopping:
                self._wake.clear()
                try:
                    revision, read = self._round(reader, revision, read)
                except Exception as error:  # noqa: BLE001 - the boundary of the thread: what it cannot read is told, and tried again
                    revision, read = None, (None, False)
                    self._tell_failure(error)
                self._wake.wait(self._wait_s())
        finally:
            reader.close()

    def _round(
        self, reader: Reader, revision: int | None, read: tuple[Target | None, bool]
    ) -> tuple[int | None, tuple[Target | None, bool]]:
        """Reads what is due; what is known then: the revision, and the detail that was read for it."""
        wanted, is_new = self._wanted, False
        if self._hurry or self.pace.is_due(self._clock()):
            self._hurry = False
            is_new, revision = self._poll(reader, revision)
        if wanted[0] is not None and self.pace.failure is None:
            if is_new or wanted != read:
                self._read(reader, wanted[0], has_logs=wanted[1], is_first=wanted != read)
                read = wanted
            self._follow(reader, wanted)
        return revision, read

    def _tell_failure(self, error: Exception) -> None:
        failure = Failure(kind="unreadable", text=f"what was read makes no sense here ({type(error).__name__}: {error})")
        self.pace.note(failure, self._clock())
        self._deliver(Arrived(poll=failure))

    def _poll(self, reader: Reader, revision: int | None) -> tuple[bool, int | None]:
        """Delivers the lists if there is something new: whether there is, and the revision that is known now."""
        answer = reader.poll(revision)
        is_back = self.pace.note(answer, self._clock())
        self._deliver(Arrived(poll=answer, is_back=is_back))
        if not isinstance(answer, Snapshot):
            return False, revision
        return answer.revision != revision, answer.revision

    def _wait_s(self) -> float:
        due = self.pace.next_at
        return max(0.0, (due - self._clock()).total_seconds()) if due is not None else 0.0

    def _read(self, reader: Reader, target: Target, *, has_logs: bool, is_first: bool) -> None:
        found = _detail(reader, target)
        is_first = is_first and has_logs
        if is_first or not has_logs:
            self._logs = _Logs(key=run_key(target[1])) if has_logs else None
        if isinstance(found, RunDetail) and self._logs is not None:
            self._logs.nodes = {one.id: one.node for one in found.attempts if one.log_path}
        self._deliver(Arrived(target=target, detail=found, is_first=is_first))

    def _follow(self, reader: Reader, wanted: tuple[Target | None, bool]) -> None:
        """Delivers what the run's logs have got since the last time, in batches, each process in turn."""
        logs = self._logs
        if logs is None:
            return
        for attempt, node in logs.nodes.items():
            for _ in range(LOG_ROUNDS):
                if attempt in logs.ended or self._wanted != wanted or self._stopping:
                    break
                chunk = reader.log(logs.key, attempt, logs.offsets.get(attempt, -TAIL_BYTES))
                if isinstance(chunk, Failure):
                    break
                logs.offsets[attempt] = chunk.offset
                if chunk.is_ended:
                    logs.ended.add(attempt)
                if chunk.lines:
                    self._deliver(Arrived(target=wanted[0], lines=tuple((node, line) for line in chunk.lines)))
                if not chunk.has_more:
                    break


def _detail(reader: Reader, target: Target) -> Detail:
    kind, key = target
    match kind:
        case "lock":
            return reader.lock(key)
        case "run":
            return reader.run(run_key(key))
        case "git":
            return reader.git()
        case _:
            return reader.journal(JournalWish(limit=JOURNAL_ROWS))
