"""Logs and waiting: raw to a pipe, each line named, following what is written and begun meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("lineclear")
LIMIT_S = 20


@pytest.fixture
def step(rows):
    """Adds a step with a log to a run."""

    def add(run, name, text, state="exited"):
        node = rows.node(run, f".{name}", "Running" if state == "live" else "Succeeded", display=name)
        attempt = rows.attempt(run, node, state)
        folder = rows.home / "runs" / str(run) / str(attempt)
        folder.mkdir(parents=True)
        (folder / "log").write_bytes(text)
        return folder / "log"

    return add


def finish(rows, run, phase="Succeeded"):
    rows.db.execute("UPDATE run SET phase = ?, finished_at = '2026-03-01T12:30:00.000000Z' WHERE id = ?", (phase, run))


class Following:
    """A command in the background, its output read while it runs."""

    def __init__(self, rows, *words):
        env = {k: v for k, v in os.environ.items() if not k.startswith("LINECLEAR_")} | {"LINECLEAR_HOME": str(rows.home)}
        self.process = subprocess.Popen([COMMAND, *words], stdout=subprocess.PIPE, env=env)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.seen = b""

    def wait_for(self, wanted: bytes):
        deadline = time.monotonic() + LIMIT_S
        while wanted not in self.seen:
            assert time.monotonic() < deadline, f"{wanted!r} was not printed; seen {self.seen!r}"
            self.seen += self.process.stdout.read() or b""
            time.sleep(0.005)

    def end(self):
        code = self.process.wait(LIMIT_S)
        self.seen += self.process.stdout.read() or b""
        self.process.stdout.close()
        return code


@pytest.fixture
def follow(rows):
    begun = []

    def start(*words):
        begun.append(Following(rows, *words))
        return begun[-1]

    yield start
    for one in begun:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()
        one.process.stdout.close()


def test_each_line_is_named_after_its_step_and_a_last_one_without_line_feed_is_printed(rows, step, lineclear):
    run = rows.run("r", "Succeeded")
    step(run, "build", b"one\ntwo\n")
    step(run, "test", b"three\n\nno line feed")
    assert lineclear("logs", "r").out == "build: one\nbuild: two\ntest: three\ntest: \ntest: no line feed\n"
    assert lineclear("logs", "r", "test").out == "test: three\ntest: \ntest: no line feed\n"
    assert lineclear("logs", "r", "-c", "main", "--grep", "^t").out == "build: two\ntest: three\n"


@pytest.mark.parametrize(
    ("tail", "expected"),
    [("0", ""), ("1", "s: c\n"), ("2", "s: b\ns: c\n"), ("3", "s: a\ns: b\ns: c\n"), ("9", "s: a\ns: b\ns: c\n")],
)
@pytest.mark.parametrize("text", [b"a\nb\nc\n", b"a\nb\nc"])
def test_a_tail_is_the_last_lines_of_each_step(rows, step, lineclear, text, tail, expected):
    step(rows.run("r", "Succeeded"), "s", text)
    assert lineclear("logs", "r", "--tail", tail).out == expected


def test_a_tail_of_a_log_larger_than_one_read_begins_at_a_line(rows, step, lineclear):
    lines = [f"line {number} {'x' * 100}" for number in range(30_000)]
    step(rows.run("r", "Succeeded"), "s", "\n".join(lines).encode())
    assert lineclear("logs", "r", "--tail", "12000").out.splitlines() == [f"s: {line}" for line in lines[-12_000:]]


def test_a_pipe_gets_the_bytes_as_they_were_written(rows, step):
    raw = b"\x1b[31mred\xff\xfe\x00\r\n"
    step(rows.run("r", "Succeeded"), "s", raw)
    done = subprocess.run([COMMAND, "--home", rows.home, "logs", "r"], capture_output=True, timeout=60, check=True)
    assert done.stdout == b"s: " + raw


def test_a_terminal_gets_control_characters_as_text(rows, step):
    step(rows.run("r", "Succeeded"), "s", b"\x1b[31mred\xff\ttab\n")
    leader, follower = os.openpty()
    subprocess.run([COMMAND, "--home", rows.home, "logs", "r"], stdout=follower, timeout=60, check=True)
    os.close(follower)
    assert os.read(leader, 1000).decode() == "s: \\x1b[31mred\ufffd\ttab\r\n"
    os.close(leader)


def test_following_prints_what_is_written_and_begun_meanwhile_until_the_run_ends(rows, step, follow):
    run = rows.run("r", "Running")
    first = step(run, "first", b"begin\n", "live")
    following = follow("logs", "r", "-f")
    following.wait_for(b"first: begin\n")
    with first.open("ab") as log:
        log.write(b"half a")
        log.flush()
        log.write(b" line\n")
    following.wait_for(b"first: half a line\n")
    step(run, "second", b"later\n", "live")
    following.wait_for(b"second: later\n")
    finish(rows, run, "Failed")
    assert following.end() == 0
    assert following.seen.count(b"begin") == 1


def test_a_run_without_logs_says_so_beside_the_output(rows, lineclear):
    rows.run("quiet", "Succeeded")
    found = lineclear("logs", "quiet")
    assert (found.code, found.out, found.err) == (0, "", "quiet (Succeeded): no step has written anything\n")


def test_a_wrong_pattern_or_tail_is_refused(rows, lineclear):
    rows.run("r")
    assert "--grep wants a regular expression" in lineclear("logs", "r", "--grep", "(").err
    assert lineclear("logs", "r", "--tail", "-1").code == 2


def test_waiting_ends_with_the_last_run_and_its_code_tells_how(rows, follow):
    good, bad = rows.run("good", "Running"), rows.run("bad", "Running")
    waiting = follow("wait", "good", "bad")
    finish(rows, good)
    waiting.wait_for(b"good Succeeded at 2026-03-01T12:30:00Z\n")
    assert waiting.process.poll() is None
    finish(rows, bad, "Failed")
    assert waiting.end() == 1


def test_waiting_for_runs_that_have_ended_well_is_over_at_once(rows, lineclear):
    rows.run("good", "Succeeded")
    assert lineclear("wait", "good", "@latest").code == 0


def test_waiting_too_long_names_what_was_waited_for(rows, lineclear):
    rows.run("slow", "Running")
    found = lineclear("wait", "slow", "--timeout", "0.1s")
    assert found.code == 6
    assert "could not wait any longer than 0.1 s: slow is Running" in found.err


def test_a_run_that_is_deleted_while_it_is_waited_for_is_told(rows, follow):
    run = rows.run("gone", "Running")
    waiting = follow("wait", "gone")
    rows.db.execute("DELETE FROM run WHERE id = ?", (run,))
    assert waiting.end() == 3


def test_the_journal_is_followed(rows, follow, minute):
    rows.add("journal", at=minute(1), kind="first")
    following = follow("journal", "-f", "-o", "json")
    following.wait_for(b'"kind": "first"')
    rows.add("journal", at=minute(2), kind="second")
    following.wait_for(b'"kind": "second"')
    assert len(following.seen.splitlines()) == 2
