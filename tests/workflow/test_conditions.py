"""Which calls take place: when, dependencies, depends, targets, continueOn; and how a dag ends."""

import pytest
from loop_harness import call, making, pod, spec, steps, taking, tasks, values

WHENS = [
    ("true", "Running"),
    ("false", "Skipped"),
    ("1 == 1", "Running"),
    ("1 == 2", "Skipped"),
    ("{{workflow.parameters.env}} == prod", "Running"),
    ("'{{workflow.parameters.env}}' != 'prod'", "Skipped"),
    ("{{workflow.parameters.env}} in (test, prod)", "Running"),
    ("{{workflow.parameters.env}} =~ '^pr'", "Running"),
    ("{{workflow.parameters.env}} == prod && 2 > 1 || false", "Running"),
    ("!({{workflow.parameters.env}} == prod)", "Skipped"),
    ("{{=workflow.parameters.env == 'prod'}}", "Running"),
    ("{{=len(workflow.parameters.env) > 10}}", "Skipped"),
    ("{{workflow.parameters.nothing}} == 1", "Error"),
    ("prod ==", "Error"),
    ("prod", "Error"),
]


@pytest.mark.parametrize("kind", ["steps", "dag"])
@pytest.mark.parametrize(("when", "phase"), WHENS)
def test_when_decides_whether_a_call_takes_place(world, kind, when, phase):
    one = call("a", when=when)
    main = steps("main", [one]) if kind == "steps" else tasks("main", one)
    world.submit({**spec(main, pod("p")), "arguments": {"parameters": values(env="prod")}}, "r")
    node = "[0].a" if kind == "steps" else ".a"
    assert world.nodes("r")[node] == phase
    if phase == "Skipped":
        assert world.told("r", node).endswith("evaluated false")
        assert world.phase("r") == "Succeeded"


@pytest.mark.parametrize("kind", ["steps", "dag"])
def test_when_is_decided_before_arguments_are_looked_at(world, kind):
    """Corpus: dag-when-expr-skip."""
    one = call("a", "q", given={"x": "{{=fromJSON('nothing')}}"}, when="false")
    main = steps("main", [one]) if kind == "steps" else tasks("main", one)
    world.submit(spec(main, taking("q", "x")), "r")
    assert (world.nodes("r")[f"{'[0]' if kind == 'steps' else ''}.a"], world.phase("r")) == ("Skipped", "Succeeded")


def test_when_sees_what_earlier_steps_left(world):
    flip = [call("flip", "coin")]
    sides = [call(side, when=f"{{{{steps.flip.outputs.result}}}} == {side}") for side in ("heads", "tails")]
    world.submit(spec(steps("main", flip, sides), pod("coin"), pod("p")), "r")
    world.exits("r", "[0].flip", result="tails")
    assert (world.nodes("r")["[1].heads"], world.running("r")) == ("Skipped", ["[1].tails"])
    assert world.told("r", "[1].heads") == "when 'tails == heads' evaluated false"


def test_when_of_a_loop_is_decided_for_each_turn_if_it_names_the_item(world):
    loop = call("a", when="{{item}} > 1", withItems=[1, 2, 3])
    world.submit(spec(steps("main", [loop]), pod("p")), "r")
    assert (world.nodes("r")["[0].a(0:1)"], world.running("r")) == ("Skipped", ["[0].a(1:2)", "[0].a(2:3)"])


def test_recursion_ends_by_its_condition(world):
    """Corpus: recursive coin flips."""
    flip = "{{steps.flip.outputs.result}}"
    again = [call("done", when=f"{flip} == heads"), call("again", "main", when=f"{flip} == tails")]
    world.submit(spec(steps("main", [call("flip", "coin")], again), pod("coin"), pod("p")), "r")
    at = ""
    for _ in range(5):
        world.exits("r", f"{at}[0].flip", result="tails")
        at += "[1].again"
    world.exits("r", f"{at}[0].flip", result="heads")
    world.exits("r", f"{at}[1].done")
    assert world.phase("r") == "Succeeded"


# depends -----------------------------------------------------------------------------------------------------------------

ENDS = {"Succeeded": 0, "Failed": 1, "Error": None}
SUFFIXES = [
    ("a", {"Succeeded", "Skipped"}),
    ("a.Succeeded", {"Succeeded"}),
    ("a.Failed", {"Failed"}),
    ("a.Errored", {"Error"}),
    ("a.Skipped", {"Skipped"}),
    ("a.Omitted", {"Omitted"}),
    ("a.Daemoned", set()),
    ("!a.Succeeded", {"Failed", "Error", "Skipped", "Omitted"}),
    ("a.Failed || a.Errored", {"Failed", "Error"}),
    ("(a.Succeeded || a.Skipped) && !a.Failed", {"Succeeded", "Skipped"}),
    ("a && a.Succeeded", {"Succeeded"}),
]


@pytest.mark.parametrize("end", ["Succeeded", "Failed", "Error", "Skipped", "Omitted"])
@pytest.mark.parametrize(("text", "held_by"), SUFFIXES)
def test_depends_holds_for_exactly_these_ends(world, text, held_by, end):
    first = call("a", when="false") if end == "Skipped" else call("a", depends="z.Failed") if end == "Omitted" else call("a")
    world.submit(spec(tasks("main", call("z"), first, call("b", depends=text)), pod("p")), "r")
    if end == "Error":
        world.is_lost("r", ".a")
    elif end in ENDS:
        world.exits("r", ".a", ENDS[end])
    world.exits("r", ".z")
    assert world.nodes("r")[".a"] == end
    assert world.nodes("r")[".b"] == ("Running" if end in held_by else "Omitted")
    if end not in held_by:
        assert world.told("r", ".b") == "omitted: depends condition not met"


LOOPS = [
    ([0, 0], {"b": True, "any": True, "all": False, "failed": False}),
    ([0, 1], {"b": False, "any": True, "all": False, "failed": True}),
    ([1, 1], {"b": False, "any": False, "all": True, "failed": True}),
]


@pytest.mark.parametrize(("codes", "expected"), LOOPS)
def test_depends_on_a_loop_asks_for_its_turns(world, codes, expected):
    loop = call("a", withItems=[0, 1])
    after = [call("b", depends="a"), call("any", depends="a.AnySucceeded")]
    after += [call("all", depends="a.AllFailed"), call("failed", depends="a.Failed")]
    world.submit(spec(tasks("main", loop, *after), pod("p")), "r")
    for index, code in enumerate(codes):
        world.exits("r", f".a({index}:{index})", code)
    assert {name: world.nodes("r")[f".{name}"] == "Running" for name in expected} == expected


def test_a_task_may_be_called_like_a_function_or_hold_a_hyphen(world):
    body = tasks("main", call("split"), call("map-it", depends="split"), call("c", depends="map-it.Succeeded && split.Succeeded"))
    world.submit(spec(body, pod("p")), "r")
    world.all_exit("r", ".split", ".map-it", ".c")
    assert world.phase("r") == "Succeeded"


CONTINUED = [("failed", 1, True), ("failed", None, False), ("error", 1, False), ("error", None, True)]


@pytest.mark.parametrize(("on", "code", "goes_on"), CONTINUED)
@pytest.mark.parametrize("kind", ["steps", "dag"])
def test_continue_on_is_for_just_that_end(world, kind, on, code, goes_on):
    first = call("a", continueOn={on: True})
    if kind == "steps":
        world.submit(spec(steps("main", [first], [call("b")]), pod("p")), "r")
        one, two = "[0].a", "[1].b"
    else:
        world.submit(spec(tasks("main", first, call("b", dependencies=["a"])), pod("p")), "r")
        one, two = ".a", ".b"
    if code is None:
        world.is_lost("r", one)
    else:
        world.exits("r", one, code)
    assert (two in world.running("r")) is goes_on
    if goes_on:
        world.exits("r", two)
    failed = "Error" if kind == "dag" and code is None else "Failed"
    assert world.phase("r") == ("Succeeded" if goes_on else failed)


def test_continue_on_failed_covers_a_time_out_and_a_whole_loop(world):
    loop = call("a", continueOn={"failed": True}, withItems=[0, 1])
    world.submit(spec(steps("main", [loop], [call("b")]), pod("p", activeDeadlineSeconds=5)), "r")
    world.tick(5)
    world.all_exit("r", "[0].a(0:0)", "[0].a(1:1)", code=143)
    assert world.running("r") == ["[1].b"]


# how a dag ends ----------------------------------------------------------------------------------------------------------

DAGS = [  # tasks, ends, phase of the dag
    ([call("a"), call("b", depends="a.Failed")], {"a": 1, "b": 0}, "Succeeded"),
    ([call("a"), call("b", depends="a.Failed")], {"a": 0}, "Succeeded"),
    ([call("a"), call("b", depends="a.Succeeded")], {"a": 1}, "Failed"),
    ([call("a"), call("b", depends="a.Succeeded"), call("c", depends="b")], {"a": 1}, "Failed"),
    ([call("a"), call("b")], {"a": 1, "b": 0}, "Failed"),
    ([call("a"), call("b")], {"a": None, "b": 0}, "Error"),
    ([call("a", continueOn={"failed": True})], {"a": 1}, "Succeeded"),
    ([call("a"), call("b", depends="a"), call("c", depends="a.Failed")], {"a": 1, "c": 0}, "Failed"),
    ([call("a"), call("b", depends="a || a.Failed"), call("c", depends="b.Skipped")], {"a": 1, "b": 0}, "Succeeded"),
]


@pytest.mark.parametrize(("body", "ends", "phase"), DAGS)
def test_a_dag_ends_as_its_leaves_do_and_an_omitted_leaf_as_its_branch(world, body, ends, phase):
    world.submit(spec(tasks("main", *body), pod("p")), "r")
    for name, code in ends.items():
        if code is None:
            world.is_lost("r", f".{name}")
        else:
            world.exits("r", f".{name}", code)
    assert world.phase("r") == phase


def test_the_enhanced_depends_example_ends_well(world):
    """Corpus: dag-depends: the failed task is no leaf."""
    p, f = pod("p"), pod("f")
    body = tasks(
        "main",
        call("A"), call("B", depends="A"), call("C", depends="A"), call("F", "f", depends="A"),
        call("one", depends="A && (C.Succeeded || C.Failed)"), call("two", depends="B || F"), call("not", depends="F"),
        call("after", depends="F.Failed"),
    )  # fmt: skip
    world.submit(spec(body, p, f), "r")
    world.all_exit("r", ".A", ".B", ".C")
    world.exits("r", ".F", 1)
    world.all_exit("r", ".one", ".two", ".after")
    assert world.nodes("r")[".not"] == "Omitted"
    assert world.phase("r") == "Failed"  # `not` is a leaf of the branch that failed


@pytest.mark.parametrize(
    ("target", "made", "phase"),
    [("c", {"a", "c"}, "Succeeded"), ("a d", {"a", "b", "d"}, "Succeeded"), ("{{workflow.parameters.t}}", {"b"}, "Succeeded")],
)
def test_a_target_runs_what_it_needs_and_nothing_else(world, target, made, phase):
    body = tasks("main", call("a"), call("b"), call("c", depends="a"), call("d", depends="b"), dag={"target": target})
    world.submit({**spec(body, pod("p")), "arguments": {"parameters": values(t="b")}}, "r")
    while world.running("r"):
        world.exits("r", world.running("r")[0])
    assert ({name[1:] for name in world.nodes("r") if name}, world.phase("r")) == (made, phase)


def test_a_target_that_is_no_task_is_an_error(world):
    body = tasks("main", call("a"), dag={"target": "{{workflow.parameters.t}}"})
    world.submit({**spec(body, pod("p")), "arguments": {"parameters": values(t="b")}}, "r")
    assert (world.phase("r"), world.message("r")) == ("Error", "target 'b' of the dag is none of its tasks; name one of a")


def test_a_target_alone_decides_the_end(world):
    body = tasks("main", call("a"), call("b", depends="a || a.Failed"), call("c", depends="a"), dag={"target": "b"})
    world.submit(spec(body, pod("p")), "r")
    world.exits("r", ".a", 1)
    world.exits("r", ".b")
    assert world.phase("r") == "Succeeded"


# outputs that were never made --------------------------------------------------------------------------------------------

ABSENT = {"Skipped": {"when": "false"}, "Omitted": {"depends": "z.Failed"}}


def absent(kind, how, value, producer, consumer):
    """A producer that never ran, and a consumer of its output v."""
    read = call("read", "q", given={"x": value})
    if kind == "steps":
        return spec(steps("main", [call("z", "z")], [call("make", "p", when="false")], [read]), pod("z"), producer, consumer)
    made = call("make", "p", **({"depends": "z", **ABSENT[how]}))
    after = {**read, "depends": "make.Skipped || make.Omitted"}
    return spec(tasks("main", call("z", "z"), made, after), pod("z"), producer, consumer)


PLACES = [("steps", "Skipped"), ("dag", "Skipped"), ("dag", "Omitted")]
READS = [  # producer's default, consumer's default, the argument, what the consumer gets (None: Error)
    ("made", "own", "{{%s.make.outputs.parameters.v}}", "made"),
    ("made", None, "{{%s.make.outputs.parameters.v}}", "made"),
    ("", "own", "{{%s.make.outputs.parameters.v}}", ""),
    (None, "own", "{{%s.make.outputs.parameters.v}}", "own"),
    (None, "own", "<{{%s.make.outputs.parameters.v}}>", "own"),
    (None, None, "{{%s.make.outputs.parameters.v}}", None),
    (None, None, "{{=%s.make.outputs.parameters.v ?? 'saved'}}", "saved"),
    (None, None, "{{=%s['make'].outputs.parameters['v'] ?? 'saved'}}", "saved"),
    (None, None, "{{=%s.make.outputs.parameters.v}}", None),
    (None, None, "{{=%s.make.outputs.result ?? 'none'}}", "none"),
    (None, None, "{{%s.make.outputs.result}}", None),
    (None, "own", "{{%s.make.outputs.result}}", "own"),
    ("made", None, "{{=%s.make.outputs.parameters.v + '!'}}", "made!"),
    (None, None, "{{%s.make.status}}", "STATUS"),
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("read", READS)
def test_an_output_that_was_never_made_takes_a_default_or_is_an_error(world, place, read):
    (kind, how), (made, own, value, expected) = place, read
    producer = making("p", "v" if made is None else ("v", made))
    consumer = taking("q", "x" if own is None else ("x", own))
    world.submit(absent(kind, how, value % ("steps" if kind == "steps" else "tasks"), producer, consumer), "r")
    world.exits("r", "[0].z" if kind == "steps" else ".z")
    node = "[2].read" if kind == "steps" else ".read"
    if expected is None:
        assert world.nodes("r")[node] == "Error"
        assert "was never made" in world.told("r", node)
        assert world.phase("r") == ("Failed" if kind == "steps" else "Error")
        if kind == "steps":
            assert world.nodes("r")["[2]"] == "Error"
    else:
        assert world.inputs("r", node) == {"x": how if expected == "STATUS" else expected}


def test_a_parameter_from_an_absent_output_takes_the_sources_default(world):
    """valueFrom.parameter and .expression of an outer template's outputs."""
    outer = tasks("main", call("make", when="false"))
    sources = {"parameter": "{{tasks.make.outputs.parameters.v}}", "expression": "tasks.make.outputs.parameters.v"}
    outer["outputs"] = {"parameters": [{"name": n, "valueFrom": {n: s, "default": f"{n}!"}} for n, s in sources.items()]}
    world.submit(spec(outer, making("p", "v")), "r")
    assert (world.phase("r"), world.outputs("r", "")) == ("Succeeded", {"parameter": "parameter!", "expression": "expression!"})


WHENS_ON_ABSENT = [
    ("{{=steps.make.outputs.parameters.v ?? 'x'}} == x", None, "Running"),
    ("{{steps.make.outputs.parameters.v}} == x", "x", "Running"),
    ("{{steps.make.outputs.parameters.v}} == x", "y", "Skipped"),
    ("{{steps.make.outputs.parameters.v}} == x", None, "Error"),
    ("{{steps.make.status}} == Skipped", None, "Running"),
]


@pytest.mark.parametrize(("when", "default", "phase"), WHENS_ON_ABSENT)
def test_a_condition_on_an_output_that_was_never_made(world, when, default, phase):
    producer = making("p", "v" if default is None else ("v", default))
    main = steps("main", [call("make", "p", when="false")], [call("read", "q", when=when)])
    world.submit(spec(main, producer, pod("q")), "r")
    assert world.nodes("r")["[1].read"] == phase


@pytest.mark.parametrize(("default", "expected"), [("[1, 2]", ["[1].read(0:1)", "[1].read(1:2)"]), ("[]", []), (None, None)])
def test_a_loop_over_an_output_that_was_never_made(world, default, expected):
    producer = making("p", "v" if default is None else ("v", default))
    loop = call("read", "q", withParam="{{steps.make.outputs.parameters.v}}")
    world.submit(spec(steps("main", [call("make", "p", when="false")], [loop]), producer, pod("q")), "r")
    if expected is None:
        assert (world.nodes("r")["[1].read"], world.phase("r")) == ("Error", "Failed")
    else:
        assert world.running("r") == expected


def test_a_template_that_calls_itself_for_ever_ends_as_deep_as_argo_lets_it(world):
    world.submit(spec(steps("main", ["main"])), "r")
    assert world.phase("r") == "Failed"
    [(message,)] = world.rows("SELECT message FROM node WHERE phase = 'Error' AND type = 'Pod'")
    assert "nested 100 deep" in message
