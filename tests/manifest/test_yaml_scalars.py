"""Plain scalars: where Kubernetes' YAML 1.1 differs from what YAML 1.2 or Python would make of the same text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.manifest import parse_file
from reconciler.manifest.scalars import go_text, resolve_plain
from reconciler.manifest.text import read_documents

TRUE = ["y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"]
FALSE = ["n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"]
NULL = ["", "~", "null", "Null", "NULL"]
TEXT = [
    "yEs", "tRUE", "nULL", "none", "None", "nil", "T", "o", "12:30", "1:30:00", "2024-01-01", "2024-02-30",
    "2024-01-01T10:00:00Z", "2024-01-01 10:00:00", "0x", "0xg", "0b2", "1.2.3", "1,000", "-", "+", ".", "--1", "+-1", "1e", "e3",
    "1e400", "v1", "=", "*x"[1:], "a", "0o", "192.168.0.1", "._5", "1 2", "1a", "\N{ARABIC-INDIC DIGIT THREE}",
]  # fmt: skip
NUMBERS = [
    ("0", 0), ("-0", 0), ("+1", 1), ("-17", -17), ("010", 8), ("-010", -8), ("0o10", 8), ("0O17", 15), ("0x1F", 31),
    ("0XfF", 255), ("0b11", 3), ("1_000", 1000), ("0x_1F", 31),
    ("18446744073709551615", 2**64 - 1), ("-9223372036854775808", -(2**63)),
    ("08", 8.0), ("09.5", 9.5), ("1.0", 1.0), (".5", 0.5), ("1.", 1.0), ("1e3", 1000.0), ("-1.5E-2", -0.015), ("1_0.5", 10.5),
]  # fmt: skip


def read(text: str):
    (document,) = read_documents(f"a: {text}\n".encode())
    assert document.problems == ()
    return document.data["a"]


def is_same(left: object, right: object) -> bool:
    return left == right and type(left) is type(right)


@pytest.mark.parametrize(
    ("text", "expected"),
    [*((t, True) for t in TRUE), *((t, False) for t in FALSE), *((t, None) for t in NULL), *((t, t) for t in TEXT), *NUMBERS],
)
def test_a_plain_scalar_is_what_kubernetes_reads(text, expected):
    assert is_same(resolve_plain(text), expected)


@pytest.mark.parametrize("text", [*TRUE, *FALSE, "010", "12:30", "1e3", "~"])
def test_quotes_and_blocks_make_any_scalar_a_text(text):
    assert read(f"'{text}'") == read(f'"{text}"') == read(f"|-\n  {text}") == read(f"!!str {text}") == read(f"! '{text}'") == text


@pytest.mark.parametrize("text", [".inf", "-.Inf", "+.INF", ".nan", ".NaN", str(2**64), str(-(2**63) - 1)])
def test_a_number_that_json_cannot_hold_is_refused(text):
    with pytest.raises(ValueError, match="quote it"):
        resolve_plain(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("!!int '3'", 3), ("!!float 3", 3.0), ("!!bool 'yes'", True), ("!!null ''", None), ("!!timestamp 2024-01-01", "2024-01-01")],
)
def test_an_explicit_tag_decides(text, expected):
    assert is_same(read(text), expected)


@pytest.mark.parametrize("text", ["!!binary aGk=", "!!set {a}", "!!python/object:os.system x", "!Ref x", "!!int x"])
def test_other_tags_are_refused(text):
    (document,) = read_documents(f"a: {text}\n".encode())
    assert [problem.rule.id for problem in document.problems] == ["LC005"]


def test_json_is_read_with_tabs_and_escapes():
    (document,) = read_documents(b'{\n\t"a": [1, 2.5, true, null, "\\u00e9\\n"],\n\t"b": {}\n}\n')
    assert document.data == {"a": [1, 2.5, True, None, "\u00e9\n"], "b": {}}


GO = [
    (1.0, "1", "1"), (0.5, "0.5", "0.5"), (1e6, "1e+06", "1000000"), (123456.0, "123456", "123456"), (-2.5, "-2.5", "-2.5"),
    (1234567.5, "1.2345675e+06", "1234567.5"), (0.0001, "0.0001", "0.0001"), (0.00001, "1e-05", "0.00001"),
    (1e21, "1e+21", "1000000000000000000000"), (0.0, "0", "0"), (True, "true", "true"), (False, "false", "false"), (7, "7", "7"),
    (None, "", ""), ("x", "x", "x"), (2**64 - 1, "18446744073709551615", "18446744073709551615"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "general", "fixed"), GO)
def test_a_scalar_in_a_text_field_is_printed_as_go_does(value, general, fixed):
    assert go_text(value) == general
    assert go_text(value, style="f") == fixed


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_printed_number_is_the_same_number(value):
    assert float(go_text(value)) == float(go_text(value, style="f")) == value


@given(st.text(max_size=20))
def test_any_text_resolves_to_a_json_scalar_or_is_refused(text):
    try:
        value = resolve_plain(text)
    except ValueError:
        return
    assert isinstance(value, str | int | float | bool | None)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r"\ud83d\ude00", "😀"),
        (r"a\uD83D\uDE00b", "a😀b"),
        (r"\\ud83d\\ude00", r"\ud83d\ude00"),
        (r"\\\ud83d\ude00", "\\😀"),
    ],
)
def test_json_writes_a_long_character_as_two_escapes(written, read):
    text = f'{{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {{"name": "a"}}, "data": {{"k": "{written}"}}}}'
    [document] = parse_file("a.json", "", text.encode()).documents
    assert document.data == {"k": read}
