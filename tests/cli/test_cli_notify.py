"""`notify`: what was told, as a list; and a test event without a daemon."""

from __future__ import annotations

import json

import pytest

INSERT = (
    "INSERT INTO notice (kind, key, at, detail_json, state, tries, next_at, done_at, problem)"
    " VALUES (?, ?, '2026-03-01T12:00:00.000000Z', ?, ?, ?, ?, ?, ?)"
)


@pytest.fixture
def settings(tmp_path):
    """Writes the settings of the test's home, and a script that `{script}` in them stands for."""

    def write(text, script=""):
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        path = tmp_path / "tell.sh"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o700)
        (home / "lineclear.toml").write_text(text.replace("{script}", str(path)))
        (home / "lineclear.toml").chmod(0o600)
        return path

    return write


def test_the_list_has_the_newest_notices_first_with_what_became_of_them(rows, lineclear):
    assert lineclear("notify").out == "Nobody was told of anything yet.\n"
    instant = "2026-03-01T12:00:01.000000Z"
    text = json.dumps({"text": "default/a ended Failed\x1b[2J"})
    rows.db.execute(INSERT, ("held-for-a-failure", "x", text, "sent", 1, None, instant, ""))
    rows.db.execute(INSERT, ("overdue", "y", "{}", "waiting", 2, instant, None, "exit code 3"))
    rows.db.commit()
    lines = lineclear("notify").out.splitlines()
    assert lines[0].split() == ["ID", "KIND", "AGE", "STATE", "TRIES", "PROBLEM", "WHAT"]
    assert lines[1].split()[:2] + lines[1].split()[3:] == ["2", "overdue", "waiting", "2", "exit", "code", "3", "y"]
    assert "default/a ended Failed" in lines[2]
    assert "\x1b" not in lines[2]
    items = json.loads(lineclear("notify", "list", "-o", "json", "--limit", "1").out)["items"]
    assert [(item["state"], item["nextAt"], item["problem"]) for item in items] == [("waiting", instant, "exit code 3")]
    assert lineclear("notify", "-o", "name").out == "notice/2\nnotice/1\n"


def test_a_test_event_without_a_daemon_shows_how_the_command_ended_and_what_it_wrote(settings, lineclear, tmp_path):
    path = settings('[notify]\ncommand = ["{script}"]\n', f"cat > {tmp_path}/heard; echo told")
    found = lineclear("notify", "test", HOME_OF_SECRETS="x")
    assert (found.code, found.err) == (0, "")
    assert found.out.splitlines()[0].startswith(f"{path} took the test event (")
    assert found.out.splitlines()[1:] == ["  told"]
    event = json.loads((tmp_path / "heard").read_text())
    assert (event["kind"], event["id"], event["try"], event["home"]) == ("test", 0, 1, str(tmp_path / "home"))


@pytest.mark.parametrize(
    ("script", "problem"),
    [("echo no route; exit 9", "ended with exit code 9"), ("kill -TERM $$", "ended by SIGTERM"), ("sleep 60", "after 0.2 s")],
)
def test_a_test_event_that_does_not_arrive_is_exit_code_1_with_the_reason(settings, lineclear, script, problem):
    settings('[notify]\ncommand = ["{script}"]\ntimeout_s = 0.2\n', script)
    found = lineclear("notify", "test", "-o", "json")
    assert found.code == 1
    assert problem in json.loads(found.out)["problem"]


def test_a_test_without_a_command_or_a_home_says_what_is_missing(settings, lineclear, tmp_path):
    missing = lineclear("notify", "test")
    assert (missing.code, "make one" in missing.err) == (3, True)
    settings("")
    assert lineclear("notify", "test").code == 2
    assert "set notify.command in" in lineclear("notify", "test").err
