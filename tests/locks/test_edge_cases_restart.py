"""Cases of restarts: the same holders and the same queue, whatever locks are called and wherever specs came from."""

import pytest
from loop_harness import API, job, pod, spec, steps


@pytest.mark.edge("E57")
def test_after_a_restart_a_semaphore_has_the_same_holders_and_not_one_more(world):
    world.limits(s0=3)
    for number in range(5):
        world.submit(job("s0"), f"r{number}")
    epochs = world.rows("SELECT id, epoch FROM claim ORDER BY id")
    for _ in range(3):
        world.crash()
        assert (world.holders("s0"), world.queue("s0")) == (["r0", "r1", "r2"], ["r3", "r4"])
    assert world.rows("SELECT id, epoch FROM claim ORDER BY id") == epochs
    world.exits("r1", "")
    assert world.holders("s0") == ["r0", "r2", "r3"]


@pytest.mark.edge("E60")
def test_a_holder_whose_spec_came_from_a_template_is_kept_over_a_restart_without_the_template(world):
    body = spec(steps("main", ["a"], ["b"]), pod("a", "n"), pod("b", "n"), locks=["m"])
    world.push({"apiVersion": API, "kind": "WorkflowTemplate", "metadata": {"name": "t"}, "spec": body}, path="t.yaml")
    world.submit({"workflowTemplateRef": {"name": "t"}}, "r")
    world.push({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other"}, "data": {}}, path="other.yaml")
    world.push(removed=["t.yaml"])
    world.crash()
    assert world.holders() == {"m": ["r"], "n": ["r[0].a/"]}
    world.exits("r", "[0].a")
    world.exits("r", "[1].b")
    assert (world.phase("r"), world.holders()) == ("Succeeded", {})


@pytest.mark.edge("E61")
@pytest.mark.parametrize("name", ["a/b", "a//b", "a/", "a/Mutex/b", "ä ö", "{a}", "x" * 200])
def test_a_lock_of_any_name_is_the_same_lock_after_a_restart(world, name):
    """No name is taken apart again: a claim knows its lock by number."""
    for run in ("r0", "r1"):
        world.submit(job(name), run)
    world.crash()
    assert world.rows("SELECT key FROM lock") == [(f"default/Mutex/{name}",)]
    world.submit(job(name), "r2")
    for run in ("r0", "r1", "r2"):
        assert [found for found, _ in world.running()] == [run]
        world.exits(run, "")


@pytest.mark.edge("E63")
def test_after_a_restart_nobody_less_urgent_goes_first(world):
    world.submit(job("m"), "holder")
    for number, priority in enumerate((0, 5, -3, 5, 0)):
        world.submit(job("m"), f"r{number}", priority=priority)
    expected = ["r1", "r3", "r0", "r4", "r2"]
    assert world.queue("m") == expected
    world.crash()
    assert world.queue("m") == expected
    world.dying("after-commit", lambda: world.exits("holder", ""))
    assert (world.holders("m"), world.queue("m")) == (["r1"], expected[1:])
