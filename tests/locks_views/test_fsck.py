"""`fsck`: a home that is as it should be is clean, each kind of damage is found by its rows, and nothing is ever changed."""

from __future__ import annotations

import json
import os

import pytest
from loop_harness import dag, job, pod, spec, steps

from reconciler.home import Home
from reconciler.store.read import open_read
from reconciler.views.integrity import check_all


def found(path, *, is_served=True):
    """(check, rows) of each problem, and the notes."""
    reader = open_read(str(path / "state.db"))
    problems, notes = check_all(reader, Home(str(path)), is_served=is_served)
    reader.close()
    return [(problem.check, problem.rows) for problem in problems], notes


@pytest.fixture
def busy(world, tmp_path):
    """A home in which something holds, waits, failed, was ended and was removed; its live steps have their records."""
    world.limits(s0=2)
    world.submit(job("m", "s0"), "holder")
    world.submit(job("m"), "waiter")
    world.submit(job("s0", "n"), "failed")
    world.exits("failed", "", 1)
    world.submit(spec(steps("main", ["a"], locks=["t"]), pod("a", "t", "u")), "nested")
    world.submit(spec(dag("main", a=("p",), b=("p",)), pod("p", "u")), "siblings")
    world.submit(job("x"), "done")
    world.exits("done", "")
    world.submit(job("x"), "gone")
    world.must("terminate", run="gone")
    world.exits("gone", "", 143)
    world.must("delete", run="gone")
    for (attempt,) in world.rows("SELECT id FROM attempt WHERE state IN ('intended', 'live')"):
        (run,) = world.one("SELECT run_id FROM attempt WHERE id = ?", attempt)
        world.writer.db.execute("UPDATE attempt SET state = 'live' WHERE id = ?", (attempt,))
        folder = tmp_path / "home" / "runs" / str(run) / str(attempt)
        folder.mkdir(parents=True)
        (folder / "record").write_bytes(b"\0" * 4096)
    return world


def test_a_home_at_work_is_clean(busy, tmp_path):
    assert found(tmp_path / "home") == ([], [])


def claim_of(world, run, state):
    return world.one(
        "SELECT claim.id FROM claim JOIN run ON run.id = claim.run_id WHERE run.name = ? AND claim.state = ?", run, state
    )[0]


DAMAGES = {
    "copies": ("UPDATE claim_lock SET priority = 7 WHERE claim_id = :waiting", {"copies"}),
    "state-of-a-copy": ("UPDATE claim_lock SET state = 'released' WHERE claim_id = :held", {"copies", "lost-wake-up"}),
    "empty-claim": ("DELETE FROM claim_lock WHERE claim_id = :waiting", {"empty-claim"}),
    "gone-run": ("UPDATE claim SET run_id = 999 WHERE id = :waiting", {"gone-run", "copies"}),
    "held-after-end": ("UPDATE run SET phase = 'Succeeded' WHERE name = 'failed'", {"held-after-end"}),
    "held-after-terminate": ("UPDATE run SET ended_by = 'terminate' WHERE name = 'failed'", {"held-after-end"}),
    "waits-after-end": (
        "UPDATE run SET phase = 'Failed', started_at = created_at, finished_at = created_at WHERE name = 'waiter'",
        {"waits-after-end"},
    ),
    "epoch-beyond-counter": ("UPDATE meta SET value = '1' WHERE key = 'epoch'", {"epoch-beyond-counter"}),
    "no-counter": ("DELETE FROM meta WHERE key = 'epoch'", {"epoch-beyond-counter"}),
    "ended-node": (
        """UPDATE node SET phase = 'Succeeded', finished_at = created_at WHERE type = 'Pod' AND phase = 'Running'
        AND run_id = (SELECT id FROM run WHERE name = 'nested')""",
        {"claim-of-ended-node", "attempt-without-running-node"},
    ),
    "no-attempt": (
        "DELETE FROM attempt WHERE run_id = (SELECT id FROM run WHERE name = 'holder')",
        {"running-step-without-attempt"},
    ),
    "turn-without-holder": ("UPDATE claim_lock SET nested = 999 WHERE nested > 0", {"turn-without-holder"}),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_each_damage_is_found(busy, tmp_path, name):
    statement, wanted = DAMAGES[name]
    values = {"waiting": claim_of(busy, "waiter", "waiting"), "held": claim_of(busy, "holder", "held")}
    busy.writer.db.execute("PRAGMA foreign_keys = OFF")
    busy.writer.db.execute("PRAGMA ignore_check_constraints = ON")
    busy.writer.db.execute(statement, {key: value for key, value in values.items() if f":{key}" in statement})
    problems, _ = found(tmp_path / "home")
    assert {check for check, _ in problems} == wanted


def test_the_rows_are_named(busy, tmp_path):
    waiting = claim_of(busy, "waiter", "waiting")
    busy.writer.db.execute("UPDATE claim_lock SET queue_order = 99 WHERE claim_id = ?", (waiting,))
    assert found(tmp_path / "home")[0] == [("copies", (f"claim:{waiting}",))]


def second_holder(world, lock, epoch):
    """One more claim that holds the lock, of a run of its own."""
    db = world.writer.db
    run = db.execute("SELECT id FROM run WHERE name = 'waiter'").fetchone()[0]
    db.execute("UPDATE claim SET state = 'held', epoch = ?, granted_at = requested_at WHERE run_id = ?", (epoch, run))
    db.execute("UPDATE claim_lock SET state = 'held', lock_id = ? WHERE run_id = ?", (lock, run))
    db.execute("UPDATE meta SET value = ? WHERE key = 'epoch'", (str(epoch),))


def test_two_holders_of_a_mutex_are_found_behind_the_index_that_forbids_them(busy, tmp_path):
    lock = busy.one("SELECT id FROM lock WHERE key = 'default/Mutex/m'")[0]
    busy.writer.db.execute("DROP INDEX mutex_has_one_holder")
    second_holder(busy, lock, 50)
    held = [row[0] for row in busy.rows("SELECT claim_id FROM claim_lock WHERE lock_id = ? AND state = 'held'", lock)]
    (seq,) = busy.one("SELECT max(seq) + 1 FROM journal")
    assert found(tmp_path / "home")[0] == [
        ("over-limit", (f"lock:{lock}", *(f"claim:{claim}" for claim in held))),
        ("journal", (f"journal:{seq}",)),
    ]


def test_a_semaphore_above_its_limit_is_a_fault_only_if_it_was_so_at_a_grant(world, tmp_path):
    world.limits(s0=2)
    for name in ("a", "b", "c"):
        world.submit(job("s0"), name)
    world.tick(5)
    world.limits(s0=1)
    assert found(tmp_path / "home") == ([], [])
    db = world.writer.db
    run = db.execute("SELECT id FROM run WHERE name = 'c'").fetchone()[0]
    at = db.execute("SELECT max(at) FROM journal").fetchone()[0]
    db.execute("UPDATE claim SET state = 'held', epoch = 3, granted_at = ? WHERE run_id = ?", (at, run))
    db.execute("UPDATE claim_lock SET state = 'held' WHERE run_id = ?", (run,))
    db.execute("UPDATE meta SET value = '3' WHERE key = 'epoch'")
    assert [check for check, _ in found(tmp_path / "home")[0]] == ["over-limit", "journal"]


def test_a_waiter_that_fits_is_a_lost_wake_up_with_a_daemon_and_no_fault_without(busy, tmp_path):
    held, waiting = claim_of(busy, "holder", "held"), claim_of(busy, "waiter", "waiting")
    busy.writer.db.execute("UPDATE claim SET state = 'released', released_at = granted_at WHERE id = ?", (held,))
    busy.writer.db.execute("UPDATE claim_lock SET state = 'released' WHERE claim_id = ?", (held,))
    assert found(tmp_path / "home")[0] == [("lost-wake-up", (f"claim:{waiting}",))]
    problems, notes = found(tmp_path / "home", is_served=False)
    assert problems == []
    assert notes[0].endswith("which has room, and still waits: no daemon is running; lineclear up")


def test_a_head_that_lacks_another_lock_and_a_lock_that_is_held_back_are_no_lost_wake_ups(world, tmp_path):
    world.submit(job("m"), "holder")
    world.submit(job("m", "n"), "head")
    world.submit(job("n"), "behind")
    world.submit(job("o"), "other")
    world.submit(job("o"), "shut")
    world.writer.db.execute("UPDATE lock SET held_back = 'let go unproven' WHERE key = 'default/Mutex/o'")
    run = world.one("SELECT id FROM run WHERE name = 'other'")[0]
    world.writer.db.execute("UPDATE claim SET state = 'released', released_at = granted_at WHERE run_id = ?", (run,))
    world.writer.db.execute("UPDATE claim_lock SET state = 'released' WHERE run_id = ?", (run,))
    assert found(tmp_path / "home")[0] == []


@pytest.mark.parametrize(("left", "missing"), [("nothing", "folder"), ("folder", "record")])
def test_a_live_step_without_its_folder_or_record_is_found(busy, tmp_path, lineclear, left, missing):
    attempt, run = busy.one("SELECT id, run_id FROM attempt WHERE state = 'live' ORDER BY id")
    folder = tmp_path / "home" / "runs" / str(run) / str(attempt)
    (folder / "record").unlink()
    if left == "nothing":
        folder.rmdir()
    assert found(tmp_path / "home")[0] == [("step-without-record", (f"attempt:{attempt}",))]
    assert f"its {missing} is not there: {folder}" in lineclear("fsck")[1]


def test_a_torn_file_is_told_by_sqlites_own_check(busy, tmp_path, lineclear):
    path = tmp_path / "home" / "state.db"
    page = busy.one("SELECT rootpage FROM sqlite_master WHERE name = 'claim_run'")[0]
    busy.writer.db.execute("PRAGMA wal_checkpoint (TRUNCATE)")
    size = busy.one("PRAGMA page_size")[0]
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\0" * size)
    code, out, _ = lineclear("fsck")
    assert code == 1
    assert out.startswith("file: ")


def test_a_reference_that_leads_nowhere_is_told(busy, tmp_path):
    busy.writer.db.execute("PRAGMA foreign_keys = OFF")
    busy.writer.db.execute("DELETE FROM spec WHERE digest = (SELECT spec_digest FROM run WHERE name = 'done')")
    assert {check for check, _ in found(tmp_path / "home")[0]} == {"reference"}


def test_the_command_says_clean_or_what_is_wrong_and_changes_nothing(busy, tmp_path, lineclear):
    assert lineclear("fsck") == (0, "clean: the rows agree with each other, and with the steps\n", "")
    waiting = claim_of(busy, "waiter", "waiting")
    busy.writer.db.execute("UPDATE claim_lock SET queue_order = 99 WHERE claim_id = ?", (waiting,))
    before = busy.rows("SELECT * FROM claim_lock"), os.path.getsize(tmp_path / "home" / "state.db")
    code, out, _ = lineclear("fsck")
    assert code == 1
    assert out.splitlines()[0] == "copies: 1"
    assert f"[claim:{waiting}]" in out
    assert out.splitlines()[-1] == "1 problem found; nothing was changed"
    code, out, _ = lineclear("fsck", "-o", "json")
    told = json.loads(out)
    assert (code, told["isClean"], told["problems"][0]["rows"]) == (1, False, [f"claim:{waiting}"])
    assert (busy.rows("SELECT * FROM claim_lock"), os.path.getsize(tmp_path / "home" / "state.db")) == before


def test_a_journal_that_was_changed_is_told_with_its_row(busy, tmp_path, lineclear):
    busy.writer.db.execute("UPDATE journal SET actor = 'nobody' WHERE seq = 4")
    assert found(tmp_path / "home")[0] == [("journal", ("journal:4",))]
    code, out, _ = lineclear("fsck")
    assert code == 1
    assert "journal: 1\n  changed: row 4 (" in out


def test_a_grant_that_the_journal_does_not_tell_of_is_a_tail_that_was_removed(busy, tmp_path):
    newest = "(SELECT max(epoch) FROM claim)"
    (seq,) = busy.one(f"SELECT seq FROM journal WHERE kind = 'claim.granted' AND json_extract(detail_json, '$.epoch') = {newest}")
    busy.writer.db.execute("DELETE FROM journal WHERE seq >= ?", (seq,))
    assert found(tmp_path / "home")[0] == [("journal", (f"journal:{seq}",))]


def test_a_home_that_is_none_is_not_reachable(lineclear):
    assert lineclear("fsck")[0] == 5
    assert lineclear("fsck", "-o", "name")[0] == 2
