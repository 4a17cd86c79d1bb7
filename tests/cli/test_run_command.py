"""`run`: one manifest to its end, in a home that goes with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("lineclear")
API = "argoproj.io/v1alpha1"
DEADLINE_S = 60.0


def workflow(script="true", name="job", **more):
    main = {"name": "main", "container": {"image": "host", "command": ["sh", "-c", script]}}
    spec = {"entrypoint": "main", "templates": [main, *more.pop("templates", ())], **more}
    return {"apiVersion": API, "kind": "Workflow", "metadata": {"name": name}, "spec": spec}


def poll_until(condition, what):
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError(f"not seen within {DEADLINE_S} s: {what}")


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.fixture
def scratch(tmp_path):
    """Where private homes are made; a test that leaves one there fails."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    yield folder
    poll_until(lambda: not os.listdir(folder), f"an empty {folder}")


@pytest.fixture
def write(tmp_path):
    """Writes documents to a file as JSON, which is YAML."""

    def call(*documents, name="job.yaml"):
        path = tmp_path / name
        path.write_text("\n---\n".join(json.dumps(document) for document in documents))
        return str(path)

    return call


@pytest.fixture
def run(lineclear, scratch):
    """Runs `lineclear run` to its end."""

    def call(*words, **environ):
        return lineclear("run", *words, TMPDIR=str(scratch), **environ)

    return call


@pytest.fixture
def begin(scratch):
    """Starts `lineclear run` and leaves it running; at the end of the test it is killed if it still does."""
    started = []

    def call(*words):
        env = {key: value for key, value in os.environ.items() if not key.startswith("LINECLEAR_")} | {"TMPDIR": str(scratch)}
        process = subprocess.Popen(
            [COMMAND, "run", *words], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield call
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_a_run_that_succeeds_is_told_line_by_line_and_leaves_nothing(run, write):
    done = run(write(workflow("echo hello")))
    assert done.code == 0, done.err
    assert "locks are private" in done.err
    lines = [line.split() for line in done.out.splitlines()]
    assert ["Succeeded", "job"] in [words[1:3] for words in lines]
    assert lines[-1][:3] == ["job", "Succeeded", "at"]


def test_a_run_that_fails_is_exit_code_1(run, write):
    done = run(write(workflow("exit 3")))
    assert done.code == 1
    assert "job Failed" in done.out


def test_a_wrong_manifest_is_refused_with_file_line_and_column(run, write):
    wrong = workflow()
    wrong["spec"]["entrypoint"] = "nowhere"
    path = write(wrong)
    done = run(path)
    assert done.code == 2
    assert f"{path}:1:" in done.err
    assert "error LC" in done.err
    assert done.out == ""


def test_a_file_without_anything_to_run_is_refused(run, write):
    done = run(write({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "b"}}))
    assert done.code == 2
    assert "no Workflow" in done.err


def test_parameters_come_from_a_file_and_from_options_and_the_option_wins(run, write, tmp_path):
    told = workflow("echo {{workflow.parameters.a}}-{{workflow.parameters.b}}-{{workflow.parameters.c}}")
    told["spec"]["arguments"] = {"parameters": [{"name": "a", "value": "x"}, {"name": "b"}, {"name": "c"}]}
    values = tmp_path / "values.yaml"
    values.write_text("b: true\nc: from-file\n")
    done = run(write(told), "--parameter-file", str(values), "-p", "c=given", "--log")
    assert done.code == 0, done.err
    assert "x-true-given" in done.out


def test_a_parameter_file_that_is_no_map_is_refused(run, write, tmp_path):
    values = tmp_path / "values.yaml"
    values.write_text("- a\n")
    done = run(write(workflow()), "--parameter-file", str(values))
    assert done.code == 2
    assert "one map" in done.err


def test_what_the_manifest_refers_to_comes_with_other_files(run, write):
    template = workflow("echo from-template", name="shared") | {"kind": "WorkflowTemplate"}
    user = workflow(name="user") | {"spec": {"workflowTemplateRef": {"name": "shared"}}}
    done = run(write(user), "--with", write(template, name="shared.yaml"), "--log")
    assert done.code == 0, done.err
    assert "from-template" in done.out


def test_a_template_alone_is_run_by_its_entrypoint(run, write):
    template = workflow("echo from-template", name="shared") | {"kind": "WorkflowTemplate"}
    done = run(write(template), "--log")
    assert done.code == 0, done.err
    assert "from-template" in done.out


def test_a_cron_is_triggered_once(run, write):
    spec = workflow("echo ticked")["spec"]
    cron = {"apiVersion": API, "kind": "CronWorkflow", "metadata": {"name": "every"}, "spec": {"schedules": ["* * * * *"]}}
    cron["spec"]["workflowSpec"] = spec
    done = run(write(cron), "-o", "json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["metadata"]["labels"]["workflows.argoproj.io/cron-workflow"] == "every"


def test_json_is_the_finished_run_and_nothing_else(run, write):
    done = run(write(workflow("exit 1")), "-o", "json", "--name", "other")
    assert done.code == 1
    shown = json.loads(done.out)
    assert (shown["kind"], shown["metadata"]["name"], shown["status"]["phase"]) == ("Workflow", "other", "Failed")


def test_steps_see_the_files_folder(run, write, tmp_path):
    (tmp_path / "deploy.sh").write_text("echo deployed\n")
    done = run(write(workflow('sh "$LINECLEAR_REPO/deploy.sh"')), "--log")
    assert done.code == 0, done.err
    assert "main: deployed" in done.out or ": deployed" in done.out


def test_a_run_that_takes_too_long_is_terminated_with_exit_code_6(run, write):
    done = run(write(workflow("sleep 60")), "--timeout", "0.3")
    assert done.code == 6
    assert "Terminating" in done.err
    assert "job Failed" in done.out


def test_the_image_map_of_the_settings_counts(run, write, tmp_path):
    settings = tmp_path / "run.toml"
    settings.write_text('[images]\n"say:1" = { runtime = "host", command = ["echo", "default-command"] }\n')
    told = workflow()
    told["spec"]["templates"][0]["container"] = {"image": "say:1"}
    done = run(write(told), "--settings", str(settings), "--log")
    assert done.code == 0, done.err
    assert "default-command" in done.out


def test_a_wrong_setting_is_told_with_its_line(run, write, tmp_path):
    settings = tmp_path / "run.toml"
    settings.write_text("speed = 3\n")
    done = run(write(workflow()), "--settings", str(settings))
    assert done.code == 2
    assert "run.toml:1: there is no setting 'speed'" in done.err


def test_a_kept_home_can_be_looked_at_afterwards(run, write, lineclear, tmp_path):
    home = str(tmp_path / "kept")
    done = run(write(workflow("echo remembered")), "--keep", home)
    assert done.code == 0
    assert f"lineclear --home {home} get @latest" in done.err
    assert "remembered" in lineclear("--home", home, "logs", "job").out
    again = run(write(workflow()), "--keep", home)
    assert again.code == 2
    assert "not empty" in again.err


def test_an_interrupt_stops_the_run_and_its_exit_handler_runs(begin, write):
    bye = {"name": "bye", "container": {"image": "host", "command": ["sh", "-c", "echo bye-ran"]}}
    process = begin(write(workflow("echo up; exec sleep 60", templates=[bye], onExit="bye")), "--log")
    poll_until(lambda: ": up" in process.stdout.readline(), "the step's first line")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1
    assert "Stopping" in err
    assert "bye-ran" in out
    assert "job Failed" in out


def test_a_second_interrupt_terminates_the_run(begin, write):
    stubborn = {"name": "bye", "container": {"image": "host", "command": ["sh", "-c", "echo bye-began; exec sleep 60"]}}
    process = begin(write(workflow("echo up; exec sleep 60", templates=[stubborn], onExit="bye")), "--log")
    poll_until(lambda: ": up" in process.stdout.readline(), "the step's first line")
    process.send_signal(signal.SIGINT)
    poll_until(lambda: "bye-began" in process.stdout.readline(), "the exit handler's first line")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1
    assert "Terminating" in err


def test_a_command_that_is_killed_takes_its_steps_and_its_home_with_it(begin, write):
    process = begin(write(workflow("sleep 60 & echo pids $$ $!; wait")), "--log")
    pids: list[str] = []
    poll_until(lambda: pids.extend(process.stdout.readline().partition(": pids")[2].split()) or pids, "the step's pids")
    process.kill()
    process.communicate()
    poll_until(lambda: not any(is_alive(int(pid)) for pid in pids), "the end of the step's processes")


def test_other_commands_reach_a_run_by_its_home(begin, write, lineclear, tmp_path):
    home = str(tmp_path / "kept")
    process = begin(write(workflow("echo up; exec sleep 60")), "--log", "--keep", home)
    poll_until(lambda: ": up" in process.stdout.readline(), "the step's first line")
    refused = lineclear("--home", home, "submit", write(workflow(), name="more.yaml"))
    assert refused.code == 2
    assert "one `lineclear run`" in refused.err
    assert lineclear("--home", home, "stop", "job").code == 0
    process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1


def test_on_a_terminal_a_tree_is_drawn_in_place(scratch, write):
    master, slave = os.openpty()
    steps = {"name": "both", "steps": [[{"name": "a", "template": "main"}], [{"name": "b", "template": "main"}]]}
    path = write(workflow("sleep 0.3", templates=[steps], entrypoint="both"))
    env = {**os.environ, "TMPDIR": str(scratch), "TERM": "xterm", "LANG": "C.UTF-8"}
    process = subprocess.Popen([COMMAND, "run", path], env=env, stdin=slave, stdout=slave, stderr=subprocess.DEVNULL)
    os.close(slave)
    seen = b""
    while True:
        try:
            seen += os.read(master, 65536)
        except OSError:
            break
    os.close(master)
    assert process.wait(DEADLINE_S) == 0
    text = seen.decode()
    last = text.rpartition("\x1b[J")[2]
    assert "● a" in text
    assert [word in last for word in ("✔ job", "├─✔ a", "└─✔ b")] == [True] * 3


def test_the_limit_of_a_database_semaphore_is_given_with_the_command(run, write):
    locked = write(workflow(synchronization={"semaphores": [{"database": {"key": "gpus"}}]}))
    assert run(locked, "--limit", "gpus=1").code == 0
    assert run(locked, "--limit", "gpus=one").code == 2
