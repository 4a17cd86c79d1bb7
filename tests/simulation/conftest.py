"""A simulated machine under the real program: loop, effects, recovery and store, with a clock and processes by dice.

Processes, what was asked and what Git says survive a crash; the program's memory does not. The machine keeps its own books of who
may hold what, from manifests and process ends alone, and compares each start with them.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import sys
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pytest

from reconciler.clock import to_text
from reconciler.home import Home
from reconciler.loop.context import WORK_OF_A_TICK, Context, Options
from reconciler.loop.deciding import has_more, pass_slices
from reconciler.loop.effects import Effects
from reconciler.loop.inbox import Inbox, Look, Request
from reconciler.loop.launch import Surroundings
from reconciler.loop.outside import Outside
from reconciler.loop.recover import recover
from reconciler.loop.settle import mark_everything, settle
from reconciler.loop.tick import Loop
from reconciler.manifest import parse_file
from reconciler.model.attempt import Exited, Lost, Started
from reconciler.model.source import Revision
from reconciler.runtime.cases import Recovery
from reconciler.settings import Settings
from reconciler.store import catalogue
from reconciler.store.writer import open_writer
from reconciler.workflow.bounds import Rules

_SPEC = importlib.util.spec_from_file_location("lineclear_simulated_books", Path(__file__).with_name("simulated_books.py"))
_BOOKS = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = _BOOKS
_SPEC.loader.exec_module(_BOOKS)
Books, Clock, PARALLELISM = _BOOKS.Books, _BOOKS.Clock, _BOOKS.PARALLELISM


WORKS = (1, 6, 30, WORK_OF_A_TICK)  # of a tick; each life of the daemon has its own


class CrashError(BaseException):
    """The process dies here."""


class SimRuntime:
    """The runtime's contract over the machine's processes: started at most once, ends told until they are acknowledged."""

    def __init__(self, machine):
        self.machine = machine
        self.books = machine.books
        self.watched = {}
        self.told = set()

    def recover(self, rows):
        unclaimed = []
        for attempt in (intent.attempt_id for intent in rows):
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

    def revoke(self, intent):
        attempt = intent.attempt_id
        if attempt in self.books.processes:
            return False
        self.books.revoked.add(attempt)
        self.watched[attempt] = None
        return True

    def forget(self, attempts):
        for attempt in attempts:
            self.watched.pop(attempt, None)

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
        work = WORKS[self.crashes % len(WORKS)]
        self.options = Options(parallelism=PARALLELISM, boot_id="boot", local_zone=UTC, rules=Rules(), work=work)
        outside = Outside(
            applied=lambda _sha: None, offer_again=self.offer, look_at_git=lambda: None, boundary=self.boundary
        )
        self.loop = Loop(self.writer, self.clock, self.options, new_uid=self.new_uid, inbox=self.inbox, outside=outside)
        recover(self.writer, self.home, self.runtime, self.effects, self.clock, "boot", make_room=lambda: False)
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
        if self.dice.random() < 0.1 and not self.inbox._messages and not self.rows("SELECT * FROM slice"):
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
        at_once = replace(self.options, work=10**9)  # a sweep in slices writes down how far it has come
        context = Context(writer=self.writer, specs=self.loop._specs, options=at_once, new_uid=self.new_uid, at=self.clock.at)
        before = self.writer.db.total_changes
        chance, self.crash_chance = self.crash_chance, 0.0
        with self.writer.write(to_text(self.clock.at)):
            mark_everything(context)
            settle(context)
            while has_more(context):
                pass_slices(context)
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
    return _BOOKS.Shape
