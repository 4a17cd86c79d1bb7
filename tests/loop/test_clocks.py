"""Clocks that are wrong, jump, or jump while nobody looks: limits count awake time, crons come back, nothing is decided twice."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from loop_harness import API, START, pod

YEARS = timedelta(days=3650)


def cron(name="c", schedule="* * * * *", **more):
    spec = {"schedules": [schedule], "timezone": "Etc/UTC", "workflowSpec": {"entrypoint": "main", "templates": [pod()]}}
    return {"apiVersion": API, "kind": "CronWorkflow", "metadata": {"name": name}, "spec": {**spec, **more}}


def set_clock(world, by):
    """Somebody sets the wall clock; no time passes."""
    world.clock.at += by
    world.clock.set_by += by


def ticks(world):
    return [(due[:16], decision) for due, decision in world.rows("SELECT due_at, decision FROM tick ORDER BY due_at")]


def minutes(world, count):
    for _ in range(count):
        world.tick(60)


@pytest.mark.parametrize("is_down", [False, True])
@pytest.mark.parametrize("is_back_while_down", [False, True])
def test_a_cron_comes_back_after_a_clock_that_was_years_ahead(world, is_down, is_back_while_down):
    world.push(cron())
    minutes(world, 2)
    set_clock(world, YEARS)
    if is_down:
        world.crash()
    minutes(world, 2)
    ahead = len(ticks(world))
    set_clock(world, -YEARS)
    if is_back_while_down:
        world.crash()
    minutes(world, 3)
    assert len(ticks(world)) >= ahead + 2
    assert ("2026-03-01T12:07", "ran") in ticks(world)
    assert len(world.journal("cron.reset")) == 1
    due = [due for due, _ in ticks(world)]
    assert len(due) == len(set(due))
    names = [name for (name,) in world.rows("SELECT run_name FROM tick WHERE run_name <> ''")]
    assert len(names) == len(set(names))


def test_what_a_clock_ahead_has_decided_is_not_decided_again_when_it_is_time(world):
    world.push(cron())
    world.tick(60)
    set_clock(world, timedelta(hours=2))
    world.tick(60)
    ran = [due for due, decision in ticks(world) if decision == "ran"]
    set_clock(world, -timedelta(hours=2))
    minutes(world, 130)
    due = [due for due, _ in ticks(world)]
    assert len(due) == len(set(due))
    assert [due for due, decision in ticks(world) if decision == "ran"].count(ran[-1]) == 1


def test_a_small_step_back_decides_nothing_twice_and_resets_nothing(world):
    world.push(cron())
    minutes(world, 5)
    set_clock(world, -timedelta(minutes=3))
    minutes(world, 5)
    due = [due for due, _ in ticks(world)]
    assert len(due) == len(set(due))
    assert world.journal("cron.reset") == []


def test_a_cron_is_reset_by_hand(world):
    world.push(cron())
    minutes(world, 2)
    with world.writer.write("2026-03-01T12:02:00.000000Z"):
        ahead = "2026-03-01T12:40:00.000000Z"
        world.writer.db.execute("UPDATE cron SET watermark = ?1, next_at = ?1", (ahead,))
    minutes(world, 2)
    before = ticks(world)
    assert "goes on from now" in world.must("cron_reset", name="c")["message"]
    minutes(world, 2)
    assert len(ticks(world)) == len(before) + 2
    assert [entry["why"] for entry in world.journal("cron.reset")] == ["by hand"]
    assert "none" in world.must_not("cron_reset", name="none")


def holding(world):
    policy = {"apiVersion": "lineclear.dev/v1alpha1", "kind": "LockPolicy", "metadata": {"name": "p"}}
    world.push({**policy, "spec": {"locks": ["m"], "holdLimit": "1h", "holdLimitAction": "End"}}, path="policy.yaml")
    spec = {"entrypoint": "main", "synchronization": {"mutexes": [{"name": "m"}]}, "templates": [pod(activeDeadlineSeconds=3600)]}
    world.submit({**spec, "activeDeadlineSeconds": 3600}, "holder")


@pytest.mark.parametrize("by", [YEARS, -YEARS])
def test_a_clock_that_jumps_while_no_daemon_runs_ends_no_healthy_holder(world, by):
    holding(world)
    world.tick(60)
    set_clock(world, by)
    world.crash()
    world.tick(60)
    assert world.holders("m") == ["holder"]
    assert world.asked_to_end() == []
    world.tick(3300)
    assert world.asked_to_end() == []
    world.tick(300)
    assert world.asked_to_end() == [""]
    assert [round(entry["seconds"]) for entry in world.journal("clock.moved")] == [by.total_seconds()]


def test_time_while_no_daemon_runs_counts_if_the_machine_was_awake(world):
    holding(world)
    world.clock.at += timedelta(hours=2)
    world.crash()
    assert world.asked_to_end() == [""]
    assert world.journal("clock.moved") == []


def test_of_a_machine_that_was_off_only_the_time_since_its_start_counts_and_that_is_called_a_guess(world):
    holding(world)
    world.tick(600)
    world.clock.at += timedelta(days=30)
    world.clock.set_by = world.clock.at - START - timedelta(seconds=90)  # up for a minute and a half
    world.boot_id = "another"
    world.crash()
    assert world.asked_to_end() == []
    (entry,) = world.journal("clock.moved")
    assert entry["guess"]
    assert timedelta(seconds=entry["seconds"]) == timedelta(days=30) - timedelta(seconds=90)


def test_both_clocks_are_written_down_together(world):
    world.submit({"entrypoint": "main", "templates": [pod()]}, "one")
    set_clock(world, timedelta(hours=1))
    world.tick(1)
    both = json.loads(world.writer.meta("clocks"))
    assert both == {"wall": "2026-03-01T13:00:01.000000Z", "awake_s": 1.0, "boot": "boot"}


def test_a_clock_that_is_set_while_nothing_can_be_written_ends_no_daemon(world):
    holding(world)
    world.writer.db.execute("PRAGMA query_only = ON")
    world.loop.stop_everything()
    set_clock(world, YEARS)
    world.clock.at += timedelta(seconds=1)
    world.loop.tick(world.runtime, world.effects)
    assert world.effects.stopped
    assert any("the database may not be written" in text for text in world.errors.texts)
    world.errors.texts.clear()
    world.writer.db.execute("PRAGMA query_only = OFF")
    world.tick(2)
    assert world.asked_to_end() == [""]
    assert [round(entry["seconds"]) for entry in world.journal("clock.moved")] == [YEARS.total_seconds()]
