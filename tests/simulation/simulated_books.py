"""What the simulated machine knows by itself: the shapes of runs, its processes, and books of who may hold what.

Nothing here asks the program: starts and ends of processes and the manifests are all that the books go by.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from reconciler.model.attempt import Exited

START = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
API = "argoproj.io/v1alpha1"
PARALLELISM = 3


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
    body: dict | None = None  # a whole spec, instead of one made from the rest
    failing: tuple = ()  # with a body: the nodes, less the run's name, that end with code 1; all others end well

    def code_of(self, run, node, dice):
        if self.body is None:
            return dice.choice(self.codes)
        return int(node.removeprefix(run) in self.failing)

    def spec(self):
        if self.body is not None:
            return self.body
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
        said = {"lineclear.dev/on-failure": "Release"} if self.releases else {}
        if self.policy:
            said |= {"lineclear.dev/concurrency-policy": self.policy, "lineclear.dev/concurrency-key": self.name}
        note = {"annotations": said} if said else {}
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
    cleared: set = field(default_factory=set)  # runs whose locks a person, or a policy's Replace, let go
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
        self.processes[attempt] = Process(run, node, shape, self.clock.mono + seconds, shape.code_of(run, node, dice))

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
        if shape.policy in ("Forbid", "Replace", "Latest"):
            inside = [p.run for p in living if p.shape is shape and p.run != run]
            assert inside == [], f"{run} began beside {inside}"
        assert len(living) < PARALLELISM
