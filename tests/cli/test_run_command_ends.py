"""`run` asked to end: a terminal that goes away, a home that takes no more writes, and what is said meanwhile."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("lineclear")
DEADLINE_S = 40.0
NO_LIMIT = resource.RLIM_INFINITY


def workflow(script, **more):
    main = {"name": "main", "container": {"image": "host", "command": ["sh", "-c", script]}}
    bye = {"name": "bye", "container": {"image": "host", "command": ["sh", "-c", "echo bye-ran"]}}
    spec = {"entrypoint": "main", "templates": [main, bye], **more}
    return json.dumps({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "job"}, "spec": spec})


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.fixture(autouse=True)
def hang_up_is_heard():
    """A runner started with nohup would hand its deafness on, and `run` honours that."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def begin(tmp_path):
    """Starts `lineclear run` of a manifest's text and waits for its step's first line, which is the step's pid."""
    started = []

    def call(text, *words, **more):
        path = tmp_path / "job.yaml"
        path.write_text(text)
        env = {key: value for key, value in os.environ.items() if not key.startswith("LINECLEAR_")} | {"TMPDIR": str(tmp_path)}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **more}
        process = subprocess.Popen([COMMAND, "run", str(path), "--log", *words], env=env, text=True, **pipes)
        started.append(process)
        return process

    yield call
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def read_until(stream, wanted):
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        line = stream.readline()
        if wanted in line:
            return line
        assert line, f"the output ended before {wanted!r}"
    raise AssertionError(f"not seen within {DEADLINE_S} s: {wanted!r}")



def limit_writes(process, size):
    """The process's files take no byte beyond `size`: as good as a full disk, and anybody may set it."""
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, NO_LIMIT))


STEP = "echo pid $$; exec sleep 60"


def test_a_hang_up_stops_the_run_and_a_second_one_does_not_terminate_it(begin):
    process = begin(workflow(STEP, onExit="bye"))
    read_until(process.stdout, ": pid ")
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGHUP)
    out, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1
    assert "Stopping" in err
    assert "Terminating" not in err
    assert "bye-ran" in out


def test_a_terminal_that_goes_away_lets_the_exit_handler_run(begin, tmp_path):
    ran = tmp_path / "bye"
    master, slave = os.openpty()
    text = workflow("echo up; exec sleep 60", onExit="bye").replace("echo bye-ran", f"touch {ran}")
    process = begin(text, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    seen = b""
    while b": up" not in seen:
        seen += os.read(master, 65536)
    os.close(master)
    process.send_signal(signal.SIGHUP)
    assert process.wait(DEADLINE_S) == 1
    assert ran.exists()


def test_a_run_that_is_to_outlive_its_terminal_does(begin):
    process = begin(workflow("echo up; sleep 0.5; echo down"), preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    read_until(process.stdout, ": up")
    process.send_signal(signal.SIGHUP)
    out, err = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, "Stopping" in err) == (0, False)
    assert "down" in out


def test_a_second_interrupt_says_once_how_long_the_end_takes_at_most(begin, tmp_path):
    settings = tmp_path / "lineclear.toml"
    settings.write_text("[steps]\ngrace_s = 1.5\n")
    deaf = "trap '' TERM INT; echo up; while :; do sleep 0.1; done"
    process = begin(workflow(deaf), "--settings", str(settings))
    read_until(process.stdout, ": up")
    process.send_signal(signal.SIGINT)
    read_until(process.stderr, "Stopping")
    process.send_signal(signal.SIGINT)
    said = read_until(process.stderr, "Terminating")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1
    assert said.strip() == "Terminating: steps are ended, and killed after 1.5 s at most."
    assert "Terminating" not in err


def test_a_home_that_takes_no_writes_is_given_up_at_the_second_interrupt(begin):
    process = begin(workflow(STEP))
    pid = int(read_until(process.stdout, ": pid ").split()[-1])
    limit_writes(process, 0)
    process.send_signal(signal.SIGINT)
    read_until(process.stderr, "could not go on")
    assert is_alive(pid)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1
    assert "could not end the run in order" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert not is_alive(pid)


def test_a_home_that_takes_no_writes_is_given_up_some_time_after_the_timeout(begin):
    process = begin(workflow(STEP), "--timeout", "2")
    pid = int(read_until(process.stdout, ": pid ").split()[-1])
    limit_writes(process, 0)
    _, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 6
    assert "could not end the run in order" in err.splitlines()[-1]
    assert err.count("could not go on") == 1
    assert not is_alive(pid)


def test_a_home_that_takes_writes_again_in_time_is_stopped_in_order(begin):
    process = begin(workflow(STEP, onExit="bye"))
    read_until(process.stdout, ": pid ")
    limit_writes(process, 0)
    process.send_signal(signal.SIGINT)
    read_until(process.stderr, "could not go on")
    limit_writes(process, NO_LIMIT)
    out, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1
    assert "bye-ran" in out


@pytest.mark.parametrize("size", [0, 4096, 65536])
def test_a_home_that_cannot_be_made_is_told_in_one_sentence_and_nothing_of_it_stays(begin, tmp_path, size):
    home = tmp_path / "kept"
    words = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, NO_LIMIT))}
    _, err = begin(workflow("true"), "--keep", str(home), **words).communicate(timeout=DEADLINE_S)
    assert f"could not make the home {home}" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert not home.exists()
