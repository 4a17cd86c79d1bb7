"""Cases of queues that the table of cases names and no rule has for itself: many steps, hand-overs, waiters that go, names."""

import pytest
from loop_harness import API, job, pod, spec, steps


def fan(count, *locks, **more):
    """A run of many steps side by side, each of which takes the locks."""
    return spec(steps("main", [(f"p{number:03}", "p") for number in range(count)]), pod("p", *locks), **more)


@pytest.mark.edge("E15")
def test_of_two_runs_with_a_hundred_waiting_steps_the_earlier_is_served_first_and_stops_nobody_else(world):
    world.limits(s0=2)
    world.submit(fan(100, "s0"), "early")
    world.submit(fan(100, "s0"), "late")
    world.submit(job("m"), "beside")
    assert world.running("beside") == [""]
    served = []
    while world.running("early") or world.running("late"):
        run, node = next(found for found in world.running() if found[0] != "beside")
        served.append(run)
        world.exits(run, node)
    assert served == ["early"] * 100 + ["late"] * 100


@pytest.mark.edge("E15")
def test_a_more_urgent_run_is_served_before_the_hundred_waiting_steps_of_another(world):
    world.limits(s0=2)
    world.submit(fan(100, "s0"), "many")
    world.submit(job("s0"), "urgent", priority=1)
    world.exits("many", "[0].p000")
    assert world.holders("s0") == ["many[0].p001/", "urgent"]


@pytest.mark.edge("E17")
def test_a_waiting_step_of_another_run_starts_in_the_commit_of_the_release(world):
    for name in ("a", "b"):
        world.submit(spec(steps("main", ["p"]), pod("p", "m")), name)
    commits = world.writer.commits
    world.exits("a", "[0].p")
    assert world.writer.commits == commits + 1
    assert (world.holders("m"), world.running()) == (["b[0].p/"], [("b", "[0].p")])


@pytest.mark.edge("E18")
@pytest.mark.parametrize("way", ["deleted", "removed from Git", "out of patience"])
def test_whatever_takes_the_one_in_front_away_the_next_goes_on_in_the_same_commit(world, way):
    world.submit(job("b"), "holder")
    body = {**job("a", "b"), "workflowMetadata": {"annotations": {"lineclear.dev/wait-timeout": "60s"}}}
    world.push({"apiVersion": API, "kind": "Workflow", "metadata": {"name": "front"}, "spec": body}, path="front.yaml")
    world.limits(unused=1)
    world.submit(job("a"), "next")
    assert world.queue() == {"a": ["front", "next"], "b": ["front"]}
    commits = world.writer.commits
    if way == "deleted":
        world.must("delete", run="front", force=True)
    elif way == "removed from Git":
        world.push(removed=["front.yaml"])
    else:
        world.tick(60)
    assert world.writer.commits == commits + 1
    assert (world.holders(), world.queue()) == ({"a": ["next"], "b": ["holder"]}, {})
    assert world.sweep_changes() == 0
