"""Edges that a reading of the code found, each of which stopped ticks or let a lock go to the wrong run."""

from datetime import timedelta

import pytest
from loop_harness import API, job, parsed

CRON = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "CronWorkflow",
    "metadata": {"name": "c"},
    "spec": {"schedules": ["0 3 * * *"], "workflowSpec": job()},
}


def test_a_run_whose_ttl_is_over_at_its_end_is_removed_and_the_next_one_goes_on(world):
    world.submit(job("m", ttlStrategy={"secondsAfterCompletion": 0}), "r")
    world.submit(job("m"), "next")
    world.exits("r", "", 0)
    assert (world.phase("r"), world.holders("m")) == (None, ["next"])


def test_a_fix_that_would_not_take_the_broken_runs_lock_is_refused_and_the_queue_waits(world):
    world.submit(job("m"), "broken")
    world.submit(job("m"), "next")
    world.exits("broken", "", 1)
    reply = world.ask("submit", documents=(), take_over="broken", reason="x")
    assert reply.error["code"] == 2
    with pytest.raises(AssertionError, match="would not take default/Mutex/m"):
        world.submit(job("other"), "fix", take_over="broken", reason="x")
    assert (world.holders("m"), world.phase("fix")) == (["broken"], None)


def test_a_name_that_is_asked_for_and_taken_is_refused(world):
    world.submit(job("m"), "r")
    body = {"apiVersion": API, "kind": "Workflow", "metadata": {"generateName": "x-"}, "spec": job("m")}
    reply = world.ask("submit", documents=parsed("x.yaml", body).documents, name="r")
    assert (reply.error["code"], "there is a run 'r'" in reply.error["message"]) == (4, True)
    assert world.ask("submit", documents=parsed("x.yaml", body).documents, name="../r").error["code"] == 2


@pytest.mark.parametrize("set_by", [timedelta(days=-1), timedelta(days=1)])
def test_a_deadline_counts_awake_time_when_the_clock_is_set(world, set_by):
    world.submit(job("m", activeDeadlineSeconds=60), "r")
    world.tick(10)
    world.clock.at += set_by
    world.clock.set_by += set_by
    world.tick(1)
    assert world.one("SELECT stop FROM attempt")[0] == ""
    world.tick(60)
    assert world.one("SELECT stop FROM attempt")[0] == "stop"


@pytest.mark.edge("E110")
def test_moving_a_cron_keeps_an_operators_suspension_and_its_ticks(world):
    world.push(CRON)
    world.must("cron_suspend", name="c")
    before = world.one("SELECT since, suspended FROM cron")
    world.tick(5)
    world.push({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {}}, CRON)
    assert world.one("SELECT since, suspended FROM cron") == before
