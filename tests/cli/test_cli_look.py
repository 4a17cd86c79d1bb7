"""What a person sees: the installed command on real rows, compared with what it should print, whole."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def queue(rows, minute):
    """A failed holder that keeps its mutex, two that wait for it, one of them for a semaphore too."""
    lock, limit = rows.lock("build-lock"), rows.lock("limits/db", kind="ConfigMap", capacity=1)
    failed = rows.run("build-a", "Failed", message="child failed")
    root = rows.node(failed, "", "Failed", type="Steps", display="build-a")
    group = rows.node(failed, "[0]", "Failed", type="StepGroup", parent_id=root, display="[0]")
    step = rows.node(failed, "[0].compile", "Failed", parent_id=group, display="compile", exit_code=2)
    rows.attempt(failed, step, "exited", exit_code=2)
    rows.claim(failed, "held", [lock])
    other = rows.run("batch", "Running", arguments_json='{"size":"3"}')
    rows.claim(other, "held", [limit])
    rows.claim(rows.run("build-b"), "waiting", [lock], at=minute(1))
    rows.claim(rows.run("build-c", labels_json='{"team":"web"}'), "waiting", [lock, limit], at=minute(2))
    return rows


@pytest.mark.edge("E71")
def test_the_runs_that_wait_are_listed_by_argos_label_word_for_word(queue, lineclear):
    found = lineclear("get", "workflows", "-l", "workflows.argoproj.io/sync-id", "--no-headers")
    assert found.code == 0
    assert [line.split()[0] for line in found.out.splitlines()] == ["build-c", "build-b"]


def test_the_synchronization_of_one_run_is_printed_word_for_word_as_kubectl_would(queue, lineclear):
    found = lineclear("get", "workflow", "build-b", "-o", "jsonpath={.status.synchronization}")
    assert json.loads(found.out) == {"mutex": {"waiting": [{"mutex": "default/Mutex/build-lock", "holder": "default/build-a"}]}}
    assert not found.out.endswith("\n")
    assert lineclear("get", "workflow", "batch", "-o", "jsonpath='{.status.phase}'".replace("'", "")).out == "Running"


def test_locks_are_listed_with_state_and_verdict(queue, lineclear):
    found = lineclear("locks", "--no-headers")
    rows = [line.split(None, 4) for line in found.out.splitlines()]
    assert [row[:4] for row in rows] == [
        ["default/Mutex/build-lock", "Mutex", "1/1", "2"],
        ["default/ConfigMap/limits/db", "ConfigMap", "1/1", "1"],
    ]
    assert rows[0][4].split(None, 1)[1] == "build-a   stuck       holding for a failure"
    header = lineclear("locks").out.splitlines()[0].split()
    assert header == ["LOCK", "KIND", "HELD/LIMIT", "WAITING", "OLDEST-WAIT", "HOLDER", "STATE", "VERDICT"]


def test_one_lock_is_shown_with_its_holder_and_its_queue(queue, lineclear):
    found = json.loads(lineclear("locks", "show", "build-lock", "-o", "json").out)
    assert (found["key"], found["state"], found["verdict"]) == ("default/Mutex/build-lock", "stuck", "holding for a failure")
    assert found["holders"][0]["id"] == "default/Mutex/build-lock#1"
    assert [(w["position"], w["order"], w["run"], w["alsoNeeds"]) for w in found["queue"]] == [
        (1, 2, "build-b", []),
        (2, 3, "build-c", ["default/ConfigMap/limits/db"]),
    ]
    text = lineclear("locks", "show", "build-lock").out
    assert "Held:                1 of 1\n" in text
    assert "POSITION   ORDER   RUN       NODE   PRIORITY   SINCE                  ALSO-NEEDS\n" in text


def test_a_run_is_printed_with_its_locks_and_its_tree(queue, lineclear):
    text = lineclear("get", "build-a", PYTHONIOENCODING="utf-8").out
    assert "Status:              Failed\nMessage:             child failed\n" in text
    assert "Locks held (kept until it is terminated):\n  default/Mutex/build-lock#1 " in text
    assert text.endswith(
        "STEP            TEMPLATE   ATTEMPT   DURATION   MESSAGE\n"
        "✖ build-a       main                 4m\n"
        "└─✖ [0]         main                 4m\n"
        "  └─✖ compile   main       1         4m\n"
    )
    plain = lineclear("get", "build-a", "--no-utf8").out
    assert plain.isascii()
    assert "`-x [0]" in plain


def test_the_tree_is_drawn_in_ascii_where_the_terminal_knows_no_more(queue, lineclear):
    found = lineclear("get", "build-a", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert (found.code, found.out.isascii()) == (0, True)


def test_a_list_narrows_by_label_phase_prefix_and_age(queue, lineclear):
    def names(*words):
        return [line.split()[0] for line in lineclear("list", "--no-headers", *words).out.splitlines()]

    assert names() == ["build-c", "build-b", "batch", "build-a"]
    assert names("-l", "team=web") == ["build-c"]
    assert names("-l", "!team,workflows.argoproj.io/phase!=Failed") == ["build-b", "batch"]
    assert names("--status", "Failed,Error") == ["build-a"]
    assert names("--running", "--prefix", "build") == ["build-c", "build-b"]
    assert names("--completed") == ["build-a"]
    assert names("--since", "1h") == []
    assert names("--older", "1h", "--limit", "2") == ["build-c", "build-b"]


def test_a_cut_list_says_so_beside_the_table(queue, lineclear):
    found = lineclear("list", "--limit", "3")
    assert len(found.out.splitlines()) == 4
    assert found.err == "3 runs are shown, there are more; --limit 0 shows all\n"
    assert lineclear("list", "--limit", "4").err == ""


def test_lists_are_objects_for_programs(queue, lineclear):
    found = json.loads(lineclear("get", "wf", "-o", "json").out)
    assert (found["kind"], [item["metadata"]["name"] for item in found["items"]]) == (
        "List",
        ["build-c", "build-b", "batch", "build-a"],
    )
    assert lineclear("list", "-o", "name", "--limit", "2").out == "workflow/build-c\nworkflow/build-b\n"
    names = lineclear("get", "wf", "-o", "jsonpath={.items[*].metadata.name}").out
    assert names == "build-c build-b batch build-a"
    assert "kind: Workflow\n" in lineclear("get", "wf/batch", "-o", "yaml").out


def test_every_namespace_is_listed_with_a_column_of_its_own(queue, lineclear):
    queue.run("far", namespace="prod")
    assert "far" not in lineclear("list").out
    assert lineclear("list", "-A").out.splitlines()[1].split()[:2] == ["prod", "far"]
    assert "far" in lineclear("-n", "prod", "list").out
    assert lineclear("get", "@latest", "-n", "prod", "-o", "name").out == "workflow/far\n"


def test_why_names_the_lock_the_holder_and_the_command(queue, lineclear):
    found = lineclear("why", "build-c")
    assert found.code == 0
    assert "build-c waits for 2 locks, all or none" in found.out
    assert "lineclear terminate-stuck-holder default/Mutex/build-lock" in found.out
    assert "No daemon is running" in found.err
    explained = json.loads(lineclear("why", "build-c", "-o", "json").out)
    assert [lock["lock"] for lock in explained["locks"]] == ["default/Mutex/build-lock", "default/ConfigMap/limits/db"]
    assert explained["locks"][0]["ahead"][0]["run"] == "build-b"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["get", "buidl-a"], 3, "there is no run 'buidl-a' in namespace 'default'; there are build-c, build-b, batch, build-a"),
        (["get", "pods", "x"], 2, "there is no kind 'pods'; the kinds are workflow, cronworkflow, "),
        (["get", "cwf", "x"], 3, "there is no CronWorkflow 'x' in namespace 'default'"),
        (["why", "@latest", "-n", "empty"], 3, "there is no run in namespace 'empty'"),
        (["locks", "show", "nix"], 3, "there is no lock 'nix'; known are default/ConfigMap/limits/db, default/Mutex/build-lock"),
        (["locks", "show"], 2, "could not show a lock: none was named"),
        (["list", "--status", "Broken"], 2, "--status is one of Pending, Running, Succeeded, Failed, Error, not 'Broken'"),
        (["list", "--limit", "few"], 2, "--limit wants a whole number of at most 15 digits, not 'few'"),
        (["list", "--since", "soon"], 2, "--since wants a span such as 45s, 10m, 2h or 7d, a century at most, not 'soon'"),
        (["list", "--running", "--completed"], 2, "--running and --completed exclude each other"),
        (["list", "-o", "xml"], 2, "-o is one of table, wide, json, yaml, name or jsonpath=TEMPLATE, not 'xml'"),
        (["get", "build-a", "-o", "jsonpath={.x"], 2, ""),
        (["get", "build-a", "-o", "jsonpath="], 2, "-o jsonpath wants a template"),
        (["logs", "build-a", "nix"], 3, "there is no step 'nix' in build-a; there are "),
        (["journal", "--run", "nix"], 3, "there is no run 'nix'"),
        (["submit", "/nowhere.yaml"], 2, "could not read /nowhere.yaml: No such file or directory; name a manifest"),
        (["list", "--home="], 2, "--home wants a folder"),
        (["--home"], 2, "--home wants a value, and no command is named"),
        (["terminate-stuck-holder", "nix", "--epoch", "abc"], 2, "--epoch wants a whole number of at most 15 digits, not 'abc'"),
        (["list", "--home", "/nowhere"], 5, "there is no state.db in it; run `lineclear init --home /nowhere`"),
    ],
)
def test_an_error_has_its_code_and_says_what_was_wrong(queue, lineclear, words, code, message):
    found = lineclear(*words)
    assert (found.code, found.out) == (code, "")
    assert found.err.startswith("lineclear: ")
    assert message in found.err


def test_definitions_are_listed_and_shown(rows, lineclear):
    spec = {"schedules": ["0 2 * * *"], "timezone": "Etc/UTC", "concurrencyPolicy": "Forbid"}
    rows.definition("CronWorkflow", "nightly", {"spec": spec})
    rows.add(
        "cron", namespace="default", name="nightly", since="2026-03-01T00:00:00.000000Z", suspended=1,
        last_run_at="2026-03-01T02:00:00.000000Z",
    )  # fmt: skip
    rows.definition("WorkflowTemplate", "deploy", {"spec": {"entrypoint": "main"}}, stale="deploy.yaml:3:1: no such field")
    rows.definition("ConfigMap", "limits", {"apiVersion": "v1", "data": {"db": "3"}})
    rows.run("nightly-1", "Running", cron="nightly")
    table = lineclear("get", "cwf").out.splitlines()
    assert table[0].split() == ["NAME", "AGE", "LAST-RUN", "NEXT-RUN", "SCHEDULES", "TIMEZONE", "POLICY", "SUSPENDED"]
    assert table[1].endswith("N/A        0 2 * * *   Etc/UTC    Forbid   true (by an operator; Git says false)")
    assert "Active Workflows:    nightly-1\n" in lineclear("cron", "get", "nightly").out
    cron = json.loads(lineclear("get", "cron", "nightly", "-o", "json").out)
    assert (cron["spec"]["suspend"], cron["status"]["lastScheduledTime"]) == (True, "2026-03-01T02:00:00Z")
    assert [run["name"] for run in cron["status"]["active"]] == ["nightly-1"]
    assert "its newest version is refused: deploy.yaml:3:1: no such field" in lineclear("get", "wftmpl").out
    assert lineclear("get", "cm", "limits", "-o", "jsonpath={.data.db}").out == "3"
    assert 'data:\n  db: "3"\n' in lineclear("get", "cm", "limits").out


def test_the_ticks_of_a_cron_tell_what_was_decided_and_why(rows, lineclear, minute):
    rows.definition("CronWorkflow", "nightly", {"spec": {}})
    base = {"namespace": "default", "cron": "nightly", "decided_at": minute(9)}
    rows.add("tick", due_at=minute(1), decision="ran", run_name="nightly-1", **base)
    rows.add("tick", due_at=minute(2), decision="forbidden", reason="nightly-1 is running", **base)
    rows.add("tick", due_at=minute(8), decision="missed", reason="the daemon was down", count=6, **base)
    assert lineclear("cron", "ticks", "nightly").out == (
        "TICK                   DECISION                         RUN         REASON\n"
        "2026-03-01T12:08:00Z   missed (6 instants up to here)   -           the daemon was down\n"
        "2026-03-01T12:02:00Z   forbidden                        -           nightly-1 is running\n"
        "2026-03-01T12:01:00Z   ran                              nightly-1\n"
    )
    assert lineclear("cron", "ticks", "nihgtly").code == 3


def test_the_journal_is_printed_and_narrowed(rows, lineclear, minute):
    rows.lock("m")
    rows.add(
        "journal", at=minute(1), kind="run.created", namespace="default", run="a", detail_json='{"origin": "git", "none": ""}'
    )
    rows.add("journal", at=minute(2), kind="claim.granted", namespace="default", run="a", subject="default/Mutex/m")
    rows.add(
        "journal",
        at=minute(3),
        kind="holder.terminated",
        actor="mina",
        subject="default/Mutex/m",
        detail_json='{"reason": "x\\u001b"}',
    )
    kinds = [row["kind"] for row in json.loads(lineclear("journal", "-o", "json").out)["items"]]
    assert kinds == ["run.created", "claim.granted", "holder.terminated"]
    lines = lineclear("journal", "--lock", "m", "--no-headers").out.splitlines()
    assert [line.split()[1] for line in lines] == ["claim.granted", "holder.terminated"]
    assert lines[1].endswith("reason=x\\x1b")
    assert len(lineclear("journal", "--run", "a").out.splitlines()) == 3
    assert [row["kind"] for row in json.loads(lineclear("journal", "--limit", "1", "-o", "json").out)["items"]] == [
        "holder.terminated"
    ]


def test_what_git_brought_is_shown_with_what_is_held_and_what_is_wrong(rows, lineclear, minute):
    outcome = json.dumps({"lines": ["added: CronWorkflow default/n", "added: ConfigMap default/l", "run: Workflow default/a"]})
    rows.add(
        "revision", sha="a" * 40, seen_at=minute(1), applied_at=minute(1), state="applied", subject="First", outcome_json=outcome
    )
    rows.add("revision", sha="b" * 40, seen_at=minute(2), state="held", subject="Remove all", message="it would remove 9 of 9")
    rows.add("file", path="bad.yaml", blob="x", bad=1, findings_json='[[3, 5, "LC101", "error", "no such field"]]')
    text = lineclear("sync").out
    assert "2 added, 1 run" in text
    assert "Let it through: lineclear sync approve " + "b" * 40 in text
    assert "bad.yaml:3:5: error LC101: no such field\n" in text
    assert [row["state"] for row in json.loads(lineclear("sync", "log", "-o", "json").out)["items"]] == ["held", "applied"]
    assert lineclear("sync", "approve").code == 2


def test_text_of_others_cannot_reach_the_terminal_as_control_characters(rows, lineclear):
    rows.run("evil", "Failed", message="\x1b[2J\u202e", labels_json='{"x": "\\u009b31m"}')
    for words in (["list"], ["get", "evil"], ["why", "evil"], ["get", "evil", "-o", "json"], ["get", "evil", "-o", "yaml"]):
        out = lineclear(*words).out
        assert all(c.isprintable() or c == "\n" for c in out), words


def test_a_reader_that_leaves_early_is_no_error(rows, lineclear, tmp_path):
    import subprocess
    import sys
    from pathlib import Path

    rows.db.execute("BEGIN")
    for number in range(3000):
        rows.run(f"run-{number}", message="m" * 200)
    rows.db.execute("COMMIT")
    command = f"{Path(sys.executable).with_name('lineclear')} --home {rows.home} list --limit 0 | head -n 1"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_run_may_be_named_as_it_is_printed(queue, lineclear):
    for printed in lineclear("list", "-o", "name").out.split():
        for words in (["why"], ["get"], ["logs"], ["terminate", "--dry-run"], ["journal", "--limit", "1", "--run"]):
            assert lineclear(*words, printed).code == lineclear(*words, printed.removeprefix("workflow/")).code == 0
    for printed in lineclear("locks", "-o", "name").out.split():
        assert lineclear("locks", "show", printed).code == 0


@pytest.mark.parametrize("command", ["stop", "terminate", "delete"])
def test_labels_that_match_no_run_are_told(queue, lineclear, command):
    found = lineclear(command, "-l", "team=nobody")
    assert (found.code, found.out, found.err) == (0, "", "no runs match team=nobody; nothing is done\n")


def test_what_a_live_holder_would_be_refused_for_is_shown_beforehand(rows, lineclear):
    lock = rows.lock("busy")
    run = rows.run("alive", "Running")
    rows.attempt(run, rows.node(run, ".work"), "live", pid=1)
    rows.claim(run, "held", [lock])
    assert "Refused        unless --not-stuck is given: alive is not stuck" in lineclear(
        "terminate-stuck-holder", "busy", "--dry-run"
    ).out
    assert "Refused" not in lineclear("terminate-stuck-holder", "busy", "--dry-run", "--not-stuck").out
