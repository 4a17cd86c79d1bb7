"""A concurrency policy by annotation, from the push to the commands that tell of it: real git, daemon, steps and command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("lineclear")
POLICY, KEY = "lineclear.dev/concurrency-policy", "lineclear.dev/concurrency-key"


@pytest.fixture
def served(home):
    """The home with its daemon running."""
    home.daemon.start()
    return home


@pytest.fixture
def gate(home):
    """Makes a step's text that ends once a file of that name is there, and opens it."""

    class Gate:
        def __call__(self, name):
            return f"until [ -e {home.folder / name} ]; do sleep 0.01; done"

        def open(self, name):
            (home.folder / name).touch()

    return Gate()


@pytest.fixture
def command(home):
    """The installed command, in the clone of the home."""

    def call(*words, check=True):
        env = {**home.env(), "LINECLEAR_HOME": str(home.root)}
        done = subprocess.run([COMMAND, *words], cwd=home.work, env=env, capture_output=True, text=True, timeout=60, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done

    return call


def under(text, policy, version, key=""):
    """A manifest with a policy, and a label that makes its content another one."""
    body = json.loads(text)
    notes = {POLICY: policy, KEY: key}
    body["metadata"]["annotations"] = {name: value for name, value in notes.items() if value}
    body["metadata"]["labels"] = {"version": str(version)}
    return json.dumps(body)


def newest(home):
    return home.rows("SELECT name FROM run ORDER BY id DESC LIMIT 1")[0][0]


def test_latest_by_pushes_leaves_the_newest_and_every_command_says_so(served, book, gate, command):
    text = book.workflow("deploy", gate("a"))
    served.push({"deploy.yaml": under(text, "Latest", 1)})
    served.wait_line("free", "S deploy")
    served.push({"deploy.yaml": under(text, "Latest", 2)})
    second = newest(served)
    plan = served.commit({"deploy.yaml": under(text, "Latest", 3)}) and command("plan").stdout
    said = served.push_head().said
    third = newest(served)

    assert "waits until deploy has ended: concurrency policy Latest (deploy.yaml:1, metadata)" in plan
    assert f"ends: run default/{second}, which is Pending: superseded by" in plan
    assert f"submitted: {third}: waits until deploy has ended: concurrency policy Latest (deploy.yaml:1, metadata)" in said
    assert (served.phase(second), served.message(second)) == ("Failed", f"superseded by {third}")
    assert "Concurrency policy Latest of Workflow/deploy (deploy.yaml:1, metadata)" in command("why", third).stdout
    assert "Latest (deploy.yaml:1, metadata)" in command("locks", "show", "default/Policy/Workflow/deploy").stdout
    shown = json.loads(command("get", third, "-o", "json").stdout)["metadata"]["annotations"]
    assert shown["lineclear.dev/concurrency-policy-place"] == "deploy.yaml:1, metadata"
    served.daemon.kill()
    served.daemon.start()
    assert (served.phase("deploy"), served.phase(third)) == ("Running", "Pending")
    gate.open("a")
    assert served.wait_phase(third) == "Succeeded"
    assert book.read("free").runs() == ["deploy", third]


def test_forbid_answers_the_push_and_refuses_the_command(served, book, gate, command):
    text = book.workflow("deploy", gate("a"))
    served.push({"deploy.yaml": under(text, "Forbid", 1)})
    served.wait_line("free", "S deploy")
    done = served.push({"deploy.yaml": under(text, "Forbid", 2)})
    refused = command("submit", "--from", "workflow/deploy", check=False)

    assert done.returncode == 0
    assert "forbidden: deploy.yaml:1:1: deploy is active: it is running" in done.said
    assert refused.returncode == 4
    assert "deploy is active: it is running, and concurrency policy Forbid (deploy.yaml:1, metadata)" in refused.stderr
    assert "deploy is active" in command("sync", "log", "-o", "json").stdout
    assert served.journal("run.forbidden")
    gate.open("a")
    served.wait_phase("deploy")
    command("submit", "--from", "workflow/deploy", "--wait")
    assert len(book.read("free").runs()) == 2


def test_replace_ends_the_running_one_before_the_new_one_begins(served, book, gate, command):
    served.push({"deploy.yaml": under(book.workflow("deploy", gate("never"), mutexes=["m"]), "Replace", 1, "one")})
    served.wait_line("m", "S deploy")
    served.push({"other.yaml": under(book.workflow("other", mutexes=["m"]), "Replace", 1, "one")})

    assert served.wait_phase("other") == "Succeeded"
    assert (served.phase("deploy"), served.message("deploy")) == ("Failed", "replaced by other")
    assert command("fsck", check=False).returncode == 0
