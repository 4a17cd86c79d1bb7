"""Random kill -9 of the daemon, its zygote and its workers, alone and two at once, while runs are pushed and submitted.

What happened is read from what the steps themselves wrote. The seed is printed; LINECLEAR_SEED sets it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import threading
import time
from dataclasses import dataclass, field

import pytest

from reconciler.errors import LineclearError

SEED = int(os.environ.get("LINECLEAR_SEED", "20260726"))
KEY = {"s": "default/ConfigMap/limits/s"}
SHAPES = (
    {"mutexes": ["a"]},
    {"mutexes": ["a"], "steps": ["sleep 0.004", "sleep 0.01"]},
    {"mutexes": ["b"]},
    {"mutexes": ["b"]},
    {"mutexes": ["a", "b"]},
    {"semaphores": ["s"]},
    {"semaphores": ["s"]},
    {"template_mutexes": ["t"]},
    {"logs": ["free"]},
)
LIMITS = {"a": 1, "b": 1, "c": 1, "t": 1, "s": 2}
DAEMON_ONLY = ("daemon",)
ANYTHING = ("daemon", "zygote", "worker", "worker", "daemon+zygote", "daemon+worker", "zygote+worker")


@dataclass
class Storm:
    """Submits and kills by the dice. `orders` are the runs that asked for each lock, in order of arrival."""

    home: object
    book: object
    dice: random.Random
    until: object
    orders: dict = field(default_factory=dict)
    names: list = field(default_factory=list)
    kills: dict = field(default_factory=dict)
    holders: set = field(default_factory=set)  # killed while it may have had a step
    unsure: tuple = ()
    pushes: int = 0

    def note(self, names_and_shapes):
        for name, shape in names_and_shapes:
            self.names.append(name)
            for lock in [*shape.get("mutexes", ()), *shape.get("semaphores", ()), *shape.get("template_mutexes", ())]:
                self.orders.setdefault(lock, []).append(name)

    def make_batch(self):
        batch = []
        for _ in range(self.dice.randint(2, 5)):
            shape = self.dice.choice(SHAPES)
            pause = self.dice.choice(["0.004", "0.008", "0.02"])
            name = f"r{len(self.names) + len(batch):03}"
            batch.append((name, shape, self.book.workflow(name, f"sleep {pause}", **shape)))
        return batch

    def submit(self, batch):
        """Hands a batch in; without an answer it is unsure, and `make_sure` finds out what became of it."""
        self.note((name, shape) for name, shape, _ in batch)
        self.unsure = batch
        with contextlib.suppress(LineclearError):
            self.home.submit(*(text for _, _, text in batch))
            self.unsure = ()

    def make_sure(self):
        """A request is one transaction: all of its runs are there, or none, and then it is made again."""
        while self.unsure:
            there = [name for name, _, _ in self.unsure if self.home.phase(name)]
            assert there in ([], [name for name, _, _ in self.unsure])
            if there:
                self.unsure = ()
                return
            with contextlib.suppress(LineclearError):
                self.home.submit(*(text for _, _, text in self.unsure))
                self.unsure = ()

    def push(self):
        """Two runs by Git, daemon up or not."""
        self.pushes += 1
        shape = {"mutexes": ["c"]}
        names = [f"p{self.pushes:03}{letter}" for letter in "xy"]
        self.note((name, shape) for name in names)
        self.home.push({f"{name}.yaml": self.book.workflow(name, "sleep 0.008", **shape) for name in names})

    def kill(self, what):
        victims = []
        for kind in what.split("+"):
            found = {"zygote": self.home.zygotes, "worker": self.home.workers, "daemon": list}[kind]()
            if found:
                victims.append(self.dice.choice(found))
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if "daemon" in what:
            self.home.daemon.kill()
        self.kills[what] = self.kills.get(what, 0) + 1

    def restart(self):
        """Starts the daemon again; now and then kills it in the middle of taking up what is left."""
        while self.home.daemon.child.poll() is not None:
            self.home.daemon.launch()
            if self.dice.random() < 0.2:
                time.sleep(self.dice.uniform(0.05, 0.25))
                self.home.daemon.kill()
                self.kills["daemon that starts"] = self.kills.get("daemon that starts", 0) + 1
        self.until(self.home.daemon.is_ready, lambda: f"a daemon that answers: {self.home.daemon.said()[-1500:]}")

    def clear_failed_holders(self):
        """A lost run keeps its locks until a person lets them go: this is the person."""
        held = "SELECT run_id FROM claim WHERE state = 'held'"
        for (name,) in self.home.rows(f"SELECT name FROM run WHERE finished_at IS NOT NULL AND id IN ({held})"):
            with contextlib.suppress(LineclearError):
                self.home.ask("terminate", run=name, message="torture")

    def rage(self, kinds, count):
        while sum(self.kills.values()) < count:
            batch = self.make_batch()
            at_once = threading.Thread(target=self.submit, args=(batch,))
            at_once.start()
            if self.dice.random() < 0.7:
                at_once.join()
            time.sleep(self.dice.uniform(0.0, 0.06))  # the moment is what is random here, nothing is waited for
            self.kill(self.dice.choice(kinds))
            if self.dice.random() < 0.08:
                self.push()
            at_once.join()
            self.restart()
            self.make_sure()
            self.clear_failed_holders()

    def drain(self):
        def is_over():
            self.clear_failed_holders()
            sql = "SELECT count(*) FROM run WHERE finished_at IS NOT NULL"
            return self.home.rows(sql)[0][0] == len(self.names)

        def left():
            sql = "SELECT name, phase, message FROM run WHERE finished_at IS NULL LIMIT 5"
            attempts = self.home.rows("SELECT * FROM attempt WHERE finished_at IS NULL LIMIT 5")
            return f"the end of all runs: {self.home.rows(sql)} {attempts}; {self.home.daemon.said()[-1000:]}"

        self.until(is_over, left)


def check_log(book, lock, order):
    """No overlap beyond the limit, starts in order of arrival, epochs that only rise; nothing begins twice."""
    log = book.read(lock)
    began = log.runs()
    assert log.twice() == [], lock
    assert log.most_at_once() <= LIMITS[lock], lock
    if LIMITS[lock] == 1:
        assert began == [run for run in order if run in set(began)], f"{lock}: not first come, first served"
        in_turn = [run for run, _ in itertools.groupby(run for run, *_ in log.starts)]
        assert in_turn == began, f"{lock}: one run's steps were interleaved with another's"
    epochs = dict(zip(began, log.epochs(KEY.get(lock, f"default/Mutex/{lock}")), strict=True))
    assert None not in epochs.values(), lock
    by_arrival = [epochs[run] for run in order if run in epochs]
    assert by_arrival == sorted(set(by_arrival)), f"{lock}: epochs do not rise with the order of arrival"


def fold_journal(home):
    """The phase of each run by the record alone."""
    phases = {}
    for run, kind, detail in home.rows("SELECT run, kind, json_extract(detail_json, '$.phase') FROM journal ORDER BY seq"):
        match kind:
            case "run.created":
                phases[run] = "Pending"
            case "run.started":
                phases[run] = "Running"
            case "run.finished":
                assert phases[run] in ("Pending", "Running"), f"{run} ended twice"
                phases[run] = detail
    return phases


def rage_and_drain(home, book, until, kinds, count):
    print(f"LINECLEAR_SEED={SEED}")
    storm = Storm(home, book, random.Random(f"{SEED} {kinds}"), until)
    home.daemon.start()
    home.push({"limits.yaml": book.limits(s=2)})
    storm.rage(kinds, count)
    storm.drain()
    print(f"{len(storm.names)} runs, kills: {storm.kills}")
    return storm


def check_all(home, book, storm):
    phases = dict(home.rows("SELECT name, phase FROM run"))
    assert sorted(phases) == sorted(storm.names)
    for lock, order in storm.orders.items():
        check_log(book, lock, order)
    assert book.read("free").twice() == []
    assert fold_journal(home) == phases
    assert home.rows("PRAGMA integrity_check") == [("ok",)]
    assert home.rows("SELECT count(*) FROM claim WHERE state <> 'released'") == [(0,)]
    assert home.rows("SELECT count(*) FROM attempt WHERE finished_at IS NULL") == [(0,)]
    assert home.steps() == []
    began = {run for lock in (*storm.orders, "free") for run in book.read(lock).runs()}
    return phases, began


@pytest.mark.torture
def test_kills_of_the_daemon_lose_nothing_and_run_nothing_twice(home, book, until):
    storm = rage_and_drain(home, book, until, DAEMON_ONLY, 50)

    phases, began = check_all(home, book, storm)

    assert set(phases.values()) == {"Succeeded"}
    assert began == set(storm.names)


@pytest.mark.torture
def test_kills_of_anything_end_in_truth_and_share_no_lock(home, book, until):
    storm = rage_and_drain(home, book, until, ANYTHING, 60)

    phases, began = check_all(home, book, storm)

    killed_workers = sum(count for what, count in storm.kills.items() if "worker" in what)
    bad = {name: phase for name, phase in phases.items() if phase != "Succeeded"}
    print(f"not succeeded: {bad}")
    assert len(bad) <= killed_workers
    assert set(storm.names) - began <= set(bad)
    for name in bad:
        codes = home.rows("SELECT a.state, a.exit_code FROM attempt a JOIN run r ON r.id = a.run_id WHERE r.name = ?", name)
        assert ("lost", None) in codes or ("exited", 137) in codes, f"{name}: {codes}"
