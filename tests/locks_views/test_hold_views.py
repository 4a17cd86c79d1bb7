"""How maintenance holds and freeze windows are shown: as what they are, why and until when; never as stuck or damaged."""

from __future__ import annotations

import json

import pytest
from loop_harness import job

from reconciler.home import Home
from reconciler.store import read_runs
from reconciler.store.read import open_read
from reconciler.views.clearing import Choice, plan_clearing
from reconciler.views.graph import Graph
from reconciler.views.graph_drawing import Drawing
from reconciler.views.integrity import check_all
from reconciler.views.lock_state import line_of
from reconciler.views.locks import LockList, Pace, get_lock, lock_object, table_row
from reconciler.views.runs_table import run_rows
from reconciler.views.why import explain
from reconciler.views.why_text import why_text

KEY = "default/Mutex/m"
UNTIL = "2026-03-01T13:00:00Z"


@pytest.fixture
def reader(world):
    opened = open_read(world.path)
    yield opened
    opened.close()


@pytest.fixture
def held(world):
    """A hold of lock m for an hour, and a run behind it."""
    name = hold(world, KEY)
    world.submit(job("m"), "r0")
    return name


def hold(world, key, **more):
    args = {"for_s": 3600, **more}
    return world.must("hold", locks=[key], reason="disk swap", **args)["runs"][0]["name"]


def shown(world, reader, name="m"):
    now_s = world.clock.at.timestamp()
    line = line_of(reader, get_lock(reader, name, "default"))
    return lock_object(reader, line, now_s, "boot", Pace(reader, line.holders, now_s))


def run_row(reader, name):
    return read_runs.find_run(reader, "default", name)


def why(world, reader, name):
    return why_text(explain(reader, run_row(reader, name), world.clock.at.timestamp(), "boot"))


def test_a_held_lock_says_who_holds_it_why_and_until_when(world, reader, held):
    found = shown(world, reader)
    assert (found["state"], found["verdict"], found["held"], found["limit"]) == ("contended", "held for maintenance", 1, 1)
    (holder,) = found["holders"]
    assert (holder["run"], holder["verdict"], holder["units"]) == (held, "held for maintenance", 1)
    assert holder["evidence"] == f"by tester until {UNTIL}: disk swap"
    assert holder["maintenance"] == {"owner": "tester", "reason": "disk swap", "until": UNTIL}
    assert holder["next"] == [f"lineclear unhold {KEY} --reason TEXT"]


def test_the_list_of_locks_has_the_same_and_the_list_of_runs_says_what_it_is(world, reader, held):
    now_s = world.clock.at.timestamp()
    ((line, state, verdict),) = LockList(reader, "default", "boot").lines(0, now_s)
    assert table_row(line, state, verdict, now_s)[5:] == (
        held, "contended", f"held for maintenance by tester until {UNTIL}: disk swap",
    )  # fmt: skip
    rows = [run_row(reader, name) for name in (held, "r0")]
    listed = {row[0]: (row[1], row[5]) for row in run_rows(reader, rows, now_s)}
    assert listed[held] == ("Running (Maintenance)", "maintenance hold by tester: disk swap")
    assert listed["r0"][1].endswith(f"held for maintenance by tester until {UNTIL}: disk swap")


def test_a_hold_is_never_overdue_nor_counted_among_the_times_that_holds_take(world, reader):
    for _ in range(6):
        hold(world, KEY)
        world.must("unhold", lock=KEY, reason="done")
    hold(world, KEY)
    world.tick(3000)
    found = shown(world, reader)
    assert (found["verdict"], found["pace"]) == ("held for maintenance", None)


def test_why_tells_who_waits_behind_a_hold_and_the_hold_itself(world, reader, held):
    told = why(world, reader, "r0")
    assert f"is a maintenance hold by tester, over at {UNTIL} (in 1h): disk swap" in told
    assert f"released   at {UNTIL}, when the maintenance is over" in told
    assert f"lineclear unhold {KEY} --reason TEXT" in told
    assert f"keeps {KEY} for maintenance until {UNTIL}, for tester: disk swap" in why(world, reader, held)


def test_why_of_a_hold_that_waits_names_the_holder_of_a_semaphore_with_room(world, reader):
    world.limits(s0=3)
    world.submit(job("s0"), "r0")
    held = hold(world, "default/ConfigMap/limits/s0")
    told = why(world, reader, held)
    assert "held by    r0" in told
    assert "released   when r0 ends well" in told
    found = shown(world, reader, "limits/s0")
    assert found["verdict"] == "head blocked: it is a maintenance hold, which waits until nobody holds it"
    assert [one["units"] for one in found["queue"]] == [3]


def test_the_next_start_is_expected_when_the_hold_is_over_and_a_waiting_hold_counts_its_own_time(world, reader, held):
    hold(world, KEY, for_s=7200)
    world.submit(job("m"), "r1")
    found = shown(world, reader)
    assert [one["expectedStart"] for one in found["queue"]] == [UNTIL, None, None]
    for _ in range(5):
        world.submit(job("x"), "past")
        world.tick(60)
        world.exits("past", "")
        world.must("delete", run="past")


def test_with_a_known_pace_every_place_behind_a_hold_has_an_expected_start(world, reader):
    for number in range(5):
        world.submit(job("m"), f"past{number}")
        world.tick(60)
        world.exits(f"past{number}", "")
    hold(world, KEY)
    for name in ("r0", "r1"):
        world.submit(job("m"), name)
    hold(world, KEY, for_s=600)
    world.submit(job("m"), "r2")
    starts = [one["expectedStart"][11:16] for one in shown(world, reader)["queue"]]
    assert starts == ["13:05", "13:06", "13:07", "13:17"]


def test_a_semaphore_that_is_held_is_full_whatever_its_limit_and_the_rows_agree(world, reader):
    world.limits(s0=2)
    hold(world, "default/ConfigMap/limits/s0")
    world.submit(job("s0"), "r0")
    world.limits(s0=7)
    found = shown(world, reader, "limits/s0")
    assert (found["held"], found["limit"], found["verdict"]) == (7, 7, "held for maintenance")
    assert "(7/7) held by hold-limits-s0-" in Drawing(Graph(reader), "default", world.clock.at.timestamp()).text(20)
    problems, _ = check_all(reader, Home(world.path.rpartition("/")[0]), is_served=True)
    assert problems == []


def test_a_hold_is_no_stuck_holder_and_the_plan_says_what_ends_it(world, reader, held):
    plan = plan_clearing(reader, get_lock(reader, "m", "default"), Choice(), world.clock.at.timestamp(), "boot")
    assert (plan["holder"]["run"], plan["state"]) == (held, "contended")
    assert "`lineclear unhold` ends it early" in plan["refused"]


def test_the_answer_to_a_submission_names_the_maintenance(world, held):
    body = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "r9"}, "spec": job("m")}
    from loop_harness import parsed

    made = world.must("submit", documents=parsed("a.yaml", body).documents)["runs"][0]
    assert f"held by {held} for maintenance by tester: disk swap" in made["message"]
    assert json.loads(world.one("SELECT annotations_json FROM run WHERE name = ?", held)[0]).keys() == {
        "lineclear.dev/hold-owner",
        "lineclear.dev/hold-reason",
    }


def freeze(world):
    window = {"schedule": "0 12 * * *", "duration": "2h", "timezone": "UTC", "reason": "evening"}
    body = {"apiVersion": "lineclear.dev/v1alpha1", "kind": "LockPolicy", "metadata": {"name": "p"}}
    world.push({**body, "spec": {"locks": ["m"], "freeze": [window]}}, path="policy.yaml")


def test_a_frozen_lock_says_until_when_and_by_whose_policy_and_what_passes_it(world, reader):
    freeze(world)
    world.submit(job("m"), "r0")
    by = "LockPolicy p (policy.yaml:1): evening"
    found = shown(world, reader)
    assert (found["state"], found["verdict"]) == ("contended", f"frozen until 2026-03-01T14:00:00Z by {by}")
    assert (found["frozenUntil"], found["frozenBy"]) == ("2026-03-01T14:00:00Z", by)
    told = why(world, reader, "r0")
    assert f"released   at 2026-03-01T14:00:00Z at the earliest: it is frozen until 2026-03-01T14:00:00Z by {by}" in told
    assert "--override-freeze --reason TEXT" in told
    ((*_, message),) = run_rows(reader, [run_row(reader, "r0")], world.clock.at.timestamp())
    assert message.endswith(f"Lock status: 1/1; frozen until 2026-03-01T14:00:00Z by {by}")


def test_of_a_frozen_lock_without_a_history_the_first_start_is_told(world, reader):
    freeze(world)
    for name in ("r0", "r1"):
        world.submit(job("m"), name)
    found = shown(world, reader)
    assert [one["expectedStart"] for one in found["queue"]] == ["2026-03-01T14:00:00Z", None]
    assert found["expectedBy"].startswith("the freeze ends then; fewer than 5")


def test_expected_starts_wait_for_the_end_of_the_window(world, reader):
    for number in range(5):
        world.submit(job("m"), f"past{number}")
        world.tick(60)
        world.exits(f"past{number}", "")
    world.submit(job("m"), "r0")
    freeze(world)
    for name in ("r1", "r2"):
        world.submit(job("m"), name)
    found = shown(world, reader)
    assert [one["expectedStart"] for one in found["queue"]] == ["2026-03-01T14:00:00Z", "2026-03-01T14:01:00Z"]
