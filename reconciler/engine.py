"""Puts together what runs one home: the writer, the runtime, the effects and the loop, whoever owns the thread.

It must never decide anything, nor know how it is served: the daemon, an offline command and `run` do that. Git is known by
name only, so that who needs no repository does not pay for it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pwd
import select
import signal
import sqlite3
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from reconciler.clock import Clock, local_zone, to_text
from reconciler.errors import Refused, Unreachable
from reconciler.home import Home
from reconciler.instance import read_boot_id
from reconciler.loop.context import Options
from reconciler.loop.effects import Effects
from reconciler.loop.inbox import Inbox
from reconciler.loop.launch import Surroundings, intent_of
from reconciler.loop.outside import Outside
from reconciler.loop.recover import recover
from reconciler.loop.tick import Loop
from reconciler.model.notice import NoticeKind
from reconciler.obs import Tally
from reconciler.runtime.grouping import NO_GROUPS, Grouping, find_grouping
from reconciler.runtime.host import HostRuntime
from reconciler.runtime.leftovers import sweep_leftovers
from reconciler.settings import Settings
from reconciler.store import catalogue, notices
from reconciler.store.attempts import active_attempts
from reconciler.store.chain import noted
from reconciler.store.reserve import Reserve
from reconciler.store.segments import Retention
from reconciler.store.trouble import words
from reconciler.store.writer import Writer, open_writer
from reconciler.watchdog import Watchdog
from reconciler.workflow.bounds import Rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from reconciler.chores import Chores
    from reconciler.messenger import Messenger
    from reconciler.source.watch import SourceThread


log = logging.getLogger(__name__)


def new_uid() -> str:
    """A run's uid."""
    return str(uuid.uuid4())


def surroundings(home: Home, settings: Settings) -> Surroundings:
    """What the programs that this account starts for the home are given."""
    account = pwd.getpwuid(os.geteuid())
    return Surroundings(home=home, settings=settings, user=account.pw_name, account_home=account.pw_dir)


def _free_bytes(home: Home) -> int | None:
    """What the owner may still write on the home's disk; None if it cannot be told."""
    try:
        found = os.statvfs(home.root)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def _grouping(home: Home, settings: Settings) -> Grouping:
    """Where the workers have their control groups; what cannot be had is logged, or refused if it is required."""
    if settings.groups == "off":
        log.info("%s", NO_GROUPS.weakness, extra={"action": "groups"})
        return NO_GROUPS
    found = find_grouping(Path(home.root), wanted=settings.controllers, is_required=settings.groups == "required")
    if found.problem and found.is_required:
        raise Refused(
            f"could not start: {found.problem}; delegate a group to this account, or set steps.groups in {home.settings} to"
            ' "auto", and what cannot be had is gone without'
        )
    if found.problem:
        level = logging.WARNING if settings.controllers else logging.INFO
        log.log(level, "%s", found.weakness or f"steps go without: {found.problem}", extra={"action": "groups"})
    return found


def _open(home: Home, reserve: Reserve) -> Writer:
    """The database, if need be with the room and the inodes of the reserve."""
    try:
        return open_writer(home.database)
    except Unreachable:
        if not reserve.give():
            raise
        return open_writer(home.database)


@contextlib.contextmanager
def _telling(home: Home) -> Iterator[None]:
    """Says in words what keeps a home from being served."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise Unreachable(f"{home.database}: could not begin: {words(error)}") from error
    except OSError as error:
        text = f"{home.root}: could not look at the steps of an earlier daemon: {error}; mend that, and start again"
        raise Unreachable(text) from error


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What works beside the control thread in a daemon; an offline command and `run` have nothing of it."""

    chores: Chores | None = None
    source: SourceThread | None = None
    messenger: Messenger | None = None
    tally: Tally | None = None


REST_S = 1.0
SWEEP_EVERY_S = 60.0  # control groups of workers that were killed
MB = 1_000_000
FRAMES = 20_000  # a decision follows calls inside calls, a hundred deep, down and up again


class Engine:
    """Writer, runtime and loop of one home: what the daemon, an offline command and `run` are made of."""

    def __init__(self, home: Home, settings: Settings, clock: Clock, inbox: Inbox, beside: Beside | None = None) -> None:
        beside = beside or Beside()
        chores, source, messenger, tally = beside.chores, beside.source, beside.messenger, beside.tally
        sys.setrecursionlimit(FRAMES)
        boot_id = read_boot_id()
        boundary = Boundary(os.environ)
        self.inbox = inbox
        self._clock = clock
        self._trouble, self._rests_until = "", 0.0  # what the last tick failed with, outside its transaction
        self.watchdog = Watchdog(settings.limit_tick_s)
        reserve = Reserve(home.path("reserve"), settings.limit_reserve_mb * MB)
        self.writer: Writer = _open(home, reserve)
        if chores is not None:
            reserve.keep()
        self.writer.telling, self.writer.is_counted = settings.telling, tally is not None
        grouping = _grouping(home, settings)
        self.runtime = HostRuntime(
            Path(home.root), poke_path=Path(home.socket), clock=clock, boot_id=boot_id, grouping=grouping
        )
        around = surroundings(home, settings)
        want_tree = chores.want_tree if chores is not None else lambda _sha: ""
        self.effects = Effects(around, self.runtime, want_tree, boundary)
        self.options = Options(
            parallelism=settings.parallelism,
            boot_id=boot_id,
            local_zone=local_zone(),
            rules=Rules(
                keep_locks=settings.compatibility != "argo",
                nodes=settings.limit_nodes,
                loop_items=settings.limit_loop_items,
                depth=settings.limit_depth,
            ),
            keep=Retention(age=timedelta(days=settings.journal_days), rows=settings.journal_rows),
            most_locks=settings.limit_locks,
        )
        outside = Outside(
            applied=lambda sha: self._applied(sha, chores, source),
            offer_again=source.offer_again if source is not None else lambda: None,
            look_at_git=source.poke if source is not None else lambda: None,
            boundary=boundary,
            noticed=messenger.wake if messenger is not None else lambda: None,
            free_bytes=lambda: _free_bytes(home) if chores is not None else None,
            give_reserve=reserve.give,
            keep_reserve=reserve.keep,
            tally=tally or Tally(),
        )
        with _telling(home):
            self.loop = Loop(self.writer, clock, self.options, new_uid=new_uid, inbox=inbox, outside=outside)
        self.loop.liveness = lambda attempt: self.runtime.liveness(intent_of(home, attempt))
        self._chores = chores
        boundary("recover")
        with _telling(home):
            recover(self.writer, home, self.runtime, self.effects, clock, boot_id, make_room=reserve.give)
        self._home, self._places = home, grouping.places
        self._sweep_at = clock.monotonic()
        boundary("recovered")

    def _applied(self, sha: str, chores: Chores | None, source: SourceThread | None) -> None:
        if source is not None:
            source.applied(sha)
        if chores is not None:
            self.note_all(chores)
            chores.want_pruned()

    def note_all(self, chores: Chores) -> None:
        """Asks for the notes that are not written yet. Each has the journal's head as it is on the disk by now."""
        for revision_id, sha, outcome in catalogue.unnoted(self.writer):
            chores.want_note(revision_id, sha, noted(outcome, self.writer.head()))

    def tick(self) -> None:
        """Everything there is to do now. What fails outside a transaction ends nothing: it is tried again in a second."""
        self.watchdog.begin()
        try:
            self._tick()
            self._trouble, self._rests_until = "", 0.0
        except (sqlite3.Error, UnicodeDecodeError, OSError) as error:
            told = words(error)
            if told != self._trouble:
                log.exception("the machine refused what a tick needs; it is tried again: %s", told, extra={"action": "tick"})
            self._trouble, self._rests_until = told, self._clock.monotonic() + REST_S
        took_s, what = self.watchdog.end()
        if what:
            self._note_slow(took_s, what)

    def _note_slow(self, took_s: float, what: str) -> None:
        detail = {"seconds": round(took_s, 1), "what": what}
        text = f"a tick took {took_s:.0f} s, in which nothing else was done: it {what}"
        log.warning("%s", text, extra={"action": "watchdog"})
        with contextlib.suppress(sqlite3.Error), self.writer.write(to_text(self._clock.now())):
            self.writer.journal("tick.slow", detail=detail)
            notices.post(self.writer, NoticeKind.MACHINE, f"tick {self.writer.now}", {"text": text, **detail})

    def _tick(self) -> None:
        self.loop.tick(self.runtime, self.effects)
        if self._clock.monotonic() >= self._sweep_at:
            self._sweep_at = self._clock.monotonic() + SWEEP_EVERY_S
            needed = [self._home.attempt(one.run_id, one.id) for one in active_attempts(self.writer)]
            sweep_leftovers(self._places, needed)

    def is_idle(self) -> bool:
        """True if no step runs: as the rows know, or, while nothing can be written down, as the runtime has seen it."""
        try:
            return not self.loop.has_active_attempts() or (self.loop.is_failing and self.runtime.is_idle())
        except sqlite3.Error:
            return self.runtime.is_idle()

    def wait(self, poll: select.poll, limit_s: float) -> None:
        """Waits for the next reason to tick, at most `limit_s`."""
        rest_s = self._rests_until - self._clock.monotonic()
        if rest_s > 0:
            time.sleep(min(rest_s, REST_S))  # whatever wakes it would fail as well
            return
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
