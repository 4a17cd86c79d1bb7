"""Text for people: the cleaner, spans, tables, selectors, YAML. Tables of cases, and properties where there is a law."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from reconciler.errors import UsageError
from reconciler.views.clean import clean, clean_lines
from reconciler.views.instants import age, duration, epoch_s, instant_of, parse_span, span, whole_seconds
from reconciler.views.names import fnv32a, label_safe, node_id, ordinal
from reconciler.views.selectors import matches, parse_selector
from reconciler.views.table import table
from reconciler.views.yaml_text import to_yaml


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Grüße, 世界 🚂", "Grüße, 世界 🚂"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("\x9b31m", "\\x9b31m"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\u202eevil\u202c", "\\u202eevil\\u202c"),
        ("\u2066x\u2069", "\\u2066x\\u2069"),
        ("nul\x00 bell\x07 del\x7f", "nul\\x00 bell\\x07 del\\x7f"),
        ("line\u2028separator", "line\\u2028separator"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_could_move_the_cursor_or_turn_text_round_is_shown(text, shown):
    assert clean(text) == shown


def test_several_lines_keep_their_line_feeds_and_tabs_only():
    assert clean_lines("a\tb\nc\x1b]0;title\x07\r\n") == "a\tb\nc\\x1b]0;title\\x07\\r\n"


@given(st.text())
def test_cleaned_text_is_printable_and_is_left_alone_by_a_second_cleaning(text):
    once = clean(text)
    assert all(c.isprintable() or c in "\u00a0\u200d" for c in once)
    assert clean(once) == once


@given(st.integers(min_value=0, max_value=250_000_000_000))
def test_an_instant_is_read_and_written_as_the_calendar_has_it(seconds):
    instant = datetime.fromtimestamp(seconds, UTC)
    text = instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert epoch_s(text) == seconds
    assert instant_of(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "0s"), (0, "0s"), (0.9, "0s"), (9, "9s"), (59, "59s"), (60, "1m"), (185, "3m5s"), (600, "10m"), (3600, "1h"),
        (5400, "1h30m"), (36000, "10h"), (86400, "1d"), (90000, "1d1h"), (864000, "10d"), (40_000_000, "1y97d"),
    ],
)  # fmt: skip
def test_a_span_is_shown_in_its_two_largest_units_while_the_first_is_small(seconds, shown):
    assert span(seconds) == shown


def test_ages_and_durations_are_empty_before_there_is_anything_to_measure():
    noon = "2026-03-01T12:00:00.000000Z"
    later = epoch_s(noon) + 90
    assert (age(None, later), age(noon, later)) == ("", "1m30s")
    assert (duration(None, None, later), duration(noon, None, later), duration(noon, noon, later)) == ("", "1m30s", "0s")
    assert (whole_seconds(None), whole_seconds(noon)) == (None, "2026-03-01T12:00:00Z")


SPANS = [("90", 90), ("45s", 45), ("1h30m", 5400), ("2d", 172800), ("0", 0), ("0s", 0), ("1.5h", 5400)]


@pytest.mark.parametrize(("text", "seconds"), SPANS)
def test_a_span_is_read(text, seconds):
    assert parse_span(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "1x", "1h30", "-5m", "m5", "1..5s"])
def test_what_is_no_span_is_refused(text):
    with pytest.raises(ValueError):
        parse_span(text)


def test_a_table_aligns_its_columns_pads_no_line_end_and_cleans_its_cells():
    assert table(("A", "LONG"), [("xx", "1"), ("y\x1b", "")]) == "A       LONG\nxx      1\ny\\x1b\n"
    assert table(("A",), [], show_header=False) == ""


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("team=web", True), ("team==web", True), ("team=db", False), ("team!=db", True), ("team", True), ("!team", False),
        ("absent", False), ("!absent", True), ("absent!=x", True), ("team in (db, web)", True), ("team notin (db,web)", False),
        ("absent notin (x)", True), ("team=web,!absent", True), ("team=web,absent", False), ("", True), ("a.b/c-d=1", True),
    ],
)  # fmt: skip
def test_a_selector_means_what_kubectl_means_by_it(selector, expected):
    assert matches(parse_selector(selector), {"team": "web", "a.b/c-d": "1"}) is expected


@pytest.mark.parametrize("selector", ["a b", "a in x", "a within (x)", "=x", "a$=b", "!"])
def test_what_is_no_selector_is_refused_with_what_would_be_one(selector):
    with pytest.raises(UsageError, match="could not read the selector"):
        parse_selector(selector)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_yaml_output_reads_back_as_the_same_value(value):
    yaml = YAML(typ="safe", pure=True)
    yaml.allow_duplicate_keys = False
    text = to_yaml(value)
    assert all(c.isprintable() or c == "\n" for c in text)
    surrogates = any(0xD800 <= ord(c) < 0xE000 for c in str(value)) or "\\ud" in text
    if not surrogates:
        assert yaml.load(io.StringIO(text)) == value


def test_yaml_output_of_a_script_is_a_block_that_a_person_can_read():
    assert to_yaml({"source": "set -e\nmake\n", "list": [{"a": 1, "b": []}, "x y"]}) == (
        'source: |\n  set -e\n  make\nlist:\n- a: 1\n  b: []\n- "x y"\n'
    )


def test_node_ids_are_argos():
    assert fnv32a("") == 0x811C9DC5
    assert fnv32a("a") == 0xE40C292C
    assert fnv32a("foobar") == 0xBF9CF968
    assert node_id("hello", "") == "hello"
    assert node_id("hello", "[0].a") == f"hello-{fnv32a('hello[0].a')}"


@given(st.text())
def test_any_text_becomes_a_label_value(text):
    value = label_safe(text)
    assert len(value) <= 63
    assert all(c.isascii() and (c.isalnum() or c in "-_.") for c in value)
    assert value == "" or (value[0].isalnum() and value[-1].isalnum())


def test_ordinals():
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 112)] == [
        "1st",
        "2nd",
        "3rd",
        "4th",
        "11th",
        "12th",
        "13th",
        "21st",
        "112th",
    ]
