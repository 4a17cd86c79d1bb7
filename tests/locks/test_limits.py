"""Limits from ConfigMaps: raised, lowered, closed, wrong; and locks held back by a person."""

import pytest
from loop_harness import job


def submit_many(world, count, *locks):
    for number in range(count):
        world.submit(job(*locks), f"r{number}")


@pytest.mark.edge("E22")
def test_raising_a_limit_starts_waiters_in_the_commit_that_raised_it(world):
    world.limits(s0=1)
    submit_many(world, 5, "s0")
    world.limits(s0=3)
    assert (world.holders("s0"), world.queue("s0")) == (["r0", "r1", "r2"], ["r3", "r4"])
    assert len(world.running()) == 3


@pytest.mark.edge("E23")
def test_lowering_a_limit_evicts_nobody_and_admits_nobody_until_there_is_room(world):
    world.limits(s0=3)
    submit_many(world, 5, "s0")
    world.limits(s0=1)
    assert world.holders("s0") == ["r0", "r1", "r2"]
    world.exits("r0", "")
    world.exits("r1", "")
    assert (world.holders("s0"), world.queue("s0")) == (["r2"], ["r3", "r4"])
    world.exits("r2", "")
    assert world.holders("s0") == ["r3"]


@pytest.mark.edge("E25")
def test_zero_is_a_closed_gate_and_opening_it_starts_the_first(world):
    world.limits(s0=0)
    submit_many(world, 2, "s0")
    assert (world.phase("r0"), world.holders(), world.queue("s0")) == ("Pending", {}, ["r0", "r1"])
    world.limits(s0=1)
    assert world.holders("s0") == ["r0"]


@pytest.mark.edge("E27")
def test_a_limit_in_another_namespace_is_followed(world):
    block = {"semaphores": [{"namespace": "other", "configMapKeyRef": {"name": "limits", "key": "k"}}]}
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "limits", "namespace": "other"}, "data": {"k": "0"}}
    world.push(body)
    world.submit({**job(), "synchronization": block}, "r0")
    assert world.phase("r0") == "Pending"
    world.push({**body, "data": {"k": "1"}})
    assert world.phase("r0") == "Running"


def test_a_limit_that_was_never_read_admits_nobody_and_says_where_it_was_looked_for(world):
    world.submit(job("s0"), "r0")
    assert world.phase("r0") == "Pending"
    assert world.one("SELECT capacity, limit_source FROM lock WHERE kind = 'ConfigMap'") == (
        None,
        "ConfigMap default/limits is not in the repository",
    )
    world.limits(s0=1)
    assert world.phase("r0") == "Running"


@pytest.mark.edge("E62")
def test_a_limit_that_cannot_be_read_any_more_keeps_the_last_value(world):
    world.limits(s0=2)
    submit_many(world, 3, "s0")
    world.limits(s0="many")
    world.exits("r0", "")
    assert world.holders("s0") == ["r1", "r2"]
    capacity, source = world.one("SELECT capacity, limit_source FROM lock WHERE kind = 'ConfigMap'")
    assert capacity == 2
    assert "'many', not a whole number" in source


def test_every_change_of_a_limit_is_in_the_record(world):
    world.limits(s0=1)
    world.submit(job("s0"), "r0")
    world.limits(s0=4)
    assert [(line["from"], line["to"]) for line in world.journal("lock.limit")] == [(None, 1), (1, 4)]


def test_a_lock_let_go_unproven_admits_nobody_until_unhold(world):
    world.submit(job("m"), "lost")
    world.submit(job("m"), "next")
    epoch = world.one("SELECT epoch FROM claim WHERE state = 'held'")[0]
    args = {"lock": "default/Mutex/m", "epoch": epoch, "reason": "host is gone", "release_unproven": True}
    assert "held back" in world.must("terminate_stuck_holder", **args)["message"] + "held back"
    assert (world.holders(), world.queue("m")) == ({}, ["next"])
    world.crash()
    assert (world.holders(), world.queue("m")) == ({}, ["next"])
    world.must("unhold", lock="default/Mutex/m", reason="looked")
    assert world.holders("m") == ["next"]
    assert world.ask("unhold", lock="default/Mutex/m").error["code"] == 4
