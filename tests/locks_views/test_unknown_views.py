"""A holder that is unknown is called so by every view, with the same evidence and remedies that fit."""

from __future__ import annotations

import pytest
from loop_harness import job, pod, spec, steps

from reconciler.home import Home
from reconciler.metrics import page
from reconciler.obs import Tally
from reconciler.store import read_runs
from reconciler.store.read import open_read
from reconciler.store.read_screen import MESSAGE, list_changing
from reconciler.views.clearing import Choice, plan_clearing, plan_rows
from reconciler.views.integrity import check_all
from reconciler.views.lock_state import line_of
from reconciler.views.locks import LockList, Pace, get_lock, lock_object
from reconciler.views.why import explain

WHY = "its shim was lost and nothing proves that its processes ended; pids seen: 4711"
SINCE = "2026-01-01T00:00:00Z"


@pytest.fixture
def reader(world, tmp_path):
    opened = []

    def read():
        opened.append(open_read(str(tmp_path / "home" / "state.db")))
        return opened[-1]

    yield read
    for one in opened:
        one.close()


def lost(world, body, node="", name="lost"):
    run = world.submit(body, name)
    world.is_unknown(run, node, 4711)
    return run


def plan_of(world, reader, choice=None):
    found = get_lock(reader, "m", "default")
    return plan_clearing(reader, found, choice or Choice(), world.clock.at.timestamp(), "boot")


def since(world):
    return world.one("SELECT substr(unknown_at, 1, 19) || 'Z' FROM attempt")[0]


def test_a_lock_is_stuck_with_the_verdict_the_evidence_and_the_remedies(world, reader):
    lost(world, job("m"))
    with reader() as read:
        line = line_of(read, get_lock(read, "m", "default"))
        found = lock_object(read, line, world.clock.at.timestamp(), "boot", Pace(read, line.holders, world.clock.at.timestamp()))
        listed = LockList(read, "default", "boot").lines(0)
    assert (found["state"], found["verdict"]) == ("stuck", "holder unknown")
    assert [(state, verdict) for _, state, verdict in listed] == [("stuck", "holder unknown")]
    (holder,) = found["holders"]
    assert holder["evidence"].endswith(f"since {since(world)}: {WHY}")
    assert holder["doing"].startswith("may still run: holder unknown of its step ")
    assert holder["next"][-1] == "lineclear terminate-stuck-holder default/Mutex/m --release-unproven"


def test_a_holder_that_was_told_to_end_is_still_called_unknown(world, reader):
    run = lost(world, job("m"))
    world.must("terminate", run=run)
    with reader() as read:
        plan = plan_of(world, read)
    assert plan["holder"]["verdict"] == "holder unknown"
    assert plan["holder"]["evidence"].startswith("it was told to terminate, and this of its step ")


def test_only_the_node_that_covers_the_unknown_step_is_unknown(world, reader):
    body = spec(steps("main", ["a", "b"]), pod("a", "m"), pod("b", "n"))
    lost(world, body, "[0].a")
    with reader() as read:
        listed = {line.row["name"]: verdict for line, _, verdict in LockList(read, "default", "boot").lines(0)}
    assert listed == {"m": "holder unknown", "n": "healthy"}


def test_the_node_the_run_and_the_list_say_it_with_since_when(world, reader):
    run = lost(world, job("m"))
    told = f"holder unknown since {since(world)}: {WHY}"
    with reader() as read:
        assert [node["message"] for node in read_runs.list_nodes(read, world.run(run).id)] == [told]
        assert read_runs.find_run(read, "default", run)["message"] == told
        assert [row["message"] for row in read_runs.iterate_runs(read, read_runs.RunFilter())] == [told]
        assert [row[MESSAGE] for row in list_changing(read, 10)] == [told]
    world.exits(run, "", 0)
    with reader() as read:
        assert [node["message"] for node in read_runs.list_nodes(read, world.run(run).id)] == [""]
        assert read_runs.find_run(read, "default", run)["message"] == ""


def test_why_says_what_holds_it_up_and_who_can_end_it(world, reader):
    run = lost(world, job("m"))
    world.submit(job("m"), "next")
    with reader() as read:
        found = explain(read, read_runs.find_run(read, "default", run), world.clock.at.timestamp(), "boot")
        behind = explain(read, read_runs.find_run(read, "default", "next"), world.clock.at.timestamp(), "boot")
    assert found["state"] == "holder-unknown"
    assert WHY in found["summary"]
    assert found["next"][-1] == "lineclear terminate-stuck-holder default/Mutex/m --release-unproven"
    assert WHY in str(behind)
    assert "--release-unproven" in str(behind)


def test_the_plan_tells_what_will_happen_with_the_word_of_a_person_and_without(world, reader):
    lost(world, job("m"))
    word = Choice()
    word.is_unproven = True
    with reader() as read:
        plan, said = plan_of(world, read), plan_of(world, read, word)
    assert (plan["refused"], said["refused"]) == ("", "")
    assert "nothing will prove its end, so the lock stays" in dict(plan_rows(plan))["Will do"]
    assert "unproven, on your word" in dict(plan_rows(said))["Will do"]
    assert "admits nobody until `lineclear unhold`" in dict(plan_rows(said))["Will do"]
    assert plan["steps"][0]["unknown"] == WHY


def test_a_living_holder_is_not_let_go_unproven_by_the_plan_either(world, reader):
    world.submit(job("m"), "alive")
    word = Choice()
    word.is_unproven = True
    with reader() as read:
        assert plan_of(world, read, word)["refused"].startswith("unless --not-stuck is given")


def test_fsck_and_metrics_tell_of_it(world, reader, tmp_path):
    run = lost(world, job("m"))
    (tmp_path / "home" / "runs" / str(world.run(run).id) / "1").mkdir(parents=True)
    _, notes = check_all(reader(), Home(str(tmp_path / "home")), is_served=True)
    assert any(f"holder unknown since {since(world)}: {run}/" in note and WHY in note for note in notes)
    assert "\nlineclear_steps_unknown 1\n" in page(Tally(), str(tmp_path / "home" / "state.db"), lambda: 0.0)
