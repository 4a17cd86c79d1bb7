"""What would hold locks in ways that Lineclear does not have is refused by name, with its place, before anything waits."""

import json

import pytest
from loop_harness import API, job, pod

from reconciler.manifest import parse_file

CRON = {"schedules": ["* * * * *"], "workflowSpec": job()}
POD = pod("main", "m")


def refusals(kind, spec):
    """The refusals of a manifest as (rule, message)."""
    body = {"apiVersion": API, "kind": kind, "metadata": {"name": "x"}, "spec": spec}
    file = parse_file("x.yaml", "0" * 40, json.dumps(body).encode())
    assert file.is_bad
    return [(finding.rule, finding.message) for finding in file.findings]


def workflow(**template):
    return {"entrypoint": "main", "templates": [{**POD, **template}]}


@pytest.mark.edge("E35")
def test_a_daemon_step_is_refused_whatever_it_would_hold():
    told = 'field "daemon" of a template is not supported yet and would change the outcome; '
    told += "start the service outside the workflow"
    assert refusals("Workflow", workflow(daemon=True)) == [("LC202", told)]


@pytest.mark.edge("E40")
def test_a_memoized_step_is_refused_so_no_cached_result_skips_a_lock():
    cached = {"key": "k", "cache": {"configMap": {"name": "c"}}}
    assert refusals("Workflow", workflow(memoize=cached)) == [
        ("LC202", 'field "memoize" of a template is not supported yet and would change the outcome; remove it')
    ]


@pytest.mark.edge("E45")
def test_an_http_template_is_refused_whatever_it_would_hold():
    template = {"name": "main", "http": {"url": "http://x"}, "synchronization": POD["synchronization"]}
    assert ("LC202", 'field "http" of a template is not supported yet and would change the outcome; remove it') in refusals(
        "Workflow", {"entrypoint": "main", "templates": [template]}
    )


@pytest.mark.edge("E102", "E103")
@pytest.mark.parametrize(
    ("field", "value", "advice"),
    [
        ("when", "{{= cronworkflow.failed < 3}}", "test the condition inside the workflow"),
        ("stopStrategy", {"expression": "cronworkflow.failed >= 3"}, "remove the CronWorkflow when it is no longer wanted"),
    ],
)
def test_a_cron_with_conditions_of_its_own_is_refused(field, value, advice):
    told = f'field "{field}" of a CronWorkflow\'s spec is not supported yet and would change the outcome; {advice}'
    assert refusals("CronWorkflow", {**CRON, field: value}) == [("LC202", told)]
