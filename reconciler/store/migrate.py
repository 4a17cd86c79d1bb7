"""Brings a database to this version's schema: numbered SQL files, each in one transaction with the row that says it was applied.

sqlite-utils keeps the list of what was applied. It costs a hundred milliseconds to import, so this module is loaded only where
there is something to migrate.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

_FOLDER = os.path.join(os.path.dirname(__file__), "migrations")


def statements(sql: str) -> list[str]:
    """The single statements of a script; `executescript` would commit the transaction that it is in."""
    found, held = [], ""
    for line in sql.splitlines(keepends=True):
        held += line
        if sqlite3.complete_statement(held):
            found.append(held)
            held = ""
    return found


def migrate(db: sqlite3.Connection, version: int) -> None:
    """Applies every migration after `version`; a database that was used is copied to `<file>.before-<version>` first."""
    if version > 0 and db.execute("SELECT EXISTS (SELECT 1 FROM meta)").fetchone()[0]:
        path = db.execute("PRAGMA database_list").fetchone()[2]
        db.execute("VACUUM INTO ?", (f"{path}.before-{version}",))
    migrations = Migrations("lineclear")
    for name in sorted(os.listdir(_FOLDER)):
        if name.endswith(".sql"):
            migrations(name=name)(_applier(name))
    migrations.apply(Database(db))


def _applier(name: str) -> Callable[[Database], None]:
    number = int(name[:4])

    def apply(database: Database) -> None:
        with open(os.path.join(_FOLDER, name), encoding="utf-8") as file:
            for statement in statements(file.read()):
                database.conn.execute(statement)
        database.conn.execute(f"PRAGMA user_version = {number}")

    return apply
