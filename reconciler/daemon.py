"""The composition root: puts the rooms of one home together and runs the control thread until a signal ends it.

SIGTERM and SIGINT end the daemon and leave steps running. Nothing is decided here.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

from reconciler.chores import Chores
from reconciler.clock import Clock, SystemClock
from reconciler.control.frames import MB, Bounds
from reconciler.control.server import ControlServer
from reconciler.control.shapes import check_request
from reconciler.engine import Beside, Boundary, Engine, surroundings
from reconciler.errors import LineclearError, Refused
from reconciler.home import Home
from reconciler.instance import Instance, check_private
from reconciler.loop.inbox import Inbox, Look, Request
from reconciler.loop.launch import base_env
from reconciler.model.images import Images
from reconciler.model.source import Standing
from reconciler.model.state import RunId
from reconciler.obs import Tally
from reconciler.reception import PushBounds, Reception
from reconciler.setting_values import loopback
from reconciler.settings import Settings, load
from reconciler.source.hosting import hosting_of, mend_hosted
from reconciler.source.parsing import ParsedCache, manifest_parser
from reconciler.source.plumbing import GitFailed, read_version
from reconciler.source.receipts import why_unchecked
from reconciler.source.repository import Repository, Scope
from reconciler.source.watch import Observation, SourceThread, WatchSettings
from reconciler.store import catalogue, queue, runs
from reconciler.store.lookup import read_standing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from reconciler.messenger import Command, Messenger
    from reconciler.metrics import MetricsServer

log = logging.getLogger(__name__)
OFFLINE_WAIT_S = 60.0
LONGEST_WAIT_S = 3600.0


class Daemon:
    """One home's daemon, from its instance lock to its end."""

    def __init__(self, home: Home, settings: Settings, clock: Clock) -> None:
        self._home = home
        self._inbox = Inbox()
        self._ending = ""
        scope = Scope(include=settings.include)
        images = Images(mapped=settings.images, mapped_only=settings.image_policy == "mapped-only")
        cache = ParsedCache(manifest_parser(images))
        repository = Repository(home.repository, scope=scope, cache=cache)
        self._chores = Chores(home, repository, self._inbox)
        self._source = SourceThread(
            repository,
            self._offer,
            clock=clock,
            settings=WatchSettings(branch=settings.branch, poll_s=settings.poll_interval_s),
            standing=self._standing,
            why_unchecked=lambda revision: why_unchecked(home.root, revision),
        )
        self._messenger = _messenger(home, settings, self._inbox, clock) if settings.notify_command else None
        tally = Tally() if settings.metrics_listen else None
        beside = Beside(chores=self._chores, source=self._source, messenger=self._messenger, tally=tally)
        self._engine = Engine(home, settings, clock, self._inbox, beside)
        checker = Repository(home.repository, scope=scope, cache=cache)
        lenient = settings.receive == "warn"
        reception = Reception(
            home, self._inbox, checker, settings.branch, images=images, lenient=lenient, down=self._down,
            tally=tally or Tally(), command=self._messenger.command if self._messenger is not None else None,
            doing=self._engine.watchdog.describe,
            bounds=PushBounds(documents=settings.limit_documents, check_s=settings.limit_check_s),
        )  # fmt: skip
        bounds = Bounds(frame_bytes=settings.limit_frame_mb * MB, connections=settings.limit_connections)
        self._server = ControlServer(home.socket, reception.serve, bounds)
        self._metrics = _metrics(home, settings, tally, clock) if tally is not None else None

    def _offer(self, seen: Observation) -> None:
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
        self._source.start(catalogue.applied_sha(engine.writer), is_told=bool(engine.writer.meta("source_state")))
        self._server.start()
        if self._messenger is not None:
            self._messenger.start()
        if self._metrics is not None:
            self._metrics.start()
        engine.watchdog.start()
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
            return self._engine.is_idle()
        return self._ending != ""

    def _close(self) -> None:
        self._server.close()
        if self._messenger is not None:
            self._messenger.stop()
        self._source.stop()
        self._chores.stop()
        self._engine.runtime.detach()
        self._engine.writer.close()


def _messenger(home: Home, settings: Settings, inbox: Inbox, clock: Clock) -> Messenger:
    from reconciler.messenger import Messenger

    command = notify_command(home, settings)
    return Messenger(home.root, home.database, command, inbox, clock=clock, boundary=Boundary(os.environ))


def notify_command(home: Home, settings: Settings) -> Command:
    """The command that the settings name, as the daemon runs it: in the home, with a step's environment."""
    from reconciler.messenger import Command

    env = base_env(surroundings(home, settings))
    return Command(argv=settings.notify_command, env=env, folder=home.root, timeout_s=settings.notify_timeout_s)


def _metrics(home: Home, settings: Settings, tally: Tally, clock: Clock) -> MetricsServer:
    from reconciler.metrics import MetricsServer, page

    listen = loopback(settings.metrics_listen)
    assert listen is not None, "the settings were checked"
    return MetricsServer(listen, lambda: page(tally, home.database, clock.monotonic))


def serve(home_root: str) -> int:
    """Runs the daemon of a home in this process. Raises Refused if one runs already, NotFound if there is no home."""
    home = Home(home_root)
    settings = load(home)
    logging.basicConfig(
        level=os.environ.get("LINECLEAR_LOG", "INFO"), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    logging.raiseExceptions = False  # a log that cannot be written is no reason to write more
    mended = check_private(home)
    if mended:
        log.warning("%s", mended, extra={"action": "home"})
    with Instance(home):
        _mend(home, settings)
        return Daemon(home, settings, SystemClock()).run()


def _mend(home: Home, settings: Settings) -> None:
    """Puts the repository's hooks and settings right; a home that cannot be mended now is served all the same, and fsck tells.

    Raises UsageError for a git that is too old.
    """
    with contextlib.suppress(GitFailed):
        read_version()
    try:
        found = mend_hosted(hosting_of(home, settings))
    except (LineclearError, OSError) as error:
        log.error("the repository could not be put right: %s; pushes may come unchecked; see lineclear fsck", error)  # noqa: TRY400
        return
    if found:
        log.warning("the repository was put right: %s", "; ".join(found), extra={"action": "mended"})


def act_offline(home_root: str, verb: str, args: dict[str, Any], actor: str) -> dict[str, Any]:
    """Carries one request out with no daemon running: recovery, termination and release only; nothing is started.

    Raises Refused if a daemon runs after all, and whatever the request itself raises.
    """
    home = Home(home_root)
    settings = load(home)
    clock = SystemClock()
    replies: list[Mapping[str, Any]] = []
    verb, args = check_request(verb, args)
    with Instance(home):
        inbox = Inbox()
        engine = Engine(home, settings, clock, inbox)
        engine.loop.offline = True
        engine.tick()  # what has ended meanwhile has ended as it did, whatever is asked now
        own = _run_meant(engine, args)
        inbox.put(Request(verb, args, actor, replies.append))
        poll = engine.poller()
        waits_s = settings.grace_s if args.get("release_unproven") else OFFLINE_WAIT_S  # what is let go waits for nothing
        deadline = clock.monotonic() + waits_s
        while not replies or (own is not None and engine.loop.is_ending(own) and clock.monotonic() <= deadline):
            engine.wait(poll, 0.5)
            engine.tick()
        done = _what_came(engine, own)
        engine.runtime.detach()
        engine.writer.close()
    if "error" in replies[0]:
        raise _error(replies[0]["error"])
    return {**replies[0]["ok"], "message": f"{replies[0]['ok'].get('message') or verb}{done}"}


def _run_meant(engine: Engine, args: Mapping[str, Any]) -> RunId | None:
    """The run that a request is about: the one that it names, or the holder that was shown under an epoch."""
    if args.get("epoch") is not None:
        return queue.run_with_epoch(engine.writer, int(args["epoch"]))
    run = runs.find_run(engine.writer, str(args.get("namespace") or "default"), str(args.get("run") or ""))
    return None if run is None else run.id


def _what_came(engine: Engine, run_id: RunId | None) -> str:
    """What of a request was done by now, and what is only written down for the next daemon."""
    run = None if run_id is None else runs.find_run_by_id(engine.writer, run_id)
    if run is None:
        return ""
    held = queue.keys_held(engine.writer, run.id)
    keeps = f"it holds {', '.join(held)}" if held else "it holds nothing"
    if run.is_final:
        return f". Done: {run.name} has ended ({run.phase.value}); {keeps}"
    if not run.shutdown:
        return f". Done: it is written down; {run.name} is {run.phase.value}, {keeps}"
    return f". Only written down so far: {run.name} is to end and has not; {keeps}; the next daemon goes on with it"


def _error(told: Mapping[str, Any]) -> LineclearError:
    error = Refused(str(told["message"]))
    error.exit_code = int(told["code"])
    return error
