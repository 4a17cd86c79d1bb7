"""What is written into the outbox, how often, and what becomes of it; whoever sends it is played by the test."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from loop_harness import API, job, pod, spec, steps

from reconciler.clock import from_text, to_text
from reconciler.loop.inbox import Told
from reconciler.loop.telling import look_around
from reconciler.model.notice import ALL_KINDS, NoticeKind, Telling
from reconciler.store import notices

GB = 1_000_000_000


@pytest.fixture
def told(world):
    """A world in which somebody wants to hear of everything."""
    world.writer.telling = Telling(kinds=frozenset(ALL_KINDS), disk_low_bytes=GB, give_up_s=3600.0)
    return world


def outbox(world):
    return [(kind, json.loads(detail)) for kind, detail in world.rows("SELECT kind, detail_json FROM notice ORDER BY id")]


def texts(world, kind):
    return [detail["text"] for found, detail in outbox(world) if found == kind]


def holds(world, *lengths, lock="m"):
    """Runs that hold a lock for so many seconds each, one after the other."""
    for number, seconds in enumerate(lengths):
        world.submit(job(lock), f"past-{number}")
        world.tick(seconds)
        world.exits(f"past-{number}", "")


def pass_time(world, seconds):
    """Ticks when the loop says that time brings something, and at the end; how many transactions that took."""
    before, end = world.writer.commits, world.clock.at + timedelta(seconds=seconds)
    while world.clock.at < end:
        due = world.loop._next_due(world.context())
        world.clock.at = end if due is None else min(end, max(world.clock.at, from_text(due)))
        world.tick()
    return world.writer.commits - before


def test_the_table_knows_the_kinds_that_the_program_knows(told):
    with told.writer.write("2026-03-01T12:00:00.000000Z"):
        assert all(notices.post(told.writer, kind, "once", {"text": kind.value}) for kind in NoticeKind)
        assert not any(notices.post(told.writer, kind, "once", {"text": kind.value}) for kind in NoticeKind)
    assert [kind for kind, _ in outbox(told)] == list(ALL_KINDS)


def test_what_is_not_wanted_is_not_written_and_no_instant_is_planned_for_it(world):
    holds(world, *[70] * 5)
    world.submit(job("m"), "slow")
    assert world.one("SELECT max(overdue_at) FROM claim")[0] is None
    world.exits("slow", "", 1)
    assert outbox(world) == []


# failed holders ------------------------------------------------------------------------------------------------------


def test_a_failed_holder_is_told_with_its_queue_and_again_after_a_retry_that_fails(told):
    told.submit(job("m", "n"), "first")
    told.submit(job("m"), "second")
    told.exits("first", "", 2)
    (kind, detail), = outbox(told)  # fmt: skip
    assert (kind, detail["text"]) == (
        "held-for-a-failure", "default/first ended Failed and keeps default/Mutex/m, default/Mutex/n; 1 waiting"
    )  # fmt: skip
    told.tick(1)
    told.must("retry", run="first")
    told.exits("first", "", 2)
    assert len(outbox(told)) == 2


def test_a_failed_run_that_holds_nothing_and_one_that_was_ended_are_not_told(told):
    told.submit(job(), "free")
    told.exits("free", "", 1)
    told.submit(job("m"), "stopped")
    told.must("terminate", run="stopped")
    told.exits("stopped", "", 143)
    told.submit(spec(pod("main", "m")), "node-level")
    told.exits("node-level", "", 1)
    assert outbox(told) == []


# overdue holders -----------------------------------------------------------------------------------------------------


def test_a_holder_is_told_of_as_overdue_once_when_it_has_held_longer_than_95_percent_did(told):
    holds(told, *[70] * 4, 200)
    told.submit(job("m"), "slow")
    told.submit(job("m"), "waiter")
    pass_time(told, 200)
    assert texts(told, "overdue") == []
    pass_time(told, 1)
    evidence = "held for 3m20s; of its last 5 holds half took 1m10s or less and 95 % took 3m20s or less"
    assert texts(told, "overdue") == [f"default/slow is overdue with default/Mutex/m: {evidence}; 1 waiting"]
    pass_time(told, 5000)
    assert len(outbox(told)) == 1


def test_an_overdue_holder_is_found_by_its_due_instants_and_not_by_looking_again_and_again(told):
    holds(told, *[70] * 5)
    told.submit(job("m"), "slow")
    told.loop._sweep_at = told.clock.at.replace(year=2100)
    assert pass_time(told, 59) == 0
    assert pass_time(told, 100_000) == 2  # at 60 s, for nothing is asked before, and just after 70 s
    assert len(texts(told, "overdue")) == 1


def test_a_short_hold_is_never_asked_about_however_short_the_others_were(told):
    holds(told, *[1] * 5)
    told.submit(job("m"), "slow")
    pass_time(told, 59)
    told.exits("slow", "")
    pass_time(told, 100)
    assert outbox(told) == []


def test_without_a_history_a_holder_is_asked_about_ever_more_rarely(told):
    told.submit(job("m"), "first")
    told.loop._sweep_at = told.clock.at.replace(year=2100)
    assert pass_time(told, 1_000_000) < 30
    assert outbox(told) == []


def test_a_holder_that_waits_for_a_person_is_overdue_only_once_it_goes_on(told):
    holds(told, *[70] * 5)
    pause = {"name": "pause", "suspend": {}}
    body = spec(steps("main", ["pause"], ["work"]), pause, pod("work"), locks=["m"])
    told.submit(body, "paused")
    pass_time(told, 1000)
    assert texts(told, "overdue") == []
    told.must("resume", run="paused")
    pass_time(told, 1000)
    assert len(texts(told, "overdue")) == 1


def test_the_holders_of_a_home_that_is_told_from_now_on_are_asked_about_too(world):
    holds(world, *[70] * 5)
    world.submit(job("m"), "slow")
    world.tick(100)
    world.writer.telling = Telling(kinds=frozenset({"overdue"}))
    with world.writer.write(to_text(world.clock.at)):
        notices.watch_held(world.writer)
    world.loop._due, world.loop._looked_at = None, ""  # as after a start
    world.tick(1)
    assert len(texts(world, "overdue")) == 1


def test_instants_of_overdue_holders_and_of_tries_move_with_the_clock(told):
    told.submit(job("m"), "slow")
    told.submit(job("n"), "broken")
    told.exits("broken", "", 1)
    before = told.one("SELECT (SELECT max(overdue_at) FROM claim WHERE state = 'held'), (SELECT next_at FROM notice)")
    told.clock.at += timedelta(hours=1)
    told.clock.set_by += timedelta(hours=1)
    told.tick(1)
    after = told.one("SELECT (SELECT max(overdue_at) FROM claim WHERE state = 'held'), (SELECT next_at FROM notice)")
    assert [(a[:13], b[:13]) for a, b in zip(before, after, strict=True)] == [("2026-03-01T12", "2026-03-01T13")] * 2


def policy(**given):
    metadata = {"name": "strict"}
    return {"apiVersion": "lineclear.dev/v1alpha1", "kind": "LockPolicy", "metadata": metadata, "spec": {"locks": ["m"], **given}}


def test_a_hold_beyond_its_policys_limit_is_told_and_one_that_is_overdue_besides_too(told):
    holds(told, *[70] * 5)
    told.push(policy(holdLimit="5m"))
    told.submit(job("m"), "slow")
    pass_time(told, 301)
    late, over = texts(told, "overdue")
    assert "95 %" in late
    assert over == "default/slow has held default/Mutex/m for 5m: longer than the lock's policy allows"


def test_a_claim_that_is_turned_away_from_a_full_queue_is_told(told):
    told.push(policy(queueLimit=1))
    told.submit(job("m"), "first")
    told.submit(job("m"), "second")
    (text,) = texts(told, "queue-full")
    assert text.startswith("default/second was refused: the queue of default/Mutex/m is full: ")


def test_runs_that_wait_for_one_another_are_told_once(told):
    def two_levels(outer, inner):
        return spec(steps("main", ["first"], ["second"]), pod("first"), pod("second", inner), locks=[outer])

    told.submit(two_levels("a", "b"), "r0")
    told.submit(two_levels("b", "a"), "r1")
    told.exits("r0", "[0].first")
    told.exits("r1", "[0].first")
    pass_time(told, 700)
    (text,) = texts(told, "cycle")
    assert text.endswith(" wait for one another: nothing in it moves until one of them is stopped")
    (detail,) = [detail for kind, detail in outbox(told) if kind == "cycle"]
    assert sorted(detail["runs"]) == ["default/r0", "default/r1"]
    assert len(detail["waits"]) == 2


# crons ---------------------------------------------------------------------------------------------------------------


def test_a_cron_that_fails_for_the_same_reason_each_minute_is_told_once_until_it_went_well(told):
    reference = {"workflowTemplateRef": {"name": "gone"}}
    body = {"schedule": "* * * * *", "timezone": "UTC", "workflowSpec": reference}
    told.push({"apiVersion": API, "kind": "CronWorkflow", "metadata": {"name": "c"}, "spec": body})
    for _ in range(3):
        told.tick(60)
    assert [row[0] for row in told.rows("SELECT decision FROM tick")] == ["error"] * 3
    (text,) = texts(told, "cron-error")
    assert text.startswith("cron default/c could not run at 2026-03-01T12:01:00Z: ")
    template = {"apiVersion": API, "kind": "WorkflowTemplate", "metadata": {"name": "gone"}, "spec": job()}
    told.push(template, path="t.yaml")
    told.tick(60)
    told.push(path="t.yaml", removed=("t.yaml",))
    told.tick(60)
    assert [row[0] for row in told.rows("SELECT decision FROM tick ORDER BY due_at")][3:] == ["ran", "error"]
    assert len(texts(told, "cron-error")) == 2


# the disk ------------------------------------------------------------------------------------------------------------


def test_a_low_disk_is_told_once_until_it_was_well_above_the_limit(told):
    def see(*sizes):
        for size in sizes:
            told.tick(600)
            with told.writer.write(to_text(told.clock.at)):
                look_around(told.writer, size)
        return len(outbox(told))

    assert see(2 * GB) == 0
    told.errors.texts.clear()
    assert see(GB - 1, GB - 2, GB + 1, GB - 3) == 1
    assert see(2 * GB, GB - 1) == 2
    assert [detail["free_bytes"] for detail in told.journal("disk.low")] == [GB - 1, GB - 1]
    assert len(told.journal("disk.recovered")) == 1
    assert outbox(told)[0][1]["limit_bytes"] == GB


# what came of it -----------------------------------------------------------------------------------------------------


@pytest.fixture
def failing(told):
    """A world with one notice, number 1."""
    told.submit(job("m"), "broken")
    told.exits("broken", "", 1)
    return told


def tell(world, tries, problem=""):
    world.inbox.put(Told(1, tries, problem))
    world.tick()
    return world.one("SELECT state, tries, next_at, problem FROM notice")


def test_tries_come_ever_later_and_the_notice_is_given_up_in_the_end(failing):
    pauses, tries = [], 0
    while (row := tell(failing, tries, "no route"))[0] == "waiting":
        tries += 1
        pauses.append((from_text(row[2]) - failing.clock.at).total_seconds())
        failing.tick(pauses[-1])
    assert pauses[:11] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600]
    assert sum(pauses[:-1]) < 3600 <= sum(pauses)
    assert row == ("given-up", len(pauses) + 1, None, "no route")
    assert failing.journal("notice.given-up") == [
        {"kind": "held-for-a-failure", "tries": len(pauses) + 1, "problem": "no route"}
    ]


def test_an_outcome_that_is_told_twice_counts_once(failing):
    assert tell(failing, 0, "no route")[:2] == ("waiting", 1)
    assert tell(failing, 0, "no route")[:2] == ("waiting", 1)
    assert tell(failing, 0)[:2] == ("waiting", 1)
    assert tell(failing, 1)[:2] == ("sent", 2)
    assert tell(failing, 1, "no route") == ("sent", 2, None, "")


def test_what_was_told_a_month_ago_is_forgotten_and_what_waits_is_not(failing):
    tell(failing, 0)
    failing.submit(job("n"), "other")
    failing.exits("other", "", 1)
    failing.tick(29 * 86_400)
    assert len(outbox(failing)) == 2
    failing.tick(2 * 86_400)
    failing.tick(601)
    assert [detail["run"] for _, detail in outbox(failing)] == ["other"]


def test_a_decision_that_is_rolled_back_tells_nothing(told):
    told.submit(job("m"), "broken")
    told.dying("before-commit", lambda: told.exits("broken", "", 1))
    assert outbox(told) == []
