"""Who held a lock, how long and how it ended; who held and waited at an instant: told from what the real loop recorded."""

from __future__ import annotations

import json

import pytest
from loop_harness import job, pod, spec, steps

from reconciler.errors import NotFound, UsageError
from reconciler.store import read_history
from reconciler.store.read import open_read
from reconciler.views.instants import epoch_s, instant_of
from reconciler.views.lock_history import end_of, history_object, list_holds, past_instant, state_at
from reconciler.views.locks import quantile

KEY = "default/Mutex/m"


@pytest.fixture
def past(world, tmp_path):
    """Reads the world's database: `past(read, ...)` is `read(reader, ...)`."""

    def call(read, *values):
        reader = open_read(str(tmp_path / "home" / "state.db"))
        try:
            return read(reader, *values)
        finally:
            reader.close()

    return call


def ends(past):
    """RUN: (how, by whom, why), oldest grant first."""
    holds = past(list_holds, KEY, "")
    return [(hold.run, *past(end_of, hold)) for hold in reversed(holds)]


def then(past, world, key="", seconds=0):
    """What was held and wanted some seconds before the world's present."""
    at = instant_of(world.clock.at.timestamp() - seconds)
    return {
        lock["key"]: ([party["run"] for party in lock["holders"]], [party["run"] for party in lock["queue"]])
        for lock in past(state_at, at, key)["locks"]
    }


@pytest.mark.edge("E76")
def test_each_end_is_told_with_who_and_why(world, past):
    for name in ("good", "failed", "killed", "stuck", "last"):
        world.submit(job("m"), name)
    world.exits("good", "")
    world.exits("failed", "", 1)
    world.must("terminate", run="failed", message="looked at it")
    world.must("terminate", run="killed", message="too long")
    world.exits("killed", "", 143)
    world.exits("stuck", "", 1)
    epoch = world.one("SELECT max(epoch) FROM claim")[0]
    world.must("terminate_stuck_holder", lock=KEY, epoch=epoch, reason="half done", not_stuck=False)
    assert ends(past) == [
        ("good", "released", "", "run Succeeded"),
        ("failed", "terminated", "tester", "terminate: looked at it"),
        ("killed", "terminated", "tester", "too long; run Failed"),
        ("stuck", "terminated", "tester", "terminated: half done"),
        ("last", "held", "", ""),
    ]


def test_a_lock_that_was_taken_over_names_the_heir(world, past):
    world.submit(job("m"), "broken")
    world.exits("broken", "", 1)
    world.submit(job("m"), "fix", take_over="broken", reason="fixed the script")
    assert ends(past) == [
        ("broken", "taken over", "tester", "taken over by fix: fixed the script"), ("fix", "held", "", ""),
    ]  # fmt: skip


def test_a_lock_that_was_let_go_without_proof_says_so(world, past):
    world.submit(job("m"), "r")
    world.must("terminate_stuck_holder", lock=KEY, epoch=1, reason="host is gone", not_stuck=True, release_unproven=True)
    assert ends(past) == [("r", "let go unproven", "tester", "released unproven: host is gone")]


def test_who_gave_up_waiting_was_withdrawn_and_held_never(world, past):
    world.submit(job("m"), "holder")
    world.submit(job("m"), "waiter")
    world.tick(60)
    world.must("stop", run="waiter")
    hold = next(hold for hold in past(list_holds, KEY, "") if hold.run == "waiter")
    assert (past(end_of, hold)[:2], hold.waited_s, hold.held_s) == (("stopped", "tester"), 60.0, None)


@pytest.mark.edge("E76")
def test_times_are_told_of_deleted_runs_too_and_summed_up(world, past):
    for number in range(1, 21):
        world.submit(job("m"), f"r{number}")
    for number in range(1, 21):
        world.clock.at += world.clock.at.resolution * 1_000_000 * number
        world.exits(f"r{number}", "")
    before = past(history_object, KEY, past(list_holds, KEY, ""), 3, "")
    assert before["summary"] == {
        "grants": 20,
        "held": {"count": 20, "p50Seconds": 10.0, "p95Seconds": 19.0},
        "waited": {"count": 20, "p50Seconds": 45.0, "p95Seconds": 171.0},
    }
    assert [(hold["run"], hold["epoch"], hold["heldSeconds"]) for hold in before["holds"]] == [
        ("r20", 20, 20.0), ("r19", 19, 19.0), ("r18", 18, 18.0),
    ]  # fmt: skip
    for number in range(1, 21):
        world.must("delete", run=f"r{number}")
    after = past(history_object, KEY, past(list_holds, KEY, ""), 3, "")
    assert (after["summary"], after["holds"]) == (before["summary"], before["holds"])


def test_the_second_lock_of_a_deleted_run_has_its_history_too(world, past):
    world.submit(job("a", "m"), "both")
    world.exits("both", "")
    world.must("delete", run="both")
    world.submit(job("m-longer"), "other")
    assert [row[:2] for row in ends(past)] == [("both", "released")]


def test_a_turn_inside_the_own_run_is_no_hold_whether_the_run_is_there_or_gone(world, past):
    world.submit(spec(steps("main", ["a"], locks=[]), pod("a", "m"), locks=["m"]), "r")
    world.exits("r", "[0].a")
    assert [hold.level for hold in past(list_holds, KEY, "")] == ["run"]
    world.must("delete", run="r")
    assert [hold.level for hold in past(list_holds, KEY, "")] == ["run"]


def test_since_leaves_out_what_ended_before(world, past):
    for name in ("old", "new", "now"):
        world.submit(job("m"), name)
    world.tick(100)
    world.exits("old", "")
    world.tick(100)
    world.exits("new", "")
    since = instant_of(world.clock.at.timestamp() - 50)
    assert [hold.run for hold in past(list_holds, KEY, since)] == ["now", "new"]


def test_any_instant_of_the_past_is_rebuilt_also_of_runs_that_are_gone(world, past):
    world.tick(10)
    for name in ("a", "b", "c"):
        world.submit(job("m"), name)
    world.submit(job("n"), "d")
    world.tick(10)
    world.exits("a", "")
    world.exits("d", "")
    world.tick(10)
    world.must("stop", run="c")
    world.exits("b", "")
    for name in "abcd":
        world.must("delete", run=name)
    world.tick(10)
    assert then(past, world) == {}
    assert then(past, world, seconds=15) == {KEY: (["b"], ["c"])}
    assert then(past, world, seconds=25) == {KEY: (["a"], ["b", "c"]), "default/Mutex/n": (["d"], [])}
    assert then(past, world, "default/Mutex/n", seconds=25) == {"default/Mutex/n": (["d"], [])}


POLICY = {
    "apiVersion": "lineclear.dev/v1alpha1",
    "kind": "LockPolicy",
    "metadata": {"name": "p"},
    "spec": {"locks": ["m"], "onFailure": "Release"},
}


@pytest.mark.parametrize("is_gone", [False, True])
def test_one_lock_of_a_claim_that_was_let_go_ends_for_itself_and_the_others_go_on(world, past, is_gone):
    world.push(POLICY)
    world.submit(job("m", "db"), "half")
    world.tick(10)
    world.exits("half", "", 1)
    world.tick(10)
    both, rest = {KEY: (["half"], []), "default/Mutex/db": (["half"], [])}, {"default/Mutex/db": (["half"], [])}
    assert then(past, world) == rest
    world.must("terminate", run="half")
    if is_gone:
        world.must("delete", run="half")
    world.tick(10)
    assert (then(past, world, seconds=25), then(past, world, seconds=15), then(past, world)) == (both, rest, {})
    assert then(past, world, "default/Mutex/db", seconds=15) == rest
    assert then(past, world, KEY, seconds=15) == {}
    (hold,) = past(list_holds, KEY, "")
    assert (hold.held_s, *past(end_of, hold)) == (10.0, "released", "", "run Failed")
    (hold,) = past(list_holds, "default/Mutex/db", "")
    assert (hold.held_s, past(end_of, hold)[0]) == (20.0, "terminated")


def test_while_a_claim_keeps_others_the_one_that_was_let_go_counts_as_an_ended_hold(world, past):
    world.push(POLICY)
    world.submit(job("m", "db"), "half")
    world.tick(10)
    world.exits("half", "", 1)
    world.tick(10)
    lock = world.one("SELECT id FROM lock WHERE key = ?", KEY)[0]
    assert past(read_history.list_hold_spans, [lock], 5) == {lock: [10.0]}
    (hold,) = past(list_holds, KEY, "")
    assert (hold.held_s, *past(end_of, hold)) == (10.0, "released", "", "run Failed")


def test_a_queue_of_the_past_is_in_the_order_of_priority_then_arrival(world, past):
    world.submit(job("m"), "holder")
    for name, priority in (("low", 0), ("high", 5), ("later", 5)):
        world.submit(job("m", priority=priority), name)
    world.tick(5)
    assert then(past, world) == {KEY: (["holder"], ["high", "later", "low"])}


def test_who_was_turned_away_waits_no_more_in_the_past_even_after_its_run_is_gone(world, past):
    policy = {"locks": ["m"], "queueLimit": 1}
    world.push({"apiVersion": "lineclear.dev/v1alpha1", "kind": "LockPolicy", "metadata": {"name": "p"}, "spec": policy})
    world.submit(job("m"), "holder")
    world.submit(job("m"), "refused")
    world.must("delete", run="refused")
    world.tick(5)
    assert then(past, world) == {KEY: (["holder"], [])}


def test_the_limit_of_that_time_is_told(world, past):
    world.limits(s0=1)
    world.submit(job("s0"), "a")
    world.tick(10)
    world.limits(s0=3)
    key = "default/ConfigMap/limits/s0"
    at = [instant_of(world.clock.at.timestamp() - seconds) for seconds in (5, 0)]
    assert [past(state_at, one, key)["locks"][0]["limit"] for one in at] == [1, 3]


def test_before_the_record_begins_it_says_so(world, past):
    world.submit(job("m"), "a")
    at = instant_of(world.clock.at.timestamp() - 3600)
    with pytest.raises(NotFound, match="the record begins at"):
        past(state_at, at, "")


def test_a_record_that_was_cut_is_called_incomplete(world, past):
    world.submit(job("m"), "a")
    world.writer.db.execute("DELETE FROM journal WHERE seq = 1")
    found = past(state_at, instant_of(world.clock.at.timestamp() + 1), "")
    assert found["isWhole"] is False
    assert past(history_object, KEY, past(list_holds, KEY, ""), 0, "")["recordBegins"] is not None


NOW = epoch_s("2026-03-01T12:00:00Z")


@pytest.mark.parametrize(
    ("word", "instant"),
    [
        ("2h", "2026-03-01T10:00:00.000000Z"),
        ("1h30m", "2026-03-01T10:30:00.000000Z"),
        ("2026-02-28T22:10:00Z", "2026-02-28T22:10:00.000000Z"),
        ("2026-02-28t22:10:00.5z", "2026-02-28T22:10:00.500000Z"),
        ("2026-03-01T01:00:00+02:00", "2026-02-28T23:00:00.000000Z"),
    ],
)
def test_an_instant_is_rfc_3339_or_a_span_ago(word, instant):
    assert past_instant(word, NOW) == instant


@pytest.mark.parametrize("word", ["yesterday", "2026-02-28T22:10:00", "2026-13-01T00:00:00Z", "", "2026-02-28", "T"])
def test_anything_else_is_no_instant(word):
    with pytest.raises(UsageError, match="could not read the instant"):
        past_instant(word, NOW)


def test_the_future_is_not_known():
    with pytest.raises(UsageError, match="in the future"):
        past_instant("2026-03-01T12:00:01Z", NOW)


@pytest.mark.parametrize(
    ("count", "percent", "place"), [(1, 50, 1), (1, 95, 1), (5, 95, 5), (20, 95, 19), (20, 50, 10), (21, 50, 11), (100, 95, 95)]
)
def test_a_quantile_is_the_nearest_rank(count, percent, place):
    assert quantile([float(number) for number in range(1, count + 1)], percent) == place


def test_the_commands_print_tables_and_json(world, lineclear):
    world.submit(job("m"), "a")
    world.submit(job("m"), "b")
    world.exits("a", "")
    code, out, err = lineclear("locks", "history", "m")
    assert (code, err) == (0, "")
    assert out.splitlines()[0].split() == ["EPOCH", "RUN", "NODE", "ASKED", "WAITED", "HELD-FROM", "HELD-TO", "HELD", "END"]
    assert out.splitlines()[-1].startswith("2 grants; held: half 0s or less")
    assert [hold["run"] for hold in json.loads(lineclear("locks", "history", "m", "-o", "json")[1])["holds"]] == ["b", "a"]
    at = instant_of(world.clock.at.timestamp() + 1)
    code, out, err = lineclear("locks", "at", at, "m")
    assert (code, out.splitlines()[1].split()[:4]) == (0, [KEY, "1", "held", "b"])
    assert json.loads(lineclear("locks", "at", at, "-o", "json")[1])["locks"][0]["key"] == KEY
    assert lineclear("locks", "at", "2000-01-01T00:00:00Z")[0] == 3
    assert lineclear("locks", "at")[0] == 2
    assert lineclear("locks", "history")[0] == 2
    assert lineclear("locks", "--dot")[0] == 2
