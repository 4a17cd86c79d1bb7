"""Whether the workflows of one pipeline can come to all of their barriers. The table is data/barriers.txt."""

import pytest
from lint_rows import parse, read_rows

from reconciler.lint import lint_files

ROWS = read_rows("barriers.txt")


@pytest.mark.parametrize(("texts", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_what_is_wrong_with_barriers_is_told_in_exact_words(texts, expected):
    files = [parse(path, text) for path, text in texts.items()]
    assert [str(finding) for finding in lint_files(files, {}, notes=True)] == expected


@pytest.mark.parametrize(("texts", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_barriers_are_told_in_any_order_of_files(texts, expected):
    files = [parse(path, text) for path, text in reversed(texts.items())]
    told = {finding.rule for finding in lint_files(files, {})}
    assert told == {line.split(": ")[1].split()[1] for line in expected}


def test_a_template_that_calls_itself_ends():
    text = (
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: a, annotations: {lineclear.dev/pipeline: p}}\n"
        "spec:\n  entrypoint: main\n  templates:\n  - name: main\n    steps:\n    - [{name: s, template: main}]\n"
        "    - [{name: t, template: go}]\n"
        "  - {name: go, suspend: {}, metadata: {annotations: {lineclear.dev/barrier: go}}}\n"
    )
    files = [parse("a.yaml", text), parse("b.yaml", text.replace("name: a,", "name: b,"))]
    assert {finding.rule for finding in lint_files(files, {})} == {"LC406"}
