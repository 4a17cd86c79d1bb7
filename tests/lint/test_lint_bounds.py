"""Workflows made to be dear: each is checked in little time, whatever it says."""

from __future__ import annotations

import time

import pytest

from reconciler.lint import lint_files
from reconciler.manifest import parse_file

HEAD = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: w}\nspec:\n  entrypoint: main\n  templates:\n"
STEPS = "    - name: main\n      steps:\n      -\n"
TASKS = (
    "    - {name: b, inputs: {parameters: [{name: p, default: ''}]}, suspend: {}}\n"
    "    - name: main\n      dag:\n        tasks:\n        - {name: t-1, template: b}\n"
)


def lines(text: str, count: int) -> str:
    """The line `count` times: N is a number from 0, M the one before it, and K one that jumps about."""
    numbers = ((str(n), str(n - 1), str(n * 7 % count)) for n in range(count))
    return "".join(text.replace("N", n).replace("M", m).replace("K", k) + "\n" for n, m, k in numbers)


def words(text: str, count: int) -> str:
    return lines(text, count).replace("\n", "")


DEAR = {
    "open braces": "    - {name: main, container: {image: host, command: ['" + "{{" * 100_000 + "']}}\n",
    "many ways to many locks": "".join(
        f"    - name: t{n}\n      synchronization: {{mutexes: [{{name: m{n}}}]}}\n"
        f"      steps: [[{{name: a, template: t{n + 1}}}, {{name: b, template: t{n + 2}}}]]\n"
        for n in range(1000)
    ).replace("t0\n", "main\n", 1),
    "many unknown tags": "    - {name: main, container: {image: host, command: ['" + "{{item}}" * 20_000 + "']}}\n",
    "many tasks that look at the first": TASKS
    + lines("        - {name: tN, template: b, dependencies: [tM], when: '{{tasks.t-1.id}} {{tasks.t0.outputs.result}}'}", 3000),
    "many steps that look at one another": STEPS + lines("        - {name: sN, template: main, when: '{{steps.sK.id}}'}", 4000),
    "many calls of other documents": STEPS + lines("        - {name: sN, templateRef: {name: tN, template: a}}", 4000),
    "many names that are nearly right": lines("    - {name: t-N-x, steps: [[{name: a, template: t-N-y}]]}", 3000),
    "many inputs and as many tags": "    - name: main\n      inputs:\n        parameters:\n"
    + lines("        - {name: pN, default: ''}", 4000)
    + "      container: {image: host, command: ['"
    + words("{{inputs.parameters.pN}}{{inputs.parameters.qN}}", 4000)
    + "']}\n",
    "templates inside templates": "    - {name: main, steps: [["
    + "{name: a, withItems: ['{{item}}'], inline: {steps: [[" * 6
    + "{name: a, inline: {suspend: {duration: '{{inputs.parameters.p}}'}}}"
    + "]]}}" * 6
    + "]]}\n",
    "many expressions": "    - {name: main, container: {command: ['" + words("{{=workflow.name + N}}", 9000) + "']}}\n",
    "many conditions": STEPS + lines("        - {name: sN, template: main, when: N == K}", 9000),
}


@pytest.mark.parametrize("name", DEAR)
def test_a_workflow_made_to_be_dear_is_checked_in_little_time(name):
    parsed = parse_file("a.yaml", "0" * 40, (HEAD + DEAR[name]).encode())
    assert len(parsed.documents) == 1
    began_at = time.process_time()
    lint_files([parsed], {})
    assert time.process_time() - began_at < 5


def test_more_locks_than_a_claim_may_have_are_told_at_the_first_that_is_too_many():
    locks = "".join(f"        - name: m{number}\n" for number in range(101))
    body = f"    - name: main\n      container: {{image: host, command: [a]}}\n      synchronization:\n        mutexes:\n{locks}"
    findings = lint_files([parse_file("a.yaml", "0" * 40, (HEAD + body).encode())], {})
    told = [str(finding) for finding in findings if finding.rule == "LC516"]
    bound = "one claim may want 100 unless the setting limits.locks says more"
    assert told == [f"a.yaml:111:11: warning LC516: 101 locks are wanted at once; {bound}"]
