"""A database of an earlier release, with a holder, a waiter and a run that keeps its lock, is brought to today's schema."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

from reconciler.store.writer import SCHEMA_VERSION, open_writer

DATA = Path(__file__).parent / "data"
CLAIMS = "SELECT r.name, c.state FROM claim c JOIN run r ON r.id = c.run_id ORDER BY r.name"


@pytest.fixture
def of_0_1_0(tmp_path):
    """The file that 0.1.0 left when it was killed."""
    path = tmp_path / "state.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript((DATA / "0.1.0.sql").read_text(encoding="utf-8"))
        db.execute("PRAGMA user_version = 1")
    return path


def schema(db):
    rows = db.execute("SELECT type, name, tbl_name FROM sqlite_master WHERE name NOT LIKE '\\_%' ESCAPE '\\'")
    columns = db.execute(
        'SELECT m.name, c.name, c.type, c."notnull", c.dflt_value FROM sqlite_master m, pragma_table_info(m.name) c'
        " WHERE m.type = 'table' AND m.name NOT LIKE '\\_%' ESCAPE '\\'"
    )
    return sorted(rows.fetchall()), sorted(columns.fetchall(), key=str)


def test_its_rows_survive_and_its_holders_hold(of_0_1_0):
    writer = open_writer(str(of_0_1_0))
    with contextlib.closing(writer.db) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert db.execute(CLAIMS).fetchall() == [("broken", "held"), ("holder", "held"), ("waiter", "waiting")]
        live = db.execute("SELECT state, reserved, unknown_at FROM attempt WHERE state = 'live'").fetchall()
        assert live == [("live", 0, None)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert Path(f"{of_0_1_0}.before-1").exists()


def test_its_schema_is_that_of_a_new_database(of_0_1_0, tmp_path):
    old, new = open_writer(str(of_0_1_0)), open_writer(str(tmp_path / "new.db"))
    with contextlib.closing(old.db), contextlib.closing(new.db):
        assert schema(old.db) == schema(new.db)
