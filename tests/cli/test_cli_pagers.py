"""Whoever reads what a command prints may stop reading for ever: the store's log is used again all the same."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.store.read import open_read
from reconciler.store.writer import open_writer

COMMAND = Path(sys.executable).with_name("lineclear")


def stop_reading(home, *words):
    """The command, blocked in writing to a pipe of which one byte was read."""
    read, write = os.pipe()
    env = {key: value for key, value in os.environ.items() if not key.startswith("LINECLEAR_")}
    child = subprocess.Popen([COMMAND, *words], env=env | {"LINECLEAR_HOME": str(home)}, stdout=write, stderr=write)
    os.close(write)
    assert os.read(read, 1)
    return child, read


@pytest.mark.parametrize(
    "words",
    [
        ["get", "workflows", "-o", "json", "--limit", "0"],
        ["list", "--limit", "0"],
        ["locks", "-o", "json"],
        ["locks", "show", "m", "--limit", "0"],
        ["journal", "-o", "json"],
        ["get", "@latest"],
        ["why", "@latest"],
    ],
)
def test_a_pager_that_is_left_open_pins_nothing(rows, words):
    lock = rows.lock("m")
    rows.claim(rows.run("holder", "Running"), "held", [lock])
    for number in range(400):
        rows.claim(rows.run(f"waiter-{number:03}" + "x" * 200), "waiting", [lock])
    child, read = stop_reading(rows.home, *words)
    try:
        with contextlib.closing(sqlite3.connect(rows.home / "state.db", isolation_level=None)) as db:
            db.execute("PRAGMA wal_autocheckpoint = 0")
            db.execute("CREATE TABLE more AS SELECT randomblob(100000) AS x")
            busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert busy == 0
        assert (rows.home / "state.db-wal").stat().st_size == 0
    finally:
        child.kill()
        child.wait()
        os.close(read)


def test_a_log_that_grew_behind_a_reader_is_given_back(tmp_path):
    path = str(tmp_path / "state.db")
    writer = open_writer(path)
    reader = open_read(path)
    with writer.write("2026-01-01T00:00:00.000000Z"):
        writer.set_meta("x", "first")
    with reader:
        reader.rows("SELECT key FROM meta")
        for number in range(50):
            with writer.write("2026-01-01T00:00:00.000000Z"):
                writer.set_meta("x", str(number) * 1_000_000)
        assert os.path.getsize(path + "-wal") > 40_000_000
    for number in range(2):
        with writer.write("2026-01-01T00:00:00.000000Z"):
            writer.set_meta("x", str(number))
    assert os.path.getsize(path + "-wal") <= 33_554_432
    reader.close()
    writer.close()


def test_what_is_printed_in_a_transaction_goes_out_in_order_and_also_after_an_error(rows, lineclear):
    rows.run("one", "Running")
    found = lineclear("list")
    assert (found.code, found.out.splitlines()[1].split()[0], found.err.count("daemon")) in ((0, "one", 0), (0, "one", 1))
    assert lineclear("get", "nobody").code == 3
