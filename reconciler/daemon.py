"""The composition root: puts the rooms of one home together and runs the control thread until a signal ends it.

SIGTERM and SIGINT end the daemon and leave steps running. Nothing is decided here.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import pwd
import select
import signal
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reconciler.chores import Chores
from reconciler.clock import Clock, SystemClock, local_zone
from reconciler.control.server import ControlServer
from reconciler.errors import LineclearError, Refused, TimedOut
from reconciler.home import Home
from reconciler.instance import Instance, read_boot_id
from reconciler.loop.context import Options
from reconciler.loop.effects import Effects
from reconciler.loop.inbox import Inbox, Look, Request
from reconciler.loop.launch import Surroundings
from reconciler.loop.recover import recover
from reconciler.loop.tick import Loop, Outside
from reconciler.model.attempt import Liveness
from reconciler.model.source import BranchMissing, Revision, Standing
from reconciler.model.spec import Images
from reconciler.reception import Reception
from reconciler.runtime.host import HostRuntime
from reconciler.settings import Settings, load
from reconciler.source.parsing import ParsedCache, manifest_parser
from reconciler.source.repository import Repository, Scope
from reconciler.source.watch import SourceThread, WatchSettings
from reconciler.store import catalogue
from reconciler.store.lookup import read_standing
from reconciler.store.writer import Writer, open_writer
from reconciler.workflow.engine import Rules

log = logging.getLogger(__name__)
OFFLINE_WAIT_S = 60.0
LONGEST_WAIT_S = 3600.0


class Boundary:
    """Named points around the commit and each effect; LINECLEAR_FAILPOINT=NAME[:N] kills the process at the Nth passage."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        name, _, count = environ.get("LINECLEAR_FAILPOINT", "").partition(":")
        self._name = name
        self._left = int(count) if count.isdigit() else 1  # the shims have points of their own in the same variable

    def __call__(self, name: str) -> None:
        """Passes the point, or dies there as a kill -9 would."""
        if name == self._name:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class Engine:
    """Writer, runtime and loop of one home: what both the daemon and an offline command are made of."""

    def __init__(
        self, home: Home, settings: Settings, clock: Clock, inbox: Inbox, *, chores: Chores | None, source: SourceThread | None
    ) -> None:
        boot_id = read_boot_id()
        boundary = Boundary(os.environ)
        self.inbox = inbox
        self.writer: Writer = open_writer(home.database)
        self.runtime = HostRuntime(Path(home.root), poke_path=Path(home.socket), clock=clock, boot_id=boot_id)
        account = pwd.getpwuid(os.geteuid())
        around = Surroundings(home=home, settings=settings, user=account.pw_name, account_home=account.pw_dir)
        want_tree = chores.want_tree if chores is not None else lambda _sha: None
        self.effects = Effects(around, self.runtime, want_tree, boundary)
        options = Options(
            parallelism=settings.parallelism,
            boot_id=boot_id,
            local_zone=local_zone(),
            rules=Rules(keep_locks=settings.compatibility != "argo"),
        )
        outside = Outside(
            applied=lambda sha: self._applied(sha, chores, source),
            offer_again=source.offer_again if source is not None else lambda: None,
            look_at_git=source.poke if source is not None else lambda: None,
            boundary=boundary,
        )
        self.loop = Loop(self.writer, clock, options, new_uid=lambda: str(uuid.uuid4()), inbox=inbox, outside=outside)
        self.loop.liveness = lambda run, attempt: self._liveness(home, run, attempt)
        self._chores = chores
        boundary("recover")
        recover(self.writer, home, self.runtime, self.effects, clock, boot_id)
        boundary("recovered")

    def _liveness(self, home: Home, run: int, attempt: int) -> Liveness:
        return self.runtime.liveness(home.attempt(run, attempt))

    def _applied(self, sha: str, chores: Chores | None, source: SourceThread | None) -> None:
        if source is not None:
            source.applied(sha)
        if chores is not None:
            self.note_all(chores)
            chores.want_pruned()

    def note_all(self, chores: Chores) -> None:
        """Asks for the notes that are not written yet."""
        for revision_id, sha, outcome in catalogue.unnoted(self.writer):
            chores.want_note(revision_id, sha, outcome)

    def tick(self) -> None:
        """Everything there is to do now."""
        self.loop.tick(self.runtime, self.effects)

    def wait(self, poll: select.poll, limit_s: float) -> None:
        """Waits for the next reason to tick, at most `limit_s`."""
        waits = [limit_s, self.loop.pause_s()]
        own = self.runtime.timeout_s()
        if own is not None:
            waits.append(own)
        if self.effects.has_failed():
            waits.append(0.0)
        poll.poll(max(0, int(min(waits) * 1000 + 0.999)))

    def poller(self, *more: int) -> select.poll:
        """A poll object over everything that can wake the control thread."""
        poll = select.poll()
        for fd in (self.inbox.fd, *self.runtime.fds(), *more):
            poll.register(fd, select.POLLIN)
        return poll


class Daemon:
    """One home's daemon, from its instance lock to its end."""

    def __init__(self, home: Home, settings: Settings, clock: Clock) -> None:
        self._home = home
        self._inbox = Inbox()
        self._ending = ""
        scope = Scope(include=settings.include)
        images = Images(mapped=frozenset(settings.images), mapped_only=settings.image_policy == "mapped-only")
        cache = ParsedCache(manifest_parser(images))
        repository = Repository(home.repository, scope=scope, cache=cache)
        self._chores = Chores(home, repository, self._inbox)
        self._source = SourceThread(
            repository,
            self._offer,
            clock=clock,
            settings=WatchSettings(branch=settings.branch, poll_s=settings.poll_interval_s),
            standing=self._standing,
        )
        self._engine = Engine(home, settings, clock, self._inbox, chores=self._chores, source=self._source)
        checker = Repository(home.repository, scope=scope, cache=cache)
        lenient = settings.receive == "warn"
        reception = Reception(home, self._inbox, checker, settings.branch, images=images, lenient=lenient, down=self._down)
        self._server = ControlServer(home.socket, reception.serve)

    def _offer(self, seen: Revision | BranchMissing) -> None:
        self._inbox.put(seen)

    def _standing(self) -> Standing:
        return read_standing(self._home.database)

    def _down(self, mode: str) -> str:
        ending = mode or "now"
        self._ending = ending
        self._inbox.put(Look())
        return {"now": "the daemon ends; steps go on", "drain": "the daemon ends when the running steps have ended"}.get(
            ending, "the running steps are ended, then the daemon"
        )

    def run(self) -> int:
        """Serves until a signal or a request ends it."""
        wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        engine = self._engine
        self._chores.start()
        engine.note_all(self._chores)
        self._chores.want_pruned()
        self._source.start(catalogue.applied_sha(engine.writer))
        self._server.start()
        poll = engine.poller(wake_read)
        gc.collect()
        gc.freeze()  # what is loaded by now stays: it is not walked again
        gc.set_threshold(20_000, 20, 20)  # a tick makes values and drops them; few are ever part of a cycle
        log.info("ready", extra={"action": "ready", "home": self._home.root})
        engine.tick()
        while not self._is_over():
            engine.wait(poll, LONGEST_WAIT_S)
            engine.tick()
            with contextlib.suppress(BlockingIOError):
                os.read(wake_read, 512)
        self._close()
        return 0

    def _on_signal(self, number: int, frame: object) -> None:
        del number, frame
        self._ending = "now"

    def _is_over(self) -> bool:
        if self._ending in ("drain", "kill-steps"):
            self._engine.loop.draining = True
            if self._ending == "kill-steps":
                self._engine.loop.stop_everything()
                self._ending = "drain"
            return not self._engine.loop.has_active_attempts()
        return self._ending != ""

    def _close(self) -> None:
        self._server.close()
        self._source.stop()
        self._chores.stop()
        self._engine.runtime.detach()
        self._engine.writer.close()


def serve(home_root: str) -> int:
    """Runs the daemon of a home in this process. Raises Refused if one runs already, NotFound if there is no home."""
    home = Home(home_root)
    settings = load(home)
    logging.basicConfig(
        level=os.environ.get("LINECLEAR_LOG", "INFO"), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    with Instance(home):
        return Daemon(home, settings, SystemClock()).run()


def act_offline(home_root: str, verb: str, args: dict[str, Any], actor: str) -> dict[str, Any]:
    """Carries one request out with no daemon running: recovery, termination and release only; nothing is started.

    Raises Refused if a daemon runs after all, and whatever the request itself raises.
    """
    home = Home(home_root)
    settings = load(home)
    clock = SystemClock()
    replies: list[Mapping[str, Any]] = []
    with Instance(home):
        inbox = Inbox()
        engine = Engine(home, settings, clock, inbox, chores=None, source=None)
        engine.loop.offline = True
        engine.tick()  # what has ended meanwhile has ended as it did, whatever is asked now
        inbox.put(Request(verb, args, actor, replies.append))
        poll = engine.poller()
        deadline = clock.monotonic() + OFFLINE_WAIT_S
        while not replies or engine.loop.is_ending_something():
            engine.wait(poll, 0.5)
            engine.tick()
            if clock.monotonic() > deadline:
                raise TimedOut("the holder did not end in time; look at `lineclear locks` and try again")
        engine.runtime.detach()
        engine.writer.close()
    if "error" in replies[0]:
        raise _error(replies[0]["error"])
    return dict(replies[0]["ok"])


def _error(told: Mapping[str, Any]) -> LineclearError:
    error = Refused(str(told["message"]))
    error.exit_code = int(told["code"])
    return error
