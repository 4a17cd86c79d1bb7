"""`run` when a standard stream is closed, unread, or a terminal that hangs up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.guard import Guard
from reconciler.home import Home

COMMAND = Path(sys.executable).with_name("lineclear")
DEADLINE_S = 60.0


@pytest.fixture
def manifest(tmp_path):
    """A run of one step that fails with exit code 7: a 0 or a 1 of anything else is not taken for its end."""
    container = {"image": "host", "command": ["sh", "-c", "echo it-ran; exit 7"]}
    spec = {"entrypoint": "main", "templates": [{"name": "main", "container": container}]}
    path = tmp_path / "job.yaml"
    path.write_text(
        json.dumps({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "job"}, "spec": spec})
    )
    return str(path)


def shell(script, *words, tmp_path):
    """A shell's line with "$@" as the command: only a shell closes a stream the way people do."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("LINECLEAR_")} | {"TMPDIR": str(tmp_path)}
    line = ["sh", "-c", script, "sh", str(COMMAND), *words]
    return subprocess.run(line, env=env, capture_output=True, text=True, timeout=DEADLINE_S, check=False)


def test_a_closed_standard_input_keeps_no_run_from_running(manifest, tmp_path):
    done = shell('"$@" <&-', "run", manifest, "--log", tmp_path=tmp_path)
    assert "it-ran" in done.stdout
    assert "job Failed" in done.stdout
    assert done.returncode == 1


def test_a_closed_standard_error_keeps_no_run_from_running(manifest, tmp_path):
    done = shell('"$@" <&- 2>&-', "run", manifest, "--log", tmp_path=tmp_path)
    assert "it-ran" in done.stdout
    assert done.returncode == 1


def test_a_closed_standard_output_is_refused_before_anything_runs(manifest, tmp_path):
    done = shell('"$@" <&- >&-', "run", manifest, tmp_path=tmp_path)
    assert (done.returncode, "it is closed" in done.stderr) == (5, True)


def test_a_manifest_from_a_closed_standard_input_is_an_empty_one(tmp_path):
    done = shell('"$@" <&-', "run", "-", tmp_path=tmp_path)
    assert (done.returncode, "no Workflow" in done.stderr) == (2, True)


def test_a_reader_of_standard_error_that_leaves_ends_no_run(manifest, tmp_path):
    read, write = os.pipe()
    os.close(read)
    words = [COMMAND, "run", manifest, "--log"]
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(words, env=env, stdout=subprocess.PIPE, stderr=write, text=True, timeout=DEADLINE_S, check=False)
    os.close(write)
    assert "it-ran" in done.stdout
    assert done.returncode == 1


def test_a_guard_that_was_killed_does_not_change_how_the_run_went(tmp_path):
    home = Home(str(tmp_path / "home"))
    os.mkdir(home.root)
    guard = Guard(home, keep=True)
    os.kill(guard.pid, signal.SIGKILL)
    os.waitid(os.P_PID, guard.pid, os.WEXITED | os.WNOWAIT)
    guard.release()
    assert os.path.isdir(home.root)
