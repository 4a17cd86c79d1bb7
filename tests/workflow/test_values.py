"""What tags mean: variables of the run, of nodes and of what they left; global outputs, and outputs of steps and dags."""

import json

import pytest
from loop_harness import call, making, parsed, pod, spec, steps, taking, tasks, values


def read(world, text, name="r", **more):
    """What a text becomes as an argument of a step, in a run of its own."""
    world.submit({**spec(steps("main", [call("a", given={"x": text})]), taking("p", "x")), **more}, name)
    return world.inputs(name, "[0].a")["x"]


ARGUMENTS = {"arguments": {"parameters": values(a="1", b='two "2"')}}
VARIABLES = [
    ("{{workflow.name}}", "r"),
    ("{{ workflow.name }}", "r"),
    ("{{workflow.namespace}}", "default"),
    ("{{workflow.uid}}", "uid-000001"),
    ("{{workflow.mainEntrypoint}}", "main"),
    ("{{workflow.serviceAccountName}}", "default"),
    ("{{workflow.priority}}", "7"),
    ("{{workflow.status}}", "Running"),
    ("{{workflow.creationTimestamp}}", "2026-03-01T12:00:00Z"),
    ("{{workflow.creationTimestamp.Y}}-{{workflow.creationTimestamp.m}}-{{workflow.creationTimestamp.d}}", "2026-03-01"),
    ("{{workflow.creationTimestamp.H}}:{{workflow.creationTimestamp.M}}:{{workflow.creationTimestamp.S}}", "12:00:00"),
    ("{{workflow.creationTimestamp.s}}", "1772366400"),
    ("{{workflow.creationTimestamp.RFC3339}}", "2026-03-01T12:00:00Z"),
    ("{{workflow.duration}}", "0.000000"),
    ("{{workflow.parameters.a}}", "1"),
    ("{{workflow.labels.team}}", "blue"),
    ("{{workflow.annotations.note}}", "keep"),
    ("{{=workflow.parameters.a + workflow.labels.team}}", "1blue"),
    ("{{=workflow.labels['team']}}", "blue"),
    ("{{=workflow.parameters.b}}", 'two "2"'),
    ("{{=asInt(workflow.parameters.a) + 1}}", "2"),
    ("{{=jsonpath(workflow.labels.json, '$.team')}}", "blue"),
    ("{{=jsonpath(workflow.parameters.json, '$[0].value')}}", "1"),
    ("{{=jsonpath(workflow.annotations.json, '$.note')}}", "keep"),
    ("{{=workflow.name}}", "r"),
    ("{{=steps.name}}", "a"),
    ("{{steps.name}}", "a"),
    ("{{other.variable}}", "{{other.variable}}"),
    ("{{=sprig.upper(workflow.name)}}", "R"),
]


@pytest.mark.parametrize(("text", "expected"), VARIABLES)
def test_a_variable_of_the_run(world, text, expected):
    metadata = {"labels": {"team": "blue"}, "annotations": {"note": "keep"}}
    assert read(world, text, priority=7, workflowMetadata=metadata, **ARGUMENTS) == expected


@pytest.mark.parametrize("tag", ["workflow.parameters", "workflow.parameters.json"])
def test_all_parameters_as_json(world, tag):
    found = json.loads(read(world, f"{{{{{tag}}}}}", **ARGUMENTS))
    assert found == [{"name": "a", "value": "1"}, {"name": "b", "value": 'two "2"'}]


@pytest.mark.parametrize("tag", ["workflow.labels", "workflow.labels.json"])
def test_all_labels_as_json(world, tag):
    assert json.loads(read(world, f"{{{{{tag}}}}}", workflowMetadata={"labels": {"team": "blue"}}))["team"] == "blue"


def test_the_duration_grows(world):
    world.submit(spec(steps("main", ["w"], [call("a", given={"x": "{{workflow.duration}}"})]), pod("w"), taking("p", "x")), "r")
    world.tick(90)
    world.exits("r", "[0].w")
    assert world.inputs("r", "[1].a") == {"x": "90.000000"}


OF_A_CALL = [
    ("status", "Failed"),
    ("exitCode", "3"),
    ("startedAt", "2026-03-01T12:00:00Z"),
    ("finishedAt", "2026-03-01T12:00:09Z"),
    ("outputs.parameters.v", "left"),
    ("outputs.parameters", '[{"name": "v", "value": "left"}]'),
    ("outputs.result", "said"),
    ("message", "Error (exit code 3)"),
]


@pytest.mark.parametrize("kind", ["steps", "dag"])
@pytest.mark.parametrize(("field", "expected"), OF_A_CALL)
def test_a_variable_of_an_earlier_call(world, kind, field, expected):
    root = "steps" if kind == "steps" else "tasks"
    one = call("one", "p", continueOn={"failed": True})
    two = call("two", "q", given={"x": f"{{{{{root}.one.{field}}}}}"})
    main = steps("main", [one], [two]) if kind == "steps" else tasks("main", one, {**two, "dependencies": ["one"]})
    world.submit(spec(main, making("p", "v"), taking("q", "x")), "r")
    world.tick(9)
    first, second = ("[0].one", "[1].two") if kind == "steps" else (".one", ".two")
    world.exits("r", first, 3, outputs={"v": "left"}, result="said")
    assert world.inputs("r", second) == {"x": expected}


OWN = [("{{pod.name}}", "r[0].a"), ("{{node.name}}", "r[0].a"), ("{{outputs.parameters.v.path}}", "/tmp/v")]


@pytest.mark.parametrize(("text", "expected"), OWN)
def test_a_variable_of_the_node_itself(world, text, expected):
    body = {**making("p", "v"), "container": {"image": "host", "command": ["echo", text]}}
    world.submit(spec(steps("main", [call("a")]), body), "r")
    assert world.argv("r", "[0].a") == ["echo", expected]


@pytest.mark.parametrize("text", ["{{inputs.parameters}}", "{{=toJson(inputs.parameters)}}"])
def test_all_inputs_at_once(world, text):
    body = {**taking("p", "x"), "container": {"image": "host", "command": ["echo", text]}}
    world.submit(spec(steps("main", [call("a", given={"x": "1"})]), body), "r")
    found = json.loads(world.argv("r", "[0].a")[1])
    assert found in ([{"name": "x", "value": "1"}], {"x": "1"})


def test_a_value_is_never_read_as_a_tag_again(world):
    text = "{{inputs.parameters.x}} {{nothing}} {{=nothing + 1}} {{workflow.parameters.other}}"
    assert read(world, "{{workflow.parameters.a}}", arguments={"parameters": values(a=text)}) == text
    main = taking("main", "a")
    world.submit({**spec(main), "arguments": {"parameters": values(a=text)}}, "entry")
    assert world.inputs("entry", "") == {"a": text}


def test_a_runs_arguments_may_name_the_run(world):
    """Argo: as in a cron's `{{workflow.scheduledTime}}`."""
    whole = {"arguments": {"parameters": values(a="{{workflow.name}}/{{workflow.creationTimestamp.Y}}")}}
    world.submit({**spec(taking("main", "a"), taking("h", "a"), onExit="h"), **whole}, "r")
    world.exits("r", "")
    assert (world.inputs("r", ""), world.inputs("r", ".onExit")) == ({"a": "r/2026"}, {"a": "r/2026"})


# global outputs ----------------------------------------------------------------------------------------------------------


def publishing(name="p", as_name="g"):
    found = making(name, "v")
    found["outputs"]["parameters"][0]["globalName"] = as_name
    return found


GLOBAL = "{{workflow.outputs.parameters.g}}"


@pytest.mark.parametrize("kind", ["steps", "dag"])
def test_a_global_output_is_known_to_what_follows_and_to_the_handler(world, kind):
    one, two = call("a"), call("b", "q", given={"x": GLOBAL})
    main = steps("main", [one], [two]) if kind == "steps" else tasks("main", one, {**two, "depends": "a"})
    hook = {"exit": {"template": "q", "arguments": {"parameters": values(x="{{=workflow.outputs.parameters.g + '!'}}")}}}
    world.submit(spec(main, publishing(), taking("q", "x"), hooks=hook), "r")
    first, second = ("[0].a", "[1].b") if kind == "steps" else (".a", ".b")
    world.exits("r", first, outputs={"v": "shared"})
    assert world.inputs("r", second) == {"x": "shared"}
    world.crash()
    world.exits("r", second)
    assert world.inputs("r", ".onExit") == {"x": "shared!"}


def test_a_later_global_output_overwrites_an_earlier_one(world):
    main = steps("main", ["p"], ["p2"], [call("b", "q", given={"x": GLOBAL})])
    world.submit(spec(main, publishing(), publishing("p2"), taking("q", "x")), "r")
    world.exits("r", "[0].p", outputs={"v": "old"})
    world.exits("r", "[1].p2", outputs={"v": "new"})
    assert world.inputs("r", "[2].b") == {"x": "new"}
    assert world.run("r").outputs == {"g": "new"}


def test_a_global_output_is_seen_inside_templates_and_of_retried_steps(world):
    body = {"name": "q", "container": {"image": "host", "command": ["echo", GLOBAL]}}
    tried = {**publishing(), "retryStrategy": {"limit": 1}}
    world.submit(spec(steps("main", ["p"], [call("b", "q")]), tried, body), "r")
    world.exits("r", "[0].p(0)", 1, outputs={"v": "bad"})
    world.exits("r", "[0].p(1)", outputs={"v": "good"})
    assert world.argv("r", "[1].b") == ["echo", "good"]


def test_an_entry_nodes_global_output_reaches_the_handler(world):
    """With the workflow's own retryStrategy and without."""
    for name, more in (("plain", {}), ("tried", {"retryStrategy": {"limit": 1}})):
        hook = {"exit": {"template": "q", "arguments": {"parameters": values(x=GLOBAL)}}}
        world.submit(spec(publishing("main"), taking("q", "x"), hooks=hook, **more), name)
        world.exits(name, "(0)" if more else "", outputs={"v": "1"})
        handler = next(node for node in world.running(name) if node.startswith(".onExit"))
        assert world.inputs(name, handler) == {"x": "1"}


# outputs of steps and dags -----------------------------------------------------------------------------------------------


def promising(kind, **sources):
    """An inner template that makes v, and hands on what the sources say."""
    inner = steps("inner", [call("a")]) if kind == "steps" else tasks("inner", call("a"))
    inner["outputs"] = {"parameters": [{"name": name, "valueFrom": source} for name, source in sources.items()]}
    return inner


SOURCES = [
    ({"parameter": "{{%s.a.outputs.parameters.v}}"}, "left"),
    ({"expression": "%s.a.outputs.parameters.v + '!'"}, "left!"),
    ({"expression": "%s['a'].outputs.result"}, "said"),
    ({"parameter": "{{%s.a.outputs.result}}"}, "said"),
    ({"expression": "%s.a.status == 'Succeeded' ? 'yes' : 'no'"}, "yes"),
    ({"expression": "asInt('2') * 3"}, "6"),
    ({"parameter": "{{workflow.name}}-{{%s.a.exitCode}}"}, "r-0"),
]


@pytest.mark.parametrize("kind", ["steps", "dag"])
@pytest.mark.parametrize(("source", "expected"), SOURCES)
def test_steps_and_dags_hand_on_what_their_calls_left(world, kind, source, expected):
    root = "steps" if kind == "steps" else "tasks"
    filled = {key: text.replace("%s", root) for key, text in source.items()}
    main = steps("main", [call("in", "inner")], [call("out", "q", given={"x": "{{steps.in.outputs.parameters.o}}"})])
    world.submit(spec(main, promising(kind, o=filled), making("p", "v"), taking("q", "x")), "r")
    world.exits("r", f"[0].in{'[0]' if kind == 'steps' else ''}.a", outputs={"v": "left"}, result="said")
    assert world.inputs("r", "[1].out") == {"x": expected}


def test_an_output_that_cannot_be_made_is_an_error_of_its_node(world):
    source = {"expression": "steps.nobody.outputs.result"}
    world.submit(spec(steps("main", [call("in", "inner")]), promising("steps", o=source), making("p", "v")), "r")
    world.exits("r", "[0].in[0].a")
    assert (world.nodes("r")["[0].in"], world.phase("r")) == ("Error", "Failed")


def test_one_of_two_branches_gives_the_output(world):
    """Corpus: conditional parameters."""
    sides = [call(side, side[0], when=f"{{{{steps.flip.outputs.result}}}} == {side}") for side in ("heads", "tails")]
    main = steps("main", [call("flip", "p")], sides)
    expression = "steps.flip.outputs.result == 'heads' ? steps.heads.outputs.result : steps.tails.outputs.result"
    main["outputs"] = {"parameters": [{"name": "o", "valueFrom": {"expression": expression}}]}
    world.submit(spec(main, pod("p"), pod("h"), pod("t")), "r")
    world.exits("r", "[0].flip", result="tails")
    world.exits("r", "[1].tails", result="it was tails")
    assert (world.phase("r"), world.outputs("r", "")) == ("Succeeded", {"o": "it was tails"})


MISSING = [(0, "Error", "no file"), (1, "Failed", "Error (exit code 1)")]


@pytest.mark.parametrize(("code", "phase", "said"), MISSING)
def test_a_missing_output_is_an_error_unless_the_step_failed_anyway(world, code, phase, said):
    """Corpus: trap 9."""
    world.submit(spec(making("main", "v")), "r")
    world.exits("r", "", code, problem="the step left no file /tmp/v")
    assert (world.phase("r"), said in world.message("r")) == (phase, True)


# inputs ------------------------------------------------------------------------------------------------------------------

INPUTS = [
    ({"name": "x"}, {"x": "given"}, "given"),
    ({"name": "x", "value": "own"}, {}, "own"),
    ({"name": "x", "value": "own"}, {"x": "given"}, "given"),
    ({"name": "x", "default": "own"}, {}, "own"),
    ({"name": "x", "default": "{{workflow.name}}"}, {}, "r"),
    ({"name": "x", "value": 1.0}, {}, "1"),
    ({"name": "x", "value": True}, {}, "true"),
    ({"name": "x", "enum": ["a", "given"]}, {"x": "given"}, "given"),
    ({"name": "x", "enum": ["a", "b"]}, {"x": "given"}, None),
    ({"name": "x"}, {}, None),
    ({"name": "x", "valueFrom": {"configMapKeyRef": {"name": "limits", "key": "s0"}}}, {}, "3"),
    ({"name": "x", "valueFrom": {"configMapKeyRef": {"name": "limits", "key": "no"}, "default": "d"}}, {}, "d"),
    ({"name": "x", "valueFrom": {"configMapKeyRef": {"name": "limits", "key": "no"}}}, {}, None),
    ({"name": "x", "valueFrom": {"expression": "workflow.name + '!'"}}, {}, "r!"),
]


@pytest.mark.parametrize(("declared", "given", "expected"), INPUTS)
def test_an_input_takes_its_value_from_the_nearest_place(world, declared, given, expected):
    world.limits(s0=3)
    body = {**pod("p"), "inputs": {"parameters": [declared]}}
    whole = spec(steps("main", [call("a", given=given or None)]), body)
    from loop_harness import API

    document = {"apiVersion": API, "kind": "Workflow", "metadata": {"name": "r"}, "spec": whole}
    world.must("submit", documents=parsed("x.yaml", document).documents)
    if expected is None:
        assert (world.nodes("r")["[0].a"], world.phase("r")) == ("Error", "Failed")
    else:
        assert world.inputs("r", "[0].a") == {"x": expected}
