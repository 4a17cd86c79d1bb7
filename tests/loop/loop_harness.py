"""A loop over a real database without processes: the tests say when each one ends, what time it is, and when to crash."""

import json
import logging
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.clock import to_text
from reconciler.loop import deciding, due
from reconciler.loop.context import WORK_OF_A_TICK, Context, Options
from reconciler.loop.deciding import has_more, pass_slices
from reconciler.loop.effects import Effects
from reconciler.loop.inbox import Inbox, Request
from reconciler.loop.outside import Outside
from reconciler.loop.settle import mark_everything, settle
from reconciler.loop.tick import Loop
from reconciler.manifest import parse_file
from reconciler.model.attempt import AttemptId, Exited, HolderUnknown, Lost, NotStarted
from reconciler.model.source import Revision
from reconciler.model.state import NO_OUTPUTS, Outputs
from reconciler.runtime.faults import MachineFault
from reconciler.store import runs, slices
from reconciler.store.nodes import StoredNodes
from reconciler.store.writer import open_writer
from reconciler.workflow import engine
from reconciler.workflow.bounds import Rules
from reconciler.workflow.program import render
from reconciler.workflow.scope import scope_of

START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
API = "argoproj.io/v1alpha1"


@contextmanager
def few_at_once(number):
    """Nodes are looked at in slices from this number on: what else only large runs have then happens to small ones too."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (deciding, due, engine, slices):
            patch.setattr(module, "AT_ONCE", number)
        patch.setattr(deciding, "MOST_MARKED", number)
        yield


class Crash(BaseException):
    """The process dies here."""


class HandClock:
    """Time passes only when the test says so; `set_by` is how far somebody has set the wall clock."""

    def __init__(self):
        self.at = START
        self.set_by = timedelta(0)

    def now(self):
        return self.at

    def monotonic(self):
        return (self.at - START - self.set_by).total_seconds()


class FakeRuntime:
    """What was seen lies here until the loop collects it."""

    def __init__(self):
        self.seen = []

    def collect(self):
        taken, self.seen = self.seen, []
        return taken

    def acknowledge(self, attempt_ids):
        pass


class NoEffects(Effects):
    """Remembers which runs were removed; starts nothing, for the tests end the attempts."""

    def __init__(self, left=None):
        self.removed = []
        self.stopped = {}
        self.is_behind = False
        self.left = {} if left is None else left  # attempt -> (outputs, what is missing)
        self.fault = ""  # what the machine lacks for reading them

    def prepare(self, commits):
        pass

    def stop_unwritten(self, stops):
        self.stopped |= stops

    def act(self, ctx, removed):
        self.removed += removed

    def reserve(self, attempt):
        return False

    def take_failed(self):
        return []

    def collect(self, ctx, attempt, node):
        if self.fault:
            raise MachineFault(self.fault)
        return self.left.get(attempt.id, (NO_OUTPUTS, ""))


class Errors(logging.Handler):
    """Every error that the loop logs, so that none is overlooked."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.texts = []

    def emit(self, record):
        self.texts.append(f"{record.getMessage()} {record.exc_info[1] if record.exc_info else ''}")


@dataclass(frozen=True)
class Reply:
    """What a request was answered."""

    ok: dict | None
    error: dict | None


class World:
    """One home's database and its loop, at an instant that the test moves."""

    def __init__(self, folder, *, parallelism=64, rules=None, work=WORK_OF_A_TICK):
        self.path = f"{folder}/state.db"
        self.clock = HandClock()
        self.parallelism = parallelism
        self.rules = rules or Rules()
        self.work = work
        self.errors = Errors()
        self.boot_id = "boot"
        self.serial = 0
        self.crash_at = ""
        self.removed = []
        self.left = {}  # files of attempts: they outlive the process
        logging.getLogger("reconciler").addHandler(self.errors)
        self.open()

    # life ------------------------------------------------------------------------------------------------------------

    def open(self):
        self.writer = open_writer(self.path)
        self.writer.db.execute("PRAGMA synchronous = OFF")  # processes die here, never the machine
        self.inbox = Inbox()
        self.runtime = FakeRuntime()
        self.effects = NoEffects(self.left)
        self.options = Options(
            parallelism=self.parallelism, boot_id=self.boot_id, local_zone=UTC, rules=self.rules, work=self.work
        )
        outside = Outside(
            applied=lambda sha: None, offer_again=lambda: None, look_at_git=lambda: None, boundary=self._boundary
        )
        self.loop = Loop(self.writer, self.clock, self.options, new_uid=self.new_uid, inbox=self.inbox, outside=outside)

    def _boundary(self, name):
        if name == self.crash_at:
            raise Crash(name)

    def crash(self):
        """The process is gone: what was not committed never was."""
        self.writer.db.close()
        self.inbox.close()
        self.open()
        self.tick()

    def close(self):
        self.writer.db.close()
        self.inbox.close()
        logging.getLogger("reconciler").removeHandler(self.errors)

    def new_uid(self):
        self.serial += 1
        return f"uid-{self.serial:06}"

    # doing -----------------------------------------------------------------------------------------------------------

    def tick(self, seconds=0):
        """One tick, some seconds later; returns the errors that it logged and fails if there are any."""
        self.clock.at += timedelta(seconds=seconds)
        self.one_tick()
        while self.loop.pause_s() == 0 and has_more(self.context()):
            self.one_tick()

    def one_tick(self):
        """One tick and no more, whatever of large runs is left to do."""
        self.loop.tick(self.runtime, self.effects)
        assert self.errors.texts == []

    def dying(self, point, act):
        """Does something, dies at a boundary of its tick, and starts again."""
        self.crash_at = point
        with suppress(Crash):
            act()
        self.crash_at = ""
        self.crash()

    def ask(self, verb, **args):
        """One operator's request in one tick."""
        replies = []
        self.inbox.put(Request(verb, args, "tester", replies.append))
        self.tick()
        assert len(replies) == 1
        return Reply(replies[0].get("ok"), replies[0].get("error"))

    def must(self, verb, **args):
        reply = self.ask(verb, **args)
        assert reply.error is None, reply.error
        return reply.ok

    def must_not(self, verb, **args):
        """The message of a refusal."""
        reply = self.ask(verb, **args)
        assert reply.error is not None, reply.ok
        return reply.error["message"]

    def submit(self, spec, name="", **args):
        """The name of a run made from a plain spec."""
        body = {"apiVersion": API, "kind": "Workflow", "metadata": {"name": name or "run"}, "spec": spec}
        if args.pop("many", False) or not name:
            body["metadata"] = {"generateName": "run-"}
        documents = parsed("submitted.yaml", body).documents
        return self.must("submit", documents=documents, **args)["runs"][0]["name"]

    def push(self, *bodies, path="all.yaml", removed=()):
        """One revision in which one file has exactly these documents."""
        previous = self.writer.meta("applied")
        self.serial += 1
        sha = f"{self.serial:040x}"
        changed = (parsed(path, *bodies),) if bodies else ()
        self.inbox.put(Revision(sha=sha, previous=previous, at=self.clock.at, changed=changed, removed=tuple(removed)))
        self.tick()
        assert self.writer.meta("applied") == sha

    def limits(self, **values):
        """A revision that sets the semaphore limits of ConfigMap `limits`."""
        data = {key: str(value) for key, value in values.items()}
        self.push(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "limits"}, "data": data}, path="limits.yaml"
        )

    def exits(self, run, node, code=0, *, outputs=None, result=None, problem=""):
        """The process of a node ends by itself; it leaves output parameters, standard output, or something missing."""
        attempt = self.attempt_of(run, node)
        if outputs or result is not None or problem:
            self.left[attempt] = (Outputs(parameters=outputs or {}, result=result), problem)
        self.runtime.seen.append(Exited(attempt_id=AttemptId(attempt), exit_code=code, signal=None, at=self.clock.at))
        self.tick()

    def all_exit(self, run, *nodes, code=0):
        """Processes end by themselves, one tick each."""
        for node in nodes:
            self.exits(run, node, code)

    def is_lost(self, run, node):
        """The process of a node is gone without a trace."""
        attempt = self.attempt_of(run, node)
        self.runtime.seen.append(Lost(attempt_id=AttemptId(attempt), at=self.clock.at, began=True, evidence="no record"))
        self.tick()

    def is_unknown(self, run, node, *pids):
        """The shim of a node's process is gone, and nothing proves that the process is."""
        attempt = AttemptId(self.attempt_of(run, node))
        why = "its shim was lost and nothing proves that its processes ended"
        self.runtime.seen.append(HolderUnknown(attempt_id=attempt, at=self.clock.at, evidence=why, pids=pids))
        self.tick()

    def cannot_start(self, run, node, code=64):
        """The process of a node could not be made."""
        attempt = self.attempt_of(run, node)
        seen = NotStarted(attempt_id=AttemptId(attempt), exit_code=code, at=self.clock.at, message="no such command")
        self.runtime.seen.append(seen)
        self.tick()

    def attempt_of(self, run, node):
        sql = (
            "SELECT a.id FROM attempt a JOIN node n ON n.id = a.node_id JOIN run r ON r.id = a.run_id"
            " WHERE r.name = ? AND n.name = ? AND a.state IN ('intended', 'live')"
        )
        row = self.one(sql, run, node)
        assert row is not None, f"{run}{node} has no process; running: {self.running()}"
        return row[0]

    def context(self):
        return Context(
            writer=self.writer, specs=self.loop._specs, options=self.options, new_uid=self.new_uid, at=self.clock.at
        )

    def sweep_changes(self):
        """How many rows a full sweep at this instant changes: none, unless something was forgotten."""
        before = self.writer.db.total_changes
        with self.writer.write(to_text(self.clock.at)):
            mark_everything(self.context())
            settle(self.context())
            while has_more(self.context()):
                pass_slices(self.context())
                settle(self.context())
        return self.writer.db.total_changes - before

    # looking ---------------------------------------------------------------------------------------------------------

    def rows(self, sql, *values):
        return self.writer.db.execute(sql, values).fetchall()

    def one(self, sql, *values):
        return self.writer.db.execute(sql, values).fetchone()

    def phase(self, run):
        row = self.one("SELECT phase FROM run WHERE name = ?", run)
        return None if row is None else row[0]

    def message(self, run):
        return self.one("SELECT message FROM run WHERE name = ?", run)[0]

    def run(self, name):
        return runs.find_run(self.writer, "default", name)

    def nodes(self, run):
        """Node name -> phase."""
        return dict(self.rows("SELECT n.name, n.phase FROM node n JOIN run r ON r.id = n.run_id WHERE r.name = ?", run))

    def told(self, run, node):
        """The message of a node."""
        sql = "SELECT n.message FROM node n JOIN run r ON r.id = n.run_id WHERE r.name = ? AND n.name = ?"
        return self.one(sql, run, node)[0]

    def inputs(self, run, node):
        """The input parameters of a node."""
        sql = "SELECT n.inputs_json FROM node n JOIN run r ON r.id = n.run_id WHERE r.name = ? AND n.name = ?"
        return json.loads(self.one(sql, run, node)[0])

    def outputs(self, run, node):
        """The output parameters of a node."""
        sql = "SELECT n.outputs_json FROM node n JOIN run r ON r.id = n.run_id WHERE r.name = ? AND n.name = ?"
        return json.loads(self.one(sql, run, node)[0]).get("parameters", {})

    def argv(self, run, name):
        """The command of a node, as it would be started now."""
        found = self.run(run)
        frozen = self.loop._specs.get(found.spec_digest)
        stored = StoredNodes(self.writer, found.id)
        node = stored.node(name)
        command = render(frozen.templates[node.template].body, scope_of(found, frozen, stored, node, to_text(self.clock.at)))
        return [*command.command, *command.args]

    def asked_to_end(self, run=None):
        """Node names whose processes are asked to end and have not yet."""
        sql = (
            "SELECT n.name FROM attempt a JOIN node n ON n.id = a.node_id JOIN run r ON r.id = a.run_id"
            " WHERE a.state IN ('intended', 'live') AND a.stop <> '' AND ifnull(?, r.name) = r.name ORDER BY a.id"
        )
        return [row[0] for row in self.rows(sql, run)]

    def running(self, run=None):
        """Node names, in order of their attempts, of what is to be running; (run, node) if no run is asked for."""
        sql = (
            "SELECT r.name, n.name FROM attempt a JOIN node n ON n.id = a.node_id JOIN run r ON r.id = a.run_id"
            " WHERE a.state IN ('intended', 'live') ORDER BY a.id"
        )
        found = self.rows(sql)
        return found if run is None else [node for name, node in found if name == run]

    def holders(self, key=None):
        """Key -> who holds a unit of it, as run + node name, sorted."""
        return self._who("held", "n.name, c.id", key)

    def queue(self, key=None):
        """Key -> who waits for it, in the order of the queue."""
        return self._who("waiting", "c.id", key)

    def _who(self, state, order, key):
        sql = (
            "SELECT l.key, r.name || ifnull(n.name, '') || CASE WHEN n.id IS NULL THEN '' ELSE '/' END FROM claim_lock cl"
            " JOIN lock l ON l.id = cl.lock_id JOIN claim c ON c.id = cl.claim_id"
            " JOIN run r ON r.id = c.run_id LEFT JOIN node n ON n.id = c.node_id"
            " WHERE cl.state = ? AND cl.nested = 0 AND l.kind <> 'Policy'"
            f" ORDER BY l.key, c.priority DESC, c.queue_order, {order}"
        )
        found = {}
        for lock, who in self.rows(sql, state):
            found.setdefault(lock.rpartition("/")[2], []).append(who)
        if state == "held":
            found = {lock: sorted(names) for lock, names in found.items()}
        return found if key is None else found.get(key, [])

    def journal(self, kind, run=None):
        """The details of the record's lines of one kind."""
        sql = "SELECT detail_json, run FROM journal WHERE kind = ? ORDER BY seq"
        return [json.loads(detail) for detail, name in self.rows(sql, kind) if run in (None, name)]


def parsed(path, *bodies):
    """A file with these documents, as the source hands it over."""
    text = "\n---\n".join(json.dumps(body) for body in bodies)
    file = parse_file(path, f"blob-of-{path}", text.encode())
    assert not file.is_bad, [str(finding) for finding in file.findings]
    return file


# specs ---------------------------------------------------------------------------------------------------------------


def sync(*names):
    """A synchronization block: names that begin with s are keys of ConfigMap `limits`, others are mutexes."""
    block = {}
    mutexes = [{"name": name} for name in names if not name.startswith("s")]
    semaphores = [{"configMapKeyRef": {"name": "limits", "key": name}} for name in names if name.startswith("s")]
    if mutexes:
        block["mutexes"] = mutexes
    if semaphores:
        block["semaphores"] = semaphores
    return block


def pod(name="main", *locks, **more):
    """A container template."""
    found = {"name": name, "container": {"image": "host", "command": ["true"]}, **more}
    return {**found, "synchronization": sync(*locks)} if locks else found


def steps(name, *groups, locks=(), **more):
    """A steps template; a call is NAME (its template's name too) or (NAME, TEMPLATE)."""
    body = [[_call(call) for call in group] for group in groups]
    found = {"name": name, "steps": body, **more}
    return {**found, "synchronization": sync(*locks)} if locks else found


def dag(name, locks=(), **tasks):
    """A dag template: task=(TEMPLATE, DEPENDENCY...)."""
    body = [{"name": task, "template": told[0], "dependencies": list(told[1:])} for task, told in tasks.items()]
    found = {"name": name, "dag": {"tasks": body}}
    return {**found, "synchronization": sync(*locks)} if locks else found


def taking(name="p", *names, **more):
    """A container template with input parameters; NAME or (NAME, DEFAULT)."""
    found = [{"name": n} if isinstance(n, str) else {"name": n[0], "default": n[1]} for n in names]
    return pod(name, inputs={"parameters": found}, **more)


def making(name="p", *names, **more):
    """A container template with output parameters by file; NAME or (NAME, DEFAULT)."""
    found = []
    for n in names:
        source = {"path": f"/tmp/{n}"} if isinstance(n, str) else {"path": f"/tmp/{n[0]}", "default": n[1]}
        found.append({"name": n if isinstance(n, str) else n[0], "valueFrom": source})
    return pod(name, outputs={"parameters": found}, **more)


def call(name, template="p", given=None, **more):
    """A step or a task with arguments."""
    found = {"name": name, "template": template, **more}
    return {**found, "arguments": {"parameters": values(**given)}} if given else found


def values(**given):
    """Parameters with values."""
    return [{"name": name, "value": value} for name, value in given.items()]


def tasks(name, *calls, **more):
    """A dag template of whole calls; `dag` has its other fields."""
    return {"name": name, "dag": {"tasks": list(calls), **more.pop("dag", {})}, **more}


def _call(call):
    if isinstance(call, dict):
        return call
    name, template = (call, call) if isinstance(call, str) else call
    return {"name": name, "template": template}


def spec(*templates, locks=(), entrypoint="", **more):
    """A workflow's spec; the first template is the entrypoint."""
    found = {"entrypoint": entrypoint or templates[0]["name"], "templates": list(templates), **more}
    return {**found, "synchronization": sync(*locks)} if locks else found


def job(*locks, **more):
    """A run of one process with workflow-level locks."""
    return spec(pod(), locks=locks, **more)
