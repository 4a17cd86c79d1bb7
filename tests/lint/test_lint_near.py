"""Which name is near enough to one that does not exist to be told, and which tag is taken for a slip."""

from __future__ import annotations

import pytest

from reconciler.lint.slips import near_name, read_tags
from reconciler.manifest.reading import find_near, nearest

TASK = ("arguments", "continueOn", "dependencies", "depends", "hooks", "name", "onExit", "template", "when", "withItems")
OTHERS = (".Names", "name", ".Values.x", "Names", "x.y", "time", "items", "step", "code.name", "pods.x", "a b")


@pytest.mark.parametrize(
    ("name", "known", "near"),
    [
        ("dependson", TASK, "depends"),
        ("dependsOn", TASK, "depends"),
        ("withitem", TASK, "withItems"),
        ("needs", TASK, ""),
        ("if", TASK, ""),
        ("retries", ("metrics", "name", "retryStrategy"), ""),
        ("retry", ("metrics", "retryStrategy"), "retryStrategy"),
        ("environment", ("env", "envFrom", "command"), "env"),
        ("namespce", ("name", "namespace"), "namespace"),
        ("uppercase", ("upper", "swapcase", "camelcase"), "upper"),
        ("a", ("ab", "abc"), ""),
        ("", ("a",), ""),
    ],
)
def test_the_nearest_name_is_told_and_none_that_is_another_word(name, known, near):
    assert find_near(name, known) == near
    assert nearest(name, known) == (f'did you mean "{near}"?' if near else "remove it")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("workfow.name", "workflow.name"),
        ("input.parameters.x", "inputs.parameters.x"),
        ("setps.b.outputs.result", "steps.b.outputs.result"),
        ("task.b-c.status", "tasks.b-c.status"),
        ("lastretry.exitCode", "lastRetry.exitCode"),
        ("pods.name", "pod.name"),
        ("retires", "retries"),
        *((other, "") for other in OTHERS),
    ],
)
def test_a_slip_is_told_from_a_tag_of_another_program(name, near):
    assert near_name(name) == near


def test_in_a_loop_an_item_is_meant_sooner():
    assert [near_name(name, sees_item=True) for name in ("items", "itme.x", "itm", "name")] == ["item", "item.x", "item", ""]


@pytest.mark.parametrize(
    ("text", "tags", "unclosed"),
    [
        ("{{inputs.parameters.a", (), ("inputs.parameters.a",)),
        ("{{inputs.parameters.a} {{item}} {{ tasks.x.status", ("item",), ("inputs.parameters.a", "tasks.x.status")),
        ("{{=inputs.parameters.a + 1", (), ("inputs.parameters.a",)),
        ("{{.Names {{name {{ {{", (), ()),
        ("{{inputs}} {{workflow.name}}", ("inputs", "workflow.name"), ()),
    ],
)
def test_braces_that_are_never_closed_are_told_for_variables_only(text, tags, unclosed):
    assert read_tags(text) == (tags, unclosed)
