"""What a screen asks about a home, each question answered with a value: the daemon may be down, the store locked or gone.

Any thread may ask; nothing here blocks longer than a busy database makes it wait. It reads only; `actions` changes things.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from reconciler.clock import Clock, SystemClock
from reconciler.errors import LineclearError, NotFound
from reconciler.home import Home, default_root
from reconciler.settings import load
from reconciler.store import read_runs, read_screen
from reconciler.store.read import Reader
from reconciler.views.doing import read_boot_id
from reconciler.views.glance import lock_glances
from reconciler.views.why import blame_daemon
from tui.core.daemon import DaemonWatch
from tui.core.details import lock_detail, run_detail, why_lines
from tui.core.lists import RUN_LIMIT, LockList, RunList
from tui.core.logs import CHUNK_BYTES, path_of, read_log
from tui.core.model import (
    DaemonKind,
    DaemonState,
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
from tui.core.record import CronList, JournalWish, git_detail, journal_rows, sync_state
from tui.core.store import Store

T = TypeVar("T")


class Source:
    """One home, read-only. `poll` is for lists, the others for pages; a Failure is an answer, never an exception."""

    def __init__(self, home: Home, clock: Clock | None = None, run_limit: int = RUN_LIMIT) -> None:
        self.home = home
        self.clock: Clock = clock or SystemClock()
        self._run_limit = run_limit
        self._store = Store(home)
        self._watch = DaemonWatch(home)
        self._last: Snapshot | None = None
        self._stamp: tuple[str, int] | None = None
        self._revision = 0
        self._polling = threading.Lock()
        self._forget()

    def poll(self, since: int | None = None) -> Snapshot | Unchanged | Failure:
        """The lists as they are now; Unchanged if they are as in the snapshot of revision `since`. Costs what changed."""
        daemon = self.daemon()
        with self._polling:
            return self._poll(since, daemon)

    def _poll(self, since: int | None, daemon: DaemonState) -> Snapshot | Unchanged | Failure:
        stamp = self._store.stamp()
        if isinstance(stamp, Failure):
            return stamp
        if stamp != self._stamp or self._last is None:
            if self._last is not None and stamp[0] != self._last.instance:
                self._forget()
            found = self._store.read(lambda reader: self._snapshot(reader, stamp[0], daemon))
            if isinstance(found, Failure):
                return found
            self._stamp, self._last = stamp, found
        last = self._last
        if last.revision == since:
            return Unchanged(at=self.now(), revision=last.revision, daemon=daemon)
        return replace(last, at=self.now(), daemon=daemon)

    def daemon(self) -> DaemonState:
        """Whether the daemon works, as it was seen last; a quarter of a second at most."""
        return self._watch.look()

    def lock(self, key: str, skip: int = 0) -> LockDetail | Failure:
        """The page of a lock, its queue from position `skip` + 1 on."""
        return self._store.read(lambda reader: lock_detail(reader, key, self.now(), skip))

    def run(self, key: RunKey) -> RunDetail | Failure:
        """The page of a run."""
        found = self._store.read(lambda reader: run_detail(reader, key, self.home, self.now()))
        if isinstance(found, Failure):
            return found
        detail, why = found
        if why["state"] == "waiting-for-slot":
            why = blame_daemon(why, self._parallelism(), is_running=self.daemon().kind is not DaemonKind.NONE)
        return replace(detail, why=why_lines(why))

    def git(self) -> GitDetail | Failure:
        """The source's page."""
        return self._store.read(git_detail)

    def journal(self, wish: JournalWish) -> tuple[JournalRow, ...] | Failure:
        """A part of the record, newest first."""
        return self._store.read(lambda reader: journal_rows(reader, wish))

    def log(self, key: RunKey, attempt: int, offset: int = 0, limit: int = CHUNK_BYTES) -> LogChunk | Failure:
        """A piece of a process' log; go on from its `offset`. A negative offset means so many bytes before the end."""
        found = self._store.read(lambda reader: self._attempt(reader, key, attempt))
        if isinstance(found, Failure):
            return found
        run_id, is_over = found
        return read_log(path_of(self.home, run_id, attempt), attempt, offset, limit=limit, is_over=is_over)

    def read(self, question: Callable[[Reader], T]) -> T | Failure:
        """The answer to any other question, of one instant; for `actions`."""
        return self._store.read(question)

    @property
    def named_home(self) -> str:
        """The home as a command must name it; '' for the one that it takes by itself."""
        return "" if Home(default_root(os.environ)).root == self.home.root else self.home.root

    def now(self) -> datetime:
        """The instant by which ages are counted."""
        return self.clock.now()

    def close(self) -> None:
        """Ends the connection, and waits for what was asked of the daemon."""
        self._watch.close()
        self._store.close()

    def _forget(self) -> None:
        self._locks, self._runs, self._crons = LockList(), RunList(self._run_limit), CronList()
        self._last = None

    def _snapshot(self, reader: Reader, instance: str, daemon: DaemonState) -> Snapshot:
        glances = lock_glances(reader, read_boot_id())
        queues = self._runs.queues(reader)
        runs = self._runs.rows(reader, queues, glances)
        found = Snapshot(
            at=self.now(),
            revision=self._revision,
            instance=instance,
            daemon=daemon,
            locks=self._locks.rows(glances, queues, self._runs.keys),
            runs=runs,
            run_total=read_runs.count_runs(reader, None),
            waiting_total=len(queues.by_run),
            crons=self._crons.rows(reader, runs),
            sync=sync_state(reader),
        )
        if self._last is not None and replace(found, at=self._last.at, daemon=self._last.daemon) == self._last:
            return found
        self._revision += 1
        return replace(found, revision=self._revision)

    @staticmethod
    def _attempt(reader: Reader, key: RunKey, attempt: int) -> tuple[int, bool]:
        row = read_runs.find_run(reader, key.namespace, key.name)
        found = read_screen.find_attempt(reader, row["id"], attempt) if row is not None else None
        if row is None or found is None:
            raise NotFound(f"there is no attempt {attempt} of {key} any more")
        return row["id"], found["finished_at"] is not None

    def _parallelism(self) -> int:
        try:
            return load(self.home).parallelism
        except LineclearError:
            return 0
