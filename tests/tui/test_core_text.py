"""What others wrote is harmless in a cell, and fits it."""

import unicodedata
from datetime import UTC, datetime, timedelta

import pytest

from tui.core import fmt, states
from tui.core.model import DaemonKind, FreshnessKind, LockState, RunState

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOSTILE = {
    "a title": "\x1b]2;PWNED\x1b\\",
    "a bell": "x\x07y",
    "c1": "\x9b31mred",
    "turned": "safe\u202etxt.exe",
    "isolates": "\u2066a\u2069",
    "lines": "one\r\ntwo\nthree",
    "tab": "a\tb",
    "nul": "a\x00b",
    "markup": "[/bin/sh] [red]x[/]",
    "surrogate": "a\udcffb",
    "long": "x" * 1_000_000,
    "wide": "日本語" * 100,
    "marks": "e\u0301" * 50,
    "separators": "a\u2028b\u2029c\u0085d",
}


def is_harmless(text):
    return all(unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in text)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_nothing_from_outside_steers_the_terminal(text):
    for cleaned in (fmt.clean(text), fmt.clean_log(text)):
        assert is_harmless(cleaned)
        assert len(cleaned) <= 6 * fmt.LINE_LIMIT
        cleaned.encode("utf-8")


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("cells", [0, 1, 2, 5, 12, 80])
def test_every_text_fits_its_cell_exactly(text, cells):
    cleaned = fmt.clean(text)
    for shorten in ("end", "middle"):
        for right in (False, True):
            assert fmt.width(fmt.pad(cleaned, cells, right=right, shorten=shorten)) == cells


def test_square_brackets_are_only_brackets():
    assert fmt.clean("err: [/bin/sh] exit 1") == "err: [/bin/sh] exit 1"


def test_lines_are_marked_and_tabs_are_one_blank():
    assert fmt.clean("one\r\ntwo\tthree\n") == "one ⏎ two three"


def test_a_log_line_keeps_its_columns_and_loses_its_colours():
    assert fmt.clean_log("a\tb\r") == "a       b"
    assert fmt.clean_log("\x1b[1;31mred\x1b[0m \x1b[Kend") == "red end"
    assert fmt.clean_log("\x1b]0;title\x07x") == "\\x1b]0;title\\x07x"


def test_a_name_is_shortened_in_its_middle():
    assert fmt.middle("deploy-api-production-k8x2p", 15) == "deploy-…n-k8x2p"
    assert fmt.middle("short", 15) == "short"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0s"), (8, "8s"), (252, "4m12s"), (15120, "4h12m"), (86400, "1d"), (97200, "1d3h"), (86400 * 400, "400d")],
)
def test_spans_have_two_units_where_one_is_coarse(seconds, text):
    assert fmt.span(timedelta(seconds=seconds)) == text


def test_instants_are_told_from_now():
    assert fmt.age(NOW - timedelta(seconds=61), NOW) == "1m01s"
    assert fmt.age(None, NOW) == "—"
    assert fmt.until(NOW + timedelta(minutes=4), NOW) == "in 4m00s"
    assert fmt.until(NOW, NOW) == "due"
    assert fmt.took(None, NOW, NOW) == ""
    assert fmt.clock(NOW, NOW) == "12:00:00"
    assert fmt.clock(NOW - timedelta(days=1), NOW) == "02-28 12:00:00"


def test_counts_and_units_read_well():
    assert (fmt.count(1, "run"), fmt.count(1234, "run")) == ("1 run", "1,234 runs")
    assert (fmt.units(1, 4), fmt.units(0, None)) == ("1/4", "0/?")


@pytest.mark.parametrize("kind", [LockState, RunState, FreshnessKind, DaemonKind])
def test_every_state_has_a_word_a_shape_and_a_plain_shape(kind):
    for state in kind:
        shown = states.of(state)
        assert shown.word
        assert fmt.width(shown.glyph) == 1
        assert shown.ascii.isascii()
        assert len(shown.ascii) == 1


def test_lock_states_differ_by_shape_not_by_colour_alone():
    shapes = {(states.of(state).glyph, states.of(state).ascii) for state in LockState}
    assert len(shapes) == len(LockState)
    assert [states.of(state).rank for state in LockState] == sorted(states.of(state).rank for state in LockState)


def test_phases_of_nodes_and_words_nobody_knows_are_shown_too():
    assert states.of("Succeeded").word == "SUCCEEDED"
    assert states.of("Omitted").glyph == "⊘"
    assert states.of("Daydreaming").word == "DAYDREAMING"
    assert states.of_revision("held").style == "blocked"
