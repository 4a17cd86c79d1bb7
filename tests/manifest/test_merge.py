"""A spec over its WorkflowTemplate: what it says itself wins, as values and as plain data alike."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from reconciler.manifest import decode_spec, merge_body, merge_template
from reconciler.model.spec import TtlStrategy

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


def optional(**fields: st.SearchStrategy) -> st.SearchStrategy:
    return st.fixed_dictionaries({}, optional=fields)


words = st.sampled_from(["", "a", "b", "1"])
names = st.sampled_from(["p", "q", "r"])
numbers = st.integers(1, 3) | st.none()
labels = st.dictionaries(names, words, max_size=2)
parameters = st.dictionaries(names, optional(value=words, default=words | st.none()), max_size=3).map(
    lambda by_name: [{"name": name, **rest} for name, rest in by_name.items()]
)
locks = st.lists(st.fixed_dictionaries({"name": names}), max_size=2)
common = {
    "entrypoint": words,
    "onExit": words,
    "priority": st.integers(-1, 1) | st.none(),
    "parallelism": numbers,
    "activeDeadlineSeconds": numbers,
    "arguments": optional(parameters=parameters),
    "synchronization": optional(mutexes=locks),
    "ttlStrategy": optional(secondsAfterCompletion=numbers, secondsAfterSuccess=numbers),
    "workflowMetadata": optional(labels=labels, annotations=labels),
}
template_lists = st.lists(names, unique=True, max_size=2).map(
    lambda given: [{"name": name, "container": {"image": "host"}} for name in given]
)


@given(optional(**common, workflowTemplateRef=st.just({"name": "t"})), optional(**common, templates=template_lists))
def test_merging_values_and_merging_data_come_to_the_same(own, template):
    by_value = merge_template(decode_spec(own), decode_spec(template))
    by_data = decode_spec(merge_body(own, template))
    nothing = TtlStrategy()
    assert replace(by_data, ttl=by_data.ttl or nothing) == replace(by_value, ttl=by_value.ttl or nothing)
