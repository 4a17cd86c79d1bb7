"""Maintenance holds: they stand in the queue, close the lock for their time, and end by themselves or by `unhold`."""

from datetime import timedelta

import pytest
from loop_harness import START, job, pod, spec, steps

KEY = "default/Mutex/m"
OWN = "lineclear.dev/v1alpha1"
HOUR = 3600


def hold(world, *locks, **args):
    """The name of a hold, for an hour unless something else is said."""
    if "until" not in args:
        args.setdefault("for_s", HOUR)
    keys = [lock if "/" in lock else f"default/Mutex/{lock}" for lock in locks]
    return world.must("hold", locks=keys, reason="disk swap", **args)["runs"][0]["name"]


def at(seconds):
    return (START + timedelta(seconds=seconds)).isoformat()


def test_a_hold_waits_for_the_holder_and_for_whoever_came_before_it(world):
    for name in ("r0", "r1"):
        world.submit(job("m"), name)
    held = hold(world, "m")
    world.submit(job("m"), "r2")
    assert (world.holders("m"), world.queue("m")) == (["r0"], ["r1", held, "r2"])
    world.exits("r0", "")
    assert world.holders("m") == ["r1"]
    world.exits("r1", "")
    assert (world.holders("m"), world.queue("m"), world.phase(held)) == ([held], ["r2"], "Running")


def test_a_hold_lasts_its_time_from_the_grant_and_then_the_next_one_starts(world):
    world.submit(job("m"), "r0")
    held = hold(world, "m")
    world.submit(job("m"), "r1")
    world.tick(2 * HOUR)
    world.exits("r0", "")
    world.tick(HOUR - 1)
    assert world.holders("m") == [held]
    assert world.loop.pause_s() <= 1.0
    world.tick(1)
    assert (world.phase(held), world.holders("m"), world.running("r1")) == ("Succeeded", ["r1"], [""])
    assert world.sweep_changes() == 0


def test_now_goes_before_every_waiter_and_never_before_the_holder(world):
    for name, priority in (("r0", 0), ("r1", 0), ("r2", 7), ("r3", 7)):
        world.submit(job("m"), name, priority=priority)
    held = hold(world, "m", now=True)
    assert (world.holders("m"), world.queue("m")) == (["r0"], [held, "r2", "r3", "r1"])


def test_a_semaphore_is_closed_whole_and_a_limit_that_is_raised_meanwhile_lets_nobody_in(world):
    world.limits(s0=2)
    for name in ("r0", "r1", "r2"):
        world.submit(job("s0"), name)
    held = hold(world, "default/ConfigMap/limits/s0", now=True)
    world.exits("r0", "")
    assert (world.holders("s0"), world.queue("s0")) == (["r1"], [held, "r2"])
    world.exits("r1", "")
    assert world.holders("s0") == [held]
    world.limits(s0=50)
    assert (world.holders("s0"), world.queue("s0")) == ([held], ["r2"])
    world.limits(s0=1)
    world.tick(HOUR)
    assert world.holders("s0") == ["r2"]


@pytest.mark.parametrize("limit", [0, None])
def test_a_gate_that_is_closed_by_its_limit_can_be_held_and_opens_for_nobody_until_the_hold_is_over(world, limit):
    if limit is not None:
        world.limits(s0=limit)
    held = hold(world, "default/ConfigMap/limits/s0")
    world.submit(job("s0"), "r0")
    assert world.holders("s0") == [held]
    world.limits(s0=3)
    assert (world.holders("s0"), world.queue("s0")) == ([held], ["r0"])
    world.must("unhold", lock="default/ConfigMap/limits/s0", reason="done")
    assert world.holders("s0") == ["r0"]


def test_a_lock_that_nobody_used_yet_can_be_held(world):
    held = hold(world, "m")
    world.submit(job("m"), "r0")
    assert (world.holders("m"), world.queue("m")) == ([held], ["r0"])


def test_several_locks_are_held_all_or_none(world):
    world.submit(job("a"), "r0")
    held = hold(world, "a", "b")
    world.submit(job("b"), "r1")
    assert (world.holders(), world.queue("b")) == ({"a": ["r0"]}, [held, "r1"])
    world.exits("r0", "")
    assert world.holders() == {"a": [held], "b": [held]}


def test_a_step_of_the_holder_passes_a_hold_that_waits_for_the_holder(world):
    world.submit(spec(steps("main", ["one"]), pod("one", "b"), locks=("a",), suspend=True), "r0")
    world.must("resume", run="r0")
    world.exits("r0", "[0].one")
    world.submit(spec(steps("main", ["one"], ["two"]), pod("one"), pod("two", "b"), locks=("a",)), "r1")
    held = hold(world, "a", "b")
    world.exits("r1", "[0].one")
    assert world.holders("b") == ["r1[1].two/"]
    world.exits("r1", "[1].two")
    assert world.holders() == {"a": [held], "b": [held]}
    assert not world.journal("deadlock.found")


def test_an_instant_ends_a_hold_whether_it_was_granted_or_not(world):
    world.submit(job("m"), "r0")
    late, soon = hold(world, "m", until=at(HOUR)), hold(world, "m", until=at(60))
    world.tick(60)
    assert (world.phase(soon), world.run(soon).ended_by, world.queue("m")) == ("Failed", "hold-over", [late])
    assert "before it was granted" in world.message(soon)
    world.exits("r0", "")
    assert world.holders("m") == [late]
    world.tick(HOUR - 60)
    assert (world.phase(late), world.holders("m")) == ("Succeeded", [])


def test_an_instant_is_wall_time_also_if_the_clock_is_set_and_a_length_is_not(world):
    instant, length = hold(world, "a", until=at(HOUR)), hold(world, "b")
    world.tick()
    world.clock.set_by = timedelta(minutes=30)
    world.tick(1800)
    world.tick(1799)
    assert world.holders() == {"a": [instant], "b": [length]}
    world.tick(1)
    assert world.holders() == {"b": [length]}
    world.tick(1800)
    assert world.holders() == {}


@pytest.mark.parametrize("times", [{"for_s": HOUR}, {"until": at(HOUR)}])
def test_a_hold_that_was_over_while_no_daemon_ran_ends_in_the_first_tick(world, times):
    held = hold(world, "m", **times)
    world.submit(job("m"), "r0")
    world.clock.at += timedelta(seconds=2 * HOUR)
    world.clock.set_by = timedelta(0)
    world.crash()
    assert (world.phase(held), world.holders("m")) == ("Succeeded", ["r0"])


@pytest.mark.parametrize("point", ["before-commit", "after-commit", "admit"])
def test_a_crash_while_a_hold_is_made_or_granted_or_ended_loses_and_doubles_nothing(world, point):
    world.submit(job("m"), "r0")
    world.dying(point, lambda: hold(world, "m"))
    made = [name for (name,) in world.rows("SELECT name FROM run WHERE origin = 'hold'")]
    held = made[0] if made else hold(world, "m")
    world.submit(job("m"), "r1")
    world.dying(point, lambda: world.exits("r0", ""))
    if world.holders("m") == ["r0"]:
        world.exits("r0", "")
    assert (world.holders("m"), world.queue("m")) == ([held], ["r1"])
    world.dying(point, lambda: world.tick(HOUR))
    assert (world.phase(held), world.holders("m"), world.sweep_changes()) == ("Succeeded", ["r1"], 0)


def test_unhold_ends_a_hold_early_and_the_record_says_who_and_why(world):
    held = hold(world, "m")
    world.submit(job("m"), "r0")
    assert "is over" in world.must("unhold", lock=KEY, reason="done early")["message"]
    assert (world.phase(held), world.holders("m")) == ("Succeeded", ["r0"])
    assert world.journal("hold.ended", held) == [{"reason": "done early", "granted": True}]
    assert world.one("SELECT actor FROM journal WHERE kind = 'hold.ended'") == ("tester",)


def test_unhold_withdraws_a_hold_that_waits(world):
    world.submit(job("m"), "r0")
    held = hold(world, "m")
    assert "withdrawn" in world.must("unhold", lock=KEY, reason="not needed")["message"]
    assert (world.phase(held), world.queue("m"), world.holders("m")) == ("Failed", [], ["r0"])
    assert world.message(held) == "withdrawn by tester: not needed"
    assert world.ask("unhold", lock=KEY).error["code"] == 4


def test_of_several_holds_that_wait_one_is_named(world):
    world.submit(job("m"), "r0")
    first, second = hold(world, "m"), hold(world, "m")
    assert first in world.must_not("unhold", lock=KEY)
    world.must("unhold", lock=KEY, hold=second)
    assert world.queue("m") == [first]
    assert "no maintenance hold" in world.must_not("unhold", lock=KEY, hold="r0")


def test_a_hold_waits_for_a_lock_that_is_held_back_which_unhold_opens_first(world):
    world.writer.db.execute(
        "INSERT INTO lock (key, kind, namespace, name, capacity, held_back)"
        " VALUES (?, 'Mutex', 'default', 'm', 1, 'unproven')",
        (KEY,),
    )
    held = hold(world, "m")
    assert world.queue("m") == [held]
    assert held in world.must("unhold", lock=KEY, reason="looked")["message"]
    assert world.holders("m") == [held]


def test_policies_neither_refuse_nor_drop_nor_end_a_hold_and_it_takes_no_place(world):
    rules = {"queueLimit": 2, "overflow": "DropOldest", "waitLimit": "1h", "holdLimit": "1m", "holdLimitAction": "End"}
    world.push({"apiVersion": OWN, "kind": "LockPolicy", "metadata": {"name": "p"}, "spec": {"locks": ["m"], **rules}})
    world.submit(job("m"), "r0")
    held = hold(world, "m")
    for name in ("r1", "r2"):
        world.submit(job("m"), name)
    assert (world.holders("m"), world.queue("m")) == (["r0"], [held, "r2"])
    world.exits("r0", "")
    world.tick(1800)
    assert (world.holders("m"), world.phase(held)) == ([held], "Running")


def test_nobody_passes_a_hold_where_waiters_may_be_passed(world):
    body = {"apiVersion": OWN, "kind": "ResourceConstraint", "metadata": {"name": "c"}}
    world.push({**body, "spec": {"capacity": 2, "strategy": "ASAP"}})
    for name in ("r0", "r1"):
        world.submit(constrained(), name)
    held = hold(world, "default/Constraint/c")
    world.submit(constrained(), "r2")
    world.exits("r0", "")
    assert (world.holders("c"), world.queue("c")) == (["r1/"], [held, "r2/"])
    world.exits("r1", "")
    assert world.holders("c") == [held]


def constrained():
    template = pod()
    return spec({**template, "metadata": {"annotations": {"lineclear.dev/resource-constraints": "c"}}})


@pytest.mark.parametrize("verb", ["suspend", "resubmit", "retry"])
def test_verbs_that_mean_nothing_for_a_hold_are_refused(world, verb):
    held = hold(world, "m")
    assert "unhold" in world.must_not(verb, run=held)


@pytest.mark.parametrize("verb", ["stop", "terminate", "resume"])
def test_verbs_that_end_a_run_end_a_hold(world, verb):
    held = hold(world, "m")
    world.must(verb, run=held)
    assert (world.holders("m"), world.run(held).is_final) == ([], True)


def test_terminate_stuck_holder_leaves_a_hold_alone_and_names_unhold(world):
    hold(world, "m")
    epoch = world.one("SELECT epoch FROM claim WHERE state = 'held'")[0]
    told = world.must_not("terminate_stuck_holder", lock=KEY, epoch=epoch, reason="why", not_stuck=True)
    assert f"lineclear unhold {KEY}" in told
    assert not world.journal("holder.terminated")


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ({"locks": [KEY], "for_s": 5}, "reason"),
        ({"locks": [], "for_s": 5, "reason": "x"}, "which lock"),
        ({"locks": ["prod"], "for_s": 5, "reason": "x"}, "NAMESPACE/KIND/NAME"),
        ({"locks": ["default/Policy/c"], "for_s": 5, "reason": "x"}, "cron suspend c"),
        ({"locks": [KEY], "reason": "x"}, "--for"),
        ({"locks": [KEY], "for_s": 5, "until": at(9), "reason": "x"}, "--for"),
        ({"locks": [KEY], "for_s": 0, "reason": "x"}, "not 0 s"),
        ({"locks": [KEY], "for_s": 367 * 86400, "reason": "x"}, "366 days"),
        ({"locks": [KEY], "until": at(-1), "reason": "x"}, "past"),
        ({"locks": [KEY], "until": at(367 * 86400), "reason": "x"}, "366 days"),
        ({"locks": [KEY], "until": "noon", "reason": "x"}, "not an instant"),
    ],
)
def test_a_hold_that_makes_no_sense_is_refused_and_changes_nothing(world, args, told):
    assert told in world.must_not("hold", **args)
    assert world.rows("SELECT name FROM run") == []
