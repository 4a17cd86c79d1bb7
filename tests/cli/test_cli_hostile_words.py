"""Words on a command line that nobody would type: an exit code and a sentence, never a traceback."""

from __future__ import annotations

import contextlib
import io
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.cli.dispatch import parser_of, run_command
from reconciler.cli.table import COMMANDS

ENDING = ("terminate", "terminate-stuck-holder")  # they take the home over where no daemon runs
LEFT_OUT = {"tui", "serve", "up", "run", "init", "down", "logs", "wait", "plan", "lint", "fsck", "completion", *ENDING}
QUIET = sorted(set(COMMANDS) - LEFT_OUT)  # those that only read the store, or ask a daemon that is not there
ODD = (
    *("", "-1", "0", "1", "1" + "0" * 27, "9" * 6000, "nan", "inf", "1e999", "-", "--", "x", "a=b", "=", "@latest", "m"),
    *("holder", "\udcff", "x" * 5000, "default/Mutex/m", "../..", "1h", "9" * 400 + "d", "2026-03-01T12:00:00Z", "٣", "json"),
    *("9999-12-31T23:59:59+23:59", "{.items[*]}", "jsonpath={.a[9999999999999999999999]}", "workflow/x", "show", "history"),
    *("at", "graph", "ticks", "log"),
)
ENDLESS = {"follow", "watch", "wait", "log", "help", "home"}


@st.composite
def lines(draw):
    """A command with options and words, each with a value that may be anything."""
    command = draw(st.sampled_from(QUIET))
    parser, _ = parser_of(command)
    words = [command]
    for option in draw(st.lists(st.sampled_from([o for o in parser.options if o.key not in ENDLESS]), max_size=3)):
        name = max(option.names, key=len)
        words += [name, draw(st.sampled_from([*option.choices, *ODD]))] if option.metavar else [name]
    choices = [choice for positional in parser.positionals for choice in positional.choices]
    return words + draw(st.lists(st.sampled_from([*choices, *ODD]), max_size=3))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=lines())
def test_no_words_end_in_a_traceback(rows, monkeypatch, words):
    if not rows.db.execute("SELECT 1 FROM run").fetchone():
        lock = rows.lock("m")
        rows.claim(rows.run("holder", "Running"), "held", [lock])
        rows.claim(rows.run("waiter"), "waiting", [lock])
    monkeypatch.setenv("LINECLEAR_HOME", str(rows.home))
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run_command(words)
    assert code in range(8)
    assert "Traceback" not in err.getvalue()


@pytest.mark.parametrize("command", [name for name in QUIET if name not in ("cron", "sync")])
def test_a_number_that_nothing_counts_with_is_told_so(lineclear, rows, command):
    found = lineclear(command, "--limit", "1" + "0" * 27)
    assert found.code == 2
    assert "Traceback" not in found.err


def test_a_limit_of_none_prints_all(rows, lineclear):
    rows.add("tick", namespace="default", cron="c", due_at="2026-03-01T12:00:00.000000Z", decision="ran",
             decided_at="2026-03-01T12:00:00.000000Z")  # fmt: skip
    assert "2026-03-01T12:00:00Z" in lineclear("cron", "ticks", "c", "--limit", "0").out
