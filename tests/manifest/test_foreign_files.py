"""Files that are none of ours: skipped and counted, never an error, and not read for long."""

from __future__ import annotations

import json
import os

import pytest

from reconciler.manifest import parse_file
from reconciler.manifest.parse import may_hold_ours

LARGE = 80_000
LOCK_FILE = json.dumps({"packages": {f"node_modules/p{n}": {"version": "1.0.0", "integrity": "sha512-x"} for n in range(8000)}})
CHART = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\n{{- if .Values.x }}\ndata: {}\n{{- end }}\n"


@pytest.mark.parametrize(
    "data",
    [
        LOCK_FILE.encode(),
        os.urandom(LARGE),
        b"\0" * 10,
        CHART.encode(),
        b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {}\n---\n{{- if }}\nb\n",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 12\n",
        b"- " * 60 + b"deep\n",
        b"[" * 3000,
        b"a: " + b"x" * 300_000,
        b"---\na: 1\n" * 300,
        b"a: *nowhere\n",
        b"? [a, b]\n: c\n",
        b"!ruby/object:Gem {}\n",
    ],
)
def test_junk_of_others_is_skipped_and_counted(data):
    parsed = parse_file("f.yaml", "", data)
    assert (parsed.documents, parsed.findings, parsed.foreign) == ((), (), 1)


def test_junk_that_names_us_or_stands_where_ours_was_is_an_error():
    assert parse_file("f.yaml", "", b"# argoproj.io/v1alpha1\n{{- x }}\nb").is_bad
    assert parse_file("f.yaml", "", CHART.encode(), held_before=True).is_bad


def test_a_secret_is_told_though_the_rest_of_its_file_cannot_be_read():
    parsed = parse_file("f.yaml", "", b"apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n---\n{{- if }}\nb\n")
    assert [f.rule for f in parsed.findings] == ["LC103"]


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\n",
        '{"apiVersion": "argoproj.io\\/v1alpha1"}',
        '{"\\u006bind": "\\u0057orkflow"}',
        "kind: WORKFLOW",
        "kind: ConfigMap",
        "kind: LockPolicy",
        "apiVersion: LineClear.dev/v1",
    ],
)
def test_large_files_that_may_hold_ours_are_read(text):
    assert may_hold_ours(("# " + "x" * LARGE + "\n" + text).encode())
    assert may_hold_ours(text.encode("utf-16"))


def test_a_large_manifest_is_read_whole():
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n" + "".join(f"  k{n}: v\n" for n in range(20_000))
    assert [len(d.data) for d in parse_file("f.yaml", "", text.encode()).documents] == [20_000]
