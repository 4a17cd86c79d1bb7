"""Runs that wait for one another: found in the tick in which the cycle closes, told once, broken only where a policy says so."""

import json

import pytest
from loop_harness import API, World, job, parsed, pod, spec

from reconciler.clock import to_text
from reconciler.loop.revision import pushed
from reconciler.loop.settle import settle
from reconciler.loop.submit import Order, submit
from reconciler.store import tangles

OWN = "lineclear.dev/v1alpha1"


def two_levels(outer, inner):
    """A run that holds one lock and takes another in its second step."""
    first = [{"name": "first", "template": "plain"}]
    second = [{"name": "second", "template": "inner"}]
    body = spec({"name": "main", "steps": [first, second]}, pod("plain"), pod("inner", inner))
    return {**body, "synchronization": {"mutexes": [{"name": outer}]}}


def cycles(world):
    rows = world.rows("SELECT detail_json FROM journal WHERE kind = 'lock.cycle' ORDER BY seq")
    return [json.loads(row[0])["waits"] for row in rows]


def lock_up(world, count=2):
    """Runs r0.. that hold m0.. and each then wants the next one's."""
    for number in range(count):
        world.submit(two_levels(f"m{number}", f"m{(number + 1) % count}"), f"r{number}")
    for number in range(count):
        world.exits(f"r{number}", "[0].first")


@pytest.mark.edge("E44")
@pytest.mark.parametrize("count", [2, 3, 7])
def test_a_cycle_over_two_levels_is_told_once_in_the_tick_that_closes_it(world, count):
    lock_up(world, count)
    expected = {f"r{n} waits for default/Mutex/m{(n + 1) % count}, held by r{(n + 1) % count}" for n in range(count)}
    assert [set(told) for told in cycles(world)] == [expected]
    world.tick(seconds=700)  # the next sweep
    world.crash()
    assert len(cycles(world)) == 1
    assert world.sweep_changes() == 0


def test_by_itself_nothing_is_ended_and_a_person_may_break_the_cycle(world):
    lock_up(world)
    assert [world.phase(run) for run in ("r0", "r1")] == ["Running", "Running"]
    world.must("terminate", namespace="default", run="r1")
    assert world.running("r0") == ["[1].second"]


def test_a_wait_that_can_end_is_no_cycle(world):
    world.submit(two_levels("m0", "m1"), "r0")
    world.submit(two_levels("m1", "m2"), "r1")
    world.all_exit("r0", "[0].first")
    assert (world.queue("m1"), cycles(world)) == (["r0[1].second/"], [])


def test_a_semaphore_with_a_holder_outside_the_cycle_locks_nobody_up(world):
    world.limits(s0=2)
    world.submit(job("s0"), "free")
    world.submit({**two_levels("m1", "m0"), "synchronization": job("s0")["synchronization"]}, "r1")
    world.submit(two_levels("m0", "s0"), "r0")
    world.exits("r1", "[0].first")
    world.exits("r0", "[0].first")
    assert (world.queue("s0"), world.queue("m0"), cycles(world)) == (["r0[1].second/"], ["r1[1].second/"], [])
    world.exits("free", "")
    assert world.running("r0") == ["[1].second"]


def test_a_semaphore_all_of_whose_holders_wait_is_locked_up(world):
    world.limits(s0=2)
    for run in ("r1", "r2"):
        world.submit({**two_levels("", "m0"), "synchronization": job("s0")["synchronization"]}, run)
    world.submit(two_levels("m0", "s0"), "r0")
    for run in ("r1", "r2", "r0"):
        world.exits(run, "[0].first")
    assert len(cycles(world)) == 1


def policy(**fields):
    body = {"locks": ["m*"], **fields}
    return {"apiVersion": OWN, "kind": "LockPolicy", "metadata": {"name": "p"}, "spec": body}


@pytest.mark.edge("E44")
def test_where_a_policy_says_so_the_youngest_is_ended_and_lets_everything_go(world):
    world.push(policy(deadlock="FailYoungest"), path="p.yaml")
    lock_up(world, 3)
    assert [world.phase(f"r{n}") for n in range(3)] == ["Running", "Running", "Failed"]
    assert world.run("r2").ended_by == "deadlock"
    assert world.message("r2").startswith("ended by LockPolicy p (p.yaml:1) as the youngest of a cycle: ")
    assert "r2 waits for default/Mutex/m0, held by r0" in world.message("r2")
    assert world.running("r1") == ["[1].second"]
    assert len(cycles(world)) == 1


def test_of_the_runs_of_a_cycle_a_lower_priority_is_ended_before_a_younger_run(world):
    world.push(policy(deadlock="FailYoungest"), path="p.yaml")
    world.submit({**two_levels("m0", "m1"), "priority": 1}, "low")
    world.submit({**two_levels("m1", "m0"), "priority": 5}, "high")
    world.all_exit("low", "[0].first")
    world.all_exit("high", "[0].first")
    assert (world.phase("low"), world.phase("high")) == ("Failed", "Running")


def test_a_cycle_that_closes_again_with_others_is_told_again(world):
    lock_up(world)
    world.must("terminate", namespace="default", run="r1")
    world.submit(two_levels("m1", "m0"), "r2")
    assert world.running("r2") == []
    world.exits("r0", "[1].second")
    world.exits("r2", "[0].first")
    assert len(cycles(world)) == 1


def test_the_crash_of_the_daemon_between_finding_and_ending_loses_neither(world):
    world.push(policy(deadlock="FailYoungest"), path="p.yaml")
    world.submit(two_levels("m0", "m1"), "r0")
    world.submit(two_levels("m1", "m0"), "r1")
    world.exits("r0", "[0].first")
    attempt = world.attempt_of("r1", "[0].first")
    world.dying("before-commit", lambda: world.exits("r1", "[0].first"))
    assert world.attempt_of("r1", "[0].first") == attempt
    world.exits("r1", "[0].first")
    assert (world.phase("r1"), len(cycles(world))) == ("Failed", 1)


def test_parallel_steps_of_one_run_that_cross_are_found(world):
    """Two branches of one run that take two locks in turn, one inside the other, in opposite orders."""

    def branch(name, outer, inner):
        inside = {"name": f"{name}-in", "template": f"{name}-pod"}
        steps = [[{"name": "wait", "template": "plain"}], [inside]]
        return [
            {"name": name, "steps": steps, "synchronization": {"mutexes": [{"name": outer}]}},
            pod(f"{name}-pod", inner),
        ]

    main = {"name": "main", "steps": [[{"name": "a", "template": "a"}, {"name": "b", "template": "b"}]]}
    world.submit(spec(main, pod("plain"), *branch("a", "m0", "m1"), *branch("b", "m1", "m0")), "r0")
    world.exits("r0", "[0].a[0].wait")
    world.exits("r0", "[0].b[0].wait")
    assert len(cycles(world)) == 1


def test_two_steps_of_one_run_in_one_knot_are_one_cycle_and_a_sweep_finds_nothing_new(world):
    """Whichever of the two is looked at, they and all they wait for are the same knot."""
    body = spec(
        {"name": "main", "steps": [[{"name": "first", "template": "plain"}], [{"name": n, "template": "inner"} for n in "ab"]]},
        pod("plain"),
        pod("inner", "m1"),
    )
    world.submit({**body, "synchronization": {"mutexes": [{"name": "m0"}]}}, "r0")
    world.submit(two_levels("m1", "m0"), "r1")
    world.exits("r1", "[0].first")
    world.exits("r0", "[0].first")
    assert len(cycles(world)) == 1
    assert world.sweep_changes() == 0
    world.crash()
    assert len(cycles(world)) == 1


def test_when_the_youngest_of_a_knot_has_gone_the_rest_of_it_is_untied_too(world):
    world.push(policy(deadlock="FailYoungest"), path="p.yaml")
    world.submit(two_levels("m0", "m1"), "r0")
    world.submit(two_levels("m1", "m2"), "r1")
    world.submit(two_levels("m2", "m1"), "r2")
    for run in ("r0", "r2", "r1"):
        world.exits(run, "[0].first")
    assert world.phase("r2") == "Failed"
    assert world.running("r1") == ["[1].second"]
    world.exits("r1", "[1].second")
    assert world.running("r0") == ["[1].second"]


def crossing(own, *wanted):
    """A run that holds locks and then takes others, each in a step of its own beside the others."""
    first = [{"name": "first", "template": "plain"}]
    after = [{"name": f"take-{lock}", "template": f"take-{lock}"} for lock in wanted]
    body = spec({"name": "main", "steps": [first, after]}, pod("plain"), *(pod(f"take-{lock}", lock) for lock in wanted))
    return {**body, "synchronization": {"mutexes": [{"name": lock} for lock in own]}}


def tie(world, *runs):
    """Runs of (locks that it holds, locks that it then wants), all of which want them now."""
    for number, (own, wanted) in enumerate(runs):
        world.submit(crossing(own, *wanted), f"r{number}")
    for number in range(len(runs)):
        world.exits(f"r{number}", "[0].first")


def test_cycles_that_share_a_wait_are_told_once_and_not_again_at_each_sweep(world):
    tie(world, (["m0"], ["m1", "m2"]), (["m1", "m2"], ["m0"]))
    assert len(cycles(world)) == 1
    for _ in range(2):
        assert world.sweep_changes() == 0
        world.tick(seconds=700)
    assert len(cycles(world)) == 1


def test_of_cycles_that_share_a_run_each_is_broken(world):
    world.push(policy(deadlock="FailYoungest"), path="p.yaml")
    tie(world, (["m0"], ["m1", "m2"]), (["m1"], ["m0"]), (["m2"], ["m0"]))
    assert [world.phase(f"r{n}") for n in range(3)] == ["Running", "Failed", "Failed"]
    assert world.running() == [("r0", "[1].take-m1"), ("r0", "[1].take-m2")]
    assert world.sweep_changes() == 0


def fan(count, inner, outer):
    """A run that takes one mutex as a whole, and in which many steps want another."""
    pod_template = {**pod("p", inner)}
    steps = {"name": "main", "steps": [[{"name": "a", "template": "p", "withSequence": {"count": str(count)}}]]}
    return {"entrypoint": "main", "synchronization": {"mutexes": [{"name": outer}]}, "templates": [steps, pod_template]}


def steps_of_a_look(folder, count):
    """How many of SQLite's steps it takes to look at a ring of two runs in each of which so many steps wait."""
    folder.mkdir()
    world = World(folder)
    try:
        with world.writer.write(to_text(world.clock.at)):
            ctx = world.context()
            for name, body in (("one", fan(count, "b", "a")), ("two", fan(count, "a", "b"))):
                manifest = {"apiVersion": API, "kind": "Workflow", "metadata": {"name": name}, "spec": body}
                submit(ctx, pushed(parsed("w.yaml", manifest).documents[0], "", origin="submit"), Order(name=name))
            settle(ctx)
        assert len(world.journal("lock.cycle")) == 1
        found = 0

        def count_one():
            nonlocal found
            found += 1

        with world.writer.write(to_text(world.clock.at)):
            ctx = world.context()
            world.writer.marks.tangled.update(dict.fromkeys(tangles.waiting_inside_holders(world.writer)))
            world.writer.db.set_progress_handler(count_one, 20)
            settle(ctx)
            world.writer.db.set_progress_handler(None, 0)
        assert len(world.journal("lock.cycle")) == 1
        return found
    finally:
        world.close()


def test_a_ring_costs_what_waits_in_it_and_not_its_square(tmp_path):
    assert steps_of_a_look(tmp_path / "large", 160) / steps_of_a_look(tmp_path / "small", 20) < 10
