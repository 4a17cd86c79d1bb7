"""Findings across documents, in exact words and places.

The table is data/findings.txt.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from lint_rows import parse, read_rows

from reconciler.lint import RULES, KnownDefinition, lint_files, rules_page
from reconciler.model.images import Image, Images
from reconciler.model.spec import Program, Template, WorkflowSpec

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "lint-rules.md"
ROWS = read_rows("findings.txt")


@pytest.mark.parametrize(("texts", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_what_is_wrong_across_documents_is_told_in_exact_words(texts, expected):
    assert [str(finding) for finding in lint_files([parse(p, t) for p, t in texts.items()], {})] == expected


@pytest.mark.parametrize(("texts", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_the_order_of_the_files_does_not_matter(texts, expected):
    found = lint_files([parse(p, t) for p, t in reversed(texts.items())], {})
    assert sorted(map(str, found)) == sorted(expected)


def test_every_rule_across_documents_has_a_row():
    words = {
        word
        for _, _, expected in (*ROWS, *read_rows("locks.txt"), *read_rows("barriers.txt"))
        for line in expected
        for word in line.replace(":", " ").split()
    }
    by_bounds = {"LC516"}
    by_settings, by_files, by_mistakes = {"LC703"}, {f"LC90{n}" for n in range(7)}, {"LC910", "LC911", "LC912", "LC913"}
    told = by_bounds | by_settings | by_files | by_mistakes | {word for word in words if word.startswith("LC")}
    assert sorted({rule.id for rule in RULES if rule.id >= "LC400"} - told) == []


REFERRER = """apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: w}
spec:
  workflowTemplateRef: {name: t}
  synchronization: {semaphores: [{configMapKeyRef: {name: c, key: k}}]}
"""
LIVE = {
    ("WorkflowTemplate", "default", "t"): KnownDefinition(
        spec=WorkflowSpec(
            entrypoint="main", templates={"main": Template(name="main", body=Program(image="host", command=("sh",)))}
        )
    ),
    ("ConfigMap", "default", "c"): KnownDefinition(data={"k": "1"}),
}


def test_live_definitions_count_as_known():
    assert lint_files([parse("a.yaml", REFERRER)], LIVE) == ()


def test_a_wrong_limit_in_a_live_map_is_told_where_it_is_used():
    live = {**LIVE, ("ConfigMap", "default", "c"): KnownDefinition(data={"k": "-1"})}
    (finding,) = lint_files([parse("a.yaml", REFERRER)], live)
    assert str(finding) == (
        'a.yaml:6:67: error LC505: limit "-1" of ConfigMap "default/c" key "k" is not a whole number of 0 or more; mend it there'
    )


class Live(dict):
    """Live definitions that count how often they are asked for."""

    asked = 0

    def get(self, key, default=None):
        self.asked += 1
        return super().get(key, default)


def test_templates_of_live_documents_are_known_and_each_document_is_asked_for_once():
    text = (
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: w}\nspec:\n  entrypoint: m\n  templates:\n"
        "  - name: m\n    steps:\n"
        "    - - {name: a, templateRef: {name: t, template: main, clusterScope: true}}\n"
        "      - {name: b, templateRef: {name: t, template: mian, clusterScope: true}}\n"
        "      - {name: c, templateRef: {name: t, template: main}, when: '{{steps.a.outputs.parameters.x}}'}\n"
    )
    live = Live({("ClusterWorkflowTemplate", "", "t"): LIVE["WorkflowTemplate", "default", "t"]})
    missing, unknown, early = map(str, lint_files([parse("a.yaml", text)], live))
    assert missing == (
        'a.yaml:10:52: error LC402: "b" calls template "mian" of ClusterWorkflowTemplate "t", which has none such; '
        'did you mean "main"?'
    )
    assert unknown == 'a.yaml:11:39: error LC403: WorkflowTemplate "default/t" is not known; add it'
    assert early.startswith("a.yaml:11:65: error LC420: {{steps.a.outputs.parameters.x}} is not known yet: ")
    assert live.asked == 2


def test_a_document_of_the_files_hides_the_live_one():
    template = REFERRER.replace("kind: Workflow", "kind: WorkflowTemplate").replace("name: w", "name: t")
    template = template.replace("  workflowTemplateRef: {name: t}\n", "  templates: []\n")
    findings = lint_files([parse("a.yaml", REFERRER), parse("b.yaml", template)], LIVE)
    assert [f.rule for f in findings] == ["LC402"]


def test_a_mapped_image_is_no_surprise_and_may_bring_its_command():
    text = """apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: w}
spec: {entrypoint: a, templates: [{name: a, container: {image: 'backup:1', command: [sh]}}]}
"""
    assert [f.rule for f in lint_files([parse("a.yaml", text)], {})] == ["LC702"]
    mapped = Images(mapped={"backup": Image()})
    assert lint_files([parse("a.yaml", text)], {}, images=mapped) == ()
    bare = parse("a.yaml", text.replace(", command: [sh]", ""))
    [finding] = lint_files([bare], {}, images=mapped)
    assert str(finding) == (
        'a.yaml:4:64: error LC701: template "a" has image "backup:1" and no command, so nothing says what to run; '
        "add a command, or give the image one in lineclear.toml under [images]"
    )
    assert lint_files([bare], {}, images=Images(mapped={"back*": Image(command=("save",))}, mapped_only=True)) == ()


def test_a_long_chain_of_tasks_is_checked_without_deep_recursion():
    tasks = "".join(f"          - {{name: t{n}, template: b, dependencies: [t{n - 1}]}}\n" for n in range(1, 5000))
    text = (
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: w}\nspec:\n  entrypoint: main\n  templates:\n"
        "    - {name: b, container: {image: host, command: [sh]}}\n    - name: main\n      dag:\n        tasks:\n"
        "          - {name: t0, template: b}\n" + tasks
    )
    assert lint_files([parse("a.yaml", text)], {}) == ()


def test_a_wide_tree_of_templates_is_checked_in_bounded_time():
    """Each level calls the next twice: paths double with each level, templates do not."""
    levels = "".join(
        f"    - name: l{n}\n      synchronization: {{mutexes: [{{name: m{n}}}]}}\n"
        f"      steps: [[{{name: a, template: l{n + 1}}}, {{name: b, template: l{n + 1}}}]]\n"
        for n in range(40)
    )
    text = (
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: w}\nspec:\n  entrypoint: l0\n  templates:\n"
        f"{levels}    - {{name: l40, container: {{image: host, command: [sh]}}}}\n"
    )
    assert [finding.rule for finding in lint_files([parse("a.yaml", text)], {})] == ["LC211"]


def test_rule_ids_are_unique_and_in_order():
    ids = [rule.id for rule in RULES]
    assert ids == sorted(set(ids))


def test_the_page_of_rules_is_made_from_the_registry():
    assert PAGE.read_text(encoding="utf-8") == rules_page()


def test_an_unmapped_image_is_refused_where_only_mapped_ones_may_run():
    text = (
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: a}\nspec:\n  entrypoint: m\n"
        "  templates:\n  - name: m\n    container: {image: alpine, command: [x]}\n"
    )
    [finding] = lint_files([parse("a.yaml", text)], {}, images=Images(mapped_only=True))
    assert str(finding) == (
        'a.yaml:8:24: error LC703: image "alpine" is not mapped and image_policy is "mapped-only"; map it under [images]'
    )


def test_no_name_is_offered_instead_of_itself():
    gone = {("ConfigMap", "default", "c"): None}  # known by name, and nothing is there
    found = [str(one) for one in lint_files([parse("a.yaml", REFERRER)], gone) if one.rule == "LC504"]
    assert len(found) == 1
    assert "did you mean" not in found[0]
    assert found[0].endswith("; add it")
