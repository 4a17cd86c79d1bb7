"""What a later look at a node may find otherwise than the first: variables that turns changed, a retried run, a failed hook."""

import pytest
from loop_harness import call, making, pod, spec, steps, tasks

HOOK = {"exit": {"template": "h"}}


def looping(body, **more):
    """A loop over a global list, which each of its turns may write anew."""
    loop = {"withParam": "{{workflow.outputs.parameters.list}}"}
    maker = making("g", "l")
    maker["outputs"]["parameters"][0]["globalName"] = "list"
    if body == "dag":
        return spec(tasks("m", call("a", "g"), call("b", "g", depends="a", **loop), **more), maker)
    return spec(steps("m", [call("a", "g")], [call("b", "g", **loop)], **more), maker)


@pytest.mark.parametrize("overwritten", ["oops", '["1", "2", "3", "4"]', "[]"])
@pytest.mark.parametrize("body", ["dag", "steps"])
@pytest.mark.parametrize("parallelism", [None, 1, 2])
def test_the_items_of_a_loop_are_decided_once(world, body, parallelism, overwritten):
    world.submit(looping(body, **({"parallelism": parallelism} if parallelism else {})), "r")
    prefix = "" if body == "dag" else "[0]"
    world.exits("r", f"{prefix}.a", outputs={"l": '["1", "2", "3"]'})
    seen = []
    while world.running("r"):
        assert len(world.running("r")) <= (parallelism or 3)
        seen += world.running("r")[:1]
        world.exits("r", seen[-1], outputs={"l": overwritten})
    prefix = "" if body == "dag" else "[1]"
    assert seen == [f"{prefix}.b(0:1)", f"{prefix}.b(1:2)", f"{prefix}.b(2:3)"]
    assert world.phase("r") == "Succeeded"


@pytest.mark.parametrize("body", ["dag", "steps"])
def test_what_stands_inside_a_loop_takes_its_own_item_never_the_list(world, body):
    inner = {"container": {"image": "host", "command": ["echo", "{{item}}"]}}
    loop = {"name": "b", "inline": inner, "withItems": ["x", "y"], "hooks": {"exit": {"template": "h"}}}
    plain = {"name": "c", "inline": {"container": {"image": "host", "command": ["echo", "c"]}}}
    made = steps("m", [loop, plain]) if body == "steps" else {"name": "m", "dag": {"tasks": [loop, plain]}}
    world.submit(spec(made, pod("h")), "r")
    prefix = "[0]" if body == "steps" else ""
    assert world.argv("r", f"{prefix}.b(1:y)")[-1] == "y"
    assert world.argv("r", f"{prefix}.c")[-1] == "c"


@pytest.mark.parametrize("more", [{}, {"parallelism": 1}], ids=["wide", "narrow"])
@pytest.mark.parametrize("body", ["dag", "steps"])
def test_a_retried_run_goes_on_with_the_turns_that_did_not_end_well(world, body, more):
    loop = call("a", "s", withItems=[1, 2])
    outer = tasks("m", loop, **more) if body == "dag" else steps("m", [loop], **more)
    world.submit(spec(outer, steps("s", ["p"]), pod("p")), "r")
    start = "" if body == "dag" else "[0]"
    world.exits("r", f"{start}.a(0:1)[0].p", 1)
    world.exits("r", f"{start}.a(1:2)[0].p")
    assert world.phase("r") == "Failed"
    world.must("retry", run="r")
    assert world.running("r") == [f"{start}.a(0:1)[0].p"]
    assert world.sweep_changes() == 0
    world.exits("r", f"{start}.a(0:1)[0].p")
    assert world.phase("r") == "Succeeded"


FORGIVEN = {"hooks": HOOK}, {"continueOn": {"failed": True}}


@pytest.mark.parametrize("body", ["dag", "steps"])
@pytest.mark.parametrize("more", FORGIVEN, ids=["a failed exit handler", "a turn that is continued on"])
def test_fail_fast_heeds_only_what_counts(world, body, more):
    loop = call("a", withItems=[1, 2, 3], **more)
    narrow = {"parallelism": 1, "failFast": True}
    world.submit(spec(tasks("m", loop, **narrow) if body == "dag" else steps("m", [loop], **narrow), pod("p"), pod("h")), "r")
    while world.running("r"):
        node = world.running("r")[0]
        world.exits("r", node, 1 if node.endswith(".onExit") or "continueOn" in more else 0)
    assert len([name for name in world.nodes("r") if name.endswith(")")]) == 3
    assert world.phase("r") == "Succeeded"


def test_fail_fast_makes_no_more_turns_after_one_that_counts(world):
    narrow = {"parallelism": 1, "failFast": True}
    world.submit(spec(steps("m", [call("a", withItems=[1, 2, 3])], **narrow), pod("p")), "r")
    world.exits("r", "[0].a(0:1)", 1)
    assert (world.phase("r"), "[0].a(1:2)" in world.nodes("r")) == ("Failed", False)
