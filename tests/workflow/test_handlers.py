"""Exit handlers: of a run, of a step, of a task; what they know, when they run, and what their end means."""

import json

import pytest
from loop_harness import call, making, pod, spec, steps, taking, tasks, values

STATUS = "{{workflow.status}}"


def handled(**hook):
    """A run with an exit hook whose template takes x."""
    return spec(pod("main"), taking("h", ("x", "default")), hooks={"exit": {"template": "h", **hook}})


def given(**arguments):
    return {"arguments": {"parameters": values(**arguments)}}


# of the run --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (1, "Failed"), (None, "Error")])
def test_a_runs_handler_knows_how_the_run_ended(world, code, phase):
    world.submit(handled(**given(x=STATUS)), "r")
    if code is None:
        world.is_lost("r", "")
    else:
        world.exits("r", "", code)
    assert world.inputs("r", ".onExit") == {"x": phase}
    world.exits("r", ".onExit")
    assert world.phase("r") == phase


EXPRESSIONS = [
    ("workflow.status == 'Failed'", 1, True),
    ("workflow.status == 'Failed'", 0, False),
    ("workflow.status != 'Succeeded' && len(workflow.failures) > 2", 1, True),
    ("workflow.name == 'r'", 0, True),
]


@pytest.mark.parametrize(("expression", "code", "runs"), EXPRESSIONS)
def test_a_runs_handler_runs_if_its_expression_holds(world, expression, code, runs):
    world.submit(handled(expression=expression), "r")
    world.exits("r", "", code)
    assert world.running("r") == ([".onExit"] if runs else [])
    assert world.phase("r") == ("Running" if runs else "Failed" if code else "Succeeded")


def test_a_handlers_expression_that_cannot_be_told_is_an_error(world):
    world.submit(handled(expression="workflow.status > 1"), "r")
    world.exits("r", "", 0)
    assert (world.nodes("r")[".onExit"], world.phase("r")) == ("Error", "Error")
    assert world.message("r").startswith("error in exit template execution")


def test_a_runs_handler_is_told_what_failed(world):
    """Corpus: workflow.failures is a quoted JSON list."""
    fail = steps("main", [call("one", "p"), call("two", "p")])
    hook = {"exit": {"template": "h", **given(x="{{workflow.failures}}")}}
    world.submit(spec(fail, pod("p"), taking("h", "x"), hooks=hook), "r")
    world.exits("r", "[0].one", 3)
    world.exits("r", "[0].two")
    listed = json.loads(json.loads(world.inputs("r", ".onExit")["x"]))
    assert [(f["displayName"], f["message"], f["templateName"], f["phase"]) for f in listed] == [
        ("one", "Error (exit code 3)", "p", "Failed")
    ]
    assert set(listed[0]) == {"displayName", "message", "templateName", "phase", "podName", "finishedAt"}


def test_a_handler_may_be_steps_and_knows_the_status_inside(world):
    inner = steps("h", [call("good", when=f"{STATUS} == Succeeded"), call("bad", when=f"{STATUS} != Succeeded")])
    world.submit(spec(pod("main"), inner, pod("p"), onExit="h"), "r")
    world.exits("r", "", 1)
    assert (world.nodes("r")[".onExit[0].good"], world.running("r")) == ("Skipped", [".onExit[0].bad"])
    world.exits("r", ".onExit[0].bad")
    assert (world.phase("r"), world.message("r")) == ("Failed", "Error (exit code 1)")


@pytest.mark.parametrize(("end", "phase"), [("failed", "Failed"), ("lost", "Error")])
def test_a_handler_that_goes_wrong_spoils_a_good_run(world, end, phase):
    """Corpus: workflow_template_test #1."""
    world.submit(handled(), "r")
    world.exits("r", "")
    if end == "lost":
        world.is_lost("r", ".onExit")
    else:
        world.exits("r", ".onExit", 1)
    assert (world.phase("r"), world.message("r").partition(":")[0]) == (phase, "error in exit template execution")


def test_a_handler_is_tried_again_like_any_template(world):
    world.submit(spec(pod("main"), pod("h", retryStrategy={"limit": 1}), onExit="h"), "r")
    world.exits("r", "")
    world.exits("r", ".onExit(0)", 1)
    world.exits("r", ".onExit(1)")
    assert world.phase("r") == "Succeeded"


def test_a_handler_may_have_loops_and_a_dag(world):
    inner = tasks("h", call("a", withItems=[1, 2]), call("b", depends="a"))
    world.submit(spec(pod("main"), inner, pod("p"), onExit="h"), "r")
    world.exits("r", "")
    world.all_exit("r", ".onExit.a(0:1)", ".onExit.a(1:2)", ".onExit.b")
    assert world.phase("r") == "Succeeded"


def test_the_handler_of_a_run_that_is_stopped_while_it_runs_goes_on(world):
    world.submit(handled(), "r")
    world.exits("r", "")
    world.must("stop", run="r")
    assert world.asked_to_end("r") == []
    world.exits("r", ".onExit")
    assert world.phase("r") == "Succeeded"


# of a call ---------------------------------------------------------------------------------------------------------------


def hooked(kind, *templates, first=None, **hook):
    """A call `a` with an exit hook `h`, and `b` after it."""
    one = call("a", hooks={"exit": {"template": "h", **hook}}, **(first or {}))
    main = steps("main", [one], [call("b")]) if kind == "steps" else tasks("main", one, call("b", depends="a"))
    return spec(main, *(templates or (pod("p"),)), taking("h", ("x", "default")))


AT = {"steps": ("[0].a", "[1].b"), "dag": (".a", ".b")}


@pytest.mark.parametrize("kind", ["steps", "dag"])
@pytest.mark.parametrize(("code", "last"), [(0, "Succeeded"), (1, "Failed")])
def test_what_follows_waits_for_a_calls_handler(world, kind, code, last):
    a, b = AT[kind]
    world.submit(hooked(kind), "r")
    world.exits("r", a, code)
    assert (world.running("r"), world.phase("r")) == ([f"{a}.onExit"], "Running")
    world.exits("r", f"{a}.onExit")
    assert world.running("r") == ([] if code else [b])
    if not code:
        world.exits("r", b)
    assert world.phase("r") == last


@pytest.mark.parametrize("kind", ["steps", "dag"])
def test_the_legacy_field_means_the_same(world, kind):
    a, _ = AT[kind]
    body = hooked(kind)
    first = body["templates"][0]["steps"][0][0] if kind == "steps" else body["templates"][0]["dag"]["tasks"][0]
    del first["hooks"]
    first["onExit"] = "h"
    world.submit(body, "r")
    world.exits("r", a)
    assert world.running("r") == [f"{a}.onExit"]


KNOWN = [
    ("{{%s.a.outputs.parameters.v}}", "left"),
    ("{{%s.a.outputs.result}}", "said"),
    ("{{%s.a.status}}", "Succeeded"),
    ("{{%s.a.exitCode}}", "0"),
    ("{{=%s.a.outputs.parameters.v + '!'}}", "left!"),
    ("{{=%s['a'].status}}", "Succeeded"),
    ("{{workflow.name}}", "r"),
    ("{{workflow.status}}", "Running"),
]


@pytest.mark.parametrize("kind", ["steps", "dag"])
@pytest.mark.parametrize(("text", "expected"), KNOWN)
def test_a_calls_handler_knows_what_the_call_left(world, kind, text, expected):
    """Corpus: workflow-hook-parameter."""
    a, _ = AT[kind]
    text = text % ("steps" if kind == "steps" else "tasks") if "%s" in text else text
    world.submit(hooked(kind, making("p", "v"), **given(x=text)), "r")
    world.exits("r", a, outputs={"v": "left"}, result="said")
    assert world.inputs("r", f"{a}.onExit") == {"x": expected}


@pytest.mark.parametrize("kind", ["steps", "dag"])
def test_a_calls_handler_runs_if_its_expression_holds(world, kind):
    a, b = AT[kind]
    root = "steps" if kind == "steps" else "tasks"
    for run, code in (("good", 0), ("bad", 1)):
        world.submit(hooked(kind, expression=f"{root}.a.status == 'Failed'"), run)
        world.exits(run, a, code)
    assert (world.running("good"), world.running("bad")) == ([b], [f"{a}.onExit"])


@pytest.mark.parametrize("kind", ["steps", "dag"])
def test_a_call_that_did_not_take_place_has_no_handler(world, kind):
    """Corpus: hooks_test #6."""
    a, b = AT[kind]
    world.submit(hooked(kind, first={"when": "false"}), "r")
    assert (world.nodes("r")[a], world.running("r")) == ("Skipped", [b])
    assert f"{a}.onExit" not in world.nodes("r")


@pytest.mark.parametrize("kind", ["steps", "dag"])
def test_each_turn_of_a_loop_has_its_handler_with_its_item(world, kind):
    a, b = AT[kind]
    world.submit(hooked(kind, first={"withItems": ["x", "y"]}, **given(x="{{item}}")), "r")
    world.exits("r", f"{a}(1:y)")
    assert world.inputs("r", f"{a}(1:y).onExit") == {"x": "y"}
    world.exits("r", f"{a}(1:y).onExit")
    world.exits("r", f"{a}(0:x)")
    assert world.running("r") == [f"{a}(0:x).onExit"]
    world.exits("r", f"{a}(0:x).onExit")
    assert world.running("r") == [b]


@pytest.mark.parametrize("kind", ["steps", "dag"])
@pytest.mark.parametrize(("verb", "runs"), [("stop", True), ("terminate", False)])
def test_stop_runs_a_calls_handler_and_terminate_does_not(world, kind, verb, runs):
    """Corpus: stop-terminate."""
    a, b = AT[kind]
    world.submit(hooked(kind), "r")
    world.must(verb, run="r")
    world.exits("r", a, 143)
    assert world.running("r") == ([f"{a}.onExit"] if runs else [])
    if runs:
        world.exits("r", f"{a}.onExit")
    assert (world.phase("r"), b in world.nodes("r")) == ("Failed", False)


def test_terminate_ends_a_calls_handler_too(world):
    world.submit(hooked("steps"), "r")
    world.exits("r", "[0].a")
    world.must("terminate", run="r")
    assert world.asked_to_end("r") == ["[0].a.onExit"]
    world.exits("r", "[0].a.onExit", 143)
    assert world.phase("r") == "Failed"


@pytest.mark.parametrize("kind", ["steps", "dag"])
def test_a_calls_handler_of_a_failed_call_fails_nothing_more(world, kind):
    a, _ = AT[kind]
    world.submit(hooked(kind), "r")
    world.exits("r", a, 1)
    world.exits("r", f"{a}.onExit", 1)
    assert (world.phase("r"), world.message("r")) == ("Failed", "child 'a' failed")


def test_a_handler_with_a_lock_waits_for_it(world):
    from loop_harness import job

    main = steps("main", [call("a", hooks={"exit": {"template": "h"}})], [call("b")])
    world.submit(job("m"), "holder")
    world.submit(spec(main, pod("p"), pod("h", "m")), "r")
    world.exits("r", "[0].a")
    assert (world.queue("m"), world.running("r")) == (["r[0].a.onExit/"], [])
    world.exits("holder", "")
    world.exits("r", "[0].a.onExit")
    assert world.running("r") == ["[1].b"]


def test_handlers_in_handlers(world):
    inner = steps("h", [call("c", hooks={"exit": {"template": "k"}})])
    world.submit(spec(pod("main"), inner, pod("p"), pod("k"), onExit="h"), "r")
    world.exits("r", "")
    world.all_exit("r", ".onExit[0].c", ".onExit[0].c.onExit")
    assert world.phase("r") == "Succeeded"


@pytest.mark.parametrize("kind", ["steps", "dag"])
def test_a_call_that_could_not_begin_has_its_handler(world, kind):
    a, _ = AT[kind]
    root = "steps" if kind == "steps" else "tasks"
    world.submit(hooked(kind, taking("p", "missing"), **given(x=f"{{{{{root}.a.status}}}}")), "r")
    nodes = world.nodes("r")
    assert nodes[a] == "Error"
    while world.running("r"):
        world.exits("r", world.running("r")[0])
    assert world.phase("r") == ("Failed" if kind == "steps" else "Error")


def test_handlers_survive_crashes(world):
    world.submit(hooked("dag", **given(x="{{tasks.a.status}}")), "r")
    for node in (".a", ".a.onExit", ".b"):
        world.crash()
        world.dying("before-commit", lambda node=node: world.exits("r", node))
        world.exits("r", node)
    assert world.phase("r") == "Succeeded"


@pytest.mark.parametrize("kind", ["steps", "dag"])
@pytest.mark.parametrize("first", [{}, {"withItems": ["x"]}])
def test_a_call_that_ended_while_its_run_was_suspended_has_its_handler(world, kind, first):
    a, b = AT[kind]
    a += "(0:x)" if first else ""
    world.submit(hooked(kind, first=first), "r")
    world.must("suspend", run="r")
    world.exits("r", a)
    assert world.running("r") == []
    world.crash()
    world.must("resume", run="r")
    assert world.running("r") == [f"{a}.onExit"]
    world.exits("r", f"{a}.onExit")
    assert world.running("r") == [b]


OWN = [
    ("{{%s.a.outputs.result}}", "said y"),
    ("{{%s.a.outputs.parameters.v}}", "left y"),
    ("{{%s.a.status}} {{%s.a.exitCode}} {{item}}", "Succeeded 0 y"),
    ("{{=%s.a.status + %s.a.outputs.parameters.v + item}}", "Succeededleft yy"),
]


@pytest.mark.parametrize("kind", ["steps", "dag"])
@pytest.mark.parametrize(("text", "expected"), OWN)
def test_a_turns_handler_knows_what_its_own_turn_left(world, kind, text, expected):
    a, _ = AT[kind]
    text = text.replace("%s", "steps" if kind == "steps" else "tasks")
    world.submit(hooked(kind, making("p", "v"), first={"withItems": ["x", "y"]}, **given(x=text)), "r")
    world.exits("r", f"{a}(0:x)", outputs={"v": "left x"}, result="said x")
    world.exits("r", f"{a}(1:y)", outputs={"v": "left y"}, result="said y")
    assert world.inputs("r", f"{a}(1:y).onExit") == {"x": expected}
