"""Good manifests: what a document says becomes the value that the other rooms decide on."""

from __future__ import annotations

from datetime import timedelta

import pytest

from reconciler.errors import ManifestError
from reconciler.manifest import content_digest, decode_spec, parse_file, schema, workflow_body_spec
from reconciler.model.concurrency import ConcurrencyPolicy
from reconciler.model.cron import CronSpec
from reconciler.model.locks import LockKind, LockRef
from reconciler.model.spec import (
    Call,
    Dag,
    EnvVar,
    Hook,
    Kind,
    Parameter,
    Place,
    Program,
    Retry,
    Steps,
    Template,
    TtlStrategy,
    WorkflowSpec,
)

CRON = b"""
# a comment that means nothing
apiVersion: argoproj.io/v1alpha1
kind: CronWorkflow
metadata:
  name: nightly
  namespace: team-a
  labels: {app: etl, tier: 3}
  annotations: {lineclear.dev/on-failure: Release}
spec:
  schedules: ["0 3 * * *", "@hourly"]
  timezone: Europe/Berlin
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 60
  successfulJobsHistoryLimit: 0
  failedJobsHistoryLimit: -1
  suspend: true
  workflowMetadata:
    labels: {a: outer, b: outer}
  workflowSpec:
    entrypoint: main
    onExit: report
    priority: -2
    parallelism: 3
    activeDeadlineSeconds: 600
    ttlStrategy: {secondsAfterCompletion: 10, secondsAfterFailure: 0}
    workflowMetadata:
      labels: {a: inner}
      annotations: {c: 1.50}
    arguments:
      parameters:
        - {name: date, value: 2026-01-01, description: which day}
        - {name: size, default: 1e6, enum: [1e6, 2, yes]}
        - {name: needed}
    synchronization:
      semaphores:
        - {configMapKeyRef: {name: limits, key: gpu}, namespace: shared}
      mutexes:
        - {name: "warehouse-{{workflow.parameters.date}}"}
    templates:
      - name: main
        dag:
          failFast: false
          tasks:
            - {name: extract, template: step, arguments: {parameters: [{name: cmd, value: 010}]}}
            - {name: load, template: inner, dependencies: [extract]}
      - name: inner
        steps:
          - - {name: a, template: step, arguments: {parameters: [{name: cmd, value: null}]}}
            - {name: b, template: report}
          - []
      - name: step
        inputs: {parameters: [{name: cmd, default: ""}]}
        activeDeadlineSeconds: "30"
        retryStrategy: {limit: "2", retryPolicy: OnFailure}
        metadata: {annotations: {note: yes}}
        synchronization: {mutexes: [{name: db, database: false}]}
        script:
          image: host
          command: [bash, -e]
          source: |
            echo {{inputs.parameters.cmd}}
      - name: report
        retryStrategy: {}
        container:
          image: host
          command: [echo]
          args: [8, 1e6, true, null, x]
          workingDir: /srv
          env:
            - {name: A, value: 0.5}
            - {name: B}
            - {name: C, valueFrom: {secretKeyRef: {name: db, key: password}}}
"""


def parse(text: str | bytes):
    parsed = parse_file("cron/nightly.yaml", "0" * 40, text.encode() if isinstance(text, str) else text)
    assert [str(finding) for finding in parsed.findings] == []
    (document,) = parsed.documents
    return document


STEP = Template(
    name="step",
    inputs=(Parameter(name="cmd", default=""),),
    active_deadline="30",
    retry=Retry(limit="2", policy="OnFailure"),
    annotations={"note": "true"},
    locks=(LockRef(kind=LockKind.MUTEX, name="db"),),
    body=Program(image="host", command=("bash", "-e"), source="echo {{inputs.parameters.cmd}}\n"),
)
REPORT = Template(
    name="report",
    retry=Retry(),
    body=Program(
        image="host",
        command=("echo",),
        args=("8", "1e+06", "true", "", "x"),
        working_dir="/srv",
        env=(EnvVar(name="A", value="0.5"), EnvVar(name="B"), EnvVar(name="C", secret=("db", "password"))),
    ),
)
MAIN = Template(
    name="main",
    body=Dag(
        fail_fast=False,
        tasks=(
            Call(name="extract", template="step", arguments=(Parameter(name="cmd", value="8"),)),
            Call(name="load", template="inner", dependencies=("extract",)),
        ),
    ),
)
INNER = Template(
    name="inner",
    body=Steps(
        groups=(
            (
                Call(name="a", template="step", arguments=(Parameter(name="cmd"),)),
                Call(name="b", template="report"),
            ),
            (),
        )
    ),
)
SPEC = WorkflowSpec(
    entrypoint="main",
    on_exit=Hook(template="report"),
    priority=-2,
    parallelism=3,
    active_deadline_s=600,
    ttl=TtlStrategy(after_completion_s=10, after_failure_s=0),
    labels={"a": "inner", "b": "outer"},
    annotations={"c": "1.5"},
    arguments=(
        Parameter(name="date", value="2026-01-01", description="which day"),
        Parameter(name="size", default="1000000", enum=("1000000", "2", "true")),
        Parameter(name="needed"),
    ),
    locks=(
        LockRef(kind=LockKind.SEMAPHORE, configmap="limits", key="gpu", namespace="shared"),
        LockRef(kind=LockKind.MUTEX, name="warehouse-{{workflow.parameters.date}}"),
    ),
    templates={"main": MAIN, "inner": INNER, "step": STEP, "report": REPORT},
)


def test_a_cron_workflow_becomes_its_schedule_and_its_spec():
    document = parse(CRON)
    assert document.identity == ("CronWorkflow", "team-a", "nightly")
    assert document.place == Place(path="cron/nightly.yaml", line=3, column=1)
    assert document.labels == {"app": "etl", "tier": "3"}
    assert document.annotations == {"lineclear.dev/on-failure": "Release"}
    assert document.cron == CronSpec(
        schedules=("0 3 * * *", "@hourly"),
        timezone="Europe/Berlin",
        concurrency_policy=ConcurrencyPolicy.FORBID,
        starting_deadline=timedelta(seconds=60),
        suspend=True,
        successful_history_limit=0,
        failed_history_limit=1,
    )
    assert document.spec == SPEC


def test_the_frozen_data_of_a_spec_decodes_to_the_same_value():
    body = workflow_body_spec(parse(CRON).body)
    assert decode_spec(body).templates == SPEC.templates
    assert decode_spec(body).labels == {"a": "inner"}


def test_a_frozen_spec_that_cannot_be_run_names_every_field():
    body = {"templates": [{"name": "a", "when": 1}, {"name": "b", "http": {}}], "priority": "x"}
    with pytest.raises(ManifestError) as told:
        decode_spec(body)
    assert str(told.value) == (
        'the spec cannot be run: spec.templates[0].when: field "when" of a template does not exist; remove it; '
        "spec.templates[0]: a template has no body; add one of container, script, steps, dag, suspend; "
        'spec.templates[1].http: field "http" of a template is not supported yet and would change the outcome; '
        "remove it; "
        'spec.priority: priority is the text "x", not a whole number; write a whole number'
    )


def test_a_workflow_may_have_only_a_generate_name():
    document = parse("apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: a-}\nspec: {entrypoint: a}\n")
    assert (document.name, document.generate_name, document.namespace) == ("", "a-", "default")


def test_a_workflow_may_take_everything_from_a_template():
    text = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: a}\nspec: {workflowTemplateRef: {name: t}}\n"
    assert parse(text).spec == WorkflowSpec(template_ref="t")


def test_a_config_map_has_its_data_as_texts():
    document = parse("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: limits}\ndata: {gpu: 2, cpu: '03'}\n")
    assert (document.kind, document.data) == (Kind.CONFIG_MAP, {"gpu": "2", "cpu": "03"})


@pytest.mark.edge("E77")
def test_legacy_spellings_mean_what_the_lists_mean():
    text = """apiVersion: argoproj.io/v1alpha1
kind: CronWorkflow
metadata: {name: c}
spec:
  schedule: "* * * * *"
  workflowSpec:
    entrypoint: a
    synchronization:
      mutexes: [{name: m}]
      mutex: {name: o}
      semaphore: {configMapKeyRef: {name: c, key: k}}
"""
    (document,) = parse_file("f.yaml", "0" * 40, text.encode()).documents
    assert document.cron.schedules == ("* * * * *",)
    assert document.spec.locks == (
        LockRef(kind=LockKind.SEMAPHORE, configmap="c", key="k"),
        LockRef(kind=LockKind.MUTEX, name="m"),
        LockRef(kind=LockKind.MUTEX, name="o"),
    )


def test_a_field_in_another_case_is_read_as_go_reads_it():
    text = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {Name: a}\nSpec: {EntryPoint: a, ONEXIT: b}\n"
    parsed = parse_file("f.yaml", "0" * 40, text.encode())
    assert (parsed.is_bad, parsed.documents[0].name) == (False, "a")
    assert parsed.documents[0].spec == WorkflowSpec(entrypoint="a", on_exit=Hook(template="b"))
    assert workflow_body_spec(parsed.documents[0].body) == {"EntryPoint": "a", "ONEXIT": "b"}


def test_comments_order_and_style_do_not_change_the_digest():
    one = parse("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {v: '1', w: '2'}\n")
    other = parse("# told\nkind: ConfigMap\ndata:\n  w: '2'  # two\n  v: \"1\"\nmetadata:\n  name: a\napiVersion: v1\n")
    assert one.digest == other.digest == content_digest(one.body)
    assert len(one.digest) == 64
    assert one.digest != parse("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {v: 1, w: '2'}\n").digest


def test_documents_know_their_index_and_line_in_the_file():
    one = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
    other = "kind: ConfigMap\napiVersion: v1\nmetadata: {name: b}\n"
    text = f"a: 1\n---\n{one}---\n---\n{other}"
    documents = parse_file("f.yaml", "0" * 40, text.encode()).documents
    assert [(d.name, d.index, d.place.line) for d in documents] == [("a", 1, 3), ("b", 3, 8)]


EMPTY = [None, False, "", []]
SHAPES = {
    "WORKFLOW_SPEC": (),
    "TEMPLATE": ("templates", 0),
    "CONTAINER": ("templates", 0, "container"),
    "STEP": ("templates", 1, "steps", 0, 0),
    "TASK": ("templates", 2, "dag", "tasks", 0),
    "INPUTS": ("templates", 0, "inputs"),
    "VALUE_FROM": ("templates", 0, "inputs", "parameters", 0, "valueFrom"),
    "OUTPUTS": ("templates", 0, "outputs"),
    "ARGUMENTS": ("arguments",),
    "WORKFLOW_METADATA": ("workflowMetadata",),
    "TEMPLATE_DEFAULTS": ("templateDefaults",),
    "RETRY": ("retryStrategy",),
}


def spec_with(path: tuple, name: str = "", value: object = None) -> dict:
    source = {"name": "p", "valueFrom": {"expression": "1"}}
    spec: dict = {
        "entrypoint": "a",
        **{part: {} for part in ("arguments", "retryStrategy", "templateDefaults", "workflowMetadata")},
        "templates": [
            {
                "name": "a",
                "inputs": {"parameters": [source]},
                "outputs": {},
                "container": {"image": "host", "command": ["sh"]},
            },
            {"name": "b", "steps": [[{"name": "x", "template": "a"}]]},
            {"name": "c", "dag": {"tasks": [{"name": "x", "template": "a"}]}},
        ],
    }
    place = spec
    for part in path:
        place = place[part]
    if name:
        place[name] = value
    return spec


REFUSED = [(shape, name) for shape in SHAPES for name in sorted(getattr(schema, shape).refused)]


@pytest.mark.parametrize(("shape", "name"), REFUSED)
def test_a_refused_field_is_refused_unless_it_says_nothing(shape, name):
    path = SHAPES[shape]
    with pytest.raises(ManifestError, match=f'field "{name}" of .* is not supported yet'):
        decode_spec(spec_with(path, name, {"x": 1}))
    for nothing in EMPTY:
        decode_spec(spec_with(path, name, nothing))


@pytest.mark.parametrize("shape", SHAPES)
def test_an_ignored_field_changes_nothing(shape):
    path = SHAPES[shape]
    plain = decode_spec(spec_with(path))
    for name in sorted(getattr(schema, shape).ignored):
        assert decode_spec(spec_with(path, name, {"x": 1})) == plain
