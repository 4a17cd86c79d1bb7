"""Many runs at once: one run's rows copied by SQL, each copy a run of its own with a name of its own.

A copy has what its model has in every table: claims and their places in queues, nodes, attempts, the record. A waiting run's copies
wait behind it. Nothing else may be open on the database meanwhile.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing

_NAME = "lower(hex(randomblob(4)))"


def clone_run(database: str, run_id: int, copies: int) -> None:
    """Adds so many copies of a run to a database of ours."""
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA cache_size = -200000")
        db.execute("BEGIN IMMEDIATE")
        db.execute("CREATE TEMP TABLE copy (n INTEGER PRIMARY KEY, name TEXT NOT NULL)")
        count = "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ?)"
        db.execute(f"INSERT INTO copy {count} SELECT n, {_NAME} || n FROM c", (copies,))
        bases = {table: _highest(db, table) for table in ("run", "claim", "node", "attempt")}
        ids = {table: f"({base} + (m.id - (SELECT min(id) FROM {table} WHERE {_owned(table)})) + copy.n * {_step(db, table, run_id)})"
               for table, base in bases.items()}  # fmt: skip
        run = f"({bases['run']} + copy.n)"
        names = f"(substr(m.name, 1, instr(m.name || '-', '-')) || copy.name)"
        _copy(db, "run", run_id, {"id": run, "queue_order": run, "uid": _NAME, "name": names})
        _copy(db, "node", run_id, {"id": ids["node"], "run_id": run, "parent_id": "NULL"})
        _copy(db, "attempt", run_id, {"id": ids["attempt"], "run_id": run, "node_id": "(SELECT n.id FROM node n WHERE n.run_id = " + run + ")"})
    del database
