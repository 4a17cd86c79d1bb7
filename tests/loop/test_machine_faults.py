"""Steps that wait for the machine: where it is told, what it holds up, and what it never ends."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta

from loop_harness import pod

from reconciler.model.attempt import AttemptId, Exited, Hindered, Started
from reconciler.model.notice import ALL_KINDS, Telling
from reconciler.model.state import Outputs
from reconciler.store import read_metrics
from reconciler.store.read import open_read
from reconciler.views.why import explain

FULL = "cannot make its record: No space left on device"


def hinder(world, run, message=FULL, *, began=False):
    attempt = AttemptId(world.attempt_of(run, ""))
    world.runtime.seen.append(Hindered(attempt_id=attempt, at=world.clock.at, began=began, message=message))
    world.tick()
    return attempt


def job(**more):
    return {"entrypoint": "main", "synchronization": {"mutexes": [{"name": "m"}]}, "templates": [pod(**more)]}


def test_a_step_that_cannot_begin_waits_with_its_locks_and_says_so_everywhere(world):
    world.writer.telling = Telling(kinds=frozenset(ALL_KINDS))
    world.submit(job(), "first")
    world.submit(job(), "second")
    attempt = hinder(world, "first")
    assert world.told("first", "") == f"waits for the machine: {FULL} (since 2026-03-01T12:00:00Z)"
    assert world.holders("m") == ["first"]
    assert world.queue("m") == ["second"]
    assert world.journal("attempt.hindered") == [{"node": "", "attempt": attempt, "began": False, "message": FULL}]
    assert len(world.journal("machine.trouble")) == 1
    assert [row[0] for row in world.rows("SELECT kind FROM notice")] == ["machine"]
    with closing(open_read(world.path)) as reader:
        assert read_metrics.count_steps(reader) == (1, 0, 1)
        row = reader.rows("SELECT *, 0 AS is_paused FROM run WHERE name = 'first'")[0]
        assert explain(reader, row, 0.0, "boot")["state"] == "waiting-for-machine"
    world.clock.at += timedelta(minutes=5)
    hinder(world, "first", "cannot make its record: Too many open files")
    assert world.told("first", "").endswith("Too many open files (since 2026-03-01T12:00:00Z)")
    world.exits("first", "")
    assert world.phase("first") == "Succeeded"
    assert world.holders("m") == ["second"]
    assert len(world.journal("machine.recovered")) == 1
    assert len(world.journal("machine.trouble")) == 1


def test_the_time_that_a_step_may_run_begins_with_the_step(world):
    world.submit(job(activeDeadlineSeconds=60), "slow")
    attempt = hinder(world, "slow")
    world.tick(300)
    assert world.asked_to_end() == []
    world.runtime.seen.append(Started(attempt_id=attempt, pid=7, at=world.clock.at))
    world.tick()
    world.tick(1)
    assert world.told("slow", "") == ""
    world.tick(58)
    assert world.asked_to_end() == []
    world.tick(3)
    assert world.asked_to_end() == [""]


def test_output_that_cannot_be_read_now_is_waited_for_and_then_is_there(world):
    template = pod(outputs={"parameters": [{"name": "o", "valueFrom": {"path": "o"}}]})
    world.submit({"entrypoint": "main", "templates": [template]}, "made")
    world.effects.fault = "cannot read the output o: Too many open files"
    world.exits("made", "", outputs={"o": "1"})
    assert world.phase("made") == "Running"
    assert world.told("made", "").startswith("waits for the machine: cannot read the output o")
    world.tick(1)
    assert world.phase("made") == "Running"
    world.effects.fault = ""
    assert 0 < world.loop.pause_s() <= 1
    world.tick(1)
    assert world.phase("made") == "Succeeded"
    assert world.outputs("made", "") == {"o": "1"}
    assert world.told("made", "") == ""


def test_a_run_that_is_terminated_does_not_wait_for_its_output(world):
    world.submit({"entrypoint": "main", "templates": [pod()]}, "made")
    world.effects.fault = "cannot read the output o: Too many open files"
    world.exits("made", "")
    world.must("terminate", run="made", namespace="default")
    world.tick(1)
    assert world.run("made").is_final


def test_a_crash_while_an_output_is_waited_for_loses_nothing(world):
    world.submit({"entrypoint": "main", "templates": [pod()]}, "made")
    world.effects.fault = "cannot read the output o: Too many open files"
    world.exits("made", "")
    attempt = AttemptId(world.attempt_of("made", ""))
    world.crash()
    world.left[attempt] = (Outputs(parameters={"o": "1"}), "")
    world.runtime.seen.append(Exited(attempt_id=attempt, exit_code=0, signal=None, at=world.clock.at))
    world.tick()
    assert world.phase("made") == "Succeeded"
    assert world.outputs("made", "") == {"o": "1"}
