"""Tags: found, put in place in one pass, and never able to change what is around them."""

# ruff: noqa: E501 - a row of a table is one line

from __future__ import annotations

import contextlib
import pickle
import re
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import ManifestError
from reconciler.expr.errors import ExpressionError, UnknownVariable
from reconciler.expr.language import ABSENT
from reconciler.expr.tags import MAX_TEXT_BYTES, AbsentValue, UnresolvedTag, find_tags, is_variable, nest, resolve, substitute

VALUES = {"workflow.name": "w", "inputs.parameters.a": "1", "inputs.parameters.b": "{{workflow.name}}"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("no tag { { a } }", ()),
        ("{{a}}", ("a",)),
        ("{{ a }}-{{\tb\n}}-{{a}}", ("a", "b")),
        ("{{=1 + 1}}", ("=1 + 1",)),
        ("{{a", ()),
        ("}}{{a}}", ("a",)),
        ("{{}}", ("",)),
        ("{{=x\n  + y}}", ("=x\n  + y",)),
    ],
)
def test_tags_are_found_in_order_and_once(text, expected):
    assert find_tags(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("{{workflow.name}}", "w"),
        ("a-{{ inputs.parameters.a }}-{{workflow.name}}-b", "a-1-w-b"),
        ("{{inputs.parameters.b}}", "{{workflow.name}}"),
        ("docker ps --format '{{.Names}}' {{workflow.name}}", "docker ps --format '{{.Names}}' w"),
        ("{{custom.variable}} {{ range }}", "{{custom.variable}} {{ range }}"),
        ("{{workflow.name", "{{workflow.name"),
        ("${{{workflow.name}}}", "${{{workflow.name}}}"),
    ],
)
def test_a_text_gets_its_values_in_one_pass(text, expected):
    assert substitute(text, VALUES) == expected


@pytest.mark.parametrize("root", ["workflow.x", "inputs.x", "outputs.x", "steps.x", "tasks.x", "item", "item.x", "pod.x"])
def test_every_unknown_variable_is_named(root):
    with pytest.raises(UnresolvedTag, match="cannot be resolved") as told:
        substitute("{{" + root + "}} {{workflow.name}} {{retries}}", VALUES)
    assert told.value.tags == (root, "retries")
    assert pickle.loads(pickle.dumps(told.value)).tags == told.value.tags


def test_unknown_variables_stay_where_they_may():
    assert substitute("{{retries}} {{workflow.name}}", VALUES, keep_unknown=True) == "{{retries}} w"


def test_a_name_tells_which_values_it_was_made_of():
    name, used = resolve("{{workflow.name}}-{{inputs.parameters.a}}-{{workflow.name}}", VALUES)
    assert (name, used) == ("w-1-w", (("workflow.name", "w"), ("inputs.parameters.a", "1")))
    assert resolve("plain", VALUES) == ("plain", ())


def test_a_name_may_keep_no_tag_at_all():
    with pytest.raises(UnresolvedTag, match=re.escape("{{.Names}}")):
        resolve("lock-{{.Names}}", VALUES)


def test_a_text_that_would_grow_beyond_the_limit_is_refused_before_it_is_built():
    with pytest.raises(ManifestError, match="longer than 262144 bytes"):
        substitute("{{workflow.name}}" * 100_000, {"workflow.name": "x" * 100_000})
    with pytest.raises(ManifestError, match="longer than 262144 bytes"):
        substitute("{{workflow.name}}", {"workflow.name": "\N{EURO SIGN}" * 90_000})
    assert len(substitute("{{workflow.name}}", {"workflow.name": "x" * MAX_TEXT_BYTES})) == MAX_TEXT_BYTES


def test_variables_are_told_from_other_programs_braces():
    assert [is_variable(tag) for tag in ("workflow.name", "item", "=1", ".Names", "workflows.name", "")] == [
        True, True, True, False, False, False,
    ]  # fmt: skip


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_a_value_is_data_whatever_it_holds(before, value, after):
    before, after = before.replace("{", "("), after.replace("{", "(")
    assert substitute(f"{before}{{{{inputs.parameters.a}}}}{after}", {"inputs.parameters.a": value}) == before + value + after


@given(st.text(st.sampled_from("{}= .abworkflw\n'"), max_size=40))
def test_any_text_is_substituted_or_refused(text):
    with contextlib.suppress(ManifestError):
        assert substitute(text, {"a": "x"}).count("{{") <= text.count("{{")
    with contextlib.suppress(ManifestError):
        resolve(text, {"a": "x"})


TREE = {
    "workflow.name": "w",
    "workflow.parameters.a": "1",
    "workflow.parameters.b-c": "x y",
    "inputs.parameters.which": "a",
    "inputs.parameters.evil": "'] + workflow.name + ['\\",
    "inputs.parameters.braces": "}} {{workflow.name}} {{=1}}",
    "inputs.parameters.tick": "`a`",
    "item.n": "3",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{=1 + 1}}", "2"),
        ("a{{= workflow.name }}b{{=7/2}}c", "awb3.5c"),
        ("{{  =\n  'x'\n}}", "x"),
        ("{{={'a':{}}}}", '{"a":{}}'),
        ("{{=map([1], {{a: #}})}}", '[{"a":1}]'),
        ("{{=map([1], {{a: {b: #}}})}}}", '[{"a":{"b":1}}]}'),
        ("{{='}}'}}", "}}"),
        ('{{="{{" + `}}`}}', "{{}}"),
        (r"{{='\'}}'}}", "'}}"),
        ("{{=1 // don't }}2", "12"),
        ("{{=1 // don't\n+ 1}}", "2"),
        ("{{=1 /* }} ' */ + 1}}", "2"),
        ("{{=workflow.parameters['b-c']}}", "x y"),
        ("{{=asInt(item.n) > 2 ? 'big' : 'small'}}", "big"),
        ("{{=toJson(workflow.parameters)}}", '{"a":"1","b-c":"x y"}'),
        ("{{=[1, 1.0, true]}}", "[1,1,true]"),
        ("{{workflow.parameters.{{inputs.parameters.which}}}}", "1"),
        ("{{ workflow.parameters.{{ inputs.parameters.which }} }}", "1"),
        ("{{={{workflow.parameters.a}} + 1}}", "2"),
        ("{{='{{workflow.parameters.b-c}}' + '!'}}", "x y!"),
        ("{{='{{inputs.parameters.evil}}'}}", "'] + workflow.name + ['\\"),
        ('{{="{{inputs.parameters.evil}}"}}', "'] + workflow.name + ['\\"),
        ("{{=`{{inputs.parameters.tick}}`}}", "`a`"),
        ("{{='{{inputs.parameters.braces}}'}}", "}} {{workflow.name}} {{=1}}"),
        ("{{=inputs.parameters.braces}}", "}} {{workflow.name}} {{=1}}"),
        ("{{ range {{workflow.name}} }}", "{{ range w }}"),
        ("{{{{workflow.name}}}}", "{{w}}"),
        ("{{a {{workflow.name}} b", "{{a w b"),
        ("{{a {{b {{workflow.name}}", "{{a {{b w"),
        ("{{workflow.name}} }} {{", "w }} {{"),
        ("{{{}}}", "{{{}}}"),
    ],
)
def test_expressions_and_tags_in_tags_are_put_in_place(text, expected):
    assert substitute(text, TREE) == expected


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{{workflow.parameters.{{inputs.parameters.which}}}}", ("inputs.parameters.which",)),
        ("{{={'a':{}}}} {{ = 1 }}", ("={'a':{}}", "= 1")),
        ("{{='{{a.b}}' + '}}'}}", ("a.b",)),
        ("{{='a}}", ("='a",)),
        ("{{a {{b}}", ("b",)),
        ("{{ x {{ y {{z}} }} }}", ("z",)),
    ],
)
def test_the_names_of_tags_in_tags_are_the_inner_ones(text, names):
    assert find_tags(text) == names


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("{{=nope}}", UnknownVariable, 'expression "nope": there is no variable "nope" at column 1; known here: inputs, item, workflow'),
        ("{{=workflow.zz}}", UnknownVariable, 'expression "workflow.zz": it gives nil at column 1; give a default with ??'),
        ("{{= 1 + }}", ExpressionError, 'expression "1 +": unexpected end at column 4; complete it'),
        ("{{=}}", ExpressionError, 'expression "": unexpected end at column 1; complete it'),
        ("{{='a}}", ExpressionError, "expression \"'a\": a string without its closing quote at column 1; close it"),
        (
            "{{={{inputs.parameters.evil}}}}",
            ExpressionError,
            ("{{inputs.parameters.evil}} cannot be put into an expression: its value is more than a word or a number;"
            " write inputs.parameters.evil without braces, or put quotes around the tag"),
        ),
        (
            "{{workflow.parameters.{{inputs.parameters.zz}}}}",
            UnresolvedTag,
            "{{inputs.parameters.zz}} cannot be resolved: nothing here has that name; correct the name or declare the parameter",
        ),
        (
            "{{workflow.parameters.{{workflow.name}}}}",
            UnresolvedTag,
            "{{workflow.parameters.w}} cannot be resolved: nothing here has that name; correct the name or declare the parameter",
        ),
        (
            "{{ {{inputs.parameters.sign}} }}",
            UnresolvedTag,
            "{{=1 + 1}} cannot be resolved: nothing here has that name; correct the name or declare the parameter",
        ),
    ],
)
def test_what_has_no_value_is_told(text, error, message):
    for attempt in (substitute, resolve):
        with pytest.raises(error) as told:
            attempt(text, TREE | {"inputs.parameters.sign": "=1 + 1"})
        assert str(told.value) == message


@pytest.mark.parametrize(
    "text",
    [
        "{{=steps.a.outputs.result}}",
        "{{=asInt(retries) + 1}}",
        "{{=steps.a.outputs.result ?? 'x'}}",
        "{{=workflow.zz == nil}}",
        "{{=toJson({a: {b: steps.a}})}}",
        "{{workflow.parameters.{{inputs.parameters.zz}}}}",
    ],
)
def test_what_a_later_pass_may_know_stays_where_it_may(text):
    assert substitute(text, TREE, keep_unknown=True) == text
    assert substitute(f"{{{{workflow.name}}}}{text}", TREE, keep_unknown=True) == f"w{text}"


def test_an_expression_that_can_never_be_right_does_not_stay():
    with pytest.raises(ExpressionError, match="unexpected end"):
        substitute("{{=1 +}}", TREE, keep_unknown=True)
    with pytest.raises(ExpressionError, match="division by zero"):
        substitute("{{=1 / 0}}", TREE, keep_unknown=True)


class Outputs:
    """Variables of a node whose producer was skipped; the tree must not be asked for without need."""

    def __init__(self, tree=None):
        self._tree = tree

    def get(self, name):
        if name == "tasks.gone.outputs.result":
            raise AbsentValue("tasks.gone was skipped")
        return {"workflow.name": "w"}.get(name)

    def tree(self):
        assert self._tree is not None, "the tree was made without need"
        return self._tree


def test_variables_may_be_any_object_that_gives_texts_and_a_tree():
    assert substitute("{{workflow.name}}", Outputs()) == "w"
    assert substitute("{{=tasks.a.n + 1}}", Outputs({"tasks": {"a": {"n": 1}}})) == "2"
    assert resolve("{{=tasks.a}}-{{workflow.name}}", Outputs({"tasks": {"a": 1}})) == ("1-w", (("=tasks.a", "1"), ("workflow.name", "w")))


def test_an_absent_output_is_told_by_tag_and_by_expression():
    absent = Outputs({"tasks": {"gone": {"outputs": ABSENT}}})
    for text in ("{{tasks.gone.outputs.result}}", "{{=tasks.gone.outputs.result}}"):
        for keep in (False, True):
            with pytest.raises(AbsentValue):
                substitute(text, absent, keep_unknown=keep)
    assert substitute("{{=tasks.gone.outputs.result ?? 'd'}}", absent) == "d"


def test_names_are_nested_at_their_dots_and_a_map_outlives_a_text():
    flat = {"a.b": "1", "a.b.c": "2", "a": "3", "d": "4", "a.e.f": "5"}
    assert nest(flat) == nest(dict(reversed(flat.items()))) == {"a": {"b": {"c": "2"}, "e": {"f": "5"}}, "d": "4"}
    assert nest({}) == {}


@given(st.text(max_size=40), st.sampled_from(["{{V}}", "{{= V }}", "{{='{{V}}'}}", '{{="{{V}}"}}', "{{=`{{V}}`}}", "{{=V + ''}}"]))
def test_no_value_is_ever_looked_into(value, template):
    text = template.replace("V", "inputs.parameters.a")
    values = {"inputs.parameters.a": value, "workflow.name": "SECRET"}
    assert substitute(f"<{text}>", values) == f"<{value}>"


@given(st.text(st.sampled_from("{}='\"`/* a.1\\"), max_size=30), st.text(st.sampled_from("{}='\"` a1+"), max_size=10))
def test_a_value_never_changes_what_is_around_it(text, value):
    """The number of literal pieces is that of the template, whatever the value."""
    with contextlib.suppress(ManifestError):
        marked = substitute(text + "{{a.1}}", {"a.1": value, "a": "y"})
        assert marked.endswith(value) or "{{a.1}}" in marked


@pytest.mark.parametrize(
    "text",
    ["{{='" * 60_000, "{{" * 130_000, "{{ x " * 50_000 + "}}", "{{=1}}" * 5_000, "}}" * 100_000, "{{=/*" * 50_000, "{{={{" * 50_000, "{{=" + "{" * 200_000],
    ids=lambda text: text[:5],
)
def test_hostile_texts_are_read_in_a_moment(text):
    began = time.process_time()
    find_tags(text)
    with contextlib.suppress(ManifestError):
        substitute(text, TREE)
    assert time.process_time() - began < 3


def test_a_text_without_an_expression_loads_no_parser():
    code = (
        "import sys; from reconciler.expr.tags import substitute; substitute('{{a}}', {'a': 'b'});"
        "print(*sorted({'lark', 'dataclasses', 'reconciler.expr.language'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == ""
