"""The template language as values: what calls, loops, hooks, outputs, retries and inline templates become."""

from __future__ import annotations

import copy
import json
import pickle
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import ManifestError
from reconciler.manifest import decode_spec, parse_file, workflow_body_spec
from reconciler.model.spec import (
    Backoff,
    Call,
    Dag,
    Hook,
    Kind,
    Parameter,
    Program,
    Retry,
    Sequence,
    Steps,
    Suspend,
    Template,
    TemplateRef,
    ValueFrom,
)

STEP = {"name": "step", "container": {"image": "host", "command": ["true"]}}
TRUE = Program(image="host", command=("true",))


def decode(**spec: Any):
    return decode_spec({"entrypoint": "main", **spec})


def template(**fields: Any) -> Template:
    return decode(templates=[{"name": "main", **fields}]).templates["main"]


def call(**fields: Any) -> Call:
    steps = template(steps=[[{"name": "a", **fields}]]).body
    assert isinstance(steps, Steps)
    return steps.groups[0][0]


def source(value: dict[str, Any], **fields: Any) -> ValueFrom | None:
    body = fields or {"suspend": {}}
    return template(**body, outputs={"parameters": [{"name": "x", "valueFrom": value}]}).outputs[0].value_from


CALLS = [
    ({"template": "t", "when": True}, Call(name="a", template="t", when="true")),
    (
        {"template": "t", "withItems": [1, 2.0, "x", None, {"k": [1.5]}]},
        Call(name="a", template="t", items=(1, 2, "x", None, {"k": [1.5]})),
    ),
    ({"template": "t", "withItems": []}, Call(name="a", template="t")),
    ({"template": "t", "withParam": "{{x}}"}, Call(name="a", template="t", with_param="{{x}}")),
    ({"template": "t", "withParam": ""}, Call(name="a", template="t")),
    (
        {"template": "t", "withSequence": {"count": 3, "start": "1", "format": "%02X"}},
        Call(name="a", template="t", sequence=Sequence(count="3", start="1", format="%02X")),
    ),
    (
        {"template": "t", "withSequence": {"start": 5, "end": "{{inputs.parameters.n}}"}},
        Call(name="a", template="t", sequence=Sequence(start="5", end="{{inputs.parameters.n}}")),
    ),
    ({"template": "t", "continueOn": {"failed": True}}, Call(name="a", template="t", continue_on_failed=True)),
    ({"template": "t", "continueOn": {"error": True}}, Call(name="a", template="t", continue_on_error=True)),
    ({"template": "t", "onExit": "bye"}, Call(name="a", template="t", hooks={"exit": Hook(template="bye")})),
    ({"template": "t", "onExit": "", "hooks": {"exit": None}}, Call(name="a", template="t")),
    (
        {
            "template": "t",
            "hooks": {
                "exit": {"templateRef": {"name": "w", "template": "bye"}},
                "busy": {"template": "log", "expression": "x", "arguments": {"parameters": [{"name": "p", "value": 1}]}},
            },
        },
        Call(
            name="a",
            template="t",
            hooks={
                "exit": Hook(template="namespaced/w:bye", reference=TemplateRef(name="w", template="bye")),
                "busy": Hook(template="log", expression="x", arguments=(Parameter(name="p", value="1"),)),
            },
        ),
    ),
    (
        {"templateRef": {"name": "w", "template": "t", "clusterScope": True}},
        Call(name="a", template="cluster/w:t", reference=TemplateRef(name="w", template="t", cluster=True)),
    ),
    ({"Template": "t", "WHEN": "x"}, Call(name="a", template="t", when="x")),
]


@pytest.mark.parametrize(("fields", "expected"), CALLS, ids=[str(list(row[0])) for row in CALLS])
def test_what_a_call_says_becomes_its_value(fields, expected):
    assert call(**fields) == expected


def test_a_loop_over_no_items_is_no_loop_as_in_argo():
    assert not call(template="t", withItems=[]).is_loop
    assert call(template="t", withItems=[0]).is_loop


def test_numbers_of_items_are_written_as_go_writes_them():
    items = call(template="t", withItems=[1.0, -0.0, 1e20, 1e21, [2.0], {"k": 3.0}, True]).items
    assert [repr(item) for item in items] == ["1", "0", "100000000000000000000", "1e+21", "[2]", "{'k': 3}", "True"]


def test_a_dag_has_its_depends_and_its_target():
    tasks = [{"name": "a", "template": "t"}, {"name": "b", "template": "t", "depends": "a.Succeeded || a.Failed"}]
    assert template(dag={"tasks": tasks, "target": "b", "failFast": False}).body == Dag(
        tasks=(Call(name="a", template="t"), Call(name="b", template="t", depends="a.Succeeded || a.Failed")),
        target="b",
        fail_fast=False,
    )


SOURCES = [
    ({"supplied": {}}, {}, ValueFrom(supplied=True)),
    ({"path": "/x", "default": 1.0}, {"container": {"image": "host"}}, ValueFrom(path="/x", default="1")),
    ({"parameter": "{{steps.a.outputs.result}}"}, {"steps": []}, ValueFrom(parameter="{{steps.a.outputs.result}}")),
    ({"Parameter": "{{x}}"}, {"steps": []}, ValueFrom(parameter="{{x}}")),
    ({"expression": "1 + 1", "default": ""}, {"steps": []}, ValueFrom(expression="1 + 1", default="")),
]


@pytest.mark.parametrize(("written", "body", "expected"), SOURCES)
def test_an_output_knows_where_its_value_comes_from(written, body, expected):
    assert source(written, **body) == expected


def test_outputs_have_values_defaults_and_global_names():
    written = [{"name": "x", "value": 1, "default": True, "globalName": "g-{{workflow.name}}", "description": "d"}]
    assert template(suspend={}, outputs={"parameters": written}).outputs == (
        Parameter(name="x", value="1", default="true", global_name="g-{{workflow.name}}", description="d"),
    )


def test_inputs_and_arguments_may_come_from_elsewhere():
    written = [
        {"name": "a", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k", "optional": True}, "default": "d"}},
        {"name": "b", "valueFrom": {"expression": "1"}},
        {"name": "c", "valueFrom": {"supplied": {}}},
    ]
    expected = (
        Parameter(name="a", value_from=ValueFrom(configmap=("m", "k"), default="d")),
        Parameter(name="b", value_from=ValueFrom(expression="1")),
        Parameter(name="c", value_from=ValueFrom(supplied=True)),
    )
    assert template(suspend={}, inputs={"parameters": written}).inputs == expected
    assert decode(arguments={"parameters": written}).arguments == expected
    assert call(template="t", arguments={"parameters": written}).arguments == expected


RETRIES = [
    ({}, Retry()),
    ({"limit": 0}, Retry(limit="0")),
    ({"limit": 2.0}, Retry(limit="2")),
    ({"limit": "{{inputs.parameters.n}}", "retryPolicy": "Always"}, Retry(limit="{{inputs.parameters.n}}", policy="Always")),
    ({"retryPolicy": "OnTransientError", "expression": "true"}, Retry(policy="OnTransientError", expression="true")),
    (
        {"limit": 1, "backoff": {"duration": 1, "factor": "2", "cap": "1h30m", "maxDuration": "{{x}}"}, "affinity": {"x": 1}},
        Retry(limit="1", backoff=Backoff(duration="1", factor="2", cap="1h30m", max_duration="{{x}}")),
    ),
    ({"backoff": {}}, Retry(backoff=Backoff())),
]


@pytest.mark.parametrize(("written", "expected"), RETRIES)
def test_a_retry_is_the_same_for_a_template_and_a_spec(written, expected):
    assert template(suspend={}, retryStrategy=written).retry == expected
    assert decode(retryStrategy=written).retry == expected


DURATIONS = ["0", "10", "10s", "1h30m", "1.5h", ".5s", "500ms", "2us", "+3s", "{{x}}"]
NOT_DURATIONS = ["1d", "-1s", "1 s", "s", "1m30", "1.5", "x", "1h 30m", "\uff11s"]


@pytest.mark.parametrize("text", DURATIONS)
def test_a_duration_stays_the_text_that_it_is(text):
    assert template(suspend={"duration": text}, timeout=text) == Template(
        name="main", body=Suspend(duration=text), timeout=text
    )


@pytest.mark.parametrize("text", NOT_DURATIONS)
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ManifestError, match="is not a duration like 30, 30s or 1h30m; correct it"):
        template(suspend={"duration": text})


def test_limits_of_a_template_become_its_value():
    fields = {"activeDeadlineSeconds": "{{x}}", "timeout": 5, "parallelism": 2, "failFast": True, "suspend": {}}
    assert template(**fields) == Template(
        name="main", body=Suspend(), active_deadline="{{x}}", timeout="5", parallelism=2, fail_fast=True
    )
    assert template(activeDeadlineSeconds=5, suspend=None, container={"image": "host"}).active_deadline == "5"


def test_inline_templates_get_the_keys_of_their_calls_at_any_depth():
    inner = {"container": {"image": "host", "command": ["true"]}}
    outer = {"inputs": {"parameters": [{"name": "p"}]}, "dag": {"tasks": [{"name": "c", "inline": inner}]}}
    spec = decode(templates=[{"name": "main", "steps": [[{"name": "b", "inline": outer}, {"name": "d", "inline": inner}]]}])
    assert spec.templates == {
        "main": Template(
            name="main", body=Steps(groups=((Call(name="b", template="main/b"), Call(name="d", template="main/d")),))
        ),
        "main/b": Template(
            name="main/b",
            is_inline=True,
            inputs=(Parameter(name="p"),),
            body=Dag(tasks=(Call(name="c", template="main/b/c"),)),
        ),
        "main/d": Template(name="main/d", is_inline=True, body=TRUE),
        "main/b/c": Template(name="main/b/c", is_inline=True, body=TRUE),
    }


def test_a_spec_has_its_exit_hook_its_retry_and_its_suspension():
    spec = decode(hooks={"exit": {"templateRef": {"name": "w", "template": "t"}, "expression": "x"}}, suspend=True)
    assert spec.on_exit == Hook(template="namespaced/w:t", reference=TemplateRef(name="w", template="t"), expression="x")
    assert spec.suspend
    assert decode(onExit="bye").on_exit == Hook(template="bye")
    assert decode(onExit="", hooks={}).on_exit is None


def test_a_reference_may_be_to_a_cluster_template():
    spec = decode_spec({"workflowTemplateRef": {"name": "t", "clusterScope": True}})
    assert (spec.template_ref, spec.template_ref_cluster) == ("t", True)


def test_a_cluster_template_belongs_to_no_namespace():
    text = "apiVersion: argoproj.io/v1alpha1\nkind: ClusterWorkflowTemplate\nmetadata: {name: t, namespace: x}\nspec: {}\n"
    parsed = parse_file("f.yaml", "0" * 40, text.encode())
    (document,) = parsed.documents
    assert (document.kind, document.identity, parsed.is_bad) == (
        Kind.CLUSTER_TEMPLATE,
        ("ClusterWorkflowTemplate", "", "t"),
        False,
    )
    assert workflow_body_spec(document.body) == {}


RESULTS = [
    ("{{steps.a.outputs.result}}", {"a"}),
    ("{{ tasks.a-b.outputs.result }}", {"a-b"}),
    ("{{=steps['a-b'].outputs.result}}", {"a-b"}),
    ('{{=tasks["a"].outputs.result}}', {"a"}),
    ("{{=steps['a']['outputs']['result'] + steps?.b?.outputs?.result}}", {"a", "b"}),
    ('{"x": "{{steps.a.outputs.result}} {{=steps[\\"b\\"].outputs.result}}"}', {"a", "b"}),
    ("steps.a.outputs.result == '1' && tasks.b.outputs.result", {"a", "b"}),
    ("{{steps.a.outputs.results}}", set()),
    ("{{steps.a.outputs.parameters.result}}", set()),
    ("{{mysteps.a.outputs.result}}", set()),
    ("{{outputs.result}}", set()),
    ("no", set()),
]


@pytest.mark.parametrize(("text", "names"), RESULTS)
def test_whose_standard_output_is_read_is_found_in_any_text(text, names):
    assert decode(onExit=text).result_calls == names
    assert decode(templates=[{"name": "t", "steps": [[{"name": "a", "template": "t", "when": text}]]}]).result_calls == names


def test_a_parsed_document_and_its_frozen_data_read_the_same_results():
    head = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: w, annotations: {a: steps.no.outputs.result}}\n"
    (document,) = parse_file("f.yaml", "0" * 40, (head + "spec: {entrypoint: steps.a.outputs.result}").encode()).documents
    assert document.spec.result_calls == {"a"}
    assert document.spec == decode_spec(workflow_body_spec(document.body))


RICH: dict[str, Any] = {
    "entrypoint": "main",
    "onExit": "step",
    "hooks": {"exit": None},
    "arguments": {"parameters": [{"name": "p", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}}]},
    "retryStrategy": {"limit": 1, "backoff": {"duration": "1s"}},
    "templateDefaults": {"timeout": "1s", "container": {"env": [{"name": "A", "value": "1"}]}},
    "templates": [
        STEP | {"outputs": {"parameters": [{"name": "o", "valueFrom": {"path": "/o"}}]}},
        {
            "name": "main",
            "steps": [
                [{"name": "a", "template": "step", "withItems": [1], "hooks": {"exit": {"template": "step"}}}],
                [{"name": "b", "templateRef": {"name": "w", "template": "t"}, "withSequence": {"count": 1}}],
                [{"name": "c", "inline": {"suspend": {"duration": 1}}, "continueOn": {"failed": True}}],
            ],
        },
        {"name": "d", "dag": {"tasks": [{"name": "x", "template": "step", "depends": "x"}], "target": "x"}},
    ],
    "storedTemplates": {"namespaced/w": {"templates": [{"name": "t", "suspend": {}}]}},
}


def paths(value: Any, at: tuple = ()) -> list[tuple]:
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(path for key, part in parts for path in paths(part, (*at, key)))]


PATHS = [path for path in paths(RICH) if path]
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | st.sampled_from(["", "x", "{{x}}", "a b"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["name", "template", "x"]), inner, max_size=2),
    max_leaves=4,
)


@given(st.lists(st.tuples(st.sampled_from(PATHS), anything), min_size=1, max_size=3))
def test_whatever_stands_in_a_spec_it_is_a_value_or_refused_with_a_reason(changes):
    spec = copy.deepcopy(RICH)
    for path, value in changes:
        place: Any = spec
        with suppress(TypeError, KeyError, IndexError):  # an earlier change may have cut the path
            for part in path[:-1]:
                place = place[part]
            place[path[-1]] = value
    with suppress(ManifestError):
        assert all(key == template.name for key, template in decode_spec(spec).templates.items())


def test_the_rich_spec_of_that_test_is_sound():
    assert sorted(decode_spec(RICH).templates) == ["d", "main", "main/c", "namespaced/w:t", "step"]


def test_a_rich_value_travels_between_processes():
    spec = decode_spec(RICH)
    assert pickle.loads(pickle.dumps(spec)) == spec


def test_a_spec_means_the_same_after_a_stay_as_json():
    assert decode_spec(json.loads(json.dumps(RICH))) == decode_spec(RICH)
