"""`suspend`, `resume`, `node set` and `stop` of single nodes, against a real daemon."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("lineclear")
LIMIT_S = 30
ONE = """\
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: NAME, labels: {batch: NAME}}
spec:
  entrypoint: main
  suspend: SUSPEND
  templates:
  - name: main
    container: {image: host, command: [sh, -c], args: ["true"]}
"""
TWO = """\
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: NAME}
spec:
  entrypoint: main
  templates:
  - name: main
    steps:
    - - {name: one, template: approve}
      - {name: two, template: approve}
    - - name: say
        template: say
        arguments:
          parameters: [{name: said, value: "{{steps.one.outputs.parameters.answer}}"}]
  - name: approve
    suspend: {}
    outputs:
      parameters:
      - name: answer
        valueFrom: {supplied: {}DEFAULT}
  - name: say
    inputs: {parameters: [{name: said}]}
    container: {image: host, command: [echo], args: ["they said {{inputs.parameters.said}}"]}
"""


class Home:
    """A home with a daemon, and the installed command on it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.env = {key: value for key, value in os.environ.items() if not key.startswith("LINECLEAR_")}
        self.env |= {"LINECLEAR_HOME": str(root), "LINECLEAR_ACTOR": "mina"}

    def call(self, *words: str, stdin: str = "", code: int | None = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [COMMAND, *words], env=self.env, input=stdin, capture_output=True, text=True, timeout=LIMIT_S * 2, check=False
        )
        assert code in (None, done.returncode), f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def submit(self, text: str, name: str, **parts: str) -> None:
        for key, value in {"NAME": name, **parts}.items():
            text = text.replace(key, value)
        self.call("submit", "-", stdin=text)

    def phases(self, name: str) -> dict[str, str]:
        """Display name -> phase of the run's nodes; '' is the run."""
        status = json.loads(self.call("get", "wf", name, "-o", "json").stdout)["status"]
        return {"": status["phase"]} | {node["displayName"]: node["phase"] for node in status.get("nodes", {}).values()}

    def until(self, name: str, node: str, phase: str) -> None:
        deadline = time.monotonic() + LIMIT_S
        while self.phases(name).get(node) != phase:
            assert time.monotonic() < deadline, f"{name} did not get there: {self.phases(name)}"
            time.sleep(0.05)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    made = Home(tmp_path_factory.mktemp("pauses") / "home")
    made.call("init", "--empty")
    made.call("up")
    yield made
    made.call("down", "--kill-steps", code=None)


def test_a_run_submitted_suspended_begins_when_it_is_resumed(home):
    home.submit(ONE, "begins", SUSPEND="true")
    assert home.phases("begins")[""] == "Pending"
    assert home.call("resume", "begins").stdout == "begins: resumed\n"
    home.until("begins", "", "Succeeded")
    assert "nothing to resume" in home.call("resume", "begins", code=4).stderr
    assert "nothing to suspend" in home.call("suspend", "begins", code=4).stderr


def test_runs_are_suspended_and_resumed_by_label(home):
    home.submit(ONE, "labelled", SUSPEND="true")
    assert "suspended already" in home.call("suspend", "-l", "batch=labelled", code=4).stderr
    assert home.call("resume", "-l", "batch=labelled").stdout == "labelled: resumed\n"
    home.until("labelled", "", "Succeeded")


def test_suspend_keeps_what_follows_from_beginning(home):
    home.submit(TWO, "held", DEFAULT=', default: "yes"')
    home.until("held", "two", "Running")
    assert home.call("suspend", "held").stdout == "held: suspended\n"
    home.call("resume", "held", "--node-field-selector", "displayName=one")
    assert home.phases("held")[""] == "Running"
    home.call("resume", "held")
    home.until("held", "", "Succeeded")


def test_a_value_is_supplied_and_the_run_goes_on_with_it(home):
    home.submit(TWO, "asks", DEFAULT="")
    home.until("asks", "one", "Running")
    assert "waits for answer" in home.call("resume", "asks", code=4).stderr
    home.call("node", "set", "asks", "--output-parameter", "answer=maybe", "--message", "said Ann")
    assert home.phases("asks")["one"] == "Running"
    assert home.call("resume", "asks").stdout.startswith("asks: resumed: ")
    home.until("asks", "", "Succeeded")
    assert home.call("logs", "asks").stdout.rstrip().endswith("they said maybe")


def test_one_node_is_set_and_the_other_stopped_with_a_message(home):
    home.submit(TWO, "parts", DEFAULT="")
    home.until("parts", "two", "Running")
    one = ("--node-field-selector", "displayName=one")
    assert home.call("node", "set", "parts", *one, "-p", "answer=x", "--phase", "Succeeded").stderr == "set and ended well: one\n"
    home.until("parts", "one", "Succeeded")
    home.call("stop", "parts", "--node-field-selector", "displayName=two", "--message", "not today")
    home.until("parts", "", "Failed")
    assert home.phases("parts")["two"] == "Failed"
    assert "not today" in home.call("get", "parts").stdout


REFUSED = [
    (("node", "set", "open"), 2, "nothing to set"),
    (("node", "set", "open", "--phase", "Error"), 2, "can be set to Succeeded or Failed"),
    (("node", "set", "open", "-p", "other=1"), 4, "no output parameter 'other'"),
    (("node", "set", "open", "-p", "answer"), 2, "answer"),
    (("node", "set", "open", "--phase", "Failed", "--node-field-selector", "displayName=three"), 4, "no suspend node"),
    (("node", "set", "nowhere", "--phase", "Failed"), 3, "nowhere"),
    (("resume", "open", "--node-field-selector", "colour=red"), 2, "no field 'colour'"),
    (("resume", "open", "--node-field-selector", "red"), 2, "FIELD=VALUE"),
    (("resume", "nowhere"), 3, "nowhere"),
    (("suspend", "nowhere"), 3, "nowhere"),
    (("suspend",), 2, ""),
    (("stop", "open", "--node-field-selector", "displayName=three"), 4, "no suspend node"),
]


@pytest.mark.parametrize(("words", "code", "said"), REFUSED)
def test_what_does_not_fit_is_refused_and_changes_nothing(home, words, code, said):
    if "open" not in home.call("list", "-o", "name").stdout:
        home.submit(TWO, "open", DEFAULT="")
    home.until("open", "two", "Running")
    done = home.call(*words, code=code)
    assert said in done.stderr
    assert home.phases("open")[""] == "Running"
