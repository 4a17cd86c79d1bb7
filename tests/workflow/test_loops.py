"""Loops: which turns a list, a parameter or a sequence means, what they are called, and what they hand on together."""

import json

import pytest
from loop_harness import call, making, pod, spec, steps, taking, tasks, values


def shown(items, **more):
    """The inputs that the turns of `items` get by {{item}}, with the names that they are given."""
    return spec(steps("main", [call("s", given={"x": "{{item}}"}, withItems=items, **more)]), taking("p", "x"))


def turns(world, run="r"):
    """Name -> input x, of every turn of step s."""
    return {name: world.inputs(run, f"[0].s{name}")["x"] for name in (n.removeprefix("[0].s") for n in world.running(run))}


ITEMS = [
    (["a", "b"], {"(0:a)": "a", "(1:b)": "b"}),
    ([1, 2.5, 1.0, 1e3, -7], {"(0:1)": "1", "(1:2.5)": "2.5", "(2:1)": "1", "(3:1000)": "1000", "(4:-7)": "-7"}),
    ([True, False], {"(0:true)": "true", "(1:false)": "false"}),
    (["1", "true"], {"(0:1)": "1", "(1:true)": "true"}),
    ([{"b": 2, "a": "x"}], {"(0:a:x,b:2)": '{"b":2,"a":"x"}'}),
    ([["x", 1]], {'(0:["x",1])': '["x",1]'}),
    (["f(x)"], {"(0:fx)": "f(x)"}),
    (["same", "same"], {"(0:same)": "same", "(1:same)": "same"}),
    (['say "hi"\n{{x}}'], {'(0:say "hi"\n{{x}})': 'say "hi"\n{{x}}'}),
]


@pytest.mark.parametrize(("items", "expected"), ITEMS)
def test_each_item_is_a_turn_named_by_its_index_and_value(world, items, expected):
    world.submit(shown(items), "r")
    assert turns(world) == expected


def test_an_item_of_a_list_may_hold_tags_of_its_place(world):
    world.submit({**shown(["{{workflow.parameters.a}}", "b"]), "arguments": {"parameters": values(a="1")}}, "r")
    assert turns(world) == {"(0:1)": "1", "(1:b)": "b"}


FIELDS = [
    ("{{item.image}}-{{item.tag}}", "debian-9.1"),
    ("{{=item.image + '-' + string(item.tag)}}", "debian-9.1"),
    ("{{=toJson(item)}}", '{"image":"debian","tag":9.1}'),
    ("{{ item.tag }}", "9.1"),
]


@pytest.mark.parametrize(("text", "expected"), FIELDS)
def test_fields_of_a_map_are_items_own_names(world, text, expected):
    loop = call("s", given={"x": text}, withItems=[{"image": "debian", "tag": 9.1}])
    world.submit(spec(steps("main", [loop]), taking("p", "x")), "r")
    assert turns(world) == {"(0:image:debian,tag:9.1)": expected}


PARAMETERS = [
    ('["a", 1, true, null]', {"(0:a)": "a", "(1:1)": "1", "(2:true)": "true", "(3:null)": "null"}),
    ('[{"k": "v"}]', {"(0:k:v)": '{"k":"v"}'}),
    ("[[1, 2], [3]]", {"(0:[1,2])": "[1,2]", "(1:[3])": "[3]"}),
]


@pytest.mark.parametrize("source", ["parameter", "result"])
@pytest.mark.parametrize(("text", "expected"), PARAMETERS)
def test_with_param_takes_a_json_list_from_a_parameter_or_a_result(world, source, text, expected):
    tag = "{{workflow.parameters.list}}" if source == "parameter" else "{{steps.make.outputs.result}}"
    first = [call("make", "p0")]
    loop = call("s", given={"x": "{{item}}"}, withParam=tag)
    world.submit(
        {**spec(steps("main", first, [loop]), pod("p0"), taking("p", "x")), "arguments": {"parameters": values(list=text)}}, "r"
    )
    world.exits("r", "[0].make", result=text)
    found = {name.removeprefix("[1].s"): world.inputs("r", name)["x"] for name in world.running("r")}
    assert found == expected


BAD_LISTS = [("not json", "no JSON list"), ("{}", "no JSON list"), ('"text"', "no JSON list"), ("1", "no JSON list")]


@pytest.mark.parametrize("kind", ["steps", "dag"])
@pytest.mark.parametrize(("text", "said"), BAD_LISTS)
def test_with_param_that_is_no_list_is_an_error_only_if_the_condition_holds(world, kind, text, said):
    whole = {"given": {"x": "{{item}}"}, "withParam": text}
    loops = [call("s", when="1 == 2", **whole), call("t", **whole)]
    main = steps("main", loops) if kind == "steps" else tasks("main", *loops)
    world.submit(spec(main, taking("p", "x")), "r")
    at = "[0]" if kind == "steps" else ""
    assert (world.nodes("r")[f"{at}.s"], world.nodes("r")[f"{at}.t"]) == ("Skipped", "Error")
    assert said in world.told("r", f"{at}.t")
    assert world.phase("r") == ("Failed" if kind == "steps" else "Error")


EMPTY = [{"withParam": "[]"}, {"withSequence": {"count": 0}}, {"withSequence": {"count": "0", "start": "5"}}]


@pytest.mark.parametrize("kind", ["steps", "dag"])
@pytest.mark.parametrize("loop", EMPTY)
def test_an_empty_loop_is_one_skipped_node_and_what_follows_runs(world, kind, loop):
    """Corpus: 5 nodes in steps, 3 in a dag."""
    one, two = call("s", given={"x": "{{item}}"}, **loop), call("t", "q")
    if kind == "steps":
        world.submit(spec(steps("main", [one], [two]), taking("p", "x"), pod("q")), "r")
    else:
        world.submit(spec(tasks("main", one, {**two, "dependencies": ["s"]}), taking("p", "x"), pod("q")), "r")
    at = {"steps": ("[0].s", "[1].t", 5), "dag": (".s", ".t", 3)}[kind]
    assert (world.nodes("r")[at[0]], world.told("r", at[0])) == ("Skipped", "Skipped, empty params")
    assert len(world.nodes("r")) == at[2]
    world.exits("r", at[1])
    assert world.phase("r") == "Succeeded"


def test_no_items_make_no_loop(world):
    """Argo: withItems of length 0 is as if it were not written."""
    world.submit(spec(steps("main", [call("s", withItems=[])]), pod("p")), "r")
    assert world.running("r") == ["[0].s"]


SEQUENCES = [
    ({"count": "3"}, ["0", "1", "2"]),
    ({"count": 2, "start": 5}, ["5", "6"]),
    ({"start": "1", "end": "3"}, ["1", "2", "3"]),
    ({"start": "3", "end": "1"}, ["3", "2", "1"]),
    ({"end": "2"}, ["0", "1", "2"]),
    ({"start": "0", "end": "0"}, ["0"]),
    ({"end": "0"}, ["0"]),
    ({"start": "-1", "end": "1"}, ["-1", "0", "1"]),
    ({"count": "{{workflow.parameters.n}}"}, ["0", "1"]),
    ({"count": "{{=asInt(workflow.parameters.n) - 1}}"}, ["0"]),
    ({"count": "3", "start": "9", "format": "%02d"}, ["09", "10", "11"]),
    ({"start": "254", "end": "256", "format": "%x"}, ["fe", "ff", "100"]),
    ({"count": "2", "format": "host-%02X.net"}, ["host-00.net", "host-01.net"]),
    ({"count": "1", "start": "7", "format": "100%%-%d"}, ["100%-7"]),
]


@pytest.mark.parametrize(("sequence", "expected"), SEQUENCES)
def test_a_sequence_counts_up_or_down_in_its_format(world, sequence, expected):
    loop = call("s", given={"x": "{{item}}"}, withSequence=sequence)
    body = {**spec(steps("main", [loop]), taking("p", "x")), "arguments": {"parameters": values(n="2")}}
    world.submit(body, "r")
    assert turns(world) == {f"({index}:{item})": item for index, item in enumerate(expected)}


BAD_SEQUENCES = [
    ({"count": "{{workflow.parameters.n}}"}, "no whole number"),
    ({"end": "{{workflow.parameters.most}}"}, "at most 20000"),
    ({"count": "1", "format": "{{workflow.parameters.n}}"}, "format"),
]


@pytest.mark.parametrize(("sequence", "said"), BAD_SEQUENCES)
def test_a_sequence_that_is_none_is_an_error(world, sequence, said):
    loop = call("s", given={"x": "{{item}}"}, withSequence=sequence)
    given = {"parameters": values(n="many", most="100000")}
    world.submit({**spec(steps("main", [loop]), taking("p", "x")), "arguments": given}, "r")
    assert (world.nodes("r")["[0].s"], world.phase("r")) == ("Error", "Failed")
    assert said in world.told("r", "[0].s")


# what turns hand on together -----------------------------------------------------------------------------------------


def fan(kind, reader, **more):
    """A loop of three turns, then a reader of what they handed on."""
    loop = call("s", "p", withItems=[1, 2, 3], **more)
    read = call("t", "q", given={"x": reader})
    if kind == "steps":
        return steps("main", [loop], [read])
    return tasks("main", loop, {**read, "dependencies": ["s"]})


NAMES = {"steps": ("[0].s({0}:{1})", "[1].t", "steps"), "dag": (".s({0}:{1})", ".t", "tasks")}


@pytest.mark.parametrize("kind", ["steps", "dag"])
@pytest.mark.parametrize(
    ("results", "expected"),
    [
        (["1", "2", "3"], "[1,2,3]"),
        (['{"a": 1}', "[2]", '"x"'], '[{"a":1},[2],"x"]'),
        (["10", "null", "true"], "[10,null,true]"),
    ],
)
def test_results_of_turns_are_one_json_list_in_order_of_index(world, kind, results, expected):
    turn, reader, root = NAMES[kind]
    main = fan(kind, f"{{{{{root}.s.outputs.result}}}}")
    world.submit(spec(main, pod("p"), taking("q", "x")), "r")
    for index in (2, 0, 1):
        world.exits("r", turn.format(index, index + 1), result=results[index])
    assert json.loads(world.inputs("r", reader)["x"]) == json.loads(expected)


@pytest.mark.parametrize("kind", ["steps", "dag"])
def test_a_result_that_is_no_json_cannot_be_put_together(world, kind):
    turn, reader, root = NAMES[kind]
    world.submit(spec(fan(kind, f"{{{{{root}.s.outputs.result}}}}"), pod("p"), taking("q", "x")), "r")
    for index in range(3):
        world.exits("r", turn.format(index, index + 1), result="plain")
    assert world.nodes("r")[reader] == "Error"
    assert "no JSON" in world.told("r", reader)


PUT_TOGETHER = [
    ("outputs.parameters.v", ["1", "2", "3"], ["1", "2", "3"]),
    ("outputs.parameters.v", ['{"a":1}', "[2]", "{}"], [{"a": 1}, [2], {}]),
    ("outputs.parameters.v", ['{"a":1}', "2", "{}"], ['{"a":1}', "2", "{}"]),
    ("outputs.parameters.v", ["x", "y z", ""], ["x", "y z", ""]),
    ("outputs.parameters", ["1", "[2]", "x"], [{"v": "1"}, {"v": "[2]"}, {"v": "x"}]),
]


@pytest.mark.parametrize("kind", ["steps", "dag"])
@pytest.mark.parametrize(("name", "given", "expected"), PUT_TOGETHER)
def test_output_parameters_of_turns_are_lists(world, kind, name, given, expected):
    turn, reader, root = NAMES[kind]
    world.submit(spec(fan(kind, f"{{{{{root}.s.{name}}}}}"), making("p", "v"), taking("q", "x")), "r")
    for index in (1, 2, 0):
        world.exits("r", turn.format(index, index + 1), outputs={"v": given[index]})
    assert json.loads(world.inputs("r", reader)["x"]) == expected


@pytest.mark.parametrize("kind", ["steps", "dag"])
@pytest.mark.parametrize("result", [None, "plain text"])
def test_expressions_see_what_turns_left(world, kind, result):
    """The results of turns are looked at only by who asks for them."""
    turn, reader, root = NAMES[kind]
    body = fan(kind, f"{{{{=len(fromJSON({root}.s.outputs.parameters.v))}}}}")
    world.submit(spec(body, making("p", "v"), taking("q", "x")), "r")
    for index in range(3):
        world.exits("r", turn.format(index, index + 1), outputs={"v": "a"}, result=result)
    assert world.inputs("r", reader) == {"x": "3"}


@pytest.mark.parametrize("kind", ["steps", "dag"])
def test_only_turns_that_succeeded_are_put_together(world, kind):
    turn, reader, root = NAMES[kind]
    body = fan(kind, f"{{{{{root}.s.outputs.parameters.v}}}}", when="{{item}} != 2")
    world.submit(spec(body, making("p", "v"), taking("q", "x")), "r")
    world.exits("r", turn.format(0, 1), outputs={"v": "a"})
    world.exits("r", turn.format(2, 3), outputs={"v": "c"})
    assert world.nodes("r")[turn.format(1, 2)] == "Skipped"
    assert json.loads(world.inputs("r", reader)["x"]) == ["a", "c"]


@pytest.mark.parametrize("kind", ["steps", "dag"])
def test_tries_and_exit_handlers_of_turns_are_not_put_together(world, kind):
    turn, reader, root = NAMES[kind]
    body = fan(kind, f"{{{{{root}.s.outputs.result}}}}", hooks={"exit": {"template": "h"}})
    world.submit(spec(body, pod("p", retryStrategy={"limit": 1}), pod("h"), taking("q", "x")), "r")
    for index in range(3):
        name = turn.format(index, index + 1)
        world.exits("r", f"{name}(0)", 1, result="9")
        world.exits("r", f"{name}(1)", result=str(index))
        world.exits("r", f"{name}.onExit", result="99")
    assert json.loads(world.inputs("r", reader)["x"]) == [0, 1, 2]


def test_what_a_loop_hands_on_can_be_the_next_loop(world):
    """Corpus: param-aggregation."""
    first = call("num", withItems=[1, 2])
    again = call("print", "q", given={"x": "{{item.res}}"}, withParam="{{steps.num.outputs.parameters}}")
    world.submit(spec(steps("main", [first], [again]), making("p", "res"), taking("q", "x")), "r")
    world.exits("r", "[0].num(0:1)", outputs={"res": "1"})
    world.exits("r", "[0].num(1:2)", outputs={"res": "4"})
    assert world.running("r") == ["[1].print(0:res:1)", "[1].print(1:res:4)"]
    assert world.inputs("r", "[1].print(1:res:4)") == {"x": "4"}
    shown_as = world.rows("SELECT display FROM node WHERE name LIKE '[1].%' ORDER BY id")
    assert shown_as == [("print(0:res:1)",), ("print(1:res:4)",)]


def test_loops_stand_in_loops(world):
    inner = steps("inner", [call("s", given={"x": "{{inputs.parameters.o}}/{{item}}"}, withItems=["a", "b"])])
    inner["inputs"] = {"parameters": [{"name": "o"}]}
    outer = tasks("main", call("t", "inner", given={"o": "{{item}}"}, withItems=[1, 2]))
    world.submit(spec(outer, inner, taking("p", "x")), "r")
    names = [f".t({i}:{i + 1})[0].s({j}:{item})" for i in (0, 1) for j, item in enumerate("ab")]
    assert world.running("r") == names
    assert [world.inputs("r", name)["x"] for name in names] == ["1/a", "1/b", "2/a", "2/b"]
    world.all_exit("r", *names)
    assert world.phase("r") == "Succeeded"


@pytest.mark.parametrize("kind", ["steps", "dag"])
def test_a_failed_turn_fails_its_loop_once_all_have_ended(world, kind):
    turn, _, _ = NAMES[kind]
    world.submit(spec(fan(kind, "x"), pod("p"), taking("q", "x")), "r")
    world.exits("r", turn.format(0, 1), 1)
    assert world.phase("r") == "Running"
    world.all_exit("r", turn.format(1, 2), turn.format(2, 3))
    failed = "child 's(0:1)' failed" if kind == "steps" else "child 's' failed"
    assert (world.phase("r"), world.message("r")) == ("Failed", failed)


@pytest.mark.parametrize("kind", ["steps", "dag"])
def test_a_loop_survives_a_crash_at_any_turn(world, kind):
    turn, reader, root = NAMES[kind]
    world.submit(spec(fan(kind, f"{{{{{root}.s.outputs.result}}}}"), pod("p"), taking("q", "x")), "r")
    for index in range(3):
        world.dying("before-commit", lambda index=index: world.exits("r", turn.format(index, index + 1), result=str(index)))
        world.exits("r", turn.format(index, index + 1), result=str(index))
        world.crash()
    assert json.loads(world.inputs("r", reader)["x"]) == [0, 1, 2]


@pytest.mark.parametrize("kind", ["steps", "dag"])
def test_retrying_a_run_makes_only_the_turns_again_that_went_wrong(world, kind):
    turn, reader, root = NAMES[kind]
    world.submit(spec(fan(kind, f"{{{{{root}.s.outputs.result}}}}"), pod("p"), taking("q", "x")), "r")
    for index in range(3):
        world.exits("r", turn.format(index, index + 1), int(index == 1), result=str(index))
    world.must("retry", run="r")
    assert world.running("r") == [turn.format(1, 2)]
    world.exits("r", turn.format(1, 2), result="1")
    assert sorted(json.loads(world.inputs("r", reader)["x"])) == [0, 1, 2]
    world.exits("r", reader)
    assert world.phase("r") == "Succeeded"


@pytest.mark.parametrize("kind", ["steps", "dag"])
def test_a_retried_loop_hands_its_results_on_in_the_order_of_its_items(world, kind):
    loop = {"name": "l", "template": "p", "withItems": ["a", "b", "c"]}
    read = "{{steps.l.outputs.result}}" if kind == "steps" else "{{tasks.l.outputs.result}}"
    told = {"name": "t", "template": "q", "arguments": {"parameters": [{"name": "x", "value": read}]}}
    if kind == "steps":
        main = {"name": "main", "steps": [[loop], [told]]}
    else:
        main = {"name": "main", "dag": {"tasks": [loop, {**told, "dependencies": ["l"]}]}}
    taking = {**pod("q"), "inputs": {"parameters": [{"name": "x"}]}}
    world.submit(spec(main, pod("p"), taking), "r")
    turns = world.running("r")
    for turn, text in zip(turns, ("1", "2", "3"), strict=True):
        world.exits("r", turn, 1 if text == "1" else 0, result=text)
    world.must("retry", run="r")
    world.exits("r", turns[0], result="1")
    [node] = world.running("r")
    assert world.inputs("r", node) == {"x": "[1,2,3]"}
