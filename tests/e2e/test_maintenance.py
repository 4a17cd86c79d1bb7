"""`hold` and `unhold` as they are typed, against a real daemon that dies half way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("lineclear")
KEY = "default/Mutex/a"
LIMIT_S = 60


@pytest.fixture
def call(home):
    """Runs the installed command as ANN; returns its output."""

    def run(*words: str, code: int = 0) -> str:
        env = {key: value for key, value in os.environ.items() if not key.startswith("LINECLEAR_")}
        env |= {"LINECLEAR_HOME": str(home.root), "LINECLEAR_ACTOR": "ann"}
        done = subprocess.run([COMMAND, *words], env=env, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    return run


def lock(call):
    return json.loads(call("locks", "show", "a", "-o", "json"))


def test_a_hold_is_granted_in_its_turn_survives_kill_9_and_ends_by_unhold(home, book, call):
    gate = home.folder / "gate"
    home.daemon.start()
    home.submit(book.workflow("deploy", f"until [ -e {gate} ]; do sleep 0.02; done", mutexes=["a"]))
    home.wait_line("a", "S deploy")
    said = call("hold", "a", "--for", "2h", "--reason", "disk swap")
    assert f"waits for {KEY}: held by deploy (Running)" in said
    home.submit(book.workflow("later", "true", mutexes=["a"]))
    home.daemon.kill()
    home.daemon.start()
    gate.touch()
    assert home.wait_phase("deploy") == "Succeeded"
    (held,) = [name for name, _ in home.holders(KEY)]
    home.daemon.kill()
    home.daemon.start()
    found = lock(call)
    assert [one["run"] for one in found["holders"]] == [held]
    assert found["verdict"] == "held for maintenance"
    assert found["holders"][0]["maintenance"]["owner"].endswith("(ann, claimed)")
    assert f"is a maintenance hold by {found['holders'][0]['maintenance']['owner']}" in call("why", "later")
    assert held in call("list", "--running")
    call("terminate-stuck-holder", "a", "--epoch", str(found["holders"][0]["epoch"]), "--reason", "x", "--yes", code=4)
    assert f"{held} is over" in call("unhold", "a", "--reason", "done early")
    assert home.wait_phase("later") == "Succeeded"
    assert home.phase(held) == "Succeeded"
    assert held in call("locks", "history", "a")


def test_a_hold_of_a_lock_that_nobody_used_ends_by_itself_while_no_daemon_runs(home, book, call):
    home.daemon.start()
    call("hold", "b", "--for", "1s", "--reason", "x", code=3)
    said = call("hold", "default/Mutex/a", "--for", "1s", "--reason", "short")
    assert f"holds {KEY}" in said
    home.submit(book.workflow("later", "true", mutexes=["a"]))
    home.daemon.kill()
    home.daemon.start()
    assert home.wait_phase("later") == "Succeeded"


@pytest.mark.parametrize(
    "words",
    [
        ["a"],
        ["a", "--for", "2h"],
        ["a", "--reason", "x"],
        ["a", "--reason", "x", "--for", "2h", "--until", "2030-01-01T00:00:00Z"],
        ["a", "--reason", "x", "--until", "tomorrow"],
        ["default/Mutex/a", "--reason", "x", "--until", "2020-01-01T00:00:00Z"],
    ],
)
def test_a_hold_that_says_too_little_or_too_much_is_a_usage_error(home, call, words):
    home.daemon.start()
    assert "lineclear:" in call("hold", *words, code=2)
