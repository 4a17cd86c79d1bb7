"""Many runs at once: the rows of one single-step run copied by SQL, each copy a run of its own with a name of its own.

A copy has what its model has: node, attempt, claim with its place in the queue, record. The copies of a waiting run wait behind
it. No daemon may be at work on the database meanwhile.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing

# What differs from the model's own row; everything else is copied. Every table has at most one row of the run, but the record.
_RUN = ":last_run + copy.n"
_ID = "(SELECT value FROM high WHERE name = '{table}') + copy.n"
_NAME = "substr(m.{column}, 1, instr(m.{column}, '-')) || copy.name"
_CHANGES: Mapping[str, Mapping[str, str]] = {
    "run": {"id": _ID, "uid": "copy.name", "name": _NAME.format(column="name"), "queue_order": _RUN},
    "node": {"id": _ID, "run_id": _RUN},
    "attempt": {"id": _ID, "run_id": _RUN, "node_id": _ID.format(table="node"), "queue_order": _RUN},
    "claim": {"id": _ID, "run_id": _RUN, "queue_order": _RUN, "epoch": _ID.format(table="epoch") + " + 0 * m.epoch"},
    "claim_lock": {"claim_id": _ID.format(table="claim"), "run_id": _RUN, "queue_order": _RUN},
    "journal": {"run": _NAME.format(column="run")},
}
_COUNTED = ("run", "node", "attempt", "claim")


def clone_run(database: str, run_id: int, copies: int) -> None:
    """Adds so many copies of a run that has one step at most."""
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA cache_size = -100000")
        last, name = db.execute("SELECT (SELECT max(id) FROM run), name FROM run WHERE id = ?", (run_id,)).fetchone()
        db.execute("BEGIN IMMEDIATE")
        db.execute("CREATE TEMP TABLE copy (n INTEGER PRIMARY KEY, name TEXT NOT NULL)")
        count = "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ?)"
        db.execute(f"INSERT INTO copy {count} SELECT n, lower(hex(randomblob(4))) || n FROM c", (copies,))
        db.execute("CREATE TEMP TABLE high (name TEXT PRIMARY KEY, value INTEGER NOT NULL)")
        for table in _COUNTED:
            db.execute(f"INSERT INTO high SELECT ?, ifnull(max(id), 0) FROM {table}", (table,))
        db.execute("INSERT INTO high SELECT 'epoch', ifnull(max(epoch), 0) FROM claim")
        for table, changes in _CHANGES.items():
            owner = {"run": "m.id = :run", "journal": "m.run = :name"}.get(table, "m.run_id = :run")
            values = {"run": run_id, "name": name, "last_run": last}
            db.execute(f"{_insertion(db, table, changes)} WHERE {owner} ORDER BY copy.n", values)
        db.execute("UPDATE meta SET value = (SELECT ifnull(max(epoch), value) FROM claim) WHERE key = 'epoch'")
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint (TRUNCATE)")


def _insertion(db: sqlite3.Connection, table: str, changes: Mapping[str, str]) -> str:
    columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})") if row[1] != "seq"]
    values = [changes.get(column, f"m.{column}").replace("{table}", table) for column in columns]
    return f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)} FROM copy, {table} m"
