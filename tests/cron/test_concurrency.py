"""What each concurrency policy decides beside each kind of active run, and which group a key names."""

import pytest

from reconciler.cron.concurrency import Start, decide_start, describe_active, key_faults, resolve_key
from reconciler.errors import ManifestError
from reconciler.model.concurrency import ActiveRun, ConcurrencyPolicy, group_of_definition, group_of_key, policy_key

ALLOW, FORBID, REPLACE, LATEST = ConcurrencyPolicy
RUNNING = ActiveRun(name="a", state_text="running")
FAILED = ActiveRun(name="f", state_text="Failed", holds_for_failure=True)
WAITING = ActiveRun(name="w", state_text="waiting for lock default/Mutex/m", is_pending=True)
BEHIND = ActiveRun(name="b", state_text="waiting", is_pending=True)

FREE = Start()
REFUSED = Start(is_forbidden=True)


@pytest.mark.parametrize("policy", list(ConcurrencyPolicy))
def test_every_policy_starts_a_run_beside_nothing(policy):
    assert decide_start(policy, ()) == FREE


@pytest.mark.parametrize(
    ("policy", "active", "expected"),
    [
        (ALLOW, (RUNNING,), FREE),
        (ALLOW, (FAILED, WAITING), FREE),
        (FORBID, (RUNNING,), REFUSED),
        (FORBID, (FAILED,), REFUSED),
        (FORBID, (WAITING,), REFUSED),
        (REPLACE, (RUNNING,), Start(ends=(RUNNING,), waits_for=(RUNNING,))),
        (REPLACE, (FAILED,), Start(ends=(FAILED,), waits_for=(FAILED,))),
        (REPLACE, (WAITING,), Start(ends=(WAITING,))),
        (REPLACE, (RUNNING, BEHIND), Start(ends=(RUNNING, BEHIND), waits_for=(RUNNING,))),
        (LATEST, (RUNNING,), Start(waits_for=(RUNNING,))),
        (LATEST, (FAILED,), Start(waits_for=(FAILED,))),
        (LATEST, (WAITING,), Start(ends=(WAITING,))),
        (LATEST, (RUNNING, BEHIND), Start(ends=(BEHIND,), waits_for=(RUNNING,))),
        (LATEST, (RUNNING, FAILED, BEHIND), Start(ends=(BEHIND,), waits_for=(RUNNING, FAILED))),
    ],
)
def test_a_policy_says_who_ends_and_who_is_waited_for(policy, active, expected):
    assert decide_start(policy, active) == expected


def test_active_runs_are_told_with_what_they_do_and_the_rest_counted():
    assert describe_active([RUNNING, FAILED, WAITING, BEHIND]).split("; ") == [
        "run a is running",
        "run f is Failed and holds its locks for the failure",
        "run w is waiting for lock default/Mutex/m",
        "and 1 more",
    ]


@pytest.mark.parametrize(
    ("text", "arguments", "key"),
    [
        ("prod", {}, "prod"),
        ("{{workflow.parameters.env}}", {"env": "prod"}, "prod"),
        ("{{workflow.parameters.env}}/{{ workflow.parameters.app }}", {"env": "prod", "app": "shop"}, "prod/shop"),
        ("{{workflow.parameters.env}}", {"env": "{{workflow.name}}"}, "{{workflow.name}}"),
    ],
)
def test_a_key_names_a_group_once_its_parameters_have_values(text, arguments, key):
    assert resolve_key(text, arguments, "a.yaml:1") == key


@pytest.mark.parametrize(
    ("text", "arguments", "told"),
    [
        ("{{workflow.parameters.env}}", {}, "{{workflow.parameters.env}} cannot be resolved"),
        ("{{workflow.parameters.env}}", {"env": " "}, "which makes ' ' for this run"),
        ("{{workflow.parameters.env}}", {"env": "x" * 300}, "must be 1 to 200 plain characters"),
        ("{{workflow.parameters.env}}", {"env": "a\nb"}, "must be 1 to 200 plain characters"),
        ("{{workflow.name}}", {}, "has the tag {{workflow.name}}"),
        ("{{=1 + 1}}", {}, "has the tag {{=1 + 1}}"),
        ("", {}, "is blank"),
    ],
)
def test_a_key_that_names_no_group_is_refused_with_its_place(text, arguments, told):
    with pytest.raises(ManifestError) as caught:
        resolve_key(text, arguments, "a.yaml:1")
    assert str(caught.value).startswith("a.yaml:1: ")
    assert told in str(caught.value)


@pytest.mark.parametrize("text", ["", "  ", "x" * 201, "a\tb", "{{item}}", "{{.Names}}"])
def test_a_key_that_can_name_no_group_whatever_the_values_has_a_fault(text):
    assert len(key_faults(text)) == 1


def test_no_two_kinds_of_groups_share_a_lock():
    names = ["deploy", "key", "Workflow"]
    kinds = ["CronWorkflow", "Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate"]
    groups = [group_of_definition(kind, name) for kind in kinds for name in names] + [group_of_key(name) for name in names]
    assert len({policy_key("default", group) for group in groups}) == len(kinds) * len(names) + len(names)
    assert policy_key("default", group_of_definition("CronWorkflow", "nightly")) == "default/Policy/nightly"
