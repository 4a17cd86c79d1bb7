"""The conformance harness on a corpus of its own, and on a few rows of a real one where there is one."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
API = "argoproj.io/v1alpha1"
COLUMNS = (
    *("file", "kind", "class", "tier", "features", "shims"),
    *("expected_phase", "confidence", "basis", "requires", "approx_seconds", "notes"),
)
SAMPLE = 8


def conform(corpus, out, *words):
    command = [sys.executable, "-m", "conformance", "--corpus", corpus, "--out", out, *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    rows = []
    if Path(out).exists():
        with open(out, newline="") as file:
            rows = list(csv.DictReader(file))
    return done, {row["file"]: row for row in rows}


class Corpus:
    """A folder of manifests with an index."""

    def __init__(self, folder):
        self.folder = folder
        self.lines = []

    def add(self, name, document, expected, **more):
        (self.folder / name).write_text(json.dumps(document))
        line = {"file": name, "kind": document["kind"], "class": "process-runnable", "tier": "1", "expected_phase": expected}
        self.lines.append({**dict.fromkeys(COLUMNS, ""), **line, "confidence": "high", "approx_seconds": "2", **more})

    def write(self):
        with open(self.folder / "index.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(self.lines)
        return self.folder


def workflow(*command, name="job", kind="Workflow", **spec):
    main = {"name": "main", "container": {"image": "host", "command": list(command or ["true"])}}
    whole = {"entrypoint": "main", "templates": [main], **spec}
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": whole}


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    return Corpus(folder)


def test_each_row_is_compared_with_what_its_index_expects(corpus, tmp_path):
    corpus.add("right.yaml", workflow(), "Succeeded")
    corpus.add("failing.yaml", workflow("false"), "Failed")
    corpus.add("wrong.yaml", workflow("sh", "-c", "exit 4"), "Succeeded", shims="fs-tmp")
    corpus.add("refused.yaml", workflow(entrypoint="nowhere"), "Succeeded")
    corpus.add("lint.yaml", workflow(entrypoint="nowhere"), "LintError", **{"class": "lint only"})
    done, rows = conform(corpus.write(), tmp_path / "out.csv", "--jobs", "3", "--runtime", "host")
    assert done.returncode == 0, done.stderr
    assert {name: row["got"] for name, row in rows.items()} == {
        "right.yaml": "Succeeded",
        "failing.yaml": "Failed",
        "wrong.yaml": "Failed",
        "refused.yaml": "LintError",
        "lint.yaml": "LintError",
    }
    assert "exit code 4" in rows["wrong.yaml"]["reason"]
    assert "refused.yaml:1:" in rows["refused.yaml"]["reason"]
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "decidable rows 2 of 4 50.0 %" in lines
    assert "that need a file system of their own 0 of 1 0.0 %" in lines


def test_a_percentage_can_be_required(corpus, tmp_path):
    corpus.add("right.yaml", workflow(), "Succeeded")
    corpus.add("wrong.yaml", workflow("false"), "Succeeded")
    folder = corpus.write()
    assert conform(folder, tmp_path / "out.csv", "--require", "50")[0].returncode == 0
    assert conform(folder, tmp_path / "out.csv", "--require", "51")[0].returncode == 1


def test_a_suspended_run_is_seen_resumed_and_ends(corpus, tmp_path):
    document = workflow(entrypoint="wait")
    document["spec"]["templates"].append({"name": "wait", "suspend": {}})
    corpus.add("wait.yaml", document, "Running(suspended)", tier="2")
    _, rows = conform(corpus.write(), tmp_path / "out.csv")
    assert (rows["wait.yaml"]["got"], rows["wait.yaml"]["reason"]) == ("Running(suspended)", "then resume; Succeeded in the end")


def test_an_endless_run_goes_on_until_it_is_stopped(corpus, tmp_path):
    corpus.add("endless.yaml", workflow("sleep", "1000"), "Running(until stopped)")
    _, rows = conform(corpus.write(), tmp_path / "out.csv")
    row = rows["endless.yaml"]
    assert (row["got"], row["reason"]) == ("Running(until stopped)", "then stop; Failed in the end")


def test_what_a_row_requires_comes_along_and_a_library_is_only_checked(corpus, tmp_path):
    corpus.add("library.yaml", workflow(name="shared", kind="WorkflowTemplate", entrypoint=""), "n/a(library)")
    del (document := workflow(name="user"))["spec"]["templates"]
    document["spec"] |= {"workflowTemplateRef": {"name": "shared"}, "entrypoint": "main"}
    corpus.add("user.yaml", document, "Succeeded", requires="library.yaml")
    _, rows = conform(corpus.write(), tmp_path / "out.csv")
    assert {name: row["got"] for name, row in rows.items()} == {"library.yaml": "n/a(library)", "user.yaml": "Succeeded"}


def test_what_a_required_file_requires_comes_along_too(corpus, tmp_path):
    corpus.add("inner.yaml", workflow(name="inner", kind="WorkflowTemplate"), "Succeeded")
    outer = workflow(name="outer", kind="WorkflowTemplate", entrypoint="both")
    call = {"name": "a", "templateRef": {"name": "inner", "template": "main"}}
    outer["spec"]["templates"] = [{"name": "both", "steps": [[call]]}]
    corpus.add("outer.yaml", outer, "Succeeded", requires="inner.yaml")
    user = workflow(name="user") | {"spec": {"workflowTemplateRef": {"name": "outer"}}}
    corpus.add("user.yaml", user, "Succeeded", requires="outer.yaml")
    _, rows = conform(corpus.write(), tmp_path / "out.csv", "--rows", "user")
    assert rows["user.yaml"]["got"] == "Succeeded", rows["user.yaml"]["reason"]


def test_a_semaphore_whose_limit_nobody_sets_has_one(corpus, tmp_path):
    lock = {"semaphores": [{"configMapKeyRef": {"name": "limits", "key": "render"}}]}
    corpus.add("waits.yaml", workflow(synchronization=lock), "Succeeded", tier="3")
    _, rows = conform(corpus.write(), tmp_path / "out.csv")
    assert rows["waits.yaml"]["got"] == "Succeeded", rows["waits.yaml"]["reason"]


def test_only_rows_that_fit_are_run(corpus, tmp_path):
    corpus.add("one.yaml", workflow(), "Succeeded")
    corpus.add("two.yaml", workflow(), "Succeeded")
    _, rows = conform(corpus.write(), tmp_path / "out.csv", "--rows", "two")
    assert list(rows) == ["two.yaml"]


def test_a_folder_without_an_index_is_told(tmp_path):
    done, _ = conform(tmp_path, tmp_path / "out.csv")
    assert done.returncode == 2
    assert "could not read the index" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "out"),
    [
        ([], 0, "hello argo\n"),
        (["echo", "hi"], 0, "hi\n"),
        (["echo", "hi", "a/b/c"], 0, ""),
        (["exit"], 0, ""),
        (["exit", "3"], 3, ""),
        (["assert_contains", "given", "l.o"], 1, ""),
        (["assert_contains", "given", "ell"], 0, ""),
        (["cat", "given"], 0, "hello\n"),
        (["sh", "script"], 5, "ran\n"),
        (["dance"], 1, ""),
    ],
)
def test_argosay_has_the_test_images_verbs(tmp_path, words, code, out):
    (tmp_path / "given").write_text("hello\n")
    (tmp_path / "script").write_text("echo ran; exit 5\n")
    done = subprocess.run([ROOT / "conformance/bin/argosay", *words], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, out)
    if words[2:]:
        assert words[0] != "echo" or (tmp_path / words[2]).read_text() == "hi\n"


@pytest.mark.skipif("LINECLEAR_CORPUS" not in os.environ, reason="LINECLEAR_CORPUS names no corpus folder")
def test_a_sample_of_a_real_corpus_reaches_the_phases_it_expects(corpus, tmp_path):
    real = Path(os.environ["LINECLEAR_CORPUS"]) / "dev"
    with open(real / "index.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row["tier"], row["confidence"], row["kind"]) == ("1", "high", "Workflow")]
    known = [row for row in rows if row["expected_phase"] in ("Succeeded", "Failed") and float(row["approx_seconds"] or 2) <= 3]
    chosen = known[:: max(1, len(known) // SAMPLE)][:SAMPLE]
    corpus.lines = [
        {**row, "file": str(real / row["file"]), "requires": ";".join(str(real / f) for f in row["requires"].split(";") if f)}
        for row in chosen
    ]
    done, got = conform(corpus.write(), tmp_path / "out.csv", "--jobs", "2")
    expected = {row["file"]: row["expected_phase"] for row in corpus.lines}
    assert {name: row["got"] for name, row in got.items()} == expected, done.stderr
