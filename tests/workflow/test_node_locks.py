"""Locks of templates: nested, beside each other, and what ends while it waits."""

import pytest
from loop_harness import dag, job, pod, spec, steps


@pytest.mark.edge("E34")
def test_a_steps_template_holds_its_lock_until_the_last_child_has_ended(world):
    inner = steps("inner", ["a", "b"], ["c"], locks=["m"])
    world.submit(spec(steps("main", ["inner"]), inner, pod("a"), pod("b"), pod("c")), "r")
    for node in ("[0].inner[0].a", "[0].inner[0].b", "[0].inner[1].c"):
        assert world.holders("m") == ["r[0].inner/"]
        world.exits("r", node)
    assert world.holders() == {}


@pytest.mark.edge("E30")
@pytest.mark.parametrize("end", ["fails", "lost", "succeeds"])
def test_a_nodes_lock_goes_to_its_sibling_whatever_its_end(world, end):
    world.submit(spec(steps("main", ["a", "b"]), pod("a", "m"), pod("b", "m")), "r")
    assert (world.holders("m"), world.running("r")) == (["r[0].a/"], ["[0].a"])
    if end == "lost":
        world.is_lost("r", "[0].a")
    else:
        world.exits("r", "[0].a", 1 if end == "fails" else 0)
    assert (world.holders("m"), world.running("r")) == (["r[0].b/"], ["[0].b"])


@pytest.mark.edge("E43")
def test_a_node_inside_a_holding_run_takes_no_second_unit(world):
    """Re-entrant only downwards."""
    world.submit(spec(steps("main", ["a"]), pod("a", "m"), locks=["m"]), "r")
    world.submit(job("m"), "next")
    assert (world.running("r"), world.holders("m")) == (["[0].a"], ["r"])
    world.exits("r", "[0].a")
    assert world.holders("m") == ["next"]


@pytest.mark.edge("E43")
def test_siblings_under_one_holding_ancestor_take_turns(world):
    world.submit(spec(steps("main", ["a", "b", "c"]), pod("a", "m"), pod("b", "m"), pod("c", "m"), locks=["m"]), "r")
    for node in ("[0].a", "[0].b", "[0].c"):
        assert (world.running("r"), world.holders("m")) == ([node], ["r"])
        world.exits("r", node)
    assert world.phase("r") == "Succeeded"


def test_turns_are_taken_under_the_nearest_holding_ancestor(world):
    """Two boxes under one run take turns with each other, and the children of each with one another."""
    box = steps("box", ["x", "y"], locks=["m"])
    world.submit(spec(steps("main", [("one", "box"), ("two", "box")]), box, pod("x", "m"), pod("y", "m"), locks=["m"]), "r")
    for node in ("[0].one[0].x", "[0].one[0].y", "[0].two[0].x", "[0].two[0].y"):
        assert world.running("r") == [node]
        world.exits("r", node)
    assert world.phase("r") == "Succeeded"


def test_children_of_a_semaphore_holder_share_its_one_unit(world):
    world.limits(s0=3)
    world.submit(spec(steps("main", ["a", "b"]), pod("a", "s0"), pod("b", "s0"), locks=["s0"]), "r")
    assert (world.running("r"), world.holders("s0")) == (["[0].a"], ["r"])


def test_nodes_beside_each_other_are_strangers(world):
    world.submit(spec(dag("main", a=("outer",), b=("p",)), steps("outer", ["q"], locks=["m"]), pod("q"), pod("p", "m")), "r")
    assert (world.holders("m"), world.queue("m"), world.running("r")) == (["r.a/"], ["r.b/"], [".a[0].q"])


@pytest.mark.edge("E50")
@pytest.mark.parametrize("verb", ["stop", "terminate"])
def test_a_waiting_node_ends_at_once_when_its_run_is_ended(world, verb):
    """Bare, in steps, in a dag; siblings that run are asked to end."""
    world.submit(job("m"), "holder")
    world.submit(spec(dag("main", a=("inner",), b=("p",)), steps("inner", ["w"]), pod("w", "m"), pod("p")), "r")
    world.must(verb, run="r")
    assert (world.queue(), world.nodes("r")[".a"], world.phase("r")) == ({}, "Failed", "Running")
    world.exits("r", ".b", 143)
    assert world.phase("r") == "Failed"


def test_priority_of_a_run_is_that_of_its_nodes(world):
    world.submit(job("m"), "holder")
    world.submit(spec(pod("main", "m")), "low")
    world.submit(spec(pod("main", "m")), "high", priority=3)
    assert world.queue("m") == ["high/", "low/"]


@pytest.mark.edge("E57", "E58")
def test_a_waiting_node_survives_a_restart_and_gets_its_lock(world):
    world.submit(job("m"), "holder")
    world.submit(spec(steps("main", ["a"]), pod("a", "m")), "r")
    world.crash()
    assert world.queue("m") == ["r[0].a/"]
    world.exits("holder", "")
    world.crash()
    assert world.running("r") == ["[0].a"]


# slots -----------------------------------------------------------------------------------------------------------------


def test_spec_parallelism_bounds_a_runs_processes_and_others_pass(world):
    fan = steps("main", [(f"p{n}", "p") for n in range(4)])
    world.submit(spec(fan, pod("p"), parallelism=2), "r")
    world.submit(job(), "other")
    assert world.running() == [("r", "[0].p0"), ("r", "[0].p1"), ("other", "")]
    world.exits("r", "[0].p0")
    assert world.running("r") == ["[0].p1", "[0].p2"]


def test_slots_go_by_priority_then_arrival_and_waiting_for_a_lock_takes_none(tmp_path):
    """A waiter occupies no slot."""
    from loop_harness import World

    world = World(tmp_path, parallelism=1)
    try:
        world.submit(job("m"), "holder")
        world.submit(job("m"), "waiter")
        world.submit(job(), "low")
        world.submit(job(), "high", priority=5)
        order = []
        while world.running():
            assert len(world.running()) == 1
            order.append(world.running()[0][0])
            world.exits(order[-1], "")
        assert order == ["holder", "high", "waiter", "low"]
    finally:
        world.close()
