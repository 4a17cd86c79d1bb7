"""A mistake of ours in reading costs the document or the file that brings it about, and is told with its place."""

from __future__ import annotations

import pytest

from reconciler.errors import LineclearError
from reconciler.manifest import parse, parse_file

GOOD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\ndata: {}\n"
TEXT = "---\n".join(GOOD.replace("NAME", name) for name in ("one", "two", "three"))


@pytest.mark.parametrize("error", [TypeError("x"), RecursionError(), MemoryError(), StopIteration(), UnicodeError("x")])
def test_a_document_that_cannot_be_read_keeps_no_other(monkeypatch, error):
    whole = parse.read_metadata

    def broken(r, value, kind):
        if value["name"] == "two":
            raise error
        return whole(r, value, kind)

    monkeypatch.setattr(parse, "read_metadata", broken)
    parsed = parse_file("f.yaml", "", TEXT.encode())
    assert [d.name for d in parsed.documents] == ["one", "three"]
    assert [(f.rule, str(f.place)) for f in parsed.findings] == [("LC910", "f.yaml:6:1")]
    told = parsed.findings[0]
    assert f"the document cannot be read: {type(error).__name__} at manifest/test_mistakes.py:" in told.message
    assert "Traceback" in told.trace
    assert "Traceback" not in str(told)
    assert parsed.is_bad


def test_a_text_that_cannot_be_read_is_one_finding_on_its_file(monkeypatch):
    def broken(_data):
        raise IndexError("list index out of range")

    monkeypatch.setattr(parse, "read_documents", broken)
    parsed = parse_file("f.yaml", "", TEXT.encode())
    assert [(f.rule, str(f.place)) for f in parsed.findings] == [("LC910", "f.yaml:1:1")]
    assert "the file cannot be read: IndexError at manifest/test_mistakes.py:" in parsed.findings[0].message


def test_an_installation_that_is_broken_is_no_files_fault(monkeypatch):
    def broken(_data):
        raise LineclearError("YAML cannot be read: the C parser is not installed")

    monkeypatch.setattr(parse, "read_documents", broken)
    with pytest.raises(LineclearError):
        parse_file("f.yaml", "", b"a: 1\n")
