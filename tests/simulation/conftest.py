"""A simulated machine under the real program: loop, effects, recovery and store, with a clock and processes by dice.

Processes, what was asked and what Git says survive a crash; the program's memory does not. The machine keeps its own books of who
may hold what, from manifests and process ends alone, and compares each start with them.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.clock import to_text
from reconciler.home import Home
from reconciler.loop.context import Context, Options
from reconciler.loop.effects import Effects
from reconciler.loop.inbox import Inbox, Look, Request
from reconciler.loop.launch import Surroundings
from reconciler.loop.recover import recover
from reconciler.loop.settle import mark_everything, settle
from reconciler.loop.tick import Loop, Outside
from reconciler.manifest import parse_file
from reconciler.model.attempt import Exited, Lost, Started
from reconciler.model.source import Revision
from reconciler.runtime.host import Recovery
from reconciler.settings import Settings
from reconciler.store import catalogue
from reconciler.store.writer import open_writer
from reconciler.workflow.engine import Rules

START = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
API = "argoproj.io/v1alpha1"
PARALLELISM = 3


class CrashError(BaseException):
    """The process dies here."""


@dataclass(frozen=True)
class Shape:
    """What a run is made of, as the machine's books see it. `codes` are those that its steps may end with."""

    name: str
    mutexes: tuple = ()
    semaphores: tuple = ()
    node_mutexes: tuple = ()
    nodes: int = 1
    codes: tuple = (0,)
    seconds: float = 2.0
    deadline_s: int | None = None
    ttl_s: int | None = None
    policy: str = ""
    releases: bool = False

    def spec(self):
        locks = sync(self.node_mutexes, ())
        pods = [{"name": f"p{n}", "container": {"image": "host", "command": ["true"]}, **locks} for n in range(self.nodes)]
        if self.nodes == 1:
            templates = [{**pods[0], "name": "main"}]
        else:
            calls = [[{"name": f"s{n}", "template": f"p{n}"}] for n in range(self.nodes)]
            templates = [{"name": "main", "steps": calls}, *pods]
        spec = {"entrypoint": "main", "templates": templates, **sync(self.mutexes, self.semaphores)}
        if self.deadline_s is not None:
            spec["activeDeadlineSeconds"] = self.deadline_s
        if self.ttl_s is not None:
            spec["ttlStrategy"] = {"secondsAfterCompletion": self.ttl_s}
        return spec

    def workflow(self, name):
        note = {"annotations": {"lineclear.dev/on-failure": "Release"}} if self.releases else {}
        return {"apiVersion": API, "kind": "Workflow", "metadata": {"name": name, **note}, "spec": self.spec()}

    def cron(self):
        spec = {"schedules": ["* * * * *"], "timezone": "UTC", "concurrencyPolicy": self.policy, "startingDeadlineSeconds": 300}
        spec["failedJobsHistoryLimit"] = 5
        metadata = {"name": self.name}
        return {"apiVersion": API, "kind": "CronWorkflow", "metadata": metadata, "spec": {**spec, "workflowSpec": self.spec()}}


def sync(mutexes, semaphores):
    block = {}
    if mutexes:
        block["mutexes"] = [{"name": name} for name in mutexes]
    if semaphores:
        block["semaphores"] = [{"configMapKeyRef": {"name": "limits", "key": key}} for key in semaphores]
    return {"synchronization": block} if block else {}


@dataclass
class Process:
    """One step's process; `end` is what it ended with."""

    run: str
    node: str
    shape: Shape
    ends_at: float
    code: int
    end: object = None


@dataclass
class Clock:
    """Wall and monotonic time, which only the machine moves; a jump moves the wall alone."""

    at: datetime = START
    mono: float = 0.0

    def now(self):
        return self.at

    def monotonic(self):
        return self.mono

    def advance(self, seconds):
        self.at += timedelta(seconds=seconds)
        self.mono += seconds


@dataclass
class Books:
    """Who may hold what, by what the machine itself saw."""

    clock: Clock
    limits: dict = field(default_factory=dict)
    processes: dict = field(default_factory=dict)  # attempt -> Process
    revoked: set = field(default_factory=set)
    cleared: set = field(default_factory=set)  # runs whose locks a person, or a cron's Replace, let go
    retried: set = field(default_factory=set)
    order: list = field(default_factory=list)  # runs by first start
    last_end: dict = field(default_factory=dict)

    def of(self, run):
        return [p for p in self.processes.values() if p.run == run]

    def is_over(self, run):
        """True if the run cannot hold a workflow-level lock any more."""
        mine = self.of(run)
        if any(p.end is None for p in mine):
            return False
        shape = mine[0].shape
        done = {p.node for p in mine if isinstance(p.end, Exited) and p.end.exit_code == 0}
        if len(done) == shape.nodes or run in self.cleared or shape.releases or shape.policy == "Replace":
            return True
        return shape.ttl_s is not None and self.clock.mono >= self.last_end[run] + shape.ttl_s - 0.001

    def begin(self, attempt, run, node, shape, dice):
        assert attempt not in self.processes, f"attempt {attempt} of {run} was started twice"
        assert attempt not in self.revoked, f"attempt {attempt} of {run} was revoked before"
        assert run in self.retried or node not in {p.node for p in self.of(run)}, f"{node} was started twice"
        self.check_locks(run, shape)
        if run not in self.order:
            self.order.append(run)
        seconds = shape.seconds * dice.uniform(0.1, 2)
        self.processes[attempt] = Process(run, node, shape, self.clock.mono + seconds, dice.choice(shape.codes))

    def check_locks(self, run, shape):
        others = {p.run: p.shape for p in self.processes.values() if p.run != run and not self.is_over(p.run)}
        living = [p for p in self.processes.values() if p.end is None]
        for lock in shape.mutexes:
            holders = [name for name, other in others.items() if lock in other.mutexes]
            assert holders == [], f"{run} began while {holders} hold {lock}"
        for lock in shape.semaphores:
            holders = [name for name, other in others.items() if lock in other.semaphores]
            assert len(holders) < self.limits[lock], f"{run} began while {holders} hold {lock}"
        for lock in shape.node_mutexes:
            inside = [p.run for p in living if lock in p.shape.node_mutexes]
            assert inside == [], f"{run} began while {inside} hold {lock}"
        if shape.policy in ("Forbid", "Replace"):
            inside = [p.run for p in living if p.shape is shape and p.run != run]
            assert inside == [], f"{run} began beside {inside}"
        assert len(living) < PARALLELISM


class SimRuntime:
    """The runtime's contract over the machine's processes: started at most once, ends told until they are acknowledged."""

    def __init__(self, machine):
        self.machine = machine
        self.books = machine.books
        self.watched = {}
        self.told = set()

    def recover(self, rows):
        unclaimed = []
        for attempt, _, _ in rows:
            if attempt in self.books.processes or attempt in self.books.revoked:
                self.watched[attempt] = None
            else:
                unclaimed.append(attempt)
        return Recovery(observations=(), to_launch=tuple(unclaimed))

    def launch(self, launch):
        attempt = launch.attempt_id
        self.watched[attempt] = None
        if attempt not in self.books.processes and attempt not in self.books.revoked:
            run = launch.env["LINECLEAR_RUN"]
            node = launch.env["LINECLEAR_NODE"]
            self.books.begin(attempt, run, node, self.machine.shape_of(run), self.machine.dice)

    def stop(self, attempt):
        process = self.books.processes.get(attempt)
        if process is not None and process.end is None:
            process.code = self.machine.dice.choice((143, 143, 137, 0))
            process.ends_at = min(process.ends_at, self.books.clock.mono + self.machine.dice.uniform(0, 3))

    kill = stop

    def revoke(self, attempt, directory):
        del directory
        if attempt in self.books.processes:
            return False
        self.books.revoked.add(attempt)
        self.watched[attempt] = None
        return True

    def has_news(self):
        told, self.told = self.told, set(self.told)
        news, self.told = bool(self.collect()), told
        return news

    def collect(self):
        found = []
        for attempt in self.watched:
            process = self.books.processes.get(attempt)
            if process is None:
                end = Lost(attempt_id=attempt, at=self.books.clock.at, began=False, evidence="revoked")
                end = end if attempt in self.books.revoked else None
            else:
                end = process.end
                if (attempt, "start") not in self.told:
                    self.told.add((attempt, "start"))
                    found.append(Started(attempt_id=attempt, pid=1, at=self.books.clock.at))
            if end is not None and (attempt, "end") not in self.told:
                self.told.add((attempt, "end"))
                found.append(end)
        return found

    def acknowledge(self, attempts):
        for attempt in attempts:
            self.watched.pop(attempt, None)


class Errors(logging.Handler):
    """Every error that the program logs: in a simulation there is none."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.texts = []

    def emit(self, record):
        self.texts.append(f"{record.getMessage()} {record.exc_info[1] if record.exc_info else ''}")


class Machine:
    """One home over many lives of its daemon."""

    def __init__(self, folder, dice, shapes, crons):
        self.home = Home(str(folder))
        self.dice = dice
        self.clock = Clock()
        self.books = Books(self.clock)
        self.shapes = {shape.name: shape for shape in (*shapes, *crons)}
        self.crash_chance = 0.0
        self.crashes = 0
        self.serial = 0
        self.files = {}
        self.head = ""
        self.errors = Errors()
        logging.getLogger("reconciler").addHandler(self.errors)
        self.writer = None
        self.open()

    # life

    def open(self):
        self.writer = open_writer(self.home.database)
        self.writer.db.execute("PRAGMA synchronous = OFF")  # the daemon dies here, never the machine
        self.inbox = Inbox()
        self.wake_at = self.clock.mono
        self.runtime = SimRuntime(self)
        around = Surroundings(home=self.home, settings=Settings(), user="ann", account_home="/")
        self.effects = Effects(around, self.runtime, self.make_tree, self.boundary)
        self.options = Options(parallelism=PARALLELISM, boot_id="boot", local_zone=UTC, rules=Rules())
        outside = Outside(
            applied=lambda _sha: None, offer_again=self.offer, look_at_git=lambda: None, boundary=self.boundary
        )
        self.loop = Loop(self.writer, self.clock, self.options, new_uid=self.new_uid, inbox=self.inbox, outside=outside)
        recover(self.writer, self.home, self.runtime, self.effects, self.clock, "boot")
        self.offer()

    def boundary(self, name):
        if self.dice.random() < self.crash_chance:
            raise CrashError(name)

    def crash(self):
        """The daemon is gone, with all that was only in its memory; a new one takes up."""
        self.crashes += 1
        self.writer.db.close()
        self.inbox.close()
        self.open()

    def close(self):
        self.writer.db.close()
        self.inbox.close()
        logging.getLogger("reconciler").removeHandler(self.errors)

    def new_uid(self):
        self.serial += 1
        return f"uid-{self.serial}"

    def make_tree(self, sha):
        os.makedirs(self.home.tree(sha), exist_ok=True)
        self.inbox.put(Look())

    # doing

    def offer(self):
        """Hands the head over if it is not live, as the watching thread does."""
        applied = catalogue.applied_sha(self.writer)
        if self.head and applied != self.head:
            files = tuple(parsed(path, bodies) for path, bodies in self.files.items())
            self.inbox.put(Revision(sha=self.head, previous=applied, at=self.clock.at, changed=files, removed=()))

    def push(self, path, *bodies):
        self.serial += 1
        self.head = f"{self.serial:040x}"
        self.files[path] = bodies
        self.offer()

    def ask(self, verb, **args):
        """Leaves a request; the list gets its answer, unless the daemon dies first."""
        replies = []
        self.inbox.put(Request(verb, args, "ann", replies.append))
        return replies

    def turn(self, at_most_s=3600.0):
        """One turn of the daemon's loop: a tick if there is a reason for one, then time until the next reason."""
        if self.clock.mono >= self.wake_at or self.inbox._messages or self.runtime.has_news():
            self.tick()
        ends = [p.ends_at - self.clock.mono for p in self.books.processes.values() if p.end is None]
        waits = [self.wake_at - self.clock.mono, at_most_s, *ends]
        self.clock.advance(0.0 if self.inbox._messages or self.runtime.has_news() else max(0.0, min(waits)))
        self.end_processes()

    def tick(self):
        try:
            self.loop.tick(self.runtime, self.effects)
        except CrashError:
            self.crash()
            return
        assert self.errors.texts == []
        if self.dice.random() < 0.1 and not self.inbox._messages:
            assert self.sweep_changes() == 0, "a sweep found something that was forgotten"
        self.wake_at = self.clock.mono + (0.0 if self.effects.has_failed() else self.loop.pause_s())

    def end_processes(self):
        for attempt, process in self.books.processes.items():
            if process.end is None and process.ends_at <= self.clock.mono:
                code = process.code
                signal = code - 128 if code > 128 else None
                lost = Lost(attempt_id=attempt, at=self.clock.at, began=True, evidence="no record")
                end = Exited(attempt_id=attempt, exit_code=code, signal=signal, at=self.clock.at)
                process.end = lost if code < 0 else end
                self.books.last_end[process.run] = self.clock.mono

    def sweep_changes(self):
        """How many rows a full sweep changes now: none, unless something was forgotten."""
        context = Context(
            writer=self.writer, specs=self.loop._specs, options=self.options, new_uid=self.new_uid, at=self.clock.at
        )
        before = self.writer.db.total_changes
        chance, self.crash_chance = self.crash_chance, 0.0
        with self.writer.write(to_text(self.clock.at)):
            mark_everything(context)
            settle(context)
        self.crash_chance = chance
        return self.writer.db.total_changes - before

    # looking

    def shape_of(self, run):
        return self.shapes[run.split("-")[0]]

    def rows(self, sql, *values):
        return self.writer.db.execute(sql, values).fetchall()


def parsed(path, bodies):
    text = "\n---\n".join(json.dumps(body) for body in bodies)
    file = parse_file(path, f"blob-of-{path}-{hash(text)}", text.encode())
    assert not file.is_bad, [str(finding) for finding in file.findings]
    return file


@pytest.fixture
def make_machine(tmp_path):
    """Makes machines; closes them."""
    made = []

    def make(dice, shapes, crons=()):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Machine(folder, dice, shapes, crons))
        return made[-1]

    yield make
    for machine in made:
        machine.close()


@pytest.fixture
def make_shape():
    """Shapes of runs."""
    return Shape
