"""A crash at every point where one could hurt: it is reached, and the next daemon loses and doubles nothing.

K1 to K16 are the points of one attempt's life, from the push that brings the run to the release of its lock.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.errors import LineclearError

# the daemon's points: a name, and at which passage of it the daemon dies
POINTS = {
    "K1 before the revision is taken": "observe",
    "K2 within its transaction": "apply",
    "K2 before its commit": "before-commit:2",
    "K3 applied, no note yet": "before-note",
    "K3 the note is written, not recorded": "noted",
    "K5 within admission": "admit",
    "K5 within a later admission": "admit:3",
    "K6 committed, not launched": "launch",
    "K6 after a later commit": "after-commit:5",
    "K7 handed over": "launched",
    "K13 the end is seen, not taken over": "ends",
    "K13 a later end": "ends:3",
    "K14 a stop is written, not signalled": "stop",
    "K15 a stop is signalled": "stopped",
    "K16 the release is not committed": "before-commit:7",
    "K16 the release is committed": "after-commit:7",
    "an answer was due": "answer",
    "the start itself": "recover",
    "the end of the start": "recovered",
    "the first tick": "before-tick",
    "the first commit": "after-commit:1",
}
SHIM_POINTS = ("K7", "K8", "K9", "K10", "K11", "K12", "K13")


class Story:
    """The same story for every point: five runs by Git on two locks, one that will not end and is terminated."""

    def __init__(self, home, book, until):
        self.home, self.book, self.until = home, book, until
        self.names = ["a1", "a2", "a3", "s1", "s2", "v"]

    def is_dead(self):
        return self.home.daemon.child.poll() is not None

    def tell(self):
        """Pushes; then, as soon as the endless run runs, asks for its end. The daemon may die at any moment."""
        book = self.book
        files = {f"{name}.yaml": book.workflow(name, mutexes=["a"]) for name in ("a1", "a3")}
        files["a2.yaml"] = book.workflow("a2", mutexes=["a"], steps=["sleep 0.01", "true"])
        files |= {f"{name}.yaml": book.workflow(name, "sleep 0.02", semaphores=["s"]) for name in ("s1", "s2")}
        files["v.yaml"] = book.workflow("v", "sleep 60", mutexes=["v"])
        self.home.push(files | {"limits.yaml": book.limits(s=2)})
        self.until(lambda: self.is_dead() or self.home.lines("v"), "the endless run's start, or the crash")
        self.terminate()

    def terminate(self):
        with contextlib.suppress(LineclearError):
            self.home.ask("terminate", run="v", message="the story says so")

    def is_over(self):
        open_runs = self.home.rows("SELECT count(*) FROM run WHERE finished_at IS NULL")[0][0]
        all_runs = self.home.rows("SELECT count(*) FROM run")[0][0]
        return open_runs == 0 and all_runs >= len(self.names)

    def finish(self):
        """Without the failpoint: the end of the story."""
        self.home.daemon.start()
        self.until(lambda: self.home.lines("v") or self.home.phase("v") in ("Failed", "Error"), "the endless run")
        if not self.home.rows("SELECT 1 FROM run WHERE name = 'v' AND shutdown <> ''"):
            self.terminate()
        open_sql = "SELECT name, phase FROM run WHERE finished_at IS NULL"
        self.until(self.is_over, lambda: f"the end: {self.home.rows(open_sql)} {self.home.daemon.said()[-1500:]}")


def check_story(story):
    home, book = story.home, story.book
    phases = dict(home.rows("SELECT name, phase FROM run ORDER BY id"))
    assert list(phases) == story.names
    assert {name: phase for name, phase in phases.items() if name != "v"} == dict.fromkeys(story.names[:-1], "Succeeded")
    assert phases["v"] == "Failed"
    assert book.read("a").runs() == ["a1", "a2", "a3"]
    assert book.read("a").most_at_once() == 1
    assert book.read("s").most_at_once() <= 2
    assert sorted(book.read("s").runs()) == ["s1", "s2"]
    for lock in ("a", "s", "v"):
        assert book.read(lock).twice() == []
    for lock, key in (("a", "default/Mutex/a"), ("s", "default/ConfigMap/limits/s")):
        epochs = book.read(lock).epochs(key)
        assert len(set(epochs)) == len(epochs)
        assert lock == "s" or epochs == sorted(epochs)
    assert home.rows("SELECT count(*) FROM claim WHERE state <> 'released'") == [(0,)]
    assert home.rows("PRAGMA integrity_check") == [("ok",)]
    assert home.rows("SELECT run, count(*) FROM journal WHERE kind = 'run.finished' GROUP BY run HAVING count(*) > 1") == []
    assert home.steps() == []
    assert home.verify().misfits == ()


@pytest.mark.edge("E64")
@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS.keys())
def test_a_crash_of_the_daemon_at_any_point_loses_and_doubles_nothing(home, book, until, point):
    story = Story(home, book, until)
    home.daemon.launch(LINECLEAR_FAILPOINT=point)
    story.tell()
    until(story.is_dead, f"the crash at {point}")
    assert home.daemon.wait() == -signal.SIGKILL

    story.finish()

    check_story(story)
    until(lambda: home.rows("SELECT count(*) FROM revision WHERE noted = 0 AND state = 'applied'") == [(0,)], "the note")


@pytest.mark.parametrize("point", ["cron", "before-commit", "after-commit", "launch"])
def test_k4_a_crash_around_a_crons_tick_decides_the_instant_once(home, book, until, point):
    spec = json.loads(book.workflow("x"))["spec"]
    cron = {"schedules": ["* * * * *"], "timezone": "UTC", "startingDeadlineSeconds": 3600, "workflowSpec": spec}
    manifest = {"apiVersion": "argoproj.io/v1alpha1", "kind": "CronWorkflow", "metadata": {"name": "tick"}, "spec": cron}
    home.daemon.start()
    home.push({"cron.yaml": json.dumps(manifest)})
    until(lambda: home.rows("SELECT 1 FROM cron"), "the cron")
    home.daemon.kill()
    earlier = (datetime.now(UTC) - timedelta(minutes=2)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    write(home, "UPDATE cron SET since = ?, next_at = ?, watermark = NULL", earlier, earlier)  # as if it had been down so long

    home.daemon.launch(LINECLEAR_FAILPOINT=point)
    assert home.daemon.wait() == -signal.SIGKILL
    home.daemon.start()

    sql = "SELECT count(*) FROM run WHERE cron = 'tick' AND phase = 'Succeeded'"
    until(lambda: home.rows(sql)[0][0] >= 1, lambda: f"the tick's run: {home.rows('SELECT * FROM tick')}")
    doubled = home.rows("SELECT scheduled_at FROM run WHERE cron = 'tick' GROUP BY scheduled_at HAVING count(*) > 1")
    created = home.rows("SELECT count(*) FROM journal WHERE kind = 'run.created'")
    starts = home.rows("SELECT count(DISTINCT scheduled_at) FROM run WHERE cron = 'tick'")
    assert doubled == []
    assert created == starts
    assert book.read("free").twice() == []


def write(home, sql, *values):
    with contextlib.closing(sqlite3.connect(f"{home.root}/state.db")) as db, db:
        db.execute(sql, values)


class Pair:
    """Two runs on one lock; the first one's worker meets a failpoint."""

    def __init__(self, home, book, until):
        self.home, self.book, self.until = home, book, until
        self.reached = home.folder / "reached"

    def tell(self, point, how):
        self.home.daemon.start(LINECLEAR_FAILPOINT=f"{point}:{how}:{self.reached}")
        texts = [self.book.workflow(name, "sleep 0.1", mutexes=["a"]) for name in ("first", "second")]
        self.home.submit(*texts)
        self.until(self.reached.exists, f"the point {point}")

    def kill_workers(self):
        for pid in self.home.workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def finish(self):
        """Lets the second one have the lock, if the first one keeps it for its failure."""
        phase = self.home.wait_phase("first")
        if phase != "Succeeded":
            assert self.home.phase("second") == "Pending"
            assert [name for name, _ in self.home.holders("default/Mutex/a")] == ["first"]
            assert not any(line.startswith("S second") for line in self.home.lines("a"))
            self.home.ask("terminate", run="first")
        assert self.home.wait_phase("second") == "Succeeded"
        return phase

    def check(self, phase):
        log = self.book.read("a")
        starts = log.runs()
        assert log.twice() == []
        assert log.most_at_once() == 1
        assert starts in (["first", "second"], ["second"])
        ((state, code),) = self.home.rows(
            "SELECT a.state, a.exit_code FROM attempt a JOIN run r ON r.id = a.run_id WHERE r.name = 'first'"
        )
        if phase == "Succeeded":
            assert (state, code) == ("exited", 0)
            assert any(line.startswith("E first") for line in log.lines)
        else:
            assert (phase, state) == ("Error", "lost") or (phase, code) == ("Failed", 137)
        assert self.home.rows("PRAGMA integrity_check") == [("ok",)]


@pytest.fixture
def pair(home, book, until):
    return Pair(home, book, until)


@pytest.mark.parametrize("point", SHIM_POINTS)
def test_a_crash_of_the_worker_at_any_point_ends_in_the_truth(pair, point):
    pair.tell(point, "crash")

    phase = pair.finish()

    pair.check(phase)
    expected = {"K7": "Succeeded", "K8": "Error", "K13": "Succeeded"}
    assert phase == expected.get(point, phase)


@pytest.mark.parametrize("point", SHIM_POINTS)
def test_a_crash_of_worker_and_daemon_at_any_point_starts_nothing_twice(pair, point):
    pair.tell(point, "delay=5")
    pair.home.daemon.kill()
    pair.kill_workers()
    pair.home.daemon.start()

    phase = pair.finish()

    pair.check(phase)
    expected = {"K7": "Succeeded", "K8": "Error", "K9": "Error", "K10": "Error", "K11": "Error", "K13": "Succeeded"}
    assert phase == expected.get(point, phase)


@pytest.mark.parametrize("point", SHIM_POINTS)
def test_a_crash_of_the_daemon_while_a_worker_is_at_any_point_loses_nothing(pair, point):
    pair.tell(point, "delay=0.5")
    pair.home.daemon.kill()
    pair.home.daemon.start()

    phase = pair.finish()

    pair.check(phase)
    assert phase == "Succeeded"
