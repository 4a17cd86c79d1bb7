"""What was surely meant for us and just misses it is a finding; what belongs to others is left alone."""

from __future__ import annotations

import pytest

from reconciler.manifest import parse_file

OURS = "argoproj.io/v1alpha1"
MISSES = [
    ("argoproj/v1alpha1", "Workflow", 'apiVersion "argoproj/v1alpha1" of a Workflow is not known; write "argoproj.io/v1alpha1"'),
    ("argoproj.io/v1alpha2", "CronWorkflow", 'write "argoproj.io/v1alpha1"'),
    ("argoproj.io/v1", "Workflow", 'write "argoproj.io/v1alpha1"'),
    ("argoproj.io", "Workflow", 'write "argoproj.io/v1alpha1"'),
    ("Argoproj.io/v1alpha1", "Workflow", 'write "argoproj.io/v1alpha1"'),
    ("v1alpha1", "WorkflowTemplate", 'write "argoproj.io/v1alpha1"'),
    ("v1", "CronWorkflow", 'write "argoproj.io/v1alpha1"'),
    ("argoprojio/v1alpha1", "workflow", 'write "argoproj.io/v1alpha1" and "kind: Workflow"'),
    ("lineclear/v1alpha1", "LockPolicy", 'write "lineclear.dev/v1alpha1"'),
    ("argoproj.io/v1alpha1", "LockPolicy", 'write "apiVersion: lineclear.dev/v1alpha1"'),
    ("lineclear.dev/v1alpha1", "Workflow", 'write "apiVersion: argoproj.io/v1alpha1"'),
    (OURS, "Worklfow", 'did you mean "Workflow"?'),
    (OURS, "workflow", 'did you mean "Workflow"?'),
    (OURS, "CronWorkFlow", 'did you mean "CronWorkflow"?'),
    (OURS, "WorkflowTemplates", 'did you mean "WorkflowTemplate"?'),
    (OURS, "ClusterWorkflowTemplat", 'did you mean "ClusterWorkflowTemplate"?'),
    (OURS, "", "has no kind"),
]
FOREIGN = [
    ("apps/v1", "Workflow"),
    ("serverlessworkflow.io/v1", "Workflow"),
    (OURS, "WorkflowTaskSet"),
    (OURS, "WorkflowTaskResult"),
    (OURS, "WorkflowArtifactGCTask"),
    (OURS, "ClusterAnalysisTemplate"),
    (OURS, "AnalysisTemplate"),
    (OURS, "EventSource"),
    ("v1", "Pod"),
    ("batch/v1", "CronJob"),
    ("tekton.dev/v1", "PipelineRun"),
    ("kyverno.io/v1", "Policy"),
]


@pytest.mark.parametrize(("api", "kind", "told"), MISSES)
def test_a_near_miss_is_told_with_what_to_write(api, kind, told):
    parsed = parse_file("f.yaml", "", f"apiVersion: {api}\nkind: {kind}\nmetadata: {{name: a}}\n".encode())
    assert [f.rule for f in parsed.findings] == ["LC102"]
    assert told in parsed.findings[0].message
    assert parsed.foreign == 0


@pytest.mark.parametrize(("api", "kind"), FOREIGN)
def test_kinds_of_others_are_left_alone(api, kind):
    parsed = parse_file("f.yaml", "", f"apiVersion: {api}\nkind: {kind}\nmetadata: {{name: a}}\n".encode())
    assert (parsed.findings, parsed.foreign) == ((), 1)


@pytest.mark.parametrize("keys", ["apiversion kind", "apiVersion Kind", "ApiVersion KIND"])
def test_keys_in_another_case_are_told(keys):
    api, kind = keys.split()
    parsed = parse_file("f.yaml", "", f"{api}: {OURS}\n{kind}: Workflow\nmetadata: {{name: a}}\n".encode())
    wrong = [key for key in (api, kind) if key not in ("apiVersion", "kind")]
    assert [f.message.split('"')[1] for f in parsed.findings] == wrong
    assert {f.rule for f in parsed.findings} == {"LC102"}
