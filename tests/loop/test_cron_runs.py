"""CronWorkflows over time: each tick decided once with its reason, policies that hold, history that removes no holder."""

import pytest
from loop_harness import API, START, job, pod, spec


def cron(policy, workflow=None, **more):
    body = {"schedule": "* * * * *", "timezone": "UTC", "concurrencyPolicy": policy, "workflowSpec": workflow or job()}
    return {"apiVersion": API, "kind": "CronWorkflow", "metadata": {"name": "c"}, "spec": {**body, **more}}


def ticks(world):
    """(decision, run) of each tick, in order."""
    return world.rows("SELECT decision, run_name FROM tick ORDER BY due_at")


def name(minute):
    """The run of the tick that many minutes after the start."""
    return f"c-{int(START.timestamp()) + 60 * minute}"


def phases(world):
    return dict(world.rows("SELECT name, phase FROM run ORDER BY id"))


def test_allow_lets_runs_overlap(world):
    world.push(cron("Allow"))
    world.tick(60)
    world.tick(60)
    assert ticks(world) == [("ran", name(1)), ("ran", name(2))]
    assert world.running() == [(name(1), ""), (name(2), "")]


def test_forbid_skips_while_a_run_is_active_and_says_why(world):
    world.push(cron("Forbid"))
    world.tick(60)
    world.tick(60)
    assert ticks(world) == [("ran", name(1)), ("forbidden", "")]
    reason = world.one("SELECT reason FROM tick WHERE decision = 'forbidden'")[0]
    assert f"run {name(1)} is running" in reason


@pytest.mark.edge("E81", "E83")
def test_forbid_runs_when_the_run_ended_in_the_tick_before(world):
    world.push(cron("Forbid"))
    world.tick(60)
    world.exits(name(1), "", 1)
    world.tick(60)
    assert ticks(world) == [("ran", name(1)), ("ran", name(2))]


@pytest.mark.edge("E84")
def test_forbid_does_not_run_late_what_it_skipped(world):
    world.push(cron("Forbid"))
    for _ in range(4):
        world.tick(60)
    world.exits(name(1), "")
    world.tick(5)
    assert [decision for decision, _ in ticks(world)] == ["ran", "forbidden", "forbidden", "forbidden"]
    assert world.running() == []


def test_forbid_skips_while_the_run_waits_for_a_lock(world):
    world.push(cron("Forbid", job("m")))
    world.submit(job("m"), "holder")
    world.tick(60)
    world.tick(60)
    assert "is waiting for lock default/Mutex/m" in world.one("SELECT reason FROM tick WHERE decision = 'forbidden'")[0]


def test_forbid_skips_behind_a_failed_holder_until_it_lets_go(world):
    world.push(cron("Forbid", job("m")))
    world.tick(60)
    world.exits(name(1), "", 1)
    world.tick(60)
    assert ticks(world)[1] == ("forbidden", "")
    assert "is Failed and holds its locks for the failure" in world.one("SELECT reason FROM tick WHERE decision = 'forbidden'")[0]
    world.must("terminate", run=name(1))
    world.tick(60)
    assert ticks(world)[2] == ("ran", name(3))


@pytest.mark.edge("E80")
def test_forbid_runs_again_after_its_active_run_was_deleted(world):
    world.push(cron("Forbid"))
    world.tick(60)
    world.must("delete", run=name(1), force=True)
    world.exits(name(1), "", 143)
    world.tick(60)
    assert ticks(world)[1] == ("ran", name(2))


@pytest.mark.edge("E65", "E88")
def test_replace_never_overlaps(world):
    """The successor starts in the commit in which its predecessor's process has ended, and not before."""
    world.push(cron("Replace", job("m")))
    world.tick(60)
    world.tick(60)
    assert ticks(world) == [("ran", name(1)), ("replaced", name(2))]
    assert world.one("SELECT stop FROM attempt") == ("stop",)
    assert (phases(world)[name(2)], world.running()) == ("Pending", [(name(1), "")])
    world.tick(30)
    world.crash()
    assert world.running() == [(name(1), "")]
    world.exits(name(1), "", 143)
    assert world.running() == [(name(2), "")]
    assert phases(world) == {name(1): "Failed", name(2): "Running"}


def test_replace_has_at_most_one_successor(world):
    world.push(cron("Replace"))
    for _ in range(4):
        world.tick(60)
    waiting = [run for run, phase in phases(world).items() if phase == "Pending"]
    assert (waiting, world.running()) == ([name(4)], [(name(1), "")])
    world.exits(name(1), "", 143)
    assert world.running() == [(name(4), "")]


def test_a_replaced_waiter_gives_its_place_in_the_queue_to_its_successor(world):
    world.push(cron("Replace", job("m")))
    world.submit(job("m"), "holder")
    world.tick(60)
    world.submit(job("m"), "later")
    world.tick(60)
    assert world.queue("m") == [name(2), "later"]
    assert phases(world)[name(1)] == "Failed"


def test_replace_clears_a_failed_holder(world):
    world.push(cron("Replace", job("m")))
    world.tick(60)
    world.exits(name(1), "", 1)
    assert world.holders("m") == [name(1)]
    world.tick(60)
    assert (world.holders("m"), world.running()) == ([name(2)], [(name(2), "")])
    assert phases(world)[name(1)] == "Failed"


def test_replace_waits_for_a_process_that_will_not_end(world):
    world.push(cron("Replace", spec(pod("main"))))
    world.tick(60)
    for _ in range(5):
        world.tick(60)
        assert world.running() == [(name(1), "")]
    world.is_lost(name(1), "")
    assert world.running() == [(name(6), "")]


@pytest.mark.edge("E86")
@pytest.mark.parametrize("policy", ["Forbid", "Replace"])
def test_at_most_one_run_of_a_single_cron_ever_has_a_process(world, policy):
    """Over an hour in which runs end now and then; crashes between."""
    world.push(cron(policy))
    for minute in range(1, 61):
        world.tick(60)
        assert len(world.running()) <= 1
        if minute % 3 == 0 and world.running():
            world.exits(*world.running()[0], minute % 2)
        if minute % 7 == 0:
            world.crash()
        assert world.sweep_changes() == 0
    assert world.one("SELECT count(*), count(DISTINCT due_at) FROM tick") == (60, 60)


@pytest.mark.edge("E89", "E90")
def test_a_tick_is_decided_once_also_over_a_crash_and_deletion(world):
    world.push(cron("Allow"))
    world.dying("after-commit", lambda: world.tick(60))
    world.exits(name(1), "")
    world.must("delete", run=name(1))
    world.crash()
    world.tick()
    assert (ticks(world), phases(world)) == ([("ran", name(1))], {})


@pytest.mark.edge("E91")
def test_a_tick_that_was_rolled_back_is_decided_after_the_restart(world):
    world.push(cron("Allow"))
    world.dying("before-commit", lambda: world.tick(60))
    assert ticks(world) == [("ran", name(1))]


@pytest.mark.edge("E68")
def test_history_limits_never_remove_a_holder_or_a_waiter(world):
    world.push(cron("Allow", job("m"), failedJobsHistoryLimit=1, successfulJobsHistoryLimit=1))
    world.tick(60)
    world.exits(name(1), "", 1)
    for _ in range(3):
        world.tick(60)
    assert world.holders("m") == [name(1)]
    for minute in (2, 3):
        world.must("terminate", run=name(minute))
    assert phases(world) == {name(1): "Failed", name(3): "Failed", name(4): "Pending"}
    assert (world.holders("m"), world.queue("m")) == ([name(1)], [name(4)])


def test_history_keeps_as_many_as_its_limits_say(world):
    world.push(cron("Allow", failedJobsHistoryLimit=1, successfulJobsHistoryLimit=2))
    for minute in range(1, 7):
        world.tick(60)
        world.exits(name(minute), "", minute % 2)
    assert phases(world) == {name(4): "Succeeded", name(5): "Failed", name(6): "Succeeded"}


@pytest.mark.edge("E94")
def test_suspend_records_and_runs_nothing_until_resume(world):
    world.push(cron("Allow"))
    world.must("cron_suspend", name="c")
    world.tick(60)
    world.tick(60)
    assert world.running() == []
    world.must("cron_resume", name="c")
    world.tick(1)
    assert [decision for decision, _ in ticks(world)] == ["suspended"]
    world.tick(59)
    assert ticks(world)[-1] == ("ran", name(3))


@pytest.mark.edge("E93")
def test_resuming_within_the_deadline_runs_the_latest_tick_once(world):
    world.push(cron("Allow", startingDeadlineSeconds=90))
    world.must("cron_suspend", name="c")
    world.tick(130)
    world.must("cron_resume", name="c")
    assert world.running() == [(name(2), "")]
    assert ticks(world)[-1] == ("caught-up", name(2))


def test_a_push_of_the_suspended_field_rules_over_an_operators_override(world):
    world.push(cron("Allow"))
    world.must("cron_suspend", name="c")
    world.push(cron("Allow", suspend=True))
    world.push(cron("Allow"))
    world.tick(60)
    assert world.running() == [(name(1), "")]


@pytest.mark.edge("E95")
@pytest.mark.parametrize(("seconds", "decision"), [(90, "missed"), (65, "ran"), (119, "missed")])
def test_a_tick_that_was_missed_is_recorded_and_a_late_pass_still_runs_it(world, seconds, decision):
    """Without a deadline ten seconds late is the tick itself."""
    world.push(cron("Allow"))
    world.tick(seconds)
    assert [told for told, _ in ticks(world)] == [decision]


@pytest.mark.edge("E108")
def test_a_year_away_is_one_record_and_no_run(world):
    world.push(cron("Allow"))
    world.tick(365 * 24 * 3600 + 30)
    assert world.running() == []
    assert [told for told, _ in ticks(world)] == ["missed"]
    assert world.one("SELECT count FROM tick")[0] >= 1000


@pytest.mark.edge("E101")
def test_a_missing_template_is_an_error_of_that_tick_and_the_next_one_runs(world):
    body = cron("Allow")
    body["spec"]["workflowSpec"] = {"workflowTemplateRef": {"name": "t"}}
    world.push(body)
    world.tick(60)
    assert [told for told, _ in ticks(world)] == ["error"]
    template = {"apiVersion": API, "kind": "WorkflowTemplate", "metadata": {"name": "t"}, "spec": job()}
    world.push(template, path="template.yaml")
    world.tick(60)
    assert ticks(world)[-1] == ("ran", name(2))


@pytest.mark.edge("E104")
def test_a_manual_run_of_a_forbid_cron_honours_its_policy(world):
    world.push(cron("Forbid"))
    made = world.must("cron_trigger", name="c")["runs"][0]["name"]
    assert "forbids a second run" in world.ask("cron_trigger", name="c").error["message"]
    world.exits(made, "")
    world.must("cron_trigger", name="c")


@pytest.mark.edge("E105")
def test_a_run_with_the_label_but_without_the_cron_is_not_counted(world):
    world.push(cron("Forbid"))
    world.submit(job(), "mine", labels={"workflows.argoproj.io/cron-workflow": "c"})
    world.tick(60)
    assert ticks(world) == [("ran", name(1))]


def test_a_cron_that_takes_a_mutex_waits_for_other_runs_of_it(world):
    world.submit(job("m"), "event")
    world.push(cron("Forbid", job("m")))
    world.tick(60)
    assert world.queue("m") == [name(1)]
    world.exits("event", "")
    assert world.running() == [(name(1), "")]
