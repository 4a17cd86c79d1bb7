"""What the screen reads of a home that the real loop has made; and what it is told when that cannot be read."""

import os
import shutil
import sqlite3
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.home import Home
from reconciler.views.doing import read_boot_id
from tui.core.model import DaemonKind, Failure, FreshnessKind, LockState, RunKey, RunState, Snapshot, Unchanged
from tui.core.pace import Pace
from tui.core.record import JournalWish
from tui.core.source import Source
from tui.core.tree import walk

sys.path.insert(0, str(Path(__file__).parents[1] / "loop"))

from loop_harness import World, dag, job, pod, spec, steps

HOSTILE = "\x1b]2;PWNED\x07[/bin/sh]\u202e\n\ttab"


class HereWorld(World):
    """Its steps were started since the machine's last boot, so that none is lost."""

    def open(self):
        super().open()
        self.options = replace(self.options, boot_id=read_boot_id())
        self.loop._options = self.options


class Glass:
    """A world and a source that looks at it, by the world's clock."""

    def __init__(self, folder):
        self.folder = folder
        self.world = HereWorld(folder)
        self.source = Source(Home(str(folder)), self.world.clock)

    def snapshot(self):
        found = self.source.poll()
        assert isinstance(found, Snapshot), found
        return found

    def run(self, name):
        return next(row for row in self.snapshot().runs if row.name == name)

    def lock(self, name):
        return next(row for row in self.snapshot().locks if row.name == name)


@pytest.fixture
def glass(tmp_path):
    made = Glass(tmp_path)
    yield made
    made.source.close()
    made.world.close()


def test_an_empty_home_is_an_empty_snapshot(glass):
    found = glass.snapshot()
    assert (found.locks, found.runs, found.crons, found.run_total, found.waiting_total) == ((), (), (), 0, 0)
    assert found.sync.head is None
    assert found.daemon.kind is DaemonKind.NONE
    assert "lineclear up" in found.daemon.text
    assert found.at == glass.world.clock.at


def test_holder_queue_and_next_of_a_lock_are_on_its_row(glass):
    glass.world.submit(job("db"), "migrate")
    glass.world.clock.at += timedelta(minutes=5)
    glass.world.submit(job("db"), "api")
    glass.world.submit(job("db"), "web")

    row = glass.lock("db")
    assert (row.state, row.key, row.kind, row.held, row.capacity) == (LockState.CONTENDED, "default/Mutex/db", "Mutex", 1, 1)
    assert [holder.label for holder in row.holders] == ["migrate"]
    assert (row.queue_length, row.next_run, row.more_holders) == (2, RunKey("default", "api"), 0)
    assert row.waiting_since - row.since == timedelta(minutes=5)
    assert row.since.tzinfo is not None

    api, web = glass.run("api"), glass.run("web")
    assert (api.state, api.waits_for.lock, api.waits_for.position) == (RunState.WAITING, "default/Mutex/db", 1)
    assert (web.waits_for.position, web.waits_for.more) == (2, 0)
    assert glass.run("migrate").state is RunState.RUNNING
    assert glass.run("migrate").holds == 1
    assert glass.snapshot().waiting_total == 2


def test_a_run_that_failed_and_keeps_its_lock_is_holding_and_its_lock_stuck(glass):
    glass.world.submit(job("db"), "migrate")
    glass.world.submit(job("free"), "other")
    glass.world.exits("migrate", "", 1)

    assert glass.run("migrate").state is RunState.HOLDING
    row = glass.snapshot().locks[0]
    assert (row.name, row.state, row.verdict) == ("db", LockState.STUCK, "holding for a failure")
    assert "ended Failed by itself" in row.evidence
    assert row.holders[0].is_stuck

    detail = glass.source.lock(row.key)
    assert detail.row.state is LockState.STUCK
    assert detail.holders[0].doing.startswith("failed")
    assert any("terminate-stuck-holder" in action for action in detail.actions)

    glass.world.must("terminate", run="migrate", namespace="default")
    assert glass.run("migrate").state is RunState.FAILED
    assert glass.lock("db").state is LockState.FREE


def test_a_holder_from_before_the_boot_is_lost_and_its_lock_stuck(tmp_path):
    world = World(tmp_path)  # its boot id is no real one
    world.submit(job("db"), "migrate")
    source = Source(Home(str(tmp_path)), world.clock)
    (row,) = source.poll().locks
    source.close()
    world.close()
    assert (row.state, row.verdict) == (LockState.STUCK, "holder lost")
    assert "before the machine's last boot" in row.evidence


def test_nothing_new_is_unchanged_and_what_does_not_differ_is_the_same_row(glass):
    glass.world.submit(job("a"), "one")
    glass.world.submit(job("b"), "two")
    first = glass.snapshot()
    assert isinstance(glass.source.poll(first.revision), Unchanged)

    glass.world.exits("two", "", 0)
    second = glass.source.poll(first.revision)
    assert second.revision == first.revision + 1
    by_name = {row.name: row for row in second.runs}
    assert by_name["one"] is {row.name: row for row in first.runs}["one"]
    assert by_name["two"].state is RunState.SUCCEEDED
    assert next(row for row in second.locks if row.name == "a") is next(row for row in first.locks if row.name == "a")


def test_a_commit_that_changes_nothing_shown_makes_no_revision(glass):
    glass.world.submit(job("a"), "one")
    first = glass.snapshot()
    glass.world.writer.db.execute("UPDATE run SET uid = uid || 'x'")
    assert isinstance(glass.source.poll(first.revision), Unchanged)


@pytest.mark.parametrize("rounds", [40])
def test_rows_that_were_kept_are_as_rows_made_anew(glass, rounds):
    """Whatever happens, a source that remembers and one that has just begun show the same."""
    for number in range(rounds):
        name = f"run-{number}"
        glass.world.submit(job("a") if number % 3 else job("a", "b"), name)
        if number % 4 == 3 and glass.world.running():
            holder, node = glass.world.running()[0]
            glass.world.exits(holder, node, number % 8 == 3)
        if number % 8 == 7:
            failed = next((row for row in glass.snapshot().runs if row.state is RunState.HOLDING), None)
            if failed is not None:
                glass.world.must("terminate", run=failed.name, namespace="default")
        if number % 10 == 9:
            glass.world.must("delete", run=name, namespace="default", force=True)
        kept = glass.snapshot()
        fresh = Source(glass.source.home, glass.world.clock)
        anew = fresh.poll()
        fresh.close()
        assert (kept.runs, kept.locks, kept.waiting_total) == (anew.runs, anew.locks, anew.waiting_total)


def test_a_run_that_waits_for_two_locks_names_the_one_that_stops_it(glass):
    glass.world.submit(job("b"), "holder")
    glass.world.submit(job("a", "b"), "both")
    row = glass.run("both")
    assert (row.waits_for.lock, row.waits_for.more) == ("default/Mutex/b", 1)
    queue = glass.source.lock("default/Mutex/b").queue
    assert [(waiter.position, waiter.label, waiter.also_needs) for waiter in queue] == [
        (1, "both", (("default/Mutex/a", LockState.CONTENDED),))
    ]


def test_a_page_of_a_run_has_its_tree_its_reasons_and_its_logs(glass):
    body = dag("main", first=("work",), second=("locked", "first"))
    glass.world.submit(spec(body, pod("work"), pod("locked", "db")), "pipeline")
    glass.world.submit(job("db"), "blocker")
    glass.world.exits("pipeline", ".first")

    detail = glass.source.run(RunKey("default", "pipeline"))
    root = detail.root[0]
    assert (root.label, root.type, root.depth) == ("pipeline", "DAG", 0)
    shown = [(child.label, child.phase, child.depth) for child in root.children]
    assert shown == [("first", "Succeeded", 1), ("second", "Pending", 1)]
    assert root.children[1].waits_for.lock == "default/Mutex/db"
    assert "Waiting for default/Mutex/db" in root.children[1].message
    assert any("default/Mutex/db" in line for line in detail.why)
    assert (detail.row.nodes_done, detail.row.nodes_total) == (1, 2)
    (attempt,) = [one for one in detail.attempts if one.node == "first"]
    assert (attempt.state, attempt.exit_code) == ("exited", 0)
    assert attempt.log_path.startswith(str(glass.folder))
    assert [row.kind for row in detail.history][-1] == "run.created"
    assert detail.row.by == "tester"


def test_steps_and_groups_come_in_their_order(glass):
    glass.world.submit(spec(steps("main", ["a", "b"], ["c"]), pod("a"), pod("b"), pod("c")), "stepped")
    root = glass.source.run(RunKey("default", "stepped")).root[0]
    first, second = root.children
    assert (first.type, [child.label for child in first.children], first.phase) == ("StepGroup", ["a", "b"], "Running")
    assert (second.label, [child.label for child in second.children], second.phase) == ("[1]", ["c"], "Not started")


def test_what_has_not_begun_is_shown_behind_what_has_and_gone_when_the_run_is_over(glass):
    body = dag("main", build=("work",), test=("inner", "build"), ship=("work", "test"))
    inner = dag("inner", unit=("work",), slow=("work", "unit"))
    glass.world.submit(spec(body, inner, pod("work"), onExit="work"), "pipeline")

    def shown():
        nodes = walk(glass.source.run(RunKey("default", "pipeline")).root)
        return [("  " * node.depth + node.label, node.phase, node.message) for node in nodes]

    assert shown() == [
        ("pipeline", "Running", ""),
        ("  build", "Running", ""),
        ("  test", "Not started", "after build"),
        ("    unit", "Not started", ""),
        ("    slow", "Not started", "after unit"),
        ("  ship", "Not started", "after test"),
        ("onExit", "Not started", "at the end"),
    ]
    glass.world.exits("pipeline", ".build")
    assert [line[1] for line in shown()] == ["Running", "Succeeded", "Running", "Running", *["Not started"] * 3]
    glass.world.exits("pipeline", ".test.unit", 1)
    glass.world.exits("pipeline", ".onExit")
    assert "Not started" not in {line[1] for line in shown()}


def test_a_run_that_waits_for_its_first_lock_shows_all_that_is_to_come(glass):
    glass.world.submit(job("db"), "holder")
    glass.world.submit(spec(steps("main", ["a"]), pod("a"), locks=("db",)), "waiter")
    (root,) = glass.source.run(RunKey("default", "waiter")).root
    assert (root.label, root.phase, root.id < 0) == ("waiter", "Not started", True)
    assert [child.label for child in root.children[0].children] == ["a"]


def test_a_template_that_calls_itself_is_forecast_within_bounds(glass):
    glass.world.submit(job("db"), "holder")
    again = dag("main", one=("main",), two=("main",), three=("main",))
    glass.world.submit(spec(again, locks=("db",)), "loop")
    assert 10 < len(list(walk(glass.source.run(RunKey("default", "loop")).root))) < 400


def test_the_record_is_read_from_both_ends_and_by_people_only(glass):
    for number in range(6):
        glass.world.submit(job("a"), f"run-{number}")
    rows = glass.source.journal(JournalWish(limit=1000))
    assert [row.seq for row in rows] == sorted((row.seq for row in rows), reverse=True)
    middle = rows[len(rows) // 2].seq
    before = glass.source.journal(JournalWish(before=middle, limit=3))
    assert [row.seq for row in before] == [middle - 1, middle - 2, middle - 3]
    after = glass.source.journal(JournalWish(after=middle, limit=3))
    assert [row.seq for row in after] == [middle + 3, middle + 2, middle + 1]
    assert {row.run for row in glass.source.journal(JournalWish(run=RunKey("default", "run-3")))} == {"run-3"}
    assert all(row.actor for row in glass.source.journal(JournalWish(by_people=True)))
    about = glass.source.journal(JournalWish(lock="default/Mutex/a"))
    assert {row.subject for row in about} == {"default/Mutex/a"}
    assert next(row for row in rows if row.kind == "run.created").detail


def test_revisions_and_crons_are_shown_with_what_became_of_them(glass):
    cron = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "CronWorkflow",
        "metadata": {"name": "nightly"},
        "spec": {"schedules": ["* * * * *"], "concurrencyPolicy": "Forbid", "workflowSpec": job("db")},
    }
    glass.world.push(cron)
    glass.world.tick(61)
    glass.world.tick(60)
    found = glass.snapshot()
    (row,) = found.crons
    assert (row.name, row.schedules, row.policy, row.suspended, row.active) == ("nightly", ("* * * * *",), "Forbid", False, 1)
    assert row.last_decision == "forbidden"
    assert row.ticks[-1] == "ran"
    assert row.next_at > found.at - timedelta(minutes=1)
    (run,) = [row for row in found.runs if row.cron]
    assert (run.workflow, run.by) == ("cron/nightly", "cron/nightly")
    assert found.sync.head == found.sync.applied
    git = glass.source.git()
    assert [commit.state for commit in git.commits] == ["applied"]
    assert git.definitions == (("all.yaml", "CronWorkflow", "default/nightly"),)

    glass.world.must("cron_suspend", name="nightly", namespace="default")
    (row,) = glass.snapshot().crons
    assert (row.suspended, row.is_override) == (True, True)


def test_hostile_words_arrive_as_they_are_and_break_nothing(glass):
    glass.world.submit(job("db"), "one")
    db = glass.world.writer.db
    db.execute("UPDATE run SET message = ?, arguments_json = ?", (HOSTILE, '{"a\\u001b": "\\u202e"}'))
    db.execute("UPDATE node SET message = ?, display = ?", (HOSTILE, HOSTILE))
    db.execute("UPDATE lock SET limit_source = ?", (HOSTILE,))
    assert glass.run("one").message == HOSTILE
    detail = glass.source.run(RunKey("default", "one"))
    assert (detail.root[0].label, detail.root[0].message) == (HOSTILE, HOSTILE)
    assert all("\x1b" not in line for line in detail.why)
    assert glass.source.lock("default/Mutex/db").limit_source == HOSTILE


def test_types_of_nodes_that_nobody_knows_are_shown(glass):
    glass.world.submit(job("db"), "one")
    db = glass.world.writer.db
    db.execute("PRAGMA ignore_check_constraints = ON")
    db.execute("PRAGMA foreign_keys = OFF")
    db.execute("UPDATE node SET type = 'Plugin', parent_id = 999")
    assert glass.source.run(RunKey("default", "one")).root[0].type == "Plugin"


def test_a_run_number_limit_keeps_what_is_open_and_the_newest_of_the_rest(glass):
    for number in range(5):
        glass.world.submit(job(), f"old-{number}")
        glass.world.exits(f"old-{number}", "")
    glass.world.submit(job("x"), "kept")
    glass.world.exits("kept", "", 1)
    glass.world.submit(job(), "open")
    few = Source(glass.source.home, glass.world.clock, run_limit=2)
    found = few.poll()
    few.close()
    assert [row.name for row in found.runs] == ["open", "kept", "old-4", "old-3"]
    assert found.run_total == 7


# what cannot be read ------------------------------------------------------------------------------------------------


def test_what_is_not_there_any_more_is_a_sentence(glass):
    gone = glass.source.run(RunKey("default", "nobody"))
    assert (type(gone), gone.kind) == (Failure, "missing")
    assert "there is no run nobody" in gone.text
    assert glass.source.lock("default/Mutex/nothing").kind == "missing"
    assert glass.source.log(RunKey("default", "nobody"), 1).kind == "missing"


def test_a_home_without_a_database_is_a_sentence_and_is_found_when_it_comes(tmp_path):
    source = Source(Home(str(tmp_path)))
    gone = source.poll()
    assert (type(gone), gone.kind) == (Failure, "gone")
    world = World(tmp_path)
    world.submit(job(), "one")
    found = source.poll()
    assert [row.name for row in found.runs] == ["one"]
    source.close()
    world.close()


def test_a_database_that_was_replaced_is_another_instance_with_other_revisions(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = World(tmp_path / "a"), World(tmp_path / "b")
    first.submit(job(), "one")
    second.submit(job(), "two")
    source = Source(Home(str(tmp_path / "a")))
    before = source.poll()
    first.close()
    second.close()
    for end in ("", "-wal", "-shm"):
        (tmp_path / "a" / f"state.db{end}").unlink(missing_ok=True)
    shutil.copy(tmp_path / "b" / "state.db", tmp_path / "a" / "state.db")

    after = source.poll(before.revision)
    assert [row.name for row in after.runs] == ["two"]
    assert after.instance != before.instance
    assert after.revision > before.revision
    (tmp_path / "a" / "state.db").unlink()
    assert source.poll().kind == "gone"
    source.close()


def test_a_newer_database_and_a_damaged_one_are_told_apart(tmp_path):
    world = World(tmp_path)
    world.close()
    source = Source(Home(str(tmp_path)))
    assert isinstance(source.poll(), Snapshot)
    source.close()
    with sqlite3.connect(tmp_path / "state.db") as db:
        db.execute("PRAGMA user_version = 999")
    db.close()
    assert source.poll().kind == "newer"
    (tmp_path / "state.db").write_bytes(b"no database at all" * 1000)
    damaged = source.poll()
    assert (damaged.kind, "state.db" in damaged.text) == ("unreadable", True)
    source.close()


def test_a_locked_database_is_busy_and_is_read_when_it_is_free(glass, monkeypatch):
    monkeypatch.setattr("reconciler.store.read._BUSY_TIMEOUT_S", 0.05)
    glass.world.submit(job(), "one")
    glass.world.close()
    with sqlite3.connect(glass.folder / "state.db", isolation_level=None) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("BEGIN EXCLUSIVE")
        busy = glass.source.poll()
        db.execute("COMMIT")
    db.close()
    assert (type(busy), busy.kind) == (Failure, "busy")
    assert isinstance(glass.source.poll(), Snapshot)
    glass.world.open()


def test_any_thread_may_ask_at_the_same_time(glass):
    for number in range(10):
        glass.world.submit(job("a"), f"run-{number}")
    failed = []

    def ask():
        for _ in range(30):
            answers = (glass.source.poll(), glass.source.lock("default/Mutex/a"), glass.source.run(RunKey("default", "run-3")))
            failed.extend(answer for answer in answers if isinstance(answer, Failure))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(10, 30):
        glass.world.submit(job("a"), f"run-{number}")
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(glass.snapshot().runs) == 30


def test_it_reads_only(glass):
    glass.world.submit(job("a"), "one")
    before = {name: os.stat(glass.folder / name).st_size for name in os.listdir(glass.folder)}
    glass.snapshot()
    glass.source.run(RunKey("default", "one"))
    assert {name: os.stat(glass.folder / name).st_size for name in os.listdir(glass.folder)} == before


# freshness ------------------------------------------------------------------------------------------------------------

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def test_data_ages_and_failures_are_told_with_the_next_try():
    pace = Pace()

    def at(seconds):
        return START + timedelta(seconds=seconds)

    good, bad = Unchanged(at=START, revision=1, daemon=None), Failure(kind="gone", text="there is no state.db")
    assert pace.is_due(at(0))
    assert not pace.note(good, at(0))
    assert pace.freshness(at(2)).kind is FreshnessKind.LIVE
    assert (pace.freshness(at(9)).kind, pace.freshness(at(9)).age) == (FreshnessKind.STALE, timedelta(seconds=9))
    pace.note(bad, at(10))
    offline = pace.freshness(at(11))
    assert (offline.kind, offline.cause, offline.age) == (FreshnessKind.OFFLINE, bad.text, timedelta(seconds=11))
    assert offline.retry_in == timedelta(seconds=1)
    for second in range(12, 60):
        pace.note(bad, at(second))
    assert not pace.is_due(at(60))
    pace.retry_now(at(60))
    assert pace.is_due(at(60))
    assert pace.note(good, at(61))
    assert pace.freshness(at(61)).kind is FreshnessKind.LIVE
