"""Bad manifests: every problem is told at once, each at its own place, in exact words.

The table is data/bad_manifests.txt: `### name`, the manifest, `>>>`, the findings without their path.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.manifest import parse_file

TABLE = (Path(__file__).parent / "data" / "bad_manifests.txt").read_text(encoding="utf-8")
WORKFLOW = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: w}\nspec:\n  entrypoint: a\n"


def parse(text: str | bytes, **kwargs):
    return parse_file("f.yaml", "0" * 40, text.encode() if isinstance(text, str) else text, **kwargs)


def read_rows() -> list[tuple[str, str, list[str]]]:
    rows = []
    for block in TABLE.removeprefix("### ").split("\n### "):
        name, _, rest = block.partition("\n")
        text, _, told = rest.partition(">>>\n")
        rows.append((name, text, told.split("\n")))
    return [(name, text, [line for line in told if line]) for name, text, told in rows]


ROWS = read_rows()


@pytest.mark.parametrize(("text", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_a_bad_manifest_is_told_in_exact_words(text, expected):
    assert [str(finding).removeprefix("f.yaml:") for finding in parse(text).findings] == expected


def test_the_table_is_read_whole():
    assert len(ROWS) >= 100
    assert all(expected for _, _, expected in ROWS)


def test_the_first_problem_of_a_file_does_not_hide_the_rest():
    rows = [row for row in ROWS if "LC001" not in row[2][0]]
    findings = parse("---\n".join(text for _, text, _ in rows)).findings
    assert len(findings) == sum(len(expected) for _, _, expected in rows)


def test_a_nul_byte_is_told_with_its_place():
    findings = parse(WORKFLOW + "  onExit: \0\n").findings
    assert [str(f) for f in findings] == ["f.yaml:6:11: error LC001: the text cannot be read: control characters are not allowed"]


def test_a_byte_that_is_no_text_is_told_with_its_place():
    findings = parse(WORKFLOW.encode() + b"  onExit: \xff\n").findings
    assert [(f.place.line, f.place.column, f.rule) for f in findings] == [(6, 11, "LC001")]


def test_a_flood_of_problems_is_cut_with_a_closing_word():
    findings = parse(WORKFLOW + "".join(f"  unknown{n}: 1\n" for n in range(1500))).findings
    assert len(findings) == 1001
    assert findings[-1].message == "the file has 1500 problems, of which 1000 are shown; mend these first"


def test_a_message_that_quotes_a_huge_text_stays_short_and_on_one_line():
    (finding,) = parse(WORKFLOW + '  "' + "x\\n" * 9000 + '": 1\n').findings
    assert len(finding.message) < 1100
    assert finding.message.isprintable()


BROKEN = b"a: [\n"


def test_a_file_that_does_not_parse_and_is_not_ours_is_foreign():
    parsed = parse(BROKEN)
    assert (parsed.findings, parsed.foreign, parsed.is_bad) == ((), 1, False)


@pytest.mark.parametrize("mention", [b"# argoproj.io/\n", b"# lineclear.dev/\n"])
def test_a_file_that_does_not_parse_and_names_our_group_is_an_error(mention):
    parsed = parse(mention + BROKEN)
    assert [finding.rule for finding in parsed.findings] == ["LC001"]
    assert (parsed.is_bad, parsed.foreign) == (True, 0)


def test_a_file_that_does_not_parse_and_held_ours_before_is_an_error():
    assert parse(BROKEN, held_before=True).is_bad


def test_documents_before_a_syntax_error_are_told_and_the_file_is_bad():
    parsed = parse(WORKFLOW + "---\na: [\n")
    assert [document.name for document in parsed.documents] == ["w"]
    assert parsed.is_bad


FOREIGN = [
    ("", 0),
    ("---\n---\n", 0),
    ("# only a comment\n", 0),
    ("just text\n", 1),
    ("[1, 2]\n", 1),
    ("apiVersion: v1\nkind: Service\nmetadata: {name: s}\n", 1),
    ("apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: s}\nspec: {a: 1, a: .inf}\n", 1),
    ("apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: s}\n---\na: 1\n", 2),
    ("apiVersion: apps/v1\nkind: Workflow\n", 1),
    ('{"apiVersion": 1, "kind": []}\n', 1),
    ('{"kind": []}\n', 1),
]


@pytest.mark.parametrize(("text", "count"), FOREIGN)
def test_a_foreign_document_is_counted_and_left_alone_whatever_is_in_it(text, count):
    parsed = parse(text)
    assert (parsed.findings, parsed.documents, parsed.foreign) == ((), (), count)
