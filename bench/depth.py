"""Depth: what one more waiting run, and the hand-over to the next, cost with 100,000 waiting against 1,000."""

from __future__ import annotations

import sqlite3
import time

from bench.clones import clone_run
from bench.desk import Desk
from bench.home import Served, submission, template
from bench.measure import Place, Report, interleaved

SHALLOW, DEEP = 1_000, 100_000
ROUNDS = 11
OPERATIONS = 20
_LIMIT_SCHEMA = """
CREATE TABLE run (id INTEGER PRIMARY KEY, name TEXT NOT NULL, phase TEXT NOT NULL);
CREATE TABLE waiter (lock INTEGER NOT NULL, place INTEGER NOT NULL, run INTEGER NOT NULL, PRIMARY KEY (lock, place))
  WITHOUT ROWID;
CREATE TABLE holder (lock INTEGER PRIMARY KEY, run INTEGER NOT NULL);
INSERT INTO holder VALUES (1, 0);
"""


def run(place: Place, report: Report) -> None:
    """Rows: both operations deep against shallow; SQLite's own times for the least that they need."""
    depths = {"shallow": report.size(SHALLOW), "deep": report.size(DEEP)}
    queues = {name: Queue(place, name, depth) for name, depth in depths.items()}
    limits = {name: Limit(place, name, depth) for name, depth in depths.items()}
    cases = {}
    for name in depths:
        cases[f"enqueue {name}"] = queues[name].enqueue_ms
        cases[f"grant {name}"] = queues[name].grant_ms
        cases[f"limit enqueue {name}"] = limits[name].enqueue_ms
        cases[f"limit grant {name}"] = limits[name].grant_ms
    with place.beside_floor() as beside:
        found = interleaved(cases, ROUNDS)
    for queue in queues.values():
        queue.close()
    for operation in ("enqueue", "grant"):
        shallow, deep = found[f"{operation} shallow"], found[f"{operation} deep"]
        more = {
            "shallow_ms": shallow,
            "deep_ms": deep,
            "limit_shallow_ms": found[f"limit {operation} shallow"],
            "limit_deep_ms": found[f"limit {operation} deep"],
            "depths": list(depths.values()),
        }
        report.row(f"depth.{operation}", deep / shallow, "x", (1.3, 1.1), beside=beside, **more)


class Queue:
    """A home in which `depth` runs wait for one mutex, driven in this process."""

    def __init__(self, place: Place, name: str, depth: int) -> None:
        served = Served(place, name)
        served.seed({"one.yaml": template(place, "one")})
        desk = Desk(served.root)
        desk.reconcile()
        desk.ask("submit", submission("one", 1))
        desk.ask("submit", submission("one", 2))
        running = desk.runtime.running
        desk.close()
        clone_run(served.database, 2, depth - 1)
        self._desk = Desk(served.root)
        self._desk.tick()
        assert running, "the first run holds the mutex"
        self._number = 3
        waiting = self._desk.writer.db.execute("SELECT count(*) FROM claim_lock WHERE state = 'waiting'").fetchone()[0]
        assert waiting == depth, f"{waiting} wait, not {depth}"

    def enqueue_ms(self) -> float:
        began = time.monotonic_ns()
        for _ in range(OPERATIONS):
            self._number += 1
            self._desk.ask("submit", submission("one", self._number))
        return (time.monotonic_ns() - began) / 1e6 / OPERATIONS

    def grant_ms(self) -> float:
        """The holder's step ends: its lock goes to the next, whose step is launched."""
        runtime = self._desk.runtime
        began = time.monotonic_ns()
        for _ in range(OPERATIONS):
            (attempt_id,) = runtime.running
            runtime.end(attempt_id)
            self._desk.tick()
        took = (time.monotonic_ns() - began) / 1e6 / OPERATIONS
        assert len(runtime.running) == 1, "one run holds the mutex"
        return took

    def close(self) -> None:
        self._desk.close()


class Limit:
    """The least that a durable queue does in SQLite: a row for the run, a row for its place, a row for the holder."""

    def __init__(self, place: Place, name: str, depth: int) -> None:
        self._db = sqlite3.connect(place.path(f"limit-{name}.db"), isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_LIMIT_SCHEMA)
        self._db.execute("BEGIN")
        self._db.executemany("INSERT INTO run VALUES (?, ?, 'Pending')", ((i, f"run-{i}") for i in range(1, depth + 1)))
        self._db.executemany("INSERT INTO waiter VALUES (1, ?, ?)", ((i, i) for i in range(1, depth + 1)))
        self._db.execute("COMMIT")
        self._next = depth + 1
        place.at_end(self._db.close)

    def enqueue_ms(self) -> float:
        began = time.monotonic_ns()
        for _ in range(OPERATIONS):
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("INSERT INTO run VALUES (?, ?, 'Pending')", (self._next, f"run-{self._next}"))
            self._db.execute("INSERT INTO waiter VALUES (1, ?, ?)", (self._next, self._next))
            self._db.execute("COMMIT")
            self._next += 1
        return (time.monotonic_ns() - began) / 1e6 / OPERATIONS

    def grant_ms(self) -> float:
        db = self._db
        began = time.monotonic_ns()
        for _ in range(OPERATIONS):
            db.execute("BEGIN IMMEDIATE")
            (held,) = db.execute("SELECT run FROM holder WHERE lock = 1").fetchone()
            db.execute("UPDATE run SET phase = 'Succeeded' WHERE id = ?", (held,))
            place, first = db.execute("SELECT place, run FROM waiter WHERE lock = 1 ORDER BY place LIMIT 1").fetchone()
            db.execute("DELETE FROM waiter WHERE lock = 1 AND place = ?", (place,))
            db.execute("UPDATE holder SET run = ? WHERE lock = 1", (first,))
            db.execute("UPDATE run SET phase = 'Running' WHERE id = ?", (first,))
            db.execute("COMMIT")
        return (time.monotonic_ns() - began) / 1e6 / OPERATIONS
