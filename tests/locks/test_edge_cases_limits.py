"""Cases of limits that cannot be read: optional, gone, and back; and what kinds of semaphores say of themselves."""

import pytest
from loop_harness import job, pod, spec, steps

from reconciler.store.read import open_read
from reconciler.views.lock_state import line_of
from reconciler.views.locks import LockList, get_lock, table_row

NOW_S = 0.0


def limits_go_away(world):
    """Something else stays: a revision that removes everything waits for a person."""
    world.push({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other"}, "data": {}}, path="other.yaml")
    world.push(removed=["limits.yaml"])


def optional(key):
    reference = {"name": "limits", "key": key, "optional": True}
    return {**job(), "synchronization": {"semaphores": [{"configMapKeyRef": reference}]}}


@pytest.mark.edge("E28")
def test_an_optional_key_that_is_missing_holds_its_waiters_back_until_it_is_there(world):
    world.limits(other=1)
    world.submit(optional("s0"), "r")
    assert (world.phase("r"), world.queue("s0")) == ("Pending", ["r"])
    assert world.one("SELECT limit_source FROM lock") == ("limits.yaml:1: there is no key 's0'",)
    world.limits(s0=1)
    assert world.running("r") == [""]


@pytest.mark.edge("E47")
def test_a_run_that_holds_goes_on_while_the_limit_of_its_lock_cannot_be_read(world):
    world.limits(s0=1)
    world.submit(spec(steps("main", ["a"], ["b"]), pod("a"), pod("b"), locks=["s0"]), "r")
    limits_go_away(world)
    world.crash()
    world.exits("r", "[0].a")
    assert (world.running("r"), world.holders("s0")) == (["[1].b"], ["r"])
    world.exits("r", "[1].b")
    assert (world.phase("r"), world.holders()) == ("Succeeded", {})


@pytest.mark.edge("E47")
def test_a_run_that_holds_goes_on_while_its_lock_is_held_back(world):
    world.limits(s0=2)
    for name in ("lost", "r", "next"):
        world.submit(spec(steps("main", ["a"], ["b"]), pod("a"), pod("b"), locks=["s0"]), name)
    args = {"lock": "default/ConfigMap/limits/s0", "epoch": 1, "reason": "host is gone", "release_unproven": True}
    world.must("terminate_stuck_holder", not_stuck=True, **args)
    world.exits("r", "[0].a")
    assert (world.running("r"), world.queue("s0")) == (["[1].b"], ["next"])
    world.exits("r", "[1].b")
    assert (world.phase("r"), world.queue("s0")) == ("Succeeded", ["next"])


@pytest.mark.edge("E62")
def test_a_lock_whose_limit_went_away_over_a_restart_heals_when_it_is_back(world):
    world.submit(job("s0"), "early")
    world.limits(s0=1)
    world.submit(job("s0"), "late")
    limits_go_away(world)
    world.crash()
    assert (world.holders("s0"), world.queue("s0")) == (["early"], ["late"])
    world.limits(s0=2)
    assert world.holders("s0") == ["early", "late"]


@pytest.mark.edge("E74")
def test_semaphores_of_every_kind_say_the_same_of_themselves(world):
    """HELD/LIMIT, never what is still free, wherever the limit is written."""
    world.limits(s0=2)
    world.must("limit_set", key="s0", limit=2)
    shared = {**job(), "synchronization": {"semaphores": [{"database": {"key": "s0"}}]}}
    for kind, body in (("map", job("s0")), ("database", shared)):
        for number in range(4):
            world.submit(body, f"{kind}-{number}")
    reader = open_read(world.path)
    try:
        lines = LockList(reader, "default", "boot").lines(0)
        told = [table_row(line, state, verdict, NOW_S) for line, state, verdict in lines]
        held = [line_of(reader, get_lock(reader, row[0], "default")).held for row in told]
    finally:
        reader.close()
    assert {(row[1], *row[2:4], *row[6:]) for row in told} == {
        (kind, "2/2", "2", "contended", "healthy") for kind in ("ConfigMap", "Database")
    }
    assert held == [2, 2]
