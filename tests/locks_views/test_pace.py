"""Overdue, waiting for a person, and when a waiter may expect its turn: from the lock's own earlier holds, or not at all."""

from __future__ import annotations

import json

import pytest
from loop_harness import job, spec, steps

from reconciler.store import read_locks
from reconciler.store.read import open_read
from reconciler.views.instants import epoch_s
from reconciler.views.lock_state import line_of
from reconciler.views.locks import LockList, Pace, expected_start, get_lock, lock_object

NOW = epoch_s("2026-03-01T14:00:00.000000Z")
BOOT = "boot"


def past(rows, minute, lock, *lengths):
    """Ended holds of a lock, of so many minutes each, by runs of their own."""
    for number, length in enumerate(lengths):
        run = rows.run(f"past-{lock}-{number}", "Succeeded")
        rows.epoch += 1
        values = {"epoch": rows.epoch, "granted_at": minute(0), "released_at": minute(length)}
        rows.claim(run, "released", [lock], **values)


def shown(reader, name="m", now_s=NOW):
    line = line_of(reader, get_lock(reader, name, "default"))
    return lock_object(reader, line, now_s, BOOT, Pace(reader, line.holders, now_s))


def test_a_holder_beyond_95_percent_of_the_earlier_holds_is_overdue_with_numbers_and_remedies(rows, reader, minute):
    lock = rows.lock("m")
    past(rows, minute, lock, *range(1, 21))
    rows.claim(rows.run("slow", "Running"), "held", [lock], at=minute(100))
    at_most = shown(reader, now_s=epoch_s(minute(119)))
    assert (at_most["verdict"], at_most["holders"][0]["next"]) == ("healthy", [])
    found = shown(reader, now_s=epoch_s(minute(119)) + 1)
    assert (found["state"], found["verdict"]) == ("held", "overdue")
    assert found["pace"] == {"p50Seconds": 600.0, "p95Seconds": 1140.0}
    holder = found["holders"][0]
    assert holder["evidence"] == "held for 19m; of its last 20 holds half took 10m or less and 95 % took 19m or less"
    assert holder["next"] == [
        "lineclear logs slow",
        "lineclear stop slow",
        "lineclear terminate-stuck-holder default/Mutex/m --not-stuck --dry-run",
        "lineclear terminate-stuck-holder default/Mutex/m --not-stuck",
    ]


def test_with_fewer_than_five_earlier_holds_nothing_is_said_of_time(rows, reader, minute):
    lock = rows.lock("m")
    past(rows, minute, lock, 1, 1, 1, 1)
    rows.claim(rows.run("slow", "Running"), "held", [lock])
    rows.claim(rows.run("waiter"), "waiting", [lock])
    found = shown(reader)
    assert (found["verdict"], found["pace"]) == ("healthy", None)
    assert found["expectedBy"] == "fewer than 5 ended holds of this lock are known"
    assert found["queue"][0]["expectedStart"] is None


def test_only_the_latest_hundred_holds_of_this_lock_count(rows, reader, minute):
    lock, other = rows.lock("m"), rows.lock("n")
    past(rows, minute, lock, *[50] * 30)
    rows.db.execute("UPDATE run SET name = 'older-' || name")
    past(rows, minute, lock, *[2] * 100)
    past(rows, minute, other, *[59] * 5)
    rows.claim(rows.run("holder", "Running"), "held", [lock], at=minute(110))
    assert shown(reader)["pace"] == {"p50Seconds": 120.0, "p95Seconds": 120.0}


def test_the_list_has_the_same_verdicts_and_the_screens_has_none_of_time(rows, reader, minute):
    lock = rows.lock("m")
    past(rows, minute, lock, 1, 1, 1, 1, 1)
    rows.claim(rows.run("slow", "Running"), "held", [lock], at=minute(10))
    locks = LockList(reader, None, BOOT)
    assert [entry[1:] for entry in locks.lines(0, NOW)] == [("held", "overdue")]
    assert [entry[1:] for entry in locks.lines(0)] == [("held", "healthy")]


def test_what_is_stuck_or_being_ended_is_called_that_and_not_overdue(rows, reader, minute):
    lock = rows.lock("m")
    past(rows, minute, lock, 1, 1, 1, 1, 1)
    rows.claim(rows.run("ended", "Failed"), "held", [lock])
    assert shown(reader)["verdict"] == "holding for a failure"
    other = rows.lock("n")
    past(rows, minute, other, 1, 1, 1, 1, 1)
    rows.claim(rows.run("ending", "Running", shutdown="Stop"), "held", [other])
    assert shown(reader, "n")["verdict"] == "being ended"


def test_a_suspended_holder_waits_for_a_person_once_nothing_of_it_runs(world, tmp_path):
    world.submit(job("m"), "r")
    world.must("suspend", run="r")
    reader = open_read(str(tmp_path / "home" / "state.db"))
    assert shown(reader, now_s=world.clock.at.timestamp())["verdict"] == "healthy"
    world.writer.db.execute("UPDATE attempt SET state = 'exited', finished_at = queued_at")
    found = shown(reader, now_s=world.clock.at.timestamp())
    reader.close()
    assert found["verdict"] == "waiting for a person"
    assert found["holders"][0]["evidence"] == "its run is suspended, and nothing of it runs"
    assert found["holders"][0]["next"] == ["lineclear get r", "lineclear resume r", "lineclear stop r"]


@pytest.mark.parametrize(("seconds", "verdict"), [("", "waiting for a person"), ("600", "healthy")])
def test_a_suspend_node_waits_for_a_person_unless_an_instant_ends_it(world, tmp_path, seconds, verdict):
    gate = {"name": "gate", "suspend": {"duration": seconds} if seconds else {}}
    world.submit(spec(steps("main", ["gate"], locks=["m"]), gate), "r")
    reader = open_read(str(tmp_path / "home" / "state.db"))
    holder = shown(reader, now_s=world.clock.at.timestamp() + 60)["holders"][0]
    reader.close()
    assert holder["verdict"] == verdict
    if not seconds:
        assert holder["evidence"] == "its step [0].gate waits for `resume` since 1m"


def test_a_step_that_holds_beside_a_suspend_node_does_not_wait_for_a_person(rows, reader):
    run = rows.run("r", "Running")
    rows.node(run, ".gate", type="Suspend")
    rows.claim(run, "held", [rows.lock("m")], node=rows.node(run, ".other"))
    assert shown(reader)["verdict"] == "healthy"


def test_each_hold_ahead_counts_half_of_the_earlier_ones_and_the_present_one_what_is_left(rows, reader, minute):
    lock = rows.lock("m")
    past(rows, minute, lock, 2, 4, 6, 8, 10)
    rows.claim(rows.run("holder", "Running"), "held", [lock], at=minute(20))
    for name in ("first", "second", "third"):
        rows.claim(rows.run(name), "waiting", [lock], at=minute(21))
    found = shown(reader, now_s=epoch_s(minute(22)))
    assert [waiter["expectedStart"][11:16] for waiter in found["queue"]] == ["12:26", "12:32", "12:38"]
    assert found["expectedBy"].endswith("each hold ahead counts 6m, a present one what is left of that")
    late = shown(reader, now_s=epoch_s(minute(29)))
    assert [waiter["expectedStart"][11:16] for waiter in late["queue"]] == ["12:29", "12:35", "12:41"]


def test_the_units_of_a_semaphore_come_free_one_by_one(rows, reader, minute):
    lock = rows.lock("l/two", kind="ConfigMap", capacity=2)
    past(rows, minute, lock, *[10] * 5)
    for number, name in enumerate(("a", "b")):
        rows.claim(rows.run(name, "Running"), "held", [lock], at=minute(20 + 4 * number))
    for name in ("first", "second", "third"):
        rows.claim(rows.run(name), "waiting", [lock], at=minute(25))
    queue = shown(reader, "l/two", epoch_s(minute(26)))["queue"]
    assert [waiter["expectedStart"][11:16] for waiter in queue] == ["12:30", "12:34", "12:40"]


@pytest.mark.parametrize("trouble", ["overdue", "failed", "closed", "held back"])
def test_no_start_is_told_that_hangs_on_a_person(rows, reader, minute, trouble):
    closed = {"capacity": 0, "kind": "ConfigMap"} if trouble == "closed" else {}
    lock = rows.lock("l/m" if closed else "m", held_back="unproven" if trouble == "held back" else "", **closed)
    past(rows, minute, lock, 1, 1, 1, 1, 1)
    rows.claim(rows.run("holder", "Failed" if trouble == "failed" else "Running"), "held", [lock], at=minute(10))
    rows.claim(rows.run("waiter"), "waiting", [lock], at=minute(10))
    found = shown(reader, "m", epoch_s(minute(60 if trouble == "overdue" else 10)))
    assert (found["queue"][0]["expectedStart"], found["expectedBy"] != "") == (None, True)


def test_from_a_waiter_on_that_needs_another_lock_nothing_is_told(rows, reader, minute):
    lock, other = rows.lock("m"), rows.lock("n")
    past(rows, minute, lock, *[10] * 5)
    rows.claim(rows.run("holder", "Running"), "held", [lock], at=minute(20))
    for name, wanted in (("one", [lock]), ("both", [lock, other]), ("last", [lock])):
        rows.claim(rows.run(name), "waiting", wanted, at=minute(21))
    found = shown(reader, now_s=epoch_s(minute(22)))
    assert [bool(waiter["expectedStart"]) for waiter in found["queue"]] == [True, False, False]
    assert found["expectedBy"].endswith("from place 2 on it cannot be told: both needs another lock as well")


def test_show_prints_the_verdict_what_it_rests_on_and_the_expected_starts(rows, lineclear, minute):
    lock = rows.lock("m")
    past(rows, minute, lock, 1, 1, 1, 1, 1)
    rows.claim(rows.run("slow", "Running"), "held", [lock], at=minute(10))
    rows.claim(rows.run("waiter"), "waiting", [lock], at=minute(11))
    code, out, _ = lineclear("locks", "show", "m")
    assert code == 0
    assert "  slow is overdue: held for " in out
    assert "    lineclear logs slow\n    lineclear stop slow\n" in out
    assert "Expected starts:     a holder's verdict is overdue\n" in out
    assert json.loads(lineclear("locks", "-o", "json")[1])["items"][0]["verdict"] == "overdue"


def test_one_waiter_is_told_the_same_as_the_queue_of_the_lock(rows, reader, minute):
    lock, other = rows.lock("m"), rows.lock("n")
    past(rows, minute, lock, *[10] * 5)
    rows.claim(rows.run("holder", "Running"), "held", [lock], at=minute(20))
    runs = [rows.run(name) for name in ("one", "two", "both", "last")]
    for run, wanted in zip(runs, ([lock], [lock], [lock, other], [lock]), strict=True):
        rows.claim(run, "waiting", wanted, at=minute(21))
    now_s = epoch_s(minute(22))
    told = []
    for place, run in enumerate(runs, 1):
        wait = next(row for row in read_locks.list_waited_by(reader, run) if row["lock_id"] == lock)
        told.append(expected_start(reader, wait, place, now_s, BOOT)[0])
    assert told == [waiter["expectedStart"] for waiter in shown(reader, now_s=now_s)["queue"]]
    assert told[:2] == [minute(30)[:19] + "Z", minute(40)[:19] + "Z"]
