"""The read-only store: it never writes, says what is wrong with a file it cannot use, and pages without repeating or skipping."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from reconciler.errors import Unreachable
from reconciler.store.read import open_read
from reconciler.store.read_rest import JournalFilter, find_journal_tail, list_journal
from reconciler.store.read_runs import PAGE, RunFilter, iterate_runs

_PATH = Path(__file__).parents[1] / "cli" / "rows.py"
_SPEC = importlib.util.spec_from_file_location("lineclear_store_rows", _PATH)
_MODULE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_MODULE)


@pytest.fixture
def rows(tmp_path):
    built = _MODULE.Rows(tmp_path / "home")
    yield built
    built.db.close()


@pytest.fixture
def reader(rows):
    opened = open_read(str(rows.home / "state.db"))
    yield opened
    opened.close()


def names(reader, wanted):
    return [row["name"] for row in iterate_runs(reader, wanted)]


def test_a_missing_database_says_what_to_do(tmp_path):
    with pytest.raises(Unreachable, match=r"there is no state.db in it; run `lineclear init --home"):
        open_read(str(tmp_path / "nowhere" / "state.db"))
    with pytest.raises(Unreachable, match="run `lineclear up`"):
        open_read(str(tmp_path / "state.db"))


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "state.db").write_text("this is not a database, and long enough to be looked at " * 20)
    with pytest.raises(Unreachable, match=r"could not read .*: file is not a database"):
        open_read(str(tmp_path / "state.db"))


def test_a_newer_schema_is_refused_with_both_versions(rows):
    rows.db.execute("PRAGMA user_version = 99")
    with pytest.raises(Unreachable, match="its schema is version 99, this program knows 2"):
        open_read(str(rows.home / "state.db"))


def test_a_path_with_signs_that_mean_something_in_an_address_is_opened(tmp_path):
    built = _MODULE.Rows(tmp_path / "a?b#c%41 d")
    built.run("there")
    reader = open_read(str(built.home / "state.db"))
    assert names(reader, RunFilter()) == ["there"]
    reader.close()
    built.db.close()


def test_the_reader_cannot_write_and_leaves_a_killed_writers_log_alone(rows, reader):
    rows.run("kept")
    log = rows.home / "state.db-wal"
    before = log.stat().st_size
    assert before > 0
    with pytest.raises(Exception, match="readonly database"):
        reader.rows("DELETE FROM run")
    reader.close()
    assert log.stat().st_size == before
    assert os.path.exists(rows.home / "state.db-shm")


def test_a_transaction_reads_one_instant_and_the_version_tells_of_commits(rows, reader):
    version = reader.data_version()
    with reader:
        assert names(reader, RunFilter()) == []
        rows.run("late")
        assert names(reader, RunFilter()) == []
    assert names(reader, RunFilter()) == ["late"]
    assert reader.data_version() != version


@pytest.mark.edge("E75")
def test_runs_come_unfinished_first_then_those_that_keep_locks_each_newest_first(rows, reader):
    rows.run("done-1", "Succeeded")
    rows.claim(rows.run("keeps", "Failed"), "held", [rows.lock("m")])
    rows.run("open-1")
    rows.run("done-2", "Failed")
    rows.run("open-2", "Running")
    assert names(reader, RunFilter()) == ["open-2", "open-1", "keeps", "done-2", "done-1"]


def test_pages_neither_repeat_nor_skip_a_run(rows, reader):
    count = 2 * PAGE + 7
    rows.db.execute("BEGIN")
    for number in range(count):
        rows.run(f"run-{number}", "Succeeded" if number % 3 else "Running")
    rows.db.execute("COMMIT")
    found = names(reader, RunFilter())
    assert len(found) == count
    assert len(set(found)) == count


@pytest.mark.edge("E71")
def test_filters_narrow_by_namespace_phase_prefix_time_and_waiting(rows, reader):
    minute = _MODULE.minute
    rows.run("a-1", "Failed")
    rows.run("a-2", created_at=minute(30))
    rows.run("b-1", "Running", namespace="prod")
    rows.claim(rows.run("w"), "waiting", [rows.lock("m")])

    def with_(**values):
        wanted = RunFilter(values.pop("namespace", None))
        for name, value in values.items():
            setattr(wanted, name, value)
        return names(reader, wanted)

    assert with_(namespace="prod") == ["b-1"]
    assert with_(phases=",Failed,Error,") == ["a-1"]
    assert with_(prefix="a-") == ["a-2", "a-1"]
    assert with_(since=minute(10)) == ["a-2"]
    assert with_(older=minute(10), prefix="a") == ["a-1"]
    assert with_(waiting=True) == ["w"]


def test_the_journal_is_read_from_a_place_on_and_by_run_or_subject(rows, reader):
    for number in range(5):
        run = "r" if number % 2 else ""
        rows.add(
            "journal", at=_MODULE.NOON, kind=f"k{number}", namespace="default", run=run, subject="lock" if number > 2 else ""
        )
    every = JournalFilter()
    assert [row["kind"] for row in list_journal(reader, every, 2, 10)] == ["k2", "k3", "k4"]
    assert find_journal_tail(reader, every, 2) == 3
    assert [row["kind"] for row in list_journal(reader, JournalFilter("default", "r"), 0, 10)] == ["k1", "k3"]
    assert [row["kind"] for row in list_journal(reader, JournalFilter(subject="lock"), 0, 10)] == ["k3", "k4"]
