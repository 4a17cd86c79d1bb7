"""Runs that are surely too large are told of before they run; what a condition decides counts as little as it can."""

from __future__ import annotations

import pytest

from reconciler.lint import lint_files
from reconciler.lint.size import least_nodes
from reconciler.manifest import parse_file
from reconciler.model.spec import Call, Retry, Sequence, Steps, Suspend, Template

HEAD = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: w}\nspec:\n  entrypoint: main\n  templates:\n"
LEAF = "  - {name: leaf, suspend: {}}\n"


def told(templates):
    text = (HEAD + templates + LEAF).encode()
    found = lint_files([parse_file("a.yaml", "0" * 40, text)], {})
    return [str(finding) for finding in found if finding.rule == "LC211"]


def test_a_loop_with_more_items_than_one_may_have_is_told_at_the_loop():
    calls = "  - name: main\n    steps:\n    - - {name: a, template: leaf, withSequence: {count: '20001'}}\n"
    bound = "one may have 20,000 unless the setting limits.loop_items says more"
    assert told(calls) == [f"a.yaml:9:49: warning LC211: the loop has 20,001 items; {bound}"]


def test_loops_in_loops_are_multiplied():
    calls = (
        "  - name: main\n    steps: [[{name: a, template: each, withSequence: {count: '200'}}]]\n"
        "  - name: each\n    steps: [[{name: a, template: leaf, withSequence: {start: '1', end: '200'}}]]\n"
    )
    bound = "one may have 25,000 unless the setting limits.nodes says more"
    assert told(calls) == [f"a.yaml:5:15: warning LC211: a run makes at least 40,603 nodes; {bound}"]


@pytest.mark.parametrize("condition", ["when: '{{=asInt(workflow.priority) < 3}}'", "withParam: '[]'"])
def test_what_something_decides_is_not_counted(condition):
    assert told(f"  - name: main\n    steps: [[{{name: a, template: main, {condition}}}]]\n") == []


def template(name, *calls, retry=None):
    return Template(name=name, body=Steps(groups=(calls,)) if calls else Suspend(), retry=retry)


def call(name, to, **more):
    return Call(name=name, template=to, **more)


def test_nodes_are_counted_as_a_run_makes_them():
    templates = [template("a", call("x", "b"), call("y", "b", when="maybe")), template("b", retry=Retry())]
    # a, its group, x with its try, y skipped
    assert least_nodes({one.name: one for one in templates}, "a") == 5
    assert least_nodes({}, "unknown") == 1


def test_a_deep_diamond_is_counted_once_for_each_template():
    chain = [template(f"t{n}", call("a", f"t{n + 1}"), call("b", f"t{n + 1}")) for n in range(3000)]
    templates = {one.name: one for one in [*chain, template("t3000")]}
    assert least_nodes(templates, "t0") == 10**12
    assert least_nodes(templates, "t2998") == 2 + 2 * (2 + 2 * 1)


def test_what_a_tag_decides_counts_nothing():
    loop = call("x", "b", sequence=Sequence(count="{{inputs.parameters.n}}"))
    assert least_nodes({"a": template("a", loop), "b": template("b")}, "a") == 3
