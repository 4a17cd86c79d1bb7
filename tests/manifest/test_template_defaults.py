"""templateDefaults reach every template, but a body only those of its own kind; what a template says itself wins."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from reconciler.manifest import decode_spec
from reconciler.model.spec import Call, Dag, EnvVar, Parameter, Program, Retry, Steps, Suspend, Template

DEFAULTS: dict[str, Any] = {
    "name": "never",
    "timeout": "9s",
    "retryStrategy": {"limit": 2},
    "metadata": {"annotations": {"a": "1", "b": "1"}},
    "inputs": {"parameters": [{"name": "p", "default": "low"}, {"name": "q", "value": "low"}]},
    "container": {"image": "host", "command": ["low"], "env": [{"name": "A", "value": "low"}, {"name": "B", "value": "low"}]},
    "script": {"image": "host", "command": ["sh"]},
    "dag": {"failFast": False},
    "suspend": {"duration": 3},
}
WRITTEN: list[dict[str, Any]] = [
    {"name": "plain", "container": {}},
    {
        "name": "own",
        "timeout": "1s",
        "retryStrategy": {"retryPolicy": "Always"},
        "metadata": {"annotations": {"b": "2"}},
        "inputs": {"parameters": [{"name": "p", "value": "high"}]},
        "container": {"Command": ["high"], "env": [{"name": "B", "value": "high"}, {"name": "C"}]},
    },
    {"name": "code", "script": {"source": "x"}},
    {"name": "wait", "suspend": {}},
    {"name": "all", "dag": {"tasks": [{"name": "a", "inline": {"suspend": {"duration": 1}}}]}},
]
LOW = (Parameter(name="p", default="low"), Parameter(name="q", value="low"))
COMMON: dict[str, Any] = {"timeout": "9s", "retry": Retry(limit="2"), "annotations": {"a": "1", "b": "1"}, "inputs": LOW}


def decode(defaults: Any, templates: Any, **more: Any):
    return decode_spec({"templateDefaults": defaults, "templates": templates, **more}).templates


def test_each_template_takes_what_it_does_not_say_itself():
    before = copy.deepcopy((DEFAULTS, WRITTEN))
    assert decode(DEFAULTS, WRITTEN) == {
        "plain": Template(
            name="plain",
            body=Program(
                image="host", command=("low",), env=(EnvVar(name="A", value="low"), EnvVar(name="B", value="low"))
            ),
            **COMMON,
        ),
        "own": Template(
            name="own",
            timeout="1s",
            retry=Retry(limit="2", policy="Always"),
            annotations={"a": "1", "b": "2"},
            inputs=(Parameter(name="p", value="high"), Parameter(name="q", value="low")),
            body=Program(
                image="host",
                command=("high",),
                env=(EnvVar(name="B", value="high"), EnvVar(name="C"), EnvVar(name="A", value="low")),
            ),
        ),
        "code": Template(name="code", body=Program(image="host", command=("sh",), source="x"), **COMMON),
        "wait": Template(name="wait", body=Suspend(duration="3"), **COMMON),
        "all": Template(name="all", body=Dag(tasks=(Call(name="a", template="all/a"),), fail_fast=False), **COMMON),
        "all/a": Template(name="all/a", is_inline=True, body=Suspend(duration="1"), **COMMON),
    }
    assert before == (DEFAULTS, WRITTEN)


def test_other_lists_are_replaced_as_a_whole():
    (template,) = decode({"container": {"args": ["1", "2"]}}, [{"name": "a", "container": {"args": ["3"]}}]).values()
    assert template.body.args == ("3",)


def test_steps_take_what_is_not_of_a_kind():
    (template,) = decode({"failFast": True, "container": {"image": "x"}}, [{"name": "a", "steps": []}]).values()
    assert template == Template(name="a", body=Steps(groups=()), fail_fast=True)


@pytest.mark.parametrize("nothing", [None, {}])
def test_defaults_that_say_nothing_change_nothing(nothing):
    assert decode(nothing, WRITTEN) == decode_spec({"templates": WRITTEN}).templates


def test_the_defaults_of_the_run_count_for_stored_templates_and_no_others():
    stored = {"cluster/w": {"templateDefaults": {"timeout": "1s"}, "templates": [{"name": "a", "suspend": {}}]}}
    templates = decode({"parallelism": 2}, [], storedTemplates=stored)
    assert templates == {"cluster/w:a": Template(name="cluster/w:a", body=Suspend(), parallelism=2)}
