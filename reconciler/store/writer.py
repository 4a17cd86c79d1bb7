"""The one connection that writes, its transaction, and the record of what it did.

`Writer` is used by one thread only; sqlite3 itself enforces that. `write()` is BEGIN IMMEDIATE .. COMMIT: a deferred BEGIN would
fail half way if another process committed in between.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from reconciler.errors import Refused, Unreachable
from reconciler.model.notice import NOTHING_TOLD
from reconciler.model.slice import Slice
from reconciler.model.state import RunId, RunState
from reconciler.store.chain import START, Head, link
from reconciler.store.marks import Marks
from reconciler.store.trouble import words

SCHEMA_VERSION = 2
RUNS_KEPT = 512
CHECKED_BYTES = 64_000_000  # of a file that was closed in order
_PRAGMAS = (
    "PRAGMA page_size = 2048",  # of a new file: a commit writes whole pages, and ours touch many with a few bytes each
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA wal_autocheckpoint = 8000",
    "PRAGMA journal_size_limit = 33554432",  # what a reader that stood in the way has let it grow to is given back
    "PRAGMA cache_size = -4000",
    "PRAGMA temp_store = MEMORY",
)
_JOURNAL = (
    "INSERT INTO journal (seq, at, kind, actor, namespace, run, subject, detail_json, hash)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_HEAD = (  # rows are dropped in whole segments: the last one's head outlives them
    "SELECT * FROM (SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1)"
    " UNION ALL SELECT * FROM (SELECT last_seq, head FROM segment ORDER BY number DESC LIMIT 1) ORDER BY 1 DESC LIMIT 1"
)


class Writer:
    """An open, migrated database. `now` is the instant of the transaction in hand, as RFC 3339 text."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.marks = Marks()
        self.now = ""
        self.actor = ""
        self.commits = 0
        self.seen_runs: dict[RunId, RunState] = {}  # read before and not changed since: nobody else writes
        self.node_counts: dict[RunId, int] = {}  # of runs that were seen to grow
        self.slices: dict[RunId, Slice] | None = None  # what is left to do of large runs, least served first; None: ask the rows
        self.telling = NOTHING_TOLD
        self.is_counted = False  # somebody wants `marks.moves`
        self.unwritten: dict[int, str] = {}  # attempts that the last transaction asked to end, if it could not be committed
        self._epoch = int(self.meta("epoch") or 0)
        self._epoch_used = self._epoch
        self._head: Head | None = None  # of the record, as the transaction in hand leaves it; None: ask the rows

    @contextmanager
    def write(self, now: str) -> Iterator[None]:
        """One transaction at one instant: committed whole, or rolled back whole with its marks."""
        self.now = now
        if len(self.seen_runs) > RUNS_KEPT:
            self.forget_runs()
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
            if self._epoch != self._epoch_used:
                self.set_meta("epoch", str(self._epoch))
            self.db.execute("COMMIT")
            self._epoch_used = self._epoch
            self.commits += 1
            self.unwritten = {}
            self.marks.stops.clear()
        except BaseException:
            self.unwritten = dict(self.marks.stops)
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            self._epoch = self._epoch_used
            self._head = None
            self.marks.clear()
            self.forget_runs()
            self.slices = None
            raise

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """A part of the transaction that can fail alone, with its marks."""
        before, head = self.marks.copy(), self._head
        slices = None if self.slices is None else dict(self.slices)
        self.db.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            if self.db.in_transaction:  # a full disk or an I/O error has rolled back everything already
                self.db.execute("ROLLBACK TO part")
                self.db.execute("RELEASE part")
            self.marks, self._head, self.slices = before, head, slices
            self.forget_runs()
            raise
        self.db.execute("RELEASE part")

    def forget_runs(self) -> None:
        """What was read of any run may be so no more."""
        self.seen_runs.clear()
        self.node_counts.clear()

    def forget_run(self, run_id: int) -> None:
        """The run's row is about to change: read it again. Every statement that changes one says so."""
        self.seen_runs.pop(RunId(run_id), None)

    def next_epoch(self) -> int:
        """The next grant's number; never used again, also after a crash, for it is stored in the same transaction."""
        self._epoch += 1
        return self._epoch

    def journal(
        self, kind: str, *, namespace: str = "", run: str = "", subject: str = "", detail: Mapping[str, object] | None = None
    ) -> None:
        """Adds one line to the record, in the transaction of what it tells."""
        row = (self.now, kind, self.actor, namespace, run, subject, json.dumps(detail) if detail else "{}")
        try:
            self._append(row)
        except sqlite3.IntegrityError:  # another hand took the number: go on from what it left, `journal verify` names it
            self._head = None
            self._append(row)

    def _append(self, row: tuple[str, ...]) -> None:
        last = self.head()
        seq = last.seq + 1
        linked = link(last.hash, seq, [text.encode() for text in row])
        self.db.execute(_JOURNAL, (seq, *row, linked))
        self._head = Head(seq, linked)

    def head(self) -> Head:
        """Number and hash of the record's last row: a word for all of it up to there."""
        if self._head is None:
            row = self.db.execute(_HEAD).fetchone()
            self._head = Head(0, START) if row is None else Head(row[0], row[1])
        return self._head

    def meta(self, key: str) -> str | None:
        """A value of the installation, or None."""
        row = self.db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def set_meta(self, key: str, value: str) -> None:
        """Sets a value of the installation."""
        self.db.execute(
            "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (key, value)
        )

    def close(self) -> None:
        """Closes the connection."""
        self.db.close()


def _has_bytes(path: str) -> bool:
    try:
        return os.stat(path).st_size > 0
    except OSError:
        return False


def _check(path: str, db: sqlite3.Connection) -> None:
    """Raises Unreachable if the file's own structure is damaged."""
    found = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
    if found != "ok":
        raise Unreachable(
            f"{path}: the database is damaged: {found.splitlines()[-1]}; nothing was started or changed; keep a copy of the home,"
            " then restore a backup: `lineclear fsck` tells what else is wrong"
        )


def open_writer(path: str) -> Writer:
    """Opens the database for writing, creating or migrating it; the caller holds the home's instance lock.

    Raises Refused for a database of a newer version, Unreachable if the file cannot be opened or is damaged. A small file is
    checked each time, a large one only if whoever had it last did not close it: 4 ms for each megabyte.
    """
    try:
        made, was_cut_off = not os.path.exists(path), _has_bytes(f"{path}-wal")
        db = sqlite3.connect(path, isolation_level=None, cached_statements=512)
        if made:
            os.chmod(path, 0o600)
        for pragma in _PRAGMAS:
            db.execute(pragma)
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        if not made and (was_cut_off or os.path.getsize(path) <= CHECKED_BYTES):
            _check(path, db)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise Unreachable(f"{path}: the database could not be opened: {words(error)}") from error
    if version > SCHEMA_VERSION:
        raise Refused(f"{path}: schema {version} is newer than this lineclear's {SCHEMA_VERSION}; upgrade lineclear")
    if version < SCHEMA_VERSION:
        from reconciler.store.migrate import migrate

        migrate(db, version)
    return Writer(db)
