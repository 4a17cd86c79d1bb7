"""Tags: found, put in place in one pass, and never able to change what is around them."""

from __future__ import annotations

import contextlib
import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import ManifestError
from reconciler.expr.tags import MAX_TEXT_BYTES, UnresolvedTag, find_tags, is_variable, resolve, substitute

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
