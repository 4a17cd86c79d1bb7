"""Database mutexes and semaphores: locks of their own, the limits set by people."""

import pytest
from loop_harness import pod, spec


def job(**synchronization):
    return {**spec(pod("main")), "synchronization": synchronization}


SHARED = job(semaphores=[{"database": {"key": "gpus"}}])


def test_a_database_semaphore_admits_nobody_until_its_limit_is_set_and_then_at_once(world):
    for name in ("a", "b", "c"):
        world.submit(SHARED, name)
    assert world.running() == []
    world.must("limit_set", key="gpus", limit=2)
    assert [world.phase(name) for name in "abc"] == ["Running", "Running", "Pending"]
    world.must("limit_set", key="gpus", limit=3)
    assert world.phase("c") == "Running"


def test_a_lowered_limit_puts_nobody_out_and_zero_closes_the_gate(world):
    world.must("limit_set", key="gpus", limit=2)
    for name in ("a", "b", "c"):
        world.submit(SHARED, name)
    world.must("limit_set", key="gpus", limit=0)
    assert [world.phase(name) for name in "abc"] == ["Running", "Running", "Pending"]
    world.exits("a", "")
    assert world.phase("c") == "Pending"
    world.must("limit_set", key="gpus", limit=2)
    assert world.phase("c") == "Running"


def test_a_deleted_limit_stays_where_it_is_in_use_and_says_so(world):
    world.must("limit_set", key="gpus", limit=1)
    world.submit(SHARED, "a")
    world.submit(SHARED, "b")
    world.must("limit_delete", key="gpus")
    capacity, source = world.one("SELECT capacity, limit_source FROM lock WHERE key = 'default/Database/gpus'")
    assert (capacity, source.startswith("no limit is set")) == (1, True)
    world.exits("a", "")
    assert world.phase("b") == "Running"
    assert world.ask("limit_delete", key="gpus").error["code"] == 3


@pytest.mark.parametrize("limit", [-1, 1.5, "2", True, None, 10**10])
def test_a_limit_is_a_whole_number(world, limit):
    assert world.ask("limit_set", key="gpus", limit=limit).error["code"] == 2
    assert world.rows("SELECT * FROM semaphore_limit") == []


def test_a_database_mutex_is_not_the_mutex_of_that_name(world):
    world.submit(job(mutexes=[{"name": "x"}]), "plain")
    world.submit(job(mutexes=[{"name": "x", "database": True}]), "first")
    world.submit(job(mutexes=[{"name": "x", "database": True}]), "second")
    assert [world.phase(name) for name in ("plain", "first", "second")] == ["Running", "Running", "Pending"]
    world.exits("first", "")
    assert world.phase("second") == "Running"


def test_limits_are_one_for_each_namespace_and_set_by_name_in_the_record(world):
    world.must("limit_set", key="gpus", limit=1, namespace="other")
    world.submit(SHARED, "a")
    assert world.phase("a") == "Pending"
    row = world.one("SELECT kind, actor, subject FROM journal WHERE kind = 'lock.limit'")
    assert row == ("lock.limit", "tester", "other/Database/gpus")
