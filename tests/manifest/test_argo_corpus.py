"""Argo's own manifests: each parses without an exception, and either decodes or says where and why it does not.

LINECLEAR_CORPUS names a folder with dev/index.csv and refused/index.csv beside the manifests; without it the tests skip.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from reconciler.lint import RULES, lint_files
from reconciler.manifest import decode_spec, parse_file, workflow_body_spec
from reconciler.model.spec import Severity

CORPUS = os.environ.get("LINECLEAR_CORPUS", "")
pytestmark = pytest.mark.skipif(not CORPUS, reason="LINECLEAR_CORPUS does not name a folder with Argo's manifests")
KNOWN = {rule.id for rule in RULES}


def rows(part: str) -> list[dict[str, str]]:
    with (Path(CORPUS) / part / "index.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("part", ["dev", "refused"])
def test_every_manifest_decodes_or_says_where_and_why_it_does_not(part):
    for row in rows(part):
        data = (Path(CORPUS) / part / row["file"]).read_bytes()
        parsed = parse_file(row["file"], "0" * 40, data)
        assert parsed.documents or parsed.findings or parsed.foreign, row["file"]
        lines = data.count(b"\n") + 1
        findings = [*parsed.findings, *lint_files([parsed], {})]
        assert all(1 <= f.place.line <= lines and f.rule in KNOWN and f.message.isprintable() for f in findings), row["file"]
        for document in parsed.documents if not parsed.is_bad else ():
            spec = decode_spec(workflow_body_spec(document.body))
            assert document.cron is not None or spec == document.spec, row["file"]


def test_what_no_machine_of_ours_can_run_is_refused_with_a_reason():
    """Kinds, fields or missing commands: only documents that run on a host after all may pass."""
    passed = []
    for row in rows("refused"):
        data = (Path(CORPUS) / "refused" / row["file"]).read_bytes()
        parsed = parse_file(row["file"], "0" * 40, data)
        findings = [*parsed.findings, *lint_files([parsed], {})]
        if not any(finding.severity is Severity.ERROR for finding in findings):
            passed.append(row["file"])
    assert len(passed) <= 8, passed
