"""The control socket under hostile peers: whatever one sends, or keeps to itself, the next one is answered."""

from __future__ import annotations

import json
import socket
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.control import server as server_module
from reconciler.control.client import request
from reconciler.control.frames import Bounds, Budget
from reconciler.control.shapes import FIELDS, check_request
from reconciler.errors import LineclearError, Unreachable, UsageError

PING = b'{"verb":"ping"}\n'


def ask(verb, **args):
    return json.dumps({"verb": verb, "args": args}).encode() + b"\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\n", "the request could not be read"),
        (b"[]\n", "the request could not be read: it must be an object with a verb"),
        (b"{}\n", "unknown request None; known: "),
        (b'{"verb": ["ping"]}\n', "unknown request a list of 1; known: "),
        (b'{"verb": "pung"}\n', "unknown request 'pung'; known: "),
        (b'{"verb": "ping", "args": 3}\n', "could not ping: what is asked must be an object of fields, not 3"),
        (b'{"verb": "stop", "args": {"run": ["x"]}}\n', "could not stop: the field run is a list of 1: it must be a text"),
        (b'{"verb": "stop", "args": {"rum": "x"}}\n', "could not stop: the daemon knows no field 'rum' of it"),
        (b'{"verb": "stop", "args": {"run": "a\\u0000b"}}\n', "it has the character NUL"),
        (b'{"verb": "stop", "args": {"run": "\\ud800"}}\n', "half of a character"),
        (b'{"verb": "stop", "args": {"run": "\xff"}}\n', "the request could not be read: it is not UTF-8"),
        (b'{"verb": "submit", "args": {"priority": 1' + b"0" * 27 + b"}}\n", "it must be a whole number from -2147483647"),
        (b'{"verb": "submit", "args": {"priority": 1' + b"0" * 9999 + b"}}\n", "the request could not be read: ValueError"),
        (b'{"verb": "hold", "args": {"for_s": NaN}}\n', "NaN is no number"),
        (b'{"verb": "hold", "args": {"for_s": 1e999}}\n', "it must be a number of seconds"),
        (b'{"verb": "submit", "args": {"files": [{"path": "x"}]}}\n', "each file in it must be an object of path and text"),
        (b'{"verb": "check", "updates": [["a", "b"]]}\n', "each update in it must be a list of old, new and ref"),
        (b'{"verb": "ping", "x": ' + b"[" * 200_000 + b"\n", "the request could not be read: it is nested deeper than 64"),
        (b'{"verb": "ping", "x": ' + b"[" * 200_000 + b"]" * 200_000 + b"}\n", "it is nested deeper than 64"),
        (b'{"verb": "ping", "x": [' + b"[]," * 500_000 + b"1]}\n", "parts, and may have 400000"),
        (ask("retry", run="x"), "retry failed, a mistake of ours: ZeroDivisionError: a bug; see the daemon's log"),
    ],
)
def test_a_request_that_makes_no_sense_is_answered_and_so_is_the_next(desk, data, message):
    desk.open()
    line = desk.line()
    assert message in line.error(data)
    assert "ok" in line.ask(PING)


def test_a_request_larger_than_a_frame_is_refused_with_the_bound_while_it_comes(desk, until):
    desk.open(frame_bytes=1_000_000)
    line = desk.line()
    line.say(b'{"verb":"stop","args":{"run":"' + b"x" * 1_000_000)
    assert line.answer()["error"]["message"] == (
        "the request is larger than 1 MB, the setting limits.frame_mb; ask for less at a time"
    )
    assert line.answer() is None
    assert "ok" in desk.line().ask(PING)
    until(lambda: desk.server._budget._left == Bounds(frame_bytes=1_000_000).all_bytes, "every byte given back")


def test_the_client_tells_why_its_request_was_too_large(desk):
    desk.open(frame_bytes=1_000_000)
    with pytest.raises(UsageError, match=r"larger than 1 MB, the setting limits.frame_mb"):
        request(str(desk.path.parent), "submit", {"files": [{"path": "x", "text": "y" * 30_000_000}]})


def test_what_all_peers_send_together_is_bounded_too(desk):
    desk.open(frame_bytes=1_000_000)
    half = b'{"verb":"stop","args":{"run":"' + b"x" * 900_000
    silent = [desk.line() for _ in range(4)]
    for line in silent:
        line.say(half)
    poll = desk.line()
    told = ""
    while "together" not in told:  # those before it have arrived by then
        told = poll.error(b" " * 900_000 + b"\n")
        poll = desk.line()
    assert "the requests of all peers together are over 4 MB, four times limits.frame_mb; try again" in told
    for line in silent:
        line.close()
    while "error" in (found := desk.line().ask(b" " * 900_000 + b"\n")) and "together" in found["error"]["message"]:
        pass
    assert "ok" in desk.line().ask(PING)


def test_one_connection_more_takes_the_place_of_the_one_that_is_silent_for_longest(desk):
    desk.open(connections=8)
    first, *others = [desk.line() for _ in range(8)]
    assert "ok" in others[0].ask(PING)
    assert "ok" in desk.line().ask(PING)
    told = first.answer()["error"]
    assert told["code"] == Unreachable.exit_code
    assert told["message"].startswith("8 connections to the daemon are open, the setting limits.connections: this one was silent")
    assert first.answer() is None
    for _ in range(40):
        assert "ok" in desk.line().ask(PING)


def test_who_waits_for_an_answer_keeps_the_place_and_one_more_is_told_so(desk):
    desk.open(connections=8)
    waiting = [desk.line() for _ in range(8)]
    for line in waiting:
        line.say(ask("suspend", run="x"))
    while len(desk.kept) < 8:
        desk.server._thread.join(0.01)
    told = desk.line().answer()["error"]["message"]
    full = "8 connections to the daemon are open, the setting limits.connections"
    assert told == f"{full}, and each of them waits for an answer; try again"
    for reply in desk.kept:  # each peer has a thread of its own: whose request was heard first is not known
        reply({"ok": {}})
    assert waiting[3].answer() == {"ok": {}}
    waiting[3].close()
    assert "ok" in next(found for found in iter(lambda: desk.line().ask(PING), None) if "ok" in found)


def test_who_went_away_while_it_waited_gives_its_place_up(desk, monkeypatch):
    monkeypatch.setattr(server_module, "LOOK_S", 0.01)
    desk.open(connections=8)
    for _ in range(8):
        line = desk.line()
        line.say(ask("suspend", run="x"))
        line.close()
    assert "ok" in next(found for found in iter(lambda: desk.line().ask(PING), None) if "ok" in found)


def test_a_request_that_does_not_arrive_in_time_is_told_so_and_let_go(desk):
    desk.open(arrival_s=0.05)
    line = desk.line()
    line.say(b'{"verb":')
    assert line.answer()["error"]["message"] == "no whole request came in 0.05 s; the connection is closed"
    assert line.answer() is None


def test_a_connection_has_one_request_in_hand(desk):
    desk.open()
    line = desk.line()
    line.say(ask("suspend", run="x") + PING * 3)
    while not desk.kept:
        desk.server._thread.join(0.01)
    assert [verb for verb, _ in desk.heard] == ["suspend"]
    desk.kept[0]({"ok": {"x": 1}})
    assert line.answer() == {"ok": {"x": 1}}
    assert all("ok" in line.answer() for _ in range(3))
    assert [verb for verb, _ in desk.heard] == ["suspend", "ping", "ping", "ping"]


def test_a_last_line_without_its_end_counts(desk):
    desk.open()
    line = desk.line()
    line.say(PING.rstrip())
    line.socket.shutdown(socket.SHUT_WR)
    assert "ok" in line.answer()


def test_a_peer_that_takes_nothing_of_its_answers_holds_nobody_up(desk, monkeypatch):
    monkeypatch.setattr(server_module, "TAKES_S", 0.05)
    desk.open()
    deaf = desk.line()
    deaf.say(ask("suspend", run="x"))
    while not desk.kept:
        desk.server._thread.join(0.01)
    desk.kept[0]({"ok": {"text": "x" * 5_000_000}})
    assert "ok" in desk.line().ask(PING)
    while any(thread.name == "answers" for thread in threading.enumerate()):
        desk.server._thread.join(0.01)


_KNOWN = {"run": "r", "namespace": "default", "selector": "displayName=x", "files": [{"path": "x", "text": "y"}], "labels": {}}
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("\0") | st.just("\ud800") | st.just(10**40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(FIELDS)), st.data())
def test_whatever_a_field_is_given_is_either_fit_for_the_store_or_refused(verb, data):
    fields = data.draw(st.dictionaries(st.sampled_from([*FIELDS[verb], "bogus"]), _JSON | st.sampled_from(list(_KNOWN.values()))))
    try:
        _, args = check_request(verb, fields)
    except UsageError as error:
        told = str(error).encode()
    else:
        told = json.dumps(args, allow_nan=False, ensure_ascii=False).encode()
        assert args.keys() <= FIELDS[verb].keys()
    assert b"\0" not in told


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200) | _JSON.map(lambda value: json.dumps(value).encode()))
def test_bytes_of_any_kind_are_answered_line_by_line_and_never_end_the_server(desk, data):
    if desk.server is None:
        desk.open()
    line = desk.line()
    line.say(data.replace(b"\n", b" ") + b"\n")
    assert "message" in line.answer()["error"]
    line.close()
    assert "ok" in desk.line().ask(PING)


def test_a_budget_gives_back_what_it_was_given():
    budget = Budget(10)
    assert (budget.take(6), budget.take(5), budget.take(4)) == (True, False, True)
    budget.give(10)
    assert budget.take(10)


def test_refusals_are_errors_of_ours():
    with pytest.raises(LineclearError):
        check_request("ping", [])
