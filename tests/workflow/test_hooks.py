"""Hooks by expression: they fire once, beside what they belong to, and whatever comes after waits for them."""

import pytest
from loop_harness import call, dag, pod, spec, steps, tasks


def hooked(**hooks):
    body = dag("main", a=("p",), b=("p", "a"))
    body["dag"]["tasks"][0]["hooks"] = {name: {"template": "h", "expression": text} for name, text in hooks.items()}
    return spec(body, pod("p"), pod("h"))


def test_a_hook_fires_while_its_task_runs_and_the_next_task_waits_for_it(world):
    world.submit(hooked(running='tasks.a.status == "Running"'), "r")
    assert world.running("r") == [".a", ".a.hooks.running"]
    world.exits("r", ".a")
    assert world.running("r") == [".a.hooks.running"]
    world.exits("r", ".a.hooks.running", 1)
    assert world.running("r") == [".b"]  # a hook's end says nothing about its task
    world.exits("r", ".b")
    assert world.phase("r") == "Succeeded"
    assert world.sweep_changes() == 0


def test_a_hook_whose_expression_never_holds_does_not_exist(world):
    world.submit(hooked(failed='tasks.a.status == "Failed"', succeed='tasks["a"].status == "Succeeded"'), "r")
    world.exits("r", ".a")
    assert world.running("r") == [".a.hooks.succeed"]
    world.exits("r", ".a.hooks.succeed")
    world.exits("r", ".b")
    assert ".a.hooks.failed" not in world.nodes("r")


def test_a_bad_expression_is_an_error_of_the_hook_alone(world):
    world.submit(hooked(odd="nowhere.to.be.found == 1"), "r")
    assert world.nodes("r")[".a.hooks.odd"] == "Error"
    world.exits("r", ".a")
    world.exits("r", ".b")
    assert world.phase("r") == "Succeeded"


def test_a_run_has_hooks_of_its_own_and_its_end_waits_for_them(world):
    body = spec(pod("main"), pod("h"))
    body["hooks"] = {
        "begun": {"template": "h", "expression": 'workflow.status == "Running"'},
        "bad": {"template": "h", "expression": 'workflow.status == "Failed"'},
        "well": {"template": "h", "expression": 'workflow.status == "Succeeded"'},
    }
    world.submit(body, "r")
    assert world.running("r") == ["", ".hooks.begun"]
    world.exits("r", "", 1)
    assert (world.phase("r"), world.running("r")) == ("Running", [".hooks.begun", ".hooks.bad"])
    world.exits("r", ".hooks.bad")
    world.exits("r", ".hooks.begun")
    assert (world.phase("r"), ".hooks.well" in world.nodes("r")) == ("Failed", False)


def test_terminate_starts_no_hook(world):
    world.submit(hooked(ended='tasks.a.status != "Running"'), "r")
    world.must("terminate", run="r")
    assert ".a.hooks.ended" not in world.nodes("r")
    world.exits("r", ".a", 143)
    assert ".a.hooks.ended" not in world.nodes("r")
    assert world.phase("r") == "Failed"


KINDS = [pod("t"), pod("t", retryStrategy={"limit": 2}), steps("t", ["p"]), tasks("t", call("p")), {"name": "t", "suspend": {}}]


@pytest.mark.parametrize("template", KINDS, ids=["pod", "retry", "steps", "dag", "suspend"])
@pytest.mark.parametrize("items", [{}, {"withItems": [1]}], ids=["plain", "loop"])
@pytest.mark.parametrize("kind", ["steps", "dag"])
def test_a_hook_for_a_running_call_fires_whatever_the_call_is(world, kind, template, items):
    root = "steps" if kind == "steps" else "tasks"
    hook = {"run": {"template": "h", "expression": f'{root}.a.status == "Running"'}}
    hooked_call = call("a", "t", hooks=hook, **items)
    body = steps("m", [hooked_call]) if kind == "steps" else tasks("m", hooked_call)
    world.submit(spec(body, template, pod("p"), pod("h")), "r")
    name = ("[0].a" if kind == "steps" else ".a") + ("(0:1)" if items else "")
    assert f"{name}.hooks.run" in world.running("r")


@pytest.mark.parametrize("is_first_over", [True, False])
@pytest.mark.parametrize("items", [{}, {"withItems": [1, 2]}], ids=["plain", "loop"])
@pytest.mark.parametrize("root", ["steps", "tasks"])
def test_a_hook_may_wait_for_the_end_of_a_call_beside_its_own(world, root, items, is_first_over):
    hook = {"n": {"template": "h", "expression": f'{root}.b.status == "Failed"'}}
    calls = [call("a", hooks=hook, **items), call("b"), call("c")]
    world.submit(spec(steps("m", calls) if root == "steps" else tasks("m", *calls), pod("p"), pod("h")), "r")
    start = "[0]" if root == "steps" else ""
    name = f"{start}.a(0:1)" if items else f"{start}.a"
    if is_first_over:
        world.exits("r", name)
    assert not any(".hooks." in node for node in world.running("r"))
    world.exits("r", f"{start}.b", 1)
    assert f"{name}.hooks.n" in world.running("r")


@pytest.mark.parametrize("how", ["stop", "deadline"])
def test_no_hook_by_expression_starts_once_the_run_is_to_end(world, how):
    hook = {"failed": {"template": "h", "expression": 'steps.a.status == "Failed"'}, "exit": {"template": "h"}}
    body = spec(steps("m", [call("a", hooks=hook)]), pod("p"), pod("h"), activeDeadlineSeconds=5)
    body["hooks"] = {"bad": {"template": "h", "expression": 'workflow.status == "Failed"'}, "exit": {"template": "h"}}
    world.submit(body, "r")
    if how == "stop":
        world.must("stop", run="r")
    world.tick(6)
    world.exits("r", "[0].a", 143)
    assert world.running("r") == ["[0].a.onExit"]  # exit handlers run after stop, and past the run's deadline
    world.tick(1)
    assert (world.sweep_changes(), world.asked_to_end("r")) == (0, [])
    world.exits("r", "[0].a.onExit")
    assert world.running("r") == [".onExit"]
    world.exits("r", ".onExit")
    assert (world.phase("r"), [name for name in world.nodes("r") if ".hooks." in name]) == ("Failed", [])


def test_an_exit_handler_outlives_the_timeout_around_it_and_keeps_its_own(world):
    hook = {"exit": {"template": "h"}, "bad": {"template": "h", "expression": 'steps.a.status == "Failed"'}}
    inner = steps("s", [call("a", hooks=hook)], timeout="5s")
    world.submit(spec(steps("m", ["s"]), inner, pod("p"), pod("h", timeout="60s")), "r")
    world.tick(6)
    world.exits("r", "[0].s[0].a", 143)
    assert world.running("r") == ["[0].s[0].a.onExit"]
    world.tick(1)
    assert (world.sweep_changes(), world.asked_to_end("r")) == (0, [])
    world.tick(60)
    assert world.asked_to_end("r") == ["[0].s[0].a.onExit"]
    world.exits("r", "[0].s[0].a.onExit", 143)
    assert world.phase("r") == "Failed"


def test_an_exit_handler_whose_condition_was_false_stays_undone(world):
    hook = {"exit": {"template": "h", "expression": 'tasks.b.status == "Failed"'}}
    body = tasks("m", call("a", hooks=hook), call("b"), call("c"))
    world.submit(spec(body, pod("p"), pod("h")), "r")
    world.exits("r", ".a")
    world.exits("r", ".b", 1)
    assert (world.sweep_changes(), world.running("r")) == (0, [".c"])
    assert world.nodes("r")[".a.onExit"] == "Skipped"


def test_a_child_that_ended_while_the_run_was_suspended_has_its_exit_handler_after_stop(world):
    world.submit(spec(steps("m", [call("a", hooks={"exit": {"template": "h"}}), call("b")]), pod("p"), pod("h")), "r")
    world.must("suspend", run="r")
    world.exits("r", "[0].a")
    world.must("stop", run="r")
    world.exits("r", "[0].b", 143)
    assert world.running("r") == ["[0].a.onExit"]
    world.exits("r", "[0].a.onExit")
    assert world.phase("r") == "Failed"


def test_a_hook_may_wait_for_a_call_beside_its_own_that_is_skipped(world):
    hook = {"n": {"template": "h", "expression": 'tasks.b?.status == "Skipped"'}}
    body = tasks("m", call("a", hooks=hook), call("c"), call("b", depends="c", when="false"))
    world.submit(spec(body, pod("p"), pod("h")), "r")
    assert world.running("r") == [".a", ".c"]
    world.exits("r", ".c")
    assert world.running("r") == [".a", ".a.hooks.n"]
