"""Every order in which a few runs can come, end, be ended and crash: the real store and loop beside the model, state by state.

A state is kept by what can still matter of it: the open runs in the order of their arrival, what they want, how far they are,
and their claims in the order of asking; not by names, numbers or history. What is left out cannot matter is what is assumed.
Run as a program it searches larger spaces: `python tests/loop/lock_space.py --help`.
"""

import argparse
import json
import pickle
import shutil
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from datetime import timedelta

from lock_compare import check_rows, compare, same
from lock_machine import new_database, spec_of
from lock_model import FINAL, Job, Model
from loop_harness import Crash, World

from reconciler.loop.tick import Loop
from reconciler.store.writer import Writer

M, S, BOTH, NONE = frozenset("m"), frozenset("s"), frozenset("ms"), frozenset()
LEAF = (NONE, ())


def one(wants):
    """A run's tree of one process."""
    return wants, ()


def row(*groups):
    """A tree of groups, each of processes side by side."""
    return NONE, [[(f"g{n}p{number}", wants, ()) for number, wants in enumerate(group)] for n, group in enumerate(groups)]


# (what the run takes, its tree): mutex m, and semaphore s with two units
SHAPES = {
    "m": (M, LEAF),
    "s": (S, LEAF),
    "m+s": (BOTH, LEAF),
    "step m": (NONE, one(M)),
    "step s": (NONE, one(S)),
    "step m+s": (NONE, one(BOTH)),
    "m, step s": (M, one(S)),
    "s, step m": (S, one(M)),
    "m, later s": (M, row([NONE], [S])),
    "s, later m": (S, row([NONE], [M])),
    "m, steps m m": (M, row([M, M])),
    "s, steps s m": (S, row([S, M])),
    "steps m then s": (NONE, row([M], [S])),
    "steps m | s": (NONE, row([M, S])),
    "box s of step m": (NONE, (NONE, [[("box", S, [[("in", M, ())]])]])),
    "box m of steps m m": (NONE, (NONE, [[("box", M, [[("x", M, ()), ("y", M, ())]])]])),
}


class Branching(World):
    """A world whose database can be put back to what it was, as a copy in memory."""

    def open(self):
        super().open()
        on_disk = self.writer.db
        self.writer = Writer(_copy(on_disk))
        self.writer.db.execute("PRAGMA foreign_keys = ON")
        on_disk.close()
        self.begin()

    def begin(self):
        """A new loop, which knows nothing but the rows; it goes on instead of starting: no sweep helps it."""
        old = self.loop
        self.loop = Loop(self.writer, self.clock, self.options, new_uid=self.new_uid, inbox=self.inbox, outside=old._outside)
        self.loop._specs._kept = old._specs._kept  # a digest never means anything else
        self.loop._sweep_at = self.clock.at + timedelta(days=1)
        self.runtime.seen.clear()

    def image(self):
        return _copy(self.writer.db)

    def restore(self, image):
        db = self.writer.db
        image.backup(db)
        self.writer = Writer(db)
        self.begin()

    def restart(self):
        """The process dies here and another begins, with its sweep."""
        self.writer = Writer(self.writer.db)
        self.begin()
        self.loop._sweep_at = self.clock.at
        self.tick()


def _copy(db):
    made = sqlite3.connect(":memory:", isolation_level=None, cached_statements=512)
    db.backup(made)
    return made


class Dying:
    """A connection that dies at its nth write."""

    def __init__(self, real, at):
        self.real, self.left = real, at

    def execute(self, sql, values=()):
        if sql.split(None, 1)[0] in ("INSERT", "UPDATE", "DELETE"):
            self.left -= 1
            if self.left == 0:
                raise Crash(sql)
        return self.real.execute(sql, values)

    def __getattr__(self, name):
        return getattr(self.real, name)


class Space:
    """A depth-first search: only the way to the state in hand is kept, and the keys of those that were seen."""

    def __init__(self, world, shapes, *, runs=3, limit=2, priorities=(0,), retries=0, limits=(), crashes=False, budget_s=None):
        self.world, self.shapes, self.runs, self.priorities = world, [SHAPES[name] for name in shapes], runs, priorities
        self.retries, self.limits, self.crashes = retries, limits, crashes
        self.deadline = None if budget_s is None else time.monotonic() + budget_s
        self.seen, self.found = set(), Counter()
        world.limits(s=limit)
        self.model = Model()
        self.model.locks.limits = {"s": limit}

    def search(self):
        """Looks at everything that can be reached; the counts."""
        self.seen.add((self.key(self.model), 0, 0))
        self._visit(self.world.image(), pickle.dumps((self.model, 0, 0)))
        return self.found

    def _visit(self, image, packed, seen=0):
        self.found["states"] += 1
        model, submitted, retried = pickle.loads(packed)
        if not self.crashes:
            seen = self._check_state(model, seen)
        for event in self.events(model, submitted, retried):
            if self.deadline is not None and time.monotonic() > self.deadline:
                self.found["unvisited"] += 1
                return
            model, submitted, retried = pickle.loads(packed)
            self.world.restore(image)
            self._step(model, event, submitted)
            after = (model, submitted + (event[0] == "submit"), retried + (event[0] == "retry"))
            key = (self.key(model), *after[1:])
            reached = self.world.image() if key not in self.seen else None
            if self.crashes:
                self._die_at_every_write(image, packed, event, key[0])
            if reached is not None:
                self.seen.add(key)
                self._visit(reached, pickle.dumps(after), seen)

    def _step(self, model, event, submitted):
        self.found["steps"] += 1
        self.do(model, event, submitted)
        model.settle(self.world.clock.at)
        compare(model, self.world)

    # what can happen -----------------------------------------------------------------------------------------------------

    def events(self, model, submitted, retried):
        """Everything that can happen next, by names and numbers."""
        found = []
        if submitted < self.runs:
            found += [("submit", shape, priority) for shape in range(len(self.shapes)) for priority in self.priorities]
        found += [("exit", x.job.name, x.name, good) for x in model.processes() for good in (True, False)]
        found += [("end", job.name) for job in model.jobs.values() if not job.ending and _matters(job, model)]
        if retried < self.retries:
            found += [("retry", job.name) for job in model.jobs.values() if job.state == "bad"]
        return found + [("limit", value) for value in self.limits if value != model.locks.limits["s"]]

    def do(self, model, event, submitted):
        """Makes it happen in both."""
        world = self.world
        match event:
            case ("submit", shape, priority):
                wants, tree = self.shapes[shape]
                name = f"r{submitted}"
                world.submit(spec_of(tree, wants), name, priority=priority)
                order = world.one("SELECT id FROM run WHERE name = ?", name)[0]
                model.jobs[name] = Job(name, priority, order, wants, tree)
            case ("exit", run, node, good):
                item = next(x for x in model.processes() if (x.job.name, x.name) == (run, node))
                world.exits(run, node, 0 if good else 1)
                model.end(item, "good" if good and not item.job.ending else "bad")
            case ("end", run):
                job = model.jobs[run]
                world.must("terminate", run=run)
                if job.state in FINAL:
                    model.locks.drop(job)
                else:
                    job.ending = True
            case ("retry", run):
                world.must("retry", run=run)
                model.retry(model.jobs[run])
            case ("limit", value):
                world.limits(s=value)
                model.locks.limits = {"s": value}

    # what must be so -----------------------------------------------------------------------------------------------------

    def _check_state(self, model, seen):
        world = self.world
        seen = check_rows(world, seen)
        before = world.writer.db.total_changes
        world.tick()
        same("rows that a second tick changes", world.writer.db.total_changes - before, 0)
        same("rows that a sweep changes", world.sweep_changes(), 0)
        self._check_drain(model)
        self._check_record()
        world.restart()
        compare(model, world)
        return seen

    def _check_drain(self, model):
        """Where nothing runs, who waits does so behind a failed holder, a closed gate or a cycle that was told."""
        waiting = [claim for claim in model.locks.claims if not claim.held]
        if waiting and not model.processes():
            failed = any(job.state == "bad" and model.holds(job) for job in model.jobs.values())
            told = self.world.one("SELECT 1 FROM claim WHERE state = 'waiting' AND knot > 0") is not None
            self.found["stand-stills told as a cycle"] += told and not failed
            assert failed or told or not model.locks.limits["s"], f"nothing goes on and nobody says why: {waiting}"

    def _check_record(self):
        """The rows of the journal, folded, are the claims and the phases."""
        claims, phases = {}, {}
        ends = {"claim.requested": "waiting", "claim.granted": "held"}
        for kind, run, detail in self.world.rows("SELECT kind, run, detail_json FROM journal ORDER BY seq"):
            told = json.loads(detail)
            if kind.startswith("claim."):
                claims[told["claim"]] = ends.get(kind, "released")
            elif kind in ("run.created", "run.started", "run.finished", "run.retried"):
                phases[run] = kind
        same("claims by the record", claims, dict(self.world.rows("SELECT id, state FROM claim")))
        ended = sorted(run for run, kind in phases.items() if kind == "run.finished")
        rows = self.world.rows("SELECT name FROM run WHERE finished_at IS NOT NULL ORDER BY name")
        same("ends by the record", ended, [name for (name,) in rows])

    def _die_at_every_write(self, image, packed, event, expected):
        """Dies at each write of the step in turn, starts again and does it again: the same end, whatever the write was."""
        for at in range(1, 10_000):
            model, submitted, _ = pickle.loads(packed)
            self.world.restore(image)
            self.world.writer.db = Dying(self.world.writer.db, at)
            try:
                self.do(model, event, submitted)
            except Crash:
                self.found["crashes"] += 1
            else:
                break
            self.world.writer.db = self.world.writer.db.real
            self.world.inbox.drain()
            self.world.restart()
            model, submitted, _ = pickle.loads(packed)
            compare(model, self.world)
            self._step(model, event, submitted)
            same("state after a crash", self.key(model), expected)
        self.world.writer.db = self.world.writer.db.real

    # what a state is -----------------------------------------------------------------------------------------------------

    def key(self, model):
        """What can still matter of a state."""
        jobs = []
        for job in sorted(model.jobs.values(), key=lambda job: job.order):
            if _matters(job, model) or (self.retries and job.state == "bad"):
                items = tuple((item.name, tuple(sorted(item.wants)), item.state) for item in job.root.inside())
                claims = tuple(
                    ("" if c.owner is job else c.owner.name + "/", tuple(_unit(unit, job) for unit in c.units), c.held)
                    for c in model.locks.claims
                    if c.job is job
                )
                jobs.append((tuple(sorted(job.wants)), job.priority, job.state, job.ending, items, claims))
        return (tuple(jobs), model.locks.limits["s"])


def _matters(job, model):
    return job.state not in FINAL or model.holds(job)


def _unit(unit, job):
    lock, under = unit
    return lock, "" if under is None else "run" if under is job else under.name + "/"


def main():
    """Searches a space as large as asked for, and says how large it was."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--shapes", nargs="*", default=list(SHAPES), help=f"of {', '.join(SHAPES)}")
    parser.add_argument("--limit", type=int, default=2)
    parser.add_argument("--limits", type=int, nargs="*", default=[], help="what the limit may be changed to on the way")
    parser.add_argument("--priorities", type=int, nargs="*", default=[0])
    parser.add_argument("--retries", type=int, default=0)
    parser.add_argument("--crashes", action="store_true", help="die at every write of every step")
    parser.add_argument("--seconds", type=float, help="stop after so long")
    asked = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lock-space-") as folder:
        found = search(
            folder, asked.shapes, runs=asked.runs, limit=asked.limit, limits=tuple(asked.limits), retries=asked.retries,
            priorities=tuple(asked.priorities), crashes=asked.crashes, budget_s=asked.seconds,
        )  # fmt: skip
    print(", ".join(f"{count:,} {what}" for what, count in found.items()), f"in {time.monotonic() - began:.0f} s")
    return 1 if found["unvisited"] else 0


def search(folder, shapes, **bounds):
    """The counts of a search in a new world."""
    shutil.copy(new_database(), folder)
    world = Branching(folder)
    try:
        return Space(world, shapes, **bounds).search()
    finally:
        world.close()


if __name__ == "__main__":
    sys.exit(main())
