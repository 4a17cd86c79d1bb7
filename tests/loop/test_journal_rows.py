"""What the record says of requests, grants, releases and refusals: who, why, of which commit and node, under which epoch."""

import pytest
from loop_harness import API, job, pod, spec, steps


def manifest(kind, name, body):
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": body}


def details(world, kind, run):
    """What the record says of one kind for one run, without the numbers of claims."""
    return [{name: value for name, value in detail.items() if name != "claim"} for detail in world.journal(kind, run)]


def test_a_claim_of_a_run_from_git_names_its_commit_from_the_request_to_the_release(world):
    world.push(manifest("Workflow", "ship", job("m")))
    commit = world.writer.meta("applied")
    world.exits("ship", "")
    of = {"locks": ["default/Mutex/m"], "level": "run", "commit": commit}
    assert details(world, "claim.requested", "ship") == [{**of, "priority": 0}]
    assert details(world, "claim.granted", "ship") == [{**of, "epoch": 1}]
    assert details(world, "claim.released", "ship") == [{**of, "epoch": 1, "reason": "run Succeeded"}]


def test_a_promotion_from_the_queue_tells_since_when_it_waited(world):
    world.submit(job("m"), "first")
    world.submit(job("m"), "second")
    (asked,) = world.one("SELECT c.requested_at FROM claim c JOIN run r ON r.id = c.run_id WHERE r.name = 'second'")
    world.tick(60)
    world.exits("first", "")
    (granted,) = details(world, "claim.granted", "second")
    assert granted == {"epoch": 2, "locks": ["default/Mutex/m"], "level": "run", "waited_since": asked}


def test_a_claim_that_is_withdrawn_had_no_epoch(world):
    world.submit(job("m"), "first")
    world.submit(job("m"), "second")
    world.must("terminate", run="second")
    (withdrawn,) = details(world, "claim.withdrawn", "second")
    assert "epoch" not in withdrawn
    assert withdrawn["locks"] == ["default/Mutex/m"]


def test_a_nodes_claim_names_the_node_and_the_locks_of_which_it_takes_a_turn_only(world):
    world.submit(spec(steps("main", ["a"], locks=["t"]), pod("a", "t", "u")), "deep")
    world.exits("deep", "[0].a")
    outer, inner = details(world, "claim.requested", "deep")
    assert (outer["node"], outer["nested"]) == ("", [])
    assert (inner["node"], inner["nested"]) == ("[0].a", ["default/Mutex/t"])
    assert [detail["node"] for detail in details(world, "claim.granted", "deep")] == ["", "[0].a"]
    assert [detail["node"] for detail in details(world, "claim.released", "deep")] == ["[0].a", ""]


def test_a_refused_request_is_recorded_with_who_asked_and_why_not(world):
    world.submit(job("m"), "ship")
    asked = {"lock": "default/Mutex/m", "epoch": 99, "reason": "it hangs"}
    said = world.must_not("terminate_stuck_holder", **asked)
    row = world.one("SELECT actor, namespace, run, subject FROM journal WHERE kind = 'request.refused'")
    assert row == ("tester", "default", "", "default/Mutex/m")
    assert world.journal("request.refused") == [{"verb": "terminate_stuck_holder", "reason": said, "given": "it hangs"}]
    assert world.journal("holder.terminated") == []


def test_a_mistake_in_the_asking_is_no_refusal(world):
    world.must_not("terminate", run="nobody")
    world.must_not("no such verb")
    assert world.journal("request.refused") == []


def test_a_refusal_is_recorded_even_of_a_request_that_holds_half_a_character(world):
    world.submit(job("m"), "ship")
    world.must_not("terminate_stuck_holder", lock="default/Mutex/m", epoch=99, reason="\ud800", namespace="\udfff", run="\ud800")
    assert len(world.journal("request.refused")) == 1


def test_the_claim_of_a_crons_policy_is_asked_for_and_granted_on_the_record(world):
    body = {"schedules": ["* * * * *"], "timezone": "UTC", "concurrencyPolicy": "Forbid", "workflowSpec": job()}
    world.push(manifest("CronWorkflow", "tick", body))
    world.tick(60)
    (requested,) = world.journal("claim.requested")
    (granted,) = world.journal("claim.granted")
    assert requested["locks"] == granted["locks"] == ["default/Policy/tick"]
    assert requested["claim"] == granted["claim"]


@pytest.mark.edge("E29")
def test_the_limit_of_a_semaphore_names_the_commit_that_set_it(world):
    world.limits(s0=2)
    world.submit(job("s0"), "ship")
    (limit,) = world.journal("lock.limit")
    assert limit["commit"] == world.writer.meta("applied")


def test_a_deleted_run_says_why(world):
    world.submit(job("m"), "ship")
    world.exits("ship", "")
    world.must("delete", run="ship")
    assert [detail["reason"] for detail in world.journal("run.deleted", "ship")] == ["deleted"]
