"""Lists of documents are read as the documents in them, with their places, and our own output is read back."""

from __future__ import annotations

import pytest

from reconciler.manifest import parse_file
from reconciler.model.source import identity_of

LIST = """\
apiVersion: v1
kind: List
metadata: {resourceVersion: ""}
items:
- apiVersion: argoproj.io/v1alpha1
  kind: WorkflowTemplate
  metadata: {name: one}
  spec: {templates: []}
- apiVersion: v1
  kind: Service
- apiVersion: argoproj.io/v1alpha1
  kind: WorkflowTemplate
  metadata: {name: Two}
  spec: {templates: []}
---
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: three}
spec: {templates: []}
"""


def parse(text):
    return parse_file("f.yaml", "0" * 40, text.encode())


def test_the_documents_of_a_list_stand_where_they_are_written_and_count_on():
    parsed = parse(LIST)
    assert [(d.name, str(d.place), d.index) for d in parsed.documents] == [
        ("one", "f.yaml:5:3", 0), ("Two", "f.yaml:11:3", 2), ("three", "f.yaml:16:1", 3),
    ]  # fmt: skip
    assert parsed.foreign == 1
    assert [str(f).partition(": name")[0] for f in parsed.findings] == ["f.yaml:13:20: error LC104"]


@pytest.mark.parametrize(
    ("kind", "api"),
    [
        ("Workflow", "argoproj.io/v1alpha1"),
        ("WorkflowTemplate", "argoproj.io/v1alpha1"),
        ("ClusterWorkflowTemplate", "argoproj.io/v1alpha1"),
        ("CronWorkflow", "argoproj.io/v1alpha1"),
        ("ConfigMap", "v1"),
        ("LockPolicy", "lineclear.dev/v1alpha1"),
        ("InfrastructureDefinition", "lineclear.dev/v1alpha1"),
        ("ResourceConstraint", "lineclear.dev/v1alpha1"),
    ],
)
def test_an_item_of_a_typed_list_need_not_say_its_kind(kind, api):
    parsed = parse(f"apiVersion: {api}\nkind: {kind}List\nitems:\n- metadata: {{name: a, nam: b}}\n- spec: 3\n")
    assert [(d.kind, d.name, str(d.place)) for d in parsed.documents] == [(kind, "a", "f.yaml:4:3"), (kind, "", "f.yaml:5:3")]
    assert "f.yaml:4:23: error LC201" in "\n".join(map(str, parsed.findings))
    assert dict(parsed.documents[0].body)["apiVersion"] == api
    alone = parse(f"apiVersion: {api}\nkind: {kind}\nmetadata: {{name: a, nam: b}}\n")
    assert parsed.documents[0].digest == alone.documents[0].digest


def test_a_list_in_a_list_is_taken_apart_too():
    inner = "{apiVersion: v1, kind: ConfigMap, metadata: {name: NAME}, data: {}}"
    lists = f"{{apiVersion: v1, kind: List, items: [{inner.replace('NAME', 'a')}, {inner.replace('NAME', 'b')}]}}"
    parsed = parse(f"apiVersion: v1\nkind: List\nitems: [{lists}, {inner.replace('NAME', 'c')}, null, 3]\n")
    assert [(d.name, d.index, d.place.column) for d in parsed.documents] == [("a", 0, 46), ("b", 1, 112), ("c", 2, 180)]
    assert parsed.foreign == 2


@pytest.mark.parametrize("items", ["", "items: 3", "items: {a: b}", "items: []", "items:"])
def test_a_list_without_items_is_one_foreign_document_or_none(items):
    parsed = parse(f"apiVersion: v1\nkind: List\n{items}\n")
    assert (parsed.documents, parsed.findings) == ((), ())


def test_generated_names_of_one_list_are_workflows_of_their_own():
    templates = "[{name: a, container: {image: x, command: [y]}}]"
    item = f"\n- metadata: {{generateName: w-}}\n  spec: {{entrypoint: a, templates: {templates}}}"
    parsed = parse("apiVersion: argoproj.io/v1alpha1\nkind: WorkflowList\nitems:" + item * 2)
    assert [identity_of(d)[2] for d in parsed.documents] == ["w-|f.yaml#0", "w-|f.yaml#1"]


def test_a_problem_in_the_text_of_a_list_is_told_once_if_anything_in_it_is_ours():
    parsed = parse(LIST.replace("{name: one}", "{name: one, name: one}"))
    assert [f.rule for f in parsed.findings] == ["LC003", "LC104"]
    foreign = parse("apiVersion: v1\nkind: List\nitems: [{kind: A, kind: B}]\n")
    assert (foreign.findings, foreign.foreign) == ((), 1)
