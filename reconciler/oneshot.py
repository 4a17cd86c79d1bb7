"""One manifest to its end in a private home, in this process: no daemon, no Git, nothing that outlives the command.

It composes what the daemon composes, less the repository. Its locks are its own: nobody else sees them. It must never touch
another home.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from hashlib import sha1
from typing import Any, Self

from reconciler import __version__
from reconciler.clock import SystemClock, to_text
from reconciler.control.server import ControlServer, Peer, Reply
from reconciler.engine import Engine, new_uid
from reconciler.errors import ManifestError, Transient, Unreachable, UsageError
from reconciler.guard import HomeNotMade
from reconciler.home import Home
from reconciler.instance import Instance
from reconciler.lint import lint_files
from reconciler.loop.context import Context, Specs
from reconciler.loop.crons import trigger
from reconciler.loop.inbox import Inbox, Look, Ping, Request
from reconciler.loop.revision import apply_revision, pushed
from reconciler.loop.submit import Order, source_of, submit
from reconciler.manifest import parse_file
from reconciler.manifest.scalars import go_text
from reconciler.manifest.text import UnreadableText, read_documents
from reconciler.model.attempt import AttemptId
from reconciler.model.images import Images
from reconciler.model.source import Revision
from reconciler.model.spec import Document, Finding, Kind, ParsedFile, Severity
from reconciler.model.state import RunId, RunState
from reconciler.settings import Settings
from reconciler.store import attempts, catalogue, crons, limits, runs

VALUE_MAY_COME = "LC410"  # a parameter without a value: submission decides, when it has the values that were given with it
STOPPED_WITHIN_S = 30.0
ASK_AGAIN_S = 1.0
_NO_TEMPLATES = frozenset({Kind.CONFIG_MAP})
_NEW_RUNS = ("submit", "resubmit", "check", "pushed", "sync_now", "sync_approve", "cron_trigger", "retry", "delete")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is wanted. `files` are (path, content): the manifest first, then those that it refers to.

    `limits` are those of database semaphores: nobody else can set them in a private home.
    """

    files: Sequence[tuple[str, bytes]]
    parameters: Mapping[str, str] = field(default_factory=dict)
    entrypoint: str = ""
    name: str = ""
    namespace: str = ""
    limits: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The job's documents: `main` is what is run, `files` are the definitions beside it. `findings` are all that lint says."""

    main: Document | None
    files: tuple[ParsedFile, ...]
    findings: tuple[Finding, ...]
    sha: str

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What forbids the run."""
        return tuple(f for f in self.findings if f.severity is Severity.ERROR and f.rule != VALUE_MAY_COME)


def load_job(job: Job, images: Images) -> Loaded:
    """Reads and checks the job's files. Raises ManifestError if there is nothing to run in a manifest without errors."""
    parsed = [parse_file(path, "", data, held_before=True) for path, data in job.files]
    main = _find_main(parsed[0].documents)
    namespace = job.namespace or (main.namespace if main is not None else "")
    files = [_placed(file, namespace) for file in parsed]
    main = _find_main(files[0].documents)
    findings = dict.fromkeys(finding for file in files for finding in file.findings)
    findings |= dict.fromkeys(lint_files(files, {}, images=images))
    digest = sha1(usedforsecurity=False)
    for path, data in job.files:
        digest.update(f"{path}\0{len(data)}\0".encode("utf-8", "surrogateescape") + data)
    loaded = Loaded(
        main=main,
        files=tuple(replace(file, documents=tuple(d for d in file.documents if d.kind is not Kind.WORKFLOW)) for file in files),
        findings=tuple(sorted(findings, key=lambda f: (f.place.path, f.place.line, f.place.column, f.rule))),
        sha=digest.hexdigest(),
    )
    if main is None and not loaded.errors:
        path = job.files[0][0]
        raise ManifestError(f"could not run {path}: no Workflow, template or CronWorkflow is in it; name a file with one")
    return loaded


def _find_main(documents: Sequence[Document]) -> Document | None:
    """The first Workflow, else the first other document that can be run."""
    workflow = next((d for d in documents if d.kind is Kind.WORKFLOW), None)
    return workflow or next((d for d in documents if d.kind not in _NO_TEMPLATES), None)


def _placed(file: ParsedFile, namespace: str) -> ParsedFile:
    """The file with its documents in the run's namespace, unless they name one themselves."""
    if not namespace:
        return file
    documents = tuple(
        d if "namespace" in (d.body.get("metadata") or {}) or d.kind is Kind.CLUSTER_TEMPLATE else replace(d, namespace=namespace)
        for d in file.documents
    )
    return replace(file, documents=documents)


def read_parameters(path: str, data: bytes) -> dict[str, str]:
    """The parameters of a YAML or JSON file with one map from names to plain values. Raises UsageError for any other."""
    try:
        found = [document for document in read_documents(data) if document.data is not None or document.problems]
    except UnreadableText as error:
        raise UsageError(f"{path}:{error.problem.line}: {error.problem.message}") from error
    given = found[0].data if len(found) == 1 and not found[0].problems else None
    if not isinstance(given, dict):
        raise UsageError(f"could not read the parameters in {path}: it must hold one map, NAME: VALUE")
    wrong = [name for name, value in given.items() if isinstance(value, dict | list)]
    if wrong:
        raise UsageError(f"could not read the parameters in {path}: {wrong[0]} is no plain value; quote it as text")
    return {str(name): go_text(value, style="f") for name, value in given.items()}


class PrivateHome(Home):
    """A home whose one tree is the manifest's own folder: steps see it where it is, as it is."""

    __slots__ = ("_folder",)

    def __init__(self, root: str, folder: str) -> None:
        super().__init__(root)
        self._folder = folder

    def tree(self, commit: str) -> str:
        """The manifest's folder, whatever the hash of the files is."""
        del commit
        return self._folder


@contextmanager
def _making(home: Home) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError, Unreachable) as error:
        raise HomeNotMade(home, error) from error


class _Trouble(logging.Handler):
    """What the engine could not do, by what it logs: it goes on and tries again, so each is told once."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self.tell = tell
        self.failures = 0
        self.reason = ""
        self._told: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Counts a tick or an effect that failed; says what it is."""
        text = record.getMessage()
        cause = record.exc_info[1] if record.exc_info else next((a for a in record.args or () if isinstance(a, Exception)), None)
        if getattr(record, "action", "") in ("tick", "effect"):
            self.failures += 1
            self.reason = str(cause or text)
            text = f"could not go on: {self.reason}; it is tried again every second, Ctrl-C ends the run"
        elif cause is not None:
            text = f"{text}: {cause}"
        if text not in self._told:
            self._told.add(text)
            self.tell(text)


class OneShot:
    """A private home at work. As a context manager it leaves no process behind.

    `tell` gets what a person should know of trouble. `kill` ends every step from outside, when the home takes no more writes.
    """

    def __init__(self, home: PrivateHome, settings: Settings, *, tell: Callable[[str], None], kill: Callable[[], None]) -> None:
        self._home = home
        self._clock = SystemClock()
        self._inbox = Inbox()
        self._kill = kill
        self.trouble = _Trouble(tell)
        logging.getLogger("reconciler").addHandler(self.trouble)
        with _making(home):
            self._instance = Instance(home)
            self._engine = Engine(home, replace(settings, notify_command=()), self._clock, self._inbox)
            self._engine.writer.db.execute("PRAGMA synchronous = OFF")  # nobody reads this home after a power cut
            self._server = ControlServer(home.socket, self._serve)
        self._server.start()
        self._poll = self._engine.poller()
        self.run_id = RunId(0)
        self.grace_s = settings.grace_s
        self.refused_at: float | None = None  # since when, by the monotonic clock, no tick has gone well
        self._is_abandoned = False
        self._asked = ""  # what is asked until a tick has taken it
        self._ask_at = 0.0

    def begin(self, job: Job, loaded: Loaded) -> RunState:
        """Makes the run, with the definitions beside it live. Raises ManifestError or NotFound if it cannot be made."""
        assert loaded.main is not None
        now = self._clock.now()
        writer = self._engine.writer
        ctx = Context(writer=writer, specs=Specs(writer), options=self._engine.options, new_uid=new_uid, at=now)
        revision = Revision(
            sha=loaded.sha, previous=None, at=now, changed=loaded.files, removed=(), is_whole=True, total_files=len(loaded.files)
        )
        with _making(self._home), writer.write(to_text(now)):
            apply_revision(ctx, revision)
            for document in (d for file in loaded.files for d in file.documents if d.kind is Kind.CRON_WORKFLOW):
                crons.set_suspended(writer, document.namespace, document.name, suspended=True)
            for key, capacity in job.limits.items():
                limits.set_limit(writer, job.namespace or loaded.main.namespace or "default", key, capacity)
            run = _submit(ctx, job, loaded.main, loaded.sha)
        self.run_id = run.id
        self._inbox.put(Look())
        self._tick()
        return run

    def step(self, limit_s: float) -> None:
        """Waits for the next reason to do something, at most `limit_s`, and does it."""
        self._engine.wait(self._poll, limit_s)
        if self._asked and time.monotonic() >= self._ask_at:
            self._put()
        self._tick()

    def _tick(self) -> None:
        failures, commits = self.trouble.failures, self._engine.writer.commits
        self._engine.tick()
        if self.trouble.failures != failures:
            self.refused_at = self.refused_at or time.monotonic()
        elif self._engine.writer.commits != commits:
            self.refused_at = None

    def wake(self) -> None:
        """Ends the wait of `step` early; a signal's function may call it."""
        os.eventfd_write(self._inbox.fd, 1)

    def ask(self, verb: str) -> None:
        """Has the next `step` stop or terminate the run, or a later one if the store refuses it."""
        self._asked = verb
        self._put()

    def _put(self) -> None:
        self._ask_at = time.monotonic() + ASK_AGAIN_S
        run = runs.find_run_by_id(self._engine.writer, self.run_id)
        if run is not None:
            args = {"namespace": run.namespace, "run": run.name}
            self._inbox.put(Request(self._asked, args, "run", self._answered))

    def _answered(self, reply: Mapping[str, Any]) -> None:
        if reply.get("error", {}).get("code") != Transient.exit_code:
            self._asked = ""

    def abandon(self) -> None:
        """Nothing more can be written: `close` is to have every step killed without a word to the store."""
        self._is_abandoned = True

    def _serve(self, verb: str, args: Mapping[str, Any], peer: Peer, reply: Reply) -> None:
        """Other commands may look and act with --home; new runs and an end of the home are not theirs to ask."""
        match verb:
            case "poke":
                self._inbox.put(Look())
            case "ping":
                told = {"pid": os.getpid(), "version": __version__, "home": self._home.root, "ticked_s_ago": 0.0}
                self._inbox.put(Ping(lambda: reply({"ok": told})))
            case "down":
                self.ask("stop")
                reply({"ok": {"message": "the run is stopped, and its home goes with it"}})
            case _ if verb in _NEW_RUNS:
                wanted = verb.replace("_", " ")
                raise UsageError(f"could not {wanted}: this home is that of one `lineclear run`, and ends with it")
            case _:
                self._inbox.put(Request(verb, args, peer.actor, reply))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends what still runs, with grace where the store allows it, and lets the home go."""
        engine = self._engine
        is_ended = not self._is_abandoned and self._drain()
        self._server.close()
        with suppress(sqlite3.Error):  # what nobody will tell the end of is at least killed as far as it can be found
            engine.runtime.forget([AttemptId(one.id) for one in attempts.active_attempts(engine.writer) if one.is_unknown])
        engine.runtime.close()
        engine.writer.close()
        self._instance.release()
        logging.getLogger("reconciler").removeHandler(self.trouble)
        if not is_ended:
            self._kill()

    def _drain(self) -> bool:
        """True once no step runs; False if time or the store does not allow it."""
        loop, deadline = self._engine.loop, time.monotonic() + STOPPED_WITHIN_S
        loop.draining = True
        try:
            if loop.has_active_attempts():
                loop.stop_everything()
            while loop.has_active_attempts() and time.monotonic() < deadline and self.refused_at is None:
                self.step(0.5)
            return not loop.has_active_attempts()
        except sqlite3.Error:
            return False


def _submit(ctx: Context, job: Job, document: Document, sha: str) -> RunState:
    """The run of a Workflow, of a CronWorkflow as its trigger makes it, or of a template by its entrypoint."""
    if document.kind is Kind.WORKFLOW:
        prefix = "" if job.name else document.generate_name
        name = job.name or ("" if prefix else document.name)
        order = Order(parameters=job.parameters, name=name, generate_name=prefix, entrypoint=job.entrypoint)
        return submit(ctx, pushed(document, sha, origin="submit"), order)
    definition = catalogue.find_definition(ctx.writer, document.kind, document.namespace, document.name)
    assert definition is not None
    order = Order(parameters=job.parameters, name=job.name, entrypoint=job.entrypoint)
    if document.kind is Kind.CRON_WORKFLOW:
        return trigger(ctx, definition, order)
    order = order if job.name else replace(order, generate_name=f"{document.name}-")
    return submit(ctx, source_of(ctx, definition, "submit"), order)
