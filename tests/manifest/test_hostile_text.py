"""Files made to be dear: each is refused within the limits, in little time, and never as a crash."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from reconciler.manifest import parse_file
from reconciler.manifest.text import MAX_BYTES, UnreadableText, read_documents

HEAD = "# argoproj.io/\n"


def merges(levels: int) -> str:
    lines = ["a0: &a0 {k0: v, k1: v, k2: v}"]
    for n in range(1, levels + 1):
        before = ", ".join([f"*a{n - 1}"] * 9)
        lines.append(f"a{n}: &a{n} {{<<: [{before}], x{n}: [{before}]}}")
    return "\n".join(lines)


def aliases(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels + 1)]
    return "\n".join(lines)


BOMBS = {
    "nested aliases": (aliases(9), "100000 nodes with its aliases expanded"),
    "nested merge keys": (merges(9), "nodes with its aliases expanded"),
    "many aliases": ("a: &a x\nb: [" + "*a, " * 101 + "]", "more than 100 aliases"),
    "many anchors": ("b: [" + ", ".join(f"&a{n} x" for n in range(101)) + "]", "more than 100 anchors"),
    "brackets": ("a: " + "[" * 100_000, "nested more than 50 levels deep"),
    "braces": ("a: " + "{a: " * 100_000, "nested more than 50 levels deep"),
    "deep blocks": ("\n".join(" " * n + "a:" for n in range(60)), "nested more than 50 levels deep"),
    "deep keys": ("? " * 60 + "a", "nested more than 50 levels deep"),
    "a wide list": ("a: [" + "x," * 100_001 + "]", "more than 100000 nodes"),
    "many keys": ("\n".join(f"k{n}: 1" for n in range(60_000)), "more than 100000 nodes"),
    "nodes over several documents": ("---\n".join(["a: [" + "x," * 60_000 + "]\n"] * 2), "more than 100000 nodes"),
    "a long scalar": ("a: " + "x" * (256 * 1024 + 1), "longer than 262144 bytes"),
    "a long scalar of wide characters": ("a: " + "\N{EURO SIGN}" * 90_000, "longer than 262144 bytes"),
    "a large file": ("# " + "x" * MAX_BYTES, f"the limit is {MAX_BYTES}"),
    "many documents": ("---\na: 1\n" * 201, "more than 200 documents"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_by_the_limit_that_it_passes(name):
    text, expected = BOMBS[name]
    began_at = time.process_time()
    parsed = parse_file("f.yaml", "0" * 40, (HEAD + text).encode())
    assert time.process_time() - began_at < 2
    assert [finding.rule for finding in parsed.findings] == ["LC002"]
    assert expected in parsed.findings[0].message


ROUGH = {
    "an endless comment": "#" * 900_000 + "\na: 1",
    "a huge integer": "a: " + "9" * 5000,
    "a date that does not exist": "a: 2024-02-30",
    "a surrogate escape": 'a: "\\ud800"',
    "a lone quote": 'a: "',
    "a directive": "%YAML 9.9\n---\na: 1",
    "an undeclared tag handle": "a: !x!y 1",
    "an alias as a key": "a: &a 1\n*a : 2",
    "an alias to a mapping that is being made": "a: &a {b: *a}",
    "a merge of itself": "a: &a {<<: *a}",
    "a key that is too long": "a" * 2000 + ": 1",
    "UTF-16": "a: 1".encode("utf-16").decode("latin-1"),
    "a byte order mark": "\N{ZERO WIDTH NO-BREAK SPACE}a: 1",
}


@pytest.mark.parametrize("name", ROUGH)
def test_rough_text_gives_findings_and_never_an_exception(name):
    parsed = parse_file("f.yaml", "0" * 40, ROUGH[name].encode("utf-8", "surrogatepass"), held_before=True)
    assert all(finding.place.line >= 1 and finding.place.column >= 1 for finding in parsed.findings)


def test_aliases_and_merge_keys_within_the_limits_are_expanded_and_own_keys_win():
    text = b"""
base: &base {a: 1, b: {c: 2}}
more: &more {b: 9, d: 4}
one: {<<: *base, a: 5}
two:
  e: 6
  <<: [*base, *more]
three: *base
"""
    (document,) = read_documents(text)
    assert document.problems == ()
    assert document.data["one"] == {"a": 5, "b": {"c": 2}}
    assert document.data["two"] == {"e": 6, "a": 1, "b": {"c": 2}, "d": 4}
    assert document.data["three"] == {"a": 1, "b": {"c": 2}}


def test_what_was_read_before_a_limit_is_passed_stays():
    documents = read_documents(b"---\na: 1\n" * 201)
    assert [next(documents).data for _ in range(200)] == [{"a": 1}] * 200
    with pytest.raises(UnreadableText, match="more than 200 documents"):
        next(documents)


def test_without_the_c_parser_the_package_to_install_is_named():
    code = (
        "import sys\n"
        "sys.modules['_ruamel_yaml'] = sys.modules['_ruamel_yaml_clibz'] = None\n"
        "from reconciler.errors import LineclearError\n"
        "from reconciler.manifest import parse_file\n"
        "try:\n"
        "    parse_file('f.yaml', '', b'a: 1')\n"
        "except LineclearError as error:\n"
        "    print(error)\n"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    assert told.startswith("YAML cannot be read: the C parser is not installed")
    assert told.endswith("install the package ruamel.yaml.clib\n")
