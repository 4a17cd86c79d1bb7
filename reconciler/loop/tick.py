"""One tick: take over what was observed and asked, decide until nothing changes, commit, answer, act.

A tick is one transaction. If it fails as a whole it is rolled back, what was observed is kept, and the next tick starts with a
sweep; the daemon goes on.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, assert_never

from reconciler.clock import Clock, from_text, to_text
from reconciler.errors import LineclearError, Transient
from reconciler.loop.answers import Answers
from reconciler.loop.awake import Awake
from reconciler.loop.context import Context, Options, Specs
from reconciler.loop.crons import pass_crons
from reconciler.loop.deciding import has_more, pass_slices
from reconciler.loop.due import next_due, pass_deadlines, pass_journal, pass_ttl
from reconciler.loop.effects import Effects
from reconciler.loop.ended import after_ends
from reconciler.loop.holds import pass_holds_until
from reconciler.loop.inbox import Inbox, Look, Noted, Ping, Pushed, Request, Told, Work
from reconciler.loop.observe import ask_all_to_end, take_over
from reconciler.loop.outside import Outside, RuntimeEnds
from reconciler.loop.patience import pass_holds, pass_patience
from reconciler.loop.requests import handle, record_refusal
from reconciler.loop.revision import Applied, apply_revision, note_missing, note_read, note_source
from reconciler.loop.room import Room, check_room
from reconciler.loop.settle import mark_everything, settle
from reconciler.loop.telling import look_around, pass_overdue, take_told, tell_sync_failed
from reconciler.loop.tick_work import TickWork
from reconciler.model.attempt import AttemptId, End, Hindered, Liveness, Observation, Started
from reconciler.model.source import BranchMissing, BranchRead, Revision
from reconciler.model.state import AttemptState, RunId
from reconciler.store import attempts, catalogue, runs
from reconciler.store.freezes import look_at_windows
from reconciler.store.moves import counted
from reconciler.store.trouble import words
from reconciler.store.writer import Writer

log = logging.getLogger(__name__)
SWEEP_EVERY = timedelta(minutes=10)
STARTED_AFTER = timedelta(milliseconds=200)
LOOK_EVERY_S = 5.0  # a clock that was set is noticed within this time; an idle look is one indexed read
RETRY_AFTER = timedelta(seconds=1)


class Loop:
    """The control thread's state between ticks: nothing that the rows do not say, but what a restart may forget."""

    def __init__(
        self, writer: Writer, clock: Clock, options: Options, *, new_uid: Callable[[], str], inbox: Inbox, outside: Outside
    ) -> None:
        self.writer = writer
        self.inbox = inbox
        self._clock = clock
        self._options = options
        self._specs = Specs(writer)
        self._new_uid = new_uid
        self._outside = outside
        self._kept: list[Observation] = []
        self._again_at: datetime | None = None  # when what was kept is looked at again
        self._hindered: dict[AttemptId, str] = {}  # what was told last of each attempt that waits for the machine
        self._started: dict[AttemptId, Started] = {}
        self._started_at: datetime | None = None
        self._answers = Answers(writer, outside)
        self._room = Room(outside)
        self._awake = Awake(writer, clock, options.boot_id)
        self._is_stopping = False  # every process is to end: the daemon goes down without them
        self._told_failure = ""  # what the last tick failed with, if it did
        self._sweep_at = clock.now()
        self._looked_at = ""
        self._due: str | None = None  # None: ask; '': nothing is planned
        self.liveness: Callable[[AttemptState], Liveness] | None = None
        self.ticked_at = clock.monotonic()
        self.draining = False
        self.offline = False
        self._has_more = False  # a large run can go on: its next slice is due at once

    def pause_s(self) -> float:
        """Seconds until time itself brings something; never more than until the next sweep."""
        if self._has_more:
            return 0.0
        now = self._clock.now()
        waits = [(self._sweep_at - now).total_seconds()]
        if self._told_failure:
            return max(0.0, min(*waits, LOOK_EVERY_S))
        due = self._next_due(self._context(now))
        if due is not None:
            waits.append((from_text(due) - now).total_seconds())
        if self._again_at is not None:
            waits.append((self._again_at - now).total_seconds())
        room_s = self._room.pause_s(now)
        if room_s is not None:
            waits.append(room_s)
        if self._started_at is not None:
            waits.append((self._started_at + STARTED_AFTER - now).total_seconds())
        return max(0.0, min(*waits, LOOK_EVERY_S))

    def has_active_attempts(self) -> bool:
        """True while a process is to be running whose end will be told."""
        return not all(attempt.is_unknown for attempt in attempts.active_attempts(self.writer))

    def is_ending(self, run_id: RunId) -> bool:
        """True while a run that was asked to end has not."""
        return runs.is_ending(self.writer, run_id)

    def stop_everything(self) -> None:
        """Has every running process asked to end, in the next tick: the daemon is to go down without them."""
        self._is_stopping = True
        self._sweep_at = self._clock.now()

    @property
    def is_failing(self) -> bool:
        """True while nothing can be committed."""
        return bool(self._told_failure)

    def _context(self, now: datetime) -> Context:
        return Context(
            writer=self.writer,
            specs=self._specs,
            options=self._options,
            new_uid=self._new_uid,
            at=now,
            since=self._looked_at,
            draining=self.draining or self.offline,
            offline=self.offline,
            is_short=self._room.is_short,
            liveness=self.liveness,
            boundary=self._outside.boundary,
        )

    def tick(self, runtime: RuntimeEnds, effects: Effects) -> None:
        """Everything there is to do now; returns at once if that is nothing."""
        self.ticked_at = self._outside.tally.looked_at = self._clock.monotonic()
        now = self._clock.now()
        ends = self._sort(runtime.collect() + effects.take_failed(), now)
        messages: list[Work] = []
        for message in self.inbox.drain():
            if isinstance(message, Ping):
                message.answer()
            else:
                messages.append(message)
        if self._awake.look(now):
            self._forget_wall(now)
        if self._room.look(now):
            self._sweep_at = now
            self._outside.offer_again()
        ctx = self._context(now)
        ctx.collect = lambda attempt, node: effects.collect(ctx, attempt, node)
        ctx.reserve = effects.reserve
        due = self._next_due(ctx)
        is_due = due is not None and due <= to_text(now)
        lazy = self._started_at is not None and now >= self._started_at + STARTED_AFTER
        sweep = now >= self._sweep_at
        if not (self._answers.are_stale(now) or ends or messages or is_due or lazy or sweep or self._has_more):
            return
        self._outside.boundary("before-tick")
        if ends:
            self._outside.boundary("ends")
        work = TickWork(ends=ends, messages=messages, is_sweep=sweep)
        if self._commit(ctx, work, effects):
            self._follow(ctx, work, runtime, effects)

    def _forget_wall(self, now: datetime) -> None:
        """The clock was set: what was planned by it is looked at now."""
        self._looked_at, self._sweep_at, self._due = "", now, None
        self._again_at = now if self._again_at is not None else None
        self._started_at = now if self._started_at is not None else None
        self._answers.move(self._awake.drift)
        self._room.forget_wall(now)

    def _commit(self, ctx: Context, work: TickWork, effects: Effects) -> bool:
        """Transacts; a disk that is full gets the home's reserve, once. False if nothing was written."""
        pushes = self._answers.pushes
        for is_last in (False, True):
            self._answers.pushes = list(pushes)
            try:
                self._transact(ctx, work)
            except (sqlite3.Error, LineclearError, UnicodeDecodeError) as error:
                effects.stop_unwritten(self._to_stop())
                work.restart()
                if is_last or not self._room.give(error, ctx.at):
                    self._answers.pushes = list(pushes)
                    self._fail(work, error)
                    return False
                ctx.is_short = True
            else:
                return True
        return False

    def _to_stop(self) -> Mapping[int, str]:
        """What was asked to end in a tick that could not be committed."""
        if not self._is_stopping:
            return self.writer.unwritten
        try:
            return dict.fromkeys((attempt.id for attempt in attempts.active_attempts(self.writer)), "stop")
        except sqlite3.Error:
            return self.writer.unwritten

    def _next_due(self, ctx: Context) -> str | None:
        """What time brings next: asked once after each transaction, for nothing else can change it."""
        if self._due is None:
            try:
                self._due = next_due(ctx, self._looked_at) or ""
            except sqlite3.Error:
                return to_text(ctx.at)  # the tick tells what is wrong
        return self._due or None

    def _sort(self, observations: Iterable[Observation], now: datetime) -> list[Observation]:
        """Ends at once; starts are only for people to see, so they wait for company instead of costing a commit."""
        ends, self._kept = self._kept, []
        for seen in observations:
            if isinstance(seen, Hindered):
                if self._hindered.get(seen.attempt_id) != seen.message:
                    self._hindered[seen.attempt_id] = seen.message
                    ends.append(seen)
                continue
            self._hindered.pop(seen.attempt_id, None)
            if isinstance(seen, Started):
                self._started[seen.attempt_id] = seen
                self._started_at = self._started_at or now
            else:
                if isinstance(seen, End):
                    self._started.pop(seen.attempt_id, None)
                ends.append(seen)
        if not self._started:
            self._started_at = None
        return ends

    def _transact(self, ctx: Context, work: TickWork) -> None:
        free_bytes = self._outside.free_bytes() if work.is_sweep else None
        with self.writer.write(to_text(ctx.at)):
            if self._is_stopping:  # first, for the stops count even if the rest finds no room
                ask_all_to_end(self.writer)
            self._awake.shift(self.writer, sweep=work.is_sweep)
            if work.is_sweep:
                work.is_behind = not ctx.offline and pass_journal(ctx)
                mark_everything(ctx)
                look_around(self.writer, free_bytes)
            if work.is_sweep or ctx.is_short:
                self._room.note(self.writer)
            work.later = take_over(ctx, [*self._started.values(), *work.ends])
            for message in work.messages:
                self._take(ctx, message, work)
            pass_deadlines(ctx)
            pass_holds_until(ctx)
            look_at_windows(ctx.writer, everywhere=work.is_sweep)
            settle(ctx)
            pass_slices(ctx)
            settle(ctx)
            pass_holds(ctx)
            if not ctx.offline:
                pass_patience(ctx)
                if not ctx.is_short:
                    pass_crons(ctx)
                work.removed += pass_ttl(ctx)
            settle(ctx)
            while self.writer.marks.ended:
                work.removed += after_ends(ctx)
                settle(ctx)
            pass_overdue(ctx)
            work.is_left = has_more(ctx)
            work.commits, self.writer.marks.commits = self.writer.marks.commits, {}
            self._outside.boundary("before-commit")
        self._outside.boundary("after-commit")

    def _follow(self, ctx: Context, work: TickWork, runtime: RuntimeEnds, effects: Effects) -> None:
        """What comes after the commit; an error here loses nothing: it is done again, from the rows."""
        self._awake.committed()
        self._started.clear()
        self._started_at = None
        self._kept, self._again_at = work.later, ctx.at + RETRY_AFTER if work.later else None
        self._looked_at, self._due, self._has_more = to_text(ctx.at), None, work.is_left
        self._is_stopping = False
        if self._told_failure:
            self._told_failure = ""
            log.info("ticks are committed again", extra={"action": "tick"})
        self._after_commit()
        if work.is_sweep:
            self._sweep_at = ctx.at + (RETRY_AFTER if work.is_behind else SWEEP_EVERY)
        known = (seen for seen in work.ends if isinstance(seen, End) and seen not in work.later)
        try:
            runtime.acknowledge([seen.attempt_id for seen in known])
            effects.act(self._context(ctx.at), work.removed)
        except (sqlite3.Error, OSError):
            log.exception("the effects of a tick failed; they are tried again", extra={"action": "effect"})
            effects.is_behind = True
        if effects.is_behind:
            self._sweep_at = ctx.at + RETRY_AFTER
        self._answers.draining = self.draining
        self._answers.give(work.answers)
        try:
            self._answers.tell(ctx.at, work.applied)
        except (sqlite3.Error, OSError):
            log.exception("a push could not be answered", extra={"action": "answer"})
        effects.prepare(work.commits)

    def _after_commit(self) -> None:
        """Has sent what is to be told, and counts what happened: not before it has."""
        marks = self.writer.marks
        moves, marks.moves = marks.moves, []
        self._outside.tally.add_tick([counted(move) for move in moves], self._clock.monotonic() - self.ticked_at)
        if marks.notices:
            marks.notices = False
            self._outside.noticed()

    def _take(self, ctx: Context, message: Work, work: TickWork) -> None:
        match message:
            case Request():
                work.answers.append(self._request(ctx, message, work.removed))
            case Pushed():
                self._answers.pushes.append((ctx.at, message))
                self._outside.look_at_git()
            case Revision() if ctx.is_short:
                log.warning("a commit waits for room on the disk", extra={"action": "revision", "commit": message.sha})
            case Revision():
                ctx.boundary("observe")
                work.applied.append(self._apply(ctx, message))
            case BranchMissing():
                note_missing(ctx, message)
                work.applied.append(Applied(sha=message.head, state="not read", lines=(message.reason,)))
            case BranchRead():
                note_read(ctx, message)
                self._answers.forget_last()
            case Noted():
                ctx.boundary("noted")
                catalogue.set_noted(ctx.writer, message.revision_id)
            case Told():
                take_told(ctx.writer, message)
            case Look():
                pass
            case _:
                assert_never(message)

    def _apply(self, ctx: Context, revision: Revision) -> Applied:
        """Applies a revision in a part of its own: one that cannot be applied leaves what is live as it is, and says so."""
        try:
            with self.writer.savepoint():
                return apply_revision(ctx, revision)
        except Exception as error:  # the boundary of a revision: a bug in it must not end the daemon
            if not self.writer.db.in_transaction:  # SQLite rolled the whole tick back
                raise
            log.exception("a revision could not be applied", extra={"action": "revision", "commit": revision.sha})
            reason = f"{revision.sha} could not be applied: {type(error).__name__}: {error}; see the daemon's log"
            note_source(self.writer, reason)
            tell_sync_failed(self.writer, revision.sha, "not applied", (reason,))
            return Applied(sha=revision.sha, state="failed", lines=(reason,))

    def _request(self, ctx: Context, request: Request, removed: list[RunId]) -> Callable[[], None]:
        """Carries a request out in a part of its own; the answer is given after the commit."""
        try:
            check_room(request.verb, is_short=ctx.is_short)
            with self.writer.savepoint():
                result = handle(ctx, request.verb, request.args, request.actor)
        except LineclearError as error:
            record_refusal(ctx, request.verb, request.args, request.actor, error)
            self._outside.tally.add_refusal(error.exit_code)
            reply = {"error": {"code": error.exit_code, "message": str(error)}}
            return lambda: request.answer(reply)
        except Exception as error:  # the boundary of a request: a bug in one verb ends that request only
            if not self.writer.db.in_transaction:  # SQLite rolled the whole tick back
                raise
            log.exception("a request failed", extra={"action": "request", "verb": request.verb})
            message = f"{request.verb} failed: {type(error).__name__}: {error}; see the daemon's log"
            broken = {"error": {"code": 1, "message": message}}
            return lambda: request.answer(broken)
        removed.extend(result.pop("removed", ()))
        again = bool(result.pop("offer_again", False))
        return lambda: self._answers.answer(request, result, offer_again=again)

    def _fail(self, work: TickWork, error: Exception) -> None:
        """The tick was rolled back: nothing was lost, everything is looked at again."""
        told = words(error)
        if told != self._told_failure:
            log.error("a tick was rolled back, and is tried again: %s", told, extra={"action": "tick"})
        self._told_failure = told
        self._kept, self._has_more = work.ends, False
        self._outside.tally.add_failed_tick()
        self._sweep_at = self._clock.now() + RETRY_AFTER
        again = "; what it was to end was told to end all the same; that it was asked is not written down: ask again"
        ended = again if self.writer.unwritten else "; try again"
        reply: Mapping[str, Any] = {"error": {"code": Transient.exit_code, "message": f"the store refused: {told}{ended}"}}
        for message in work.messages:
            if isinstance(message, Request | Pushed):
                message.answer(reply)
        if any(isinstance(message, Revision) for message in work.messages):
            self._outside.offer_again()
