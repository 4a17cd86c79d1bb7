"""A spec over its WorkflowTemplate: what it says itself wins, as values and as plain data alike."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.manifest import decode_spec, merge_body, merge_template
from reconciler.model.spec import Backoff, Program, Retry, Template, TtlStrategy

TEMPLATE = {
    "entrypoint": "main",
    "onExit": "report",
    "priority": 5,
    "arguments": {"parameters": [{"name": "a", "value": "1", "enum": ["1", "2"]}, {"name": "b", "default": "x"}]},
    "synchronization": {"mutexes": [{"name": "theirs"}]},
    "ttlStrategy": {"secondsAfterFailure": 1, "secondsAfterSuccess": 2},
    "workflowMetadata": {"labels": {"p": "1", "q": "1"}},
    "templates": [{"name": "main", "container": {"image": "host", "command": ["true"]}}],
}


def test_own_fields_win_and_arguments_are_merged_by_name():
    own = {
        "workflowTemplateRef": {"name": "t"},
        "entrypoint": "other",
        "arguments": {"parameters": [{"name": "c", "value": "3"}, {"name": "a", "value": "2"}]},
        "synchronization": {"mutexes": [{"name": "mine"}]},
        "ttlStrategy": {"secondsAfterFailure": 9},
        "workflowMetadata": {"labels": {"q": "2"}, "annotations": {"r": "1"}},
    }
    assert merge_body(own, TEMPLATE) == {
        "entrypoint": "other",
        "onExit": "report",
        "priority": 5,
        "arguments": {
            "parameters": [
                {"name": "a", "value": "2", "enum": ["1", "2"]},
                {"name": "b", "default": "x"},
                {"name": "c", "value": "3"},
            ]
        },
        "synchronization": {"mutexes": [{"name": "mine"}]},
        "ttlStrategy": {"secondsAfterFailure": 9, "secondsAfterSuccess": 2},
        "workflowMetadata": {"labels": {"p": "1", "q": "2"}, "annotations": {"r": "1"}},
        "templates": TEMPLATE["templates"],
    }


def test_a_spec_that_says_nothing_is_the_template():
    assert merge_body({"workflowTemplateRef": {"name": "t"}}, TEMPLATE) == TEMPLATE


def test_an_empty_own_value_leaves_the_template_standing():
    own = {"entrypoint": "", "onExit": None, "synchronization": {"mutexes": []}, "arguments": {}, "workflowMetadata": {}}
    assert merge_body(own, TEMPLATE) == TEMPLATE


def test_keys_in_another_case_are_the_same_keys():
    own = {"EntryPoint": "other", "Arguments": {"Parameters": [{"Name": "a", "Value": "2"}]}}
    merged = merge_body(own, TEMPLATE)
    assert merged["entrypoint"] == "other"
    assert merged["arguments"]["parameters"][0] == {"name": "a", "value": "2", "enum": ["1", "2"]}


def test_merging_changes_neither_side():
    own = {"arguments": {"parameters": [{"name": "a", "value": "2"}]}, "workflowMetadata": {"labels": {"q": "2"}}}
    before = repr((own, TEMPLATE))
    merge_body(own, TEMPLATE)
    assert repr((own, TEMPLATE)) == before


RETRY = {"retryStrategy": {"limit": 3, "backoff": {"duration": "1s", "factor": 2}}}


def test_a_retry_is_merged_field_by_field():
    own = {"RetryStrategy": {"Limit": "", "retryPolicy": "Always", "backoff": {"Duration": "5s"}}}
    merged = merge_body(own, RETRY)
    assert decode_spec(merged).retry == Retry(
        limit="3", policy="Always", backoff=Backoff(duration="5s", factor="2")
    )
    assert merge_body({}, {"retryStrategy": {}}) == {"retryStrategy": {}}
    assert merge_body({"retryStrategy": {}}, RETRY) == RETRY


EXITS = [
    ({"onExit": "a"}, {"onExit": "b"}, {"onExit": "a"}),
    ({"onExit": "a"}, {"hooks": {"exit": {"template": "b"}}}, {"onExit": "a"}),
    ({"hooks": {"exit": {"template": "a"}}}, {"onExit": "b"}, {"hooks": {"exit": {"template": "a"}}}),
    ({"hooks": {"exit": None}, "onExit": ""}, {"onExit": "b"}, {"onExit": "b"}),
    ({}, {"hooks": {"exit": {"template": "b"}}}, {"hooks": {"exit": {"template": "b"}}}),
]


@pytest.mark.parametrize(("own", "template", "expected"), EXITS)
def test_an_own_exit_hook_replaces_the_template_s_in_either_spelling(own, template, expected):
    assert merge_body(own, template) == expected


def test_whether_a_run_starts_suspended_it_says_itself():
    assert merge_body({}, {"suspend": True}) == {}
    assert merge_body({"suspend": True}, {"suspend": False}) == {"suspend": True}


SOURCES = [
    ({"value": "2"}, {"valueFrom": {"expression": "1"}, "enum": ["1", "2"]}, {"value": "2", "enum": ["1", "2"]}),
    ({"valueFrom": {"expression": "2"}}, {"value": "1", "default": "0"}, {"valueFrom": {"expression": "2"}}),
    ({"default": "2"}, {"value": "1"}, {"default": "2"}),
    ({"description": "d"}, {"valueFrom": {"expression": "1"}}, {"description": "d", "valueFrom": {"expression": "1"}}),
]


@pytest.mark.parametrize(("own", "template", "expected"), SOURCES)
def test_an_argument_has_one_side_s_word_on_where_its_value_comes_from(own, template, expected):
    merged = merge_body(*({"arguments": {"parameters": [{"name": "p", **side}]}} for side in (own, template)))
    assert merged == {"arguments": {"parameters": [{"name": "p", **expected}]}}


def test_template_defaults_of_both_reach_the_templates_and_own_ones_win():
    own = {"templateDefaults": {"timeout": "1s", "container": {"Image": "mine"}}}
    template = {
        "templateDefaults": {"timeout": "2s", "parallelism": 2, "container": {"image": "theirs", "command": ["x"]}},
        "templates": [{"name": "main", "container": {}}],
    }
    (merged,) = decode_spec(merge_body(own, template)).templates.values()
    assert merged == Template(
        name="main", timeout="1s", parallelism=2, body=Program(image="mine", command=("x",))
    )


def optional(**fields: st.SearchStrategy) -> st.SearchStrategy:
    return st.fixed_dictionaries({}, optional=fields)


words = st.sampled_from(["", "a", "b", "1"])
names = st.sampled_from(["p", "q", "r"])
numbers = st.integers(1, 3) | st.none()
labels = st.dictionaries(names, words, max_size=2)
sources = (
    optional(value=words, default=words | st.none())
    | optional(default=words, description=words)
    | st.sampled_from(["1", "2"]).map(lambda text: {"valueFrom": {"expression": text}})
)
parameters = st.dictionaries(names, sources, max_size=3).map(
    lambda by_name: [{"name": name, **rest} for name, rest in by_name.items()]
)
locks = st.lists(st.fixed_dictionaries({"name": names}), max_size=2)
common = {
    "entrypoint": words,
    "suspend": st.booleans() | st.none(),
    "retryStrategy": st.none()
    | optional(
        limit=st.sampled_from([None, "", 0, "1", "{{x}}"]),
        retryPolicy=st.sampled_from([None, "", "Always"]),
        expression=words,
        backoff=st.none() | optional(duration=st.sampled_from([None, "", 1, "2s"]), factor=st.sampled_from([None, 2])),
    ),
    "priority": st.integers(-1, 1) | st.none(),
    "parallelism": numbers,
    "activeDeadlineSeconds": numbers,
    "arguments": optional(parameters=parameters),
    "synchronization": optional(mutexes=locks),
    "ttlStrategy": optional(secondsAfterCompletion=numbers, secondsAfterSuccess=numbers),
    "workflowMetadata": optional(labels=labels, annotations=labels),
}
exits = st.sampled_from(
    [
        {},
        {"onExit": ""},
        {"onExit": "a"},
        {"hooks": {}},
        {"hooks": {"exit": None}, "onExit": "b"},
        {"hooks": {"exit": {"template": "c", "expression": "x"}}},
        {"Hooks": {"exit": {"templateRef": {"name": "w", "template": "steps.a.outputs.result"}}}},
    ]
)
template_lists = st.lists(names, unique=True, max_size=2).map(
    lambda given: [{"name": name, "container": {"image": "host"}} for name in given]
)


owns = optional(
    **common,
    workflowTemplateRef=st.sampled_from([{"name": "t"}, {"name": "t", "clusterScope": True}]),
)
below = optional(
    **common,
    templates=template_lists,
    templateDefaults=st.none() | optional(timeout=st.just("1s"), container=optional(args=st.just(["x"]))),
)


@given(st.tuples(owns, exits), st.tuples(below, exits))
def test_merging_values_and_merging_data_come_to_the_same(owns, belows):
    own, template = ({**spec, **hook} for spec, hook in (owns, belows))
    by_value = merge_template(decode_spec(own), decode_spec(template))
    by_data = decode_spec(merge_body(own, template))
    nothing = TtlStrategy()
    assert by_data.result_calls <= by_value.result_calls
    by_value = replace(by_value, ttl=by_value.ttl or nothing, result_calls=by_data.result_calls)
    assert replace(by_data, ttl=by_data.ttl or nothing) == by_value
