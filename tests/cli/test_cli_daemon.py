"""Commands that act, against a real daemon with a real home: what they answer, what they leave, and their exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reconciler.runtime.grouping import DAEMON_LEAF

COMMAND = Path(sys.executable).with_name("lineclear")
LIMIT_S = 30
WORKFLOW = """\
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata:
  name: NAME
  labels: {batch: LOCK}
spec:
  entrypoint: main
  arguments:
    parameters: [{name: lock, value: LOCK}]
  synchronization:
    mutexes: [{name: "{{workflow.parameters.lock}}"}]
  templates:
  - name: main
    container: {image: host, command: [sh, -c], args: ["SCRIPT"]}
"""


class Home:
    """A home of the test's own and the installed command on it."""

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

    def submit(self, name: str, lock: str, script: str, *words: str) -> None:
        text = WORKFLOW.replace("NAME", name).replace("LOCK", lock).replace("SCRIPT", script)
        self.call("submit", "-", *words, stdin=text, code=None if words else 0)

    def shown(self, name: str) -> dict:
        return json.loads(self.call("get", "wf", name, "-o", "json").stdout)

    def until(self, name: str, wanted):
        deadline = time.monotonic() + LIMIT_S
        while not wanted(self.shown(name)):
            assert time.monotonic() < deadline, f"{name} did not get there: {self.shown(name)['status']}"
            time.sleep(0.05)

    def until_running(self, name: str):
        self.until(name, lambda run: run["status"]["phase"] == "Running")

    def pid(self) -> int:
        return int((self.root / "daemon.lock").read_text().split()[0])

    def lock(self, name: str) -> dict:
        return json.loads(self.call("locks", "show", name, "-o", "json").stdout)

    def end(self) -> None:
        self.call("down", "--kill-steps", code=None)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One home with a daemon for all tests that leave the daemon alone."""
    home = Home(tmp_path_factory.mktemp("shared") / "home")
    home.call("init")
    home.call("up")
    yield home
    home.end()


@pytest.fixture
def own(tmp_path):
    """A home with a daemon of the test's own."""
    home = Home(tmp_path / "home")
    home.call("init", "--empty")
    home.call("up")
    yield home
    if home.call("down", "--kill-steps", code=None).returncode:
        home.call("down", "--force", code=None)
        home.call("up", code=None)
        home.end()


def test_init_makes_a_home_for_its_owner_alone_and_says_what_comes_next(tmp_path):
    home = Home(tmp_path / "a home")
    said = home.call("init").stdout.splitlines()
    assert [line.split()[:2] for line in said[1:]] == [["lineclear", "up"], ["git", "clone"], ["lineclear", "get"]]
    assert {path.name for path in home.root.iterdir()} >= {"lineclear.toml", "secrets", "repo.git", "lineclear.service", "log"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in [home.root, *home.root.iterdir()])
    unit = (home.root / "lineclear.service").read_text()
    assert f'--home "{home.root}" serve\n' in unit
    assert "KillMode=process\n" in unit
    assert f"Delegate=yes\nDelegateSubgroup={DAEMON_LEAF}\n" in unit
    again = home.call("init", code=4)
    assert "there is a home at" in again.stderr
    hook = home.root / "repo.git" / "hooks" / "pre-receive"
    hook.unlink()
    home.call("init", "--repair")
    assert hook.exists()


def test_init_leaves_a_folder_alone_that_holds_something_else(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "theirs.txt").write_text("keep me")
    home = Home(tmp_path / "home")
    assert "is not empty" in home.call("init", code=4).stderr
    assert [path.name for path in home.root.iterdir()] == ["theirs.txt"]
    assert "there is no home" in home.call("up", code=3).stderr
    assert "there is no home" in home.call("serve", code=3).stderr


def test_a_daemon_is_started_once_and_ended_once(own):
    pid = own.pid()
    assert own.call("up").stdout == f"a daemon runs already, pid {pid}\n"
    own.call("down")
    assert own.call("down").stdout == "no daemon is running\n"
    assert "no daemon is running" in own.call("sync", "now", code=5).stderr
    own.call("up")
    assert own.pid() != pid


def test_a_run_is_submitted_followed_to_its_end_and_its_end_is_the_exit_code(shared):
    good = shared.call("submit", "--from", "workflowtemplate/deploy", "-p", "environment=dev", "-p", "version=2", "--log")
    assert "check: version 2 may go\n" in good.stdout
    text = WORKFLOW.replace("NAME", "code-bad").replace("LOCK", "codes").replace("SCRIPT", "exit 3")
    bad = shared.call("submit", "-", "--wait", stdin=text, code=1)
    assert bad.stdout.splitlines()[0].startswith("code-bad submitted, ")
    assert "code-bad Failed at " in bad.stdout
    assert shared.call("wait", "code-bad", code=1).stdout.startswith("code-bad Failed at ")


def test_what_cannot_be_submitted_is_refused_with_its_place(shared, tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text(WORKFLOW.replace("NAME", "bad").replace("mutexes", "mutexs"))
    assert "bad.yaml:11:" in shared.call("submit", str(bad), code=2).stderr
    assert shared.call("submit", "--from", "workflowtemplate/nix", code=3).returncode == 3
    assert "wants KIND/NAME" in shared.call("submit", "--from", "deploy", code=2).stderr
    assert "--parameter wants NAME=VALUE" in shared.call("submit", "-", "-p", "x", code=2).stderr
    assert "one of the two" in shared.call("submit", code=2).stderr
    assert "could not read" in shared.call("submit", str(tmp_path / "missing.yaml"), code=2).stderr


def test_a_waiting_run_is_told_of_at_once_and_shown_by_every_view(shared):
    shared.submit("wait-a", "waiting-views", "sleep 60")
    text = WORKFLOW.replace("NAME", "wait-b").replace("LOCK", "waiting-views").replace("SCRIPT", "true")
    said = shared.call("submit", "-", stdin=text).stdout
    assert said.startswith("wait-b submitted, Pending: ")
    assert "wait-a" in said
    key = "default/Mutex/waiting-views"
    listed = shared.call("get", "workflows", "-l", "workflows.argoproj.io/sync-id,batch=waiting-views", "-o", "name").stdout
    assert listed == "workflow/wait-b\n"
    status = json.loads(shared.call("get", "workflow", "wait-b", "-o", "jsonpath={.status.synchronization}").stdout)
    assert status == {"mutex": {"waiting": [{"mutex": key, "holder": "default/wait-a"}]}}
    why = json.loads(shared.call("why", "wait-b", "-o", "json").stdout)["locks"][0]
    assert why["resolved"] == [{"tag": "workflow.parameters.lock", "value": "waiting-views", "from": why["resolved"][0]["from"]}]
    assert (why["position"], why["holders"][0]["run"]) == (1, "wait-a")
    shared.call("stop", "wait-a")
    assert shared.call("wait", "wait-b").returncode == 0


def test_a_failed_holder_is_cleared_for_the_next_by_whoever_saw_it(shared):
    shared.submit("stuck-a", "stuck", "exit 7", "--wait")
    shared.submit("stuck-b", "stuck", "true")
    epoch = shared.lock("stuck")["holders"][0]["epoch"]
    shown = shared.call("terminate-stuck-holder", "stuck", "--dry-run").stdout
    assert f"default/Mutex/stuck#{epoch}" in shown
    assert "holding for a failure" in shown
    assert "Next           stuck-b, waiting since " in shown
    wrong = shared.call("terminate-stuck-holder", "stuck", "--epoch", "99999", "--reason", "x", "--yes", code=4)
    assert (
        f"the state changed: default/Mutex/stuck#99999 is over; it is held by stuck-a with default/Mutex/stuck#{epoch}"
        in wrong.stderr
    )
    assert "standard input is no terminal" in shared.call("terminate-stuck-holder", "stuck", code=2).stderr
    assert "--yes wants --epoch N and --reason" in shared.call("terminate-stuck-holder", "stuck", "--yes", code=2).stderr
    done = shared.call("terminate-stuck-holder", "stuck", "--epoch", str(epoch), "--reason", "undone by hand", "--yes")
    assert "stuck-b" in done.stdout
    shared.call("wait", "stuck-b")
    assert shared.shown("stuck-a")["status"]["phase"] == "Failed"
    rows = json.loads(shared.call("journal", "--lock", "stuck", "-o", "json").stdout)["items"]
    assert "mina" in next(row["actor"] for row in rows if "undone by hand" in json.dumps(row["detail"]))


def test_a_healthy_holder_is_not_ended_by_mistake(shared):
    shared.submit("alive", "alive-lock", "sleep 60")
    shared.until_running("alive")
    epoch = str(shared.lock("alive-lock")["holders"][0]["epoch"])
    shared.call("terminate-stuck-holder", "alive-lock", "--epoch", epoch, "--reason", "x", "--yes", code=4)
    assert shared.shown("alive")["status"]["phase"] == "Running"
    shared.call("terminate-stuck-holder", "alive-lock", "--epoch", epoch, "--reason", "x", "--yes", "--not-stuck")
    assert shared.call("wait", "alive", code=1).returncode == 1
    assert "nobody holds it now" in shared.call("terminate-stuck-holder", "alive-lock", "--dry-run", code=4).stderr


def test_on_a_terminal_the_holder_is_typed_and_a_reason_given(shared):
    shared.submit("typed", "typed-lock", "exit 1", "--wait")
    wanted = shared.lock("typed-lock")["holders"][0]["id"]
    for typed, code in (("yes\n", 4), (f"{wanted}\nlooked at it\n", 0)):
        leader, follower = os.openpty()
        os.write(leader, typed.encode())
        done = subprocess.run(
            [COMMAND, "terminate-stuck-holder", "typed-lock"],
            env=shared.env, stdin=follower, capture_output=True, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
        os.close(follower)
        os.close(leader)
        assert done.returncode == code, done.stderr
        assert f"Type {wanted} to go on" in done.stderr
    assert shared.lock("typed-lock")["state"] == "free"


def test_with_no_daemon_a_failed_holder_is_released_by_the_command_itself(own):
    own.submit("off-a", "down", "exit 1", "--wait")
    own.submit("off-b", "down", "true")
    own.call("down")
    epoch = str(own.lock("down")["holders"][0]["epoch"])
    done = own.call("terminate-stuck-holder", "down", "--epoch", epoch, "--reason", "no daemon", "--yes")
    assert "No daemon is running" in done.stderr
    assert own.shown("off-a")["status"].get("synchronization") is None
    own.call("up")
    own.call("wait", "off-b")


def test_a_daemon_that_hangs_is_named_and_can_be_killed_alone(own):
    own.submit("step", "hung", "sleep 60")
    own.until_running("step")
    pid = own.pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        epoch = str(own.lock("hung")["holders"][0]["epoch"])
        found = own.call("terminate-stuck-holder", "hung", "--epoch", epoch, "--reason", "x", "--yes", code=5)
        assert f"(pid {pid}, started " in found.stderr
        assert "lineclear down --force" in found.stderr
        for words in (["stop", "step"], ["sync", "now"], ["up"]):
            found = own.call(*words, code=5)
            assert f"(pid {pid}, started " in found.stderr
            assert "`lineclear down --force`" in found.stderr
            assert found.stdout == ""
        assert f"pid {pid}, was killed; steps go on" in own.call("down", "--force").stdout
    finally:
        if Path(f"/proc/{pid}").exists():
            os.kill(pid, signal.SIGCONT)
    assert own.call("down", "--force").stdout == "no daemon is running\n"
    own.call("up")
    assert own.shown("step")["status"]["phase"] == "Running"


def test_a_failed_run_is_retried_and_resubmitted_with_its_locks_taken_over(shared):
    shared.submit("again", "again-lock", "exit 1", "--wait")
    shared.call("retry", "again", "--wait", code=1)
    assert "--take-over wants --reason" in shared.call("resubmit", "again", "--take-over", "again", code=2).stderr
    made = shared.call("resubmit", "again", "--take-over", "again", "--reason", "fixed", "-o", "name").stdout.strip()
    shared.call("wait", made.removeprefix("workflow/"), code=1)
    assert shared.shown("again")["status"].get("synchronization") is None


def test_runs_are_ended_and_deleted_by_name_or_by_label(shared):
    for name in ("many-a", "many-b"):
        shared.submit(name, f"lock-{name}", "sleep 60")
        shared.until_running(name)
    assert shared.call("terminate", "-l", "batch in (lock-many-a,lock-many-b)", "--dry-run").stdout.splitlines() == [
        "many-b would be told to terminate",
        "many-a would be told to terminate",
    ]
    shared.call("terminate", "-l", "batch in (lock-many-a,lock-many-b)", "--message", "enough")
    shared.call("wait", "many-a", "many-b", code=1)
    assert "one of the two" in shared.call("delete", "many-a", "-l", "a=b", code=2).stderr
    assert shared.call("delete", "many-a", "many-b", "--dry-run").stdout == "many-a would be deleted\nmany-b would be deleted\n"
    shared.call("delete", "many-a", "many-b")
    assert shared.call("get", "many-a", code=3).returncode == 3


def test_a_cron_is_suspended_resumed_and_triggered(shared):
    shared.call("cron", "suspend", "nightly-backup")
    assert json.loads(shared.call("cron", "get", "nightly-backup", "-o", "json").stdout)["spec"]["suspend"] is True
    shared.call("cron", "resume", "nightly-backup")
    assert json.loads(shared.call("cron", "get", "nightly-backup", "-o", "json").stdout)["spec"].get("suspend") in (None, False)
    triggered = shared.call("cron", "trigger", "hourly-job").stdout
    assert triggered.startswith("hourly-job")
    assert shared.call("cron", "suspend", "nix", code=3).returncode == 3
    assert "wants a CronWorkflow's name" in shared.call("cron", "suspend", code=2).stderr


def test_git_is_looked_at_on_request(shared):
    assert "head " in shared.call("sync", "now").stdout
    assert shared.call("sync", "approve", "0" * 40, code=None).returncode in (3, 4)


def test_lint_prints_findings_with_their_place_and_its_code_tells_of_errors(tmp_path):
    home = Home(tmp_path / "none")
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(WORKFLOW.replace("NAME", "good"))
    bad.write_text(WORKFLOW.replace("NAME", "bad").replace("mutexes", "mutexs"))
    assert home.call("lint", str(good)).stdout == "1 document of 1 file: nothing found\n"
    found = home.call("lint", str(bad), code=2).stdout
    assert f"{bad}:11:" in found or "bad.yaml:11:" in found
    assert " error LC" in found
    objects = json.loads(home.call("lint", "-o", "json", str(tmp_path / "bad.yaml"), code=2).stdout)
    assert (objects[0]["line"], objects[0]["severity"]) == (11, "error")
    assert home.call("lint", str(tmp_path / "missing"), code=2).returncode == 2


def test_with_no_daemon_a_run_is_terminated_by_the_command_itself(own):
    own.submit("alone", "alone", "sleep 60")
    own.until_running("alone")
    own.call("down")
    assert "No daemon is running" in own.call("terminate", "alone", "--message", "by hand").stderr
    assert own.shown("alone")["status"]["phase"] == "Failed"
    assert "no daemon is running" in own.call("stop", "alone", code=5).stderr
