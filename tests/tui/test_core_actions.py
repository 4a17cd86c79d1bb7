"""What an operator does from the screen, against a real daemon: planned, carried out, refused, and when nobody answers."""

import json
import shlex
import signal
import subprocess
import sys

import pytest

from reconciler.home import Home
from tui.core.actions import OutcomeKind, Reach, RunVerb, carry_out, plan_cron, plan_run, plan_sync, plan_terminate, plan_unhold
from tui.core.model import DaemonKind, Failure, RunKey, RunState
from tui.core.source import Source

KEY = "default/Mutex/db"
MIGRATE, API = RunKey("default", "migrate"), RunKey("default", "api")
HOST = {"image": "host", "command": ["true"]}
CRON = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "CronWorkflow",
    "metadata": {"name": "nightly"},
    "spec": {
        "schedules": ["0 3 * * *"],
        "workflowSpec": {"entrypoint": "main", "templates": [{"name": "main", "container": HOST}]},
    },
}


def workflow(name, body, *mutexes):
    locks = {"synchronization": {"mutexes": [{"name": mutex} for mutex in mutexes]}} if mutexes else {}
    script = {"image": "host", "command": ["sh"], "source": body}
    spec = {"entrypoint": "main", "templates": [{"name": "main", "script": script}], **locks}
    return json.dumps({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": name}, "spec": spec})


@pytest.fixture
def source(home):
    made = Source(Home(str(home.root)))
    yield made
    made.close()


@pytest.fixture
def failed(home, source):
    """`migrate` has failed and keeps the lock; `api` waits for it."""
    home.daemon.start()
    home.submit(workflow("migrate", "echo half done; exit 1", "db", "other"))
    home.wait_phase("migrate", "Failed")
    home.submit(workflow("api", "true", "db"))
    return source


@pytest.fixture
def alive(home, source):
    """`migrate` runs and holds the lock; `api` waits for it."""
    home.daemon.start()
    home.submit(workflow("migrate", "echo began; exec sleep 600", "db"))
    home.wait_phase("migrate", "Running")
    home.submit(workflow("api", "true", "db"))
    return source


def test_the_lock_its_holder_and_whoever_waits_lead_to_the_same_plan(failed):
    plans = [plan_terminate(failed, target) for target in (KEY, MIGRATE, API)]
    assert plans[0] == plans[1] == plans[2]
    plan = plans[0]
    assert plan.confirmation == f"{KEY}#{plan.epoch}"
    assert (plan.refused, plan.needs_reason, plan.others) == ("", True, ())
    named = dict(plan.lines)
    assert named["Next"].startswith("api, waiting since")
    assert named["Also released"] == "default/Mutex/other"
    assert "holding for a failure" in named["Evidence"]


def test_the_screen_says_word_for_word_what_the_command_says(home, failed):
    from reconciler.views.clearing import plan_text

    argv = [sys.executable, "-m", "reconciler", "terminate-stuck-holder", "--home", str(home.root), KEY, "--dry-run"]
    told = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout
    ours = plan_text(dict(plan_terminate(failed, KEY).facts))
    assert _without_ages(ours) == _without_ages(told)


def _without_ages(text):
    return [line for line in text.splitlines() if " ago" not in line]


def test_a_failed_holder_is_cleared_with_a_reason_and_the_record_says_who(home, failed):
    plan = plan_terminate(failed, KEY)
    done = carry_out(failed, plan, "looked at the tables", plan.confirmation)

    assert done.kind is OutcomeKind.DONE
    assert "next: api" in done.text
    assert shlex.split(done.command)[:2] == ["lineclear", "terminate-stuck-holder"]
    assert "'looked at the tables'" in done.command
    assert home.wait_phase("api") == "Succeeded"
    ((seq, detail),) = home.rows("SELECT seq, detail_json FROM journal WHERE kind = 'holder.terminated'")
    assert done.journal == seq
    assert "looked at the tables" in detail


def test_the_command_of_an_outcome_does_the_same(home, failed):
    plan = plan_terminate(failed, KEY)
    words = shlex.split(plan.command("by hand", failed.named_home))[1:]
    argv = [sys.executable, "-m", "reconciler", *words]
    subprocess.run(argv, capture_output=True, timeout=60, check=True)
    assert home.wait_phase("api") == "Succeeded"


@pytest.mark.parametrize(("reason", "typed"), [("", "right"), ("   ", "right"), ("because", ""), ("because", f"{KEY}#999")])
def test_without_a_reason_or_the_right_words_nothing_is_asked(home, failed, reason, typed):
    plan = plan_terminate(failed, KEY)
    done = carry_out(failed, plan, reason, plan.confirmation if typed == "right" else typed)
    assert (done.kind, done.text.startswith("nothing was done")) == (OutcomeKind.REFUSED, True)
    assert home.journal("holder.terminated") == []


def test_a_plan_for_a_holder_that_has_gone_is_refused_with_the_new_state(home, failed):
    plan = plan_terminate(failed, KEY)
    home.ask("terminate", namespace="default", run="migrate")
    home.wait_phase("api")
    home.submit(workflow("later", "exec sleep 600", "db"))
    home.wait_phase("later", "Running")

    late = carry_out(failed, plan, "because", plan.confirmation)
    assert late.kind is OutcomeKind.REFUSED
    assert "the state changed" in late.text
    assert "later" in late.text
    again = plan_terminate(failed, KEY, epoch=plan.epoch)
    assert (type(again), again.kind) == (Failure, "refused")


def test_a_free_lock_and_a_run_without_locks_have_no_plan(home, failed):
    home.ask("terminate", namespace="default", run="migrate")
    home.wait_phase("api")
    assert plan_terminate(failed, KEY).kind == "refused"
    assert plan_terminate(failed, API).kind == "missing"
    assert plan_terminate(failed, "default/Mutex/nothing").kind == "missing"


def test_a_healthy_holder_is_left_alone_unless_it_is_said_so(home, alive):
    plan = plan_terminate(alive, KEY)
    assert "--not-stuck" in plan.refused
    assert carry_out(alive, plan, "because", plan.confirmation).kind is OutcomeKind.REFUSED
    assert home.phase("migrate") == "Running"

    plan = plan_terminate(alive, KEY, reach=Reach.ALIVE)
    assert (plan.refused, "--not-stuck" in plan.command()) == ("", True)
    assert carry_out(alive, plan, "because", plan.confirmation).kind is OutcomeKind.DONE
    assert home.wait_phase("migrate") == "Failed"
    assert home.wait_phase("api") == "Succeeded"


def test_several_holders_want_a_choice_unless_one_alone_is_stuck(home, source):
    home.daemon.start()
    home.push({"limits.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: limits}\ndata: {gpu: '2'}\n"})
    text = json.loads(workflow("one", "exec sleep 600"))
    text["spec"]["synchronization"] = {"semaphores": [{"configMapKeyRef": {"name": "limits", "key": "gpu"}}]}
    for name, body in (("one", "exec sleep 600"), ("two", "exec sleep 600")):
        text["metadata"]["name"], text["spec"]["templates"][0]["script"]["source"] = name, body
        home.submit(json.dumps(text))
        home.wait_phase(name, "Running")
    lock = "default/ConfigMap/limits/gpu"
    open_choice = plan_terminate(source, lock)
    assert (type(open_choice), open_choice.kind) == (Failure, "choose")
    holders = source.lock(lock).holders
    chosen = plan_terminate(source, lock, epoch=holders[1].epoch)
    assert (chosen.run.name, chosen.others) == (holders[1].run, (holders[0].epoch,))
    assert plan_terminate(source, RunKey("default", "two")).run.name == "two"


def test_runs_are_stopped_retried_and_deleted_as_they_were_shown(home, failed):
    assert "there is nothing to" not in plan_run(failed, RunVerb.TERMINATE, MIGRATE).refused
    lets_go = [value for name, value in plan_run(failed, RunVerb.TERMINATE, MIGRATE).lines if name == "Lets go"]
    assert lets_go == ["default/Mutex/db, next is api", "default/Mutex/other, next is nobody"]
    assert "only a Failed or Error run" in plan_run(failed, RunVerb.RETRY, API).refused

    old = plan_run(failed, RunVerb.RETRY, MIGRATE)
    assert carry_out(failed, old).kind is OutcomeKind.DONE
    home.wait_phase("migrate", "Failed")
    assert carry_out(failed, plan_run(failed, RunVerb.DELETE, MIGRATE)).kind is OutcomeKind.DONE
    late = carry_out(failed, old)
    assert (late.kind, "is gone" in late.text) == (OutcomeKind.REFUSED, True)
    assert home.wait_phase("api") == "Succeeded"
    assert plan_run(failed, RunVerb.STOP, API).refused
    assert "only a Failed or Error" in plan_run(failed, RunVerb.RETRY, API).refused
    assert plan_run(failed, RunVerb.STOP, MIGRATE).kind == "missing"


def test_a_run_that_has_moved_on_is_not_acted_on(home, alive):
    plan = plan_run(alive, RunVerb.STOP, API)
    home.ask("terminate", namespace="default", run="migrate")
    home.wait_phase("api")
    late = carry_out(alive, plan)
    assert (late.kind, "was Pending and is Succeeded" in late.text) == (OutcomeKind.REFUSED, True)


def test_a_waiting_run_is_stopped_with_its_message(home, alive):
    plan = plan_run(alive, RunVerb.STOP, API)
    assert plan.command() == "lineclear stop api"
    assert plan.command("not now") == "lineclear stop api --message 'not now'"
    assert carry_out(alive, plan, "not now").kind is OutcomeKind.DONE
    assert home.wait_phase("api") == "Failed"


def test_a_new_run_takes_the_locks_over(home, failed):
    plan = plan_run(failed, RunVerb.TAKE_OVER, MIGRATE)
    assert carry_out(failed, plan).kind is OutcomeKind.REFUSED
    done = carry_out(failed, plan, "fixed")
    assert done.kind is OutcomeKind.DONE
    assert done.text.startswith("made ")
    assert plan_run(failed, RunVerb.TAKE_OVER, API).refused


def test_a_cron_is_suspended_and_resumed_once(home, source):
    home.daemon.start()
    home.push({"cron.yaml": json.dumps(CRON)})
    key = RunKey("default", "nightly")
    assert plan_cron(source, "resume", key).refused == "nightly is resumed already"
    assert carry_out(source, plan_cron(source, "suspend", key)).kind is OutcomeKind.DONE
    assert plan_cron(source, "suspend", key).refused == "nightly is suspended already"
    assert [row.suspended for row in source.poll().crons] == [True]
    made = carry_out(source, plan_cron(source, "trigger", key))
    assert (made.kind, made.text.startswith("made nightly")) == (OutcomeKind.DONE, True)
    assert plan_cron(source, "resume", RunKey("default", "nothing")).kind == "missing"


def test_a_sync_is_asked_for_and_an_approval_only_of_what_is_held(home, source):
    home.daemon.start()
    home.push({"cron.yaml": json.dumps(CRON)})
    done = carry_out(source, plan_sync(source))
    assert (done.kind, done.text.startswith("head ")) == (OutcomeKind.DONE, True)
    assert "is not held any more" in plan_sync(source, "f" * 40).refused


def test_a_lock_that_is_not_held_back_cannot_be_opened(failed):
    plan = plan_unhold(failed, KEY)
    assert plan.refused == f"{KEY} is neither held for maintenance nor held back"
    assert carry_out(failed, plan, "because").kind is OutcomeKind.REFUSED


def test_a_maintenance_hold_is_ended_by_the_plan_that_opens_its_lock(home, source):
    home.daemon.start()
    home.ask("hold", locks=[KEY], for_s=3600, reason="disk swap")
    plan = plan_unhold(source, KEY)
    told = dict(plan.lines)["Held"]
    assert (plan.refused, told.endswith(": disk swap"), "held for maintenance by" in told) == ("", True, True)
    assert carry_out(source, plan, "done").kind is OutcomeKind.DONE
    assert "neither" in plan_unhold(source, KEY).refused


def test_without_a_daemon_a_holder_is_still_cleared_and_the_rest_is_refused(home, failed):
    plans = plan_terminate(failed, KEY), plan_run(failed, RunVerb.RETRY, MIGRATE)
    home.daemon.stop()
    assert failed.poll().daemon.kind is DaemonKind.NONE
    refused = carry_out(failed, plans[1])
    assert (refused.kind, "no daemon is running" in refused.text) == (OutcomeKind.REFUSED, True)
    done = carry_out(failed, plans[0], "nobody is there", plans[0].confirmation)
    assert (done.kind, "without a daemon" in done.text) == (OutcomeKind.DONE, True), done.text
    again = carry_out(failed, plans[0], "nobody is there", plans[0].confirmation)
    assert (again.kind, "lineclear:" in again.text) == (OutcomeKind.REFUSED, False), again.text
    assert next(row for row in failed.poll().runs if row.name == "migrate").state is RunState.FAILED


def test_a_daemon_that_hangs_makes_an_outcome_unknown(home, failed, until):
    plan = plan_terminate(failed, KEY)
    home.daemon.signal(signal.SIGSTOP)
    try:
        unknown = carry_out(failed, plan, "because", plan.confirmation, timeout_s=5.0)
        assert unknown.kind is OutcomeKind.UNKNOWN
        until(lambda: failed.poll().daemon.kind is DaemonKind.HUNG, "the daemon is seen to hang")
    finally:
        home.daemon.signal(signal.SIGCONT)
    until(lambda: failed.poll().daemon.kind is DaemonKind.RUNS, "the daemon is seen to work")
