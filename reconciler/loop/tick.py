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
from reconciler.loop.context import Context, Options, Specs
from reconciler.loop.crons import pass_crons
from reconciler.loop.deciding import has_more, pass_slices
from reconciler.loop.due import next_due, pass_deadlines, pass_journal, pass_ttl, shift_limits
from reconciler.loop.effects import Effects
from reconciler.loop.ended import after_ends
from reconciler.loop.holds import pass_holds_until
from reconciler.loop.inbox import Inbox, Look, Noted, Ping, Pushed, Request, Told, Work
from reconciler.loop.observe import take_over
from reconciler.loop.outside import Outside, RuntimeEnds
from reconciler.loop.patience import pass_holds, pass_patience
from reconciler.loop.requests import handle, record_refusal
from reconciler.loop.revision import Applied, apply_revision, note_missing, note_read, note_source
from reconciler.loop.settle import mark_everything, settle
from reconciler.loop.telling import look_around, pass_overdue, take_told, tell_sync_failed
from reconciler.loop.waiting import waiting_text
from reconciler.model.attempt import AttemptId, End, Hindered, Liveness, Observation, Started
from reconciler.model.source import BranchMissing, BranchRead, Revision
from reconciler.model.state import RULES, AttemptState, RunId
from reconciler.store import attempts, catalogue, runs
from reconciler.store.apply import request_stop
from reconciler.store.freezes import look_at_windows
from reconciler.store.moves import counted
from reconciler.store.writer import Writer

log = logging.getLogger(__name__)
SWEEP_EVERY = timedelta(minutes=10)
STARTED_AFTER = timedelta(milliseconds=200)
PUSH_WAIT = timedelta(seconds=30)
DRIFT = timedelta(seconds=2)
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
        self._last: tuple[str, Mapping[str, Any]] = ("", {})  # what came of the last revision: a push may ask later
        self._pushes: list[tuple[datetime, Pushed]] = []
        self._sweep_at = clock.now()
        self._looked_at = ""
        self._due: str | None = None  # None: ask; '': nothing is planned
        self.liveness: Callable[[AttemptState], Liveness] | None = None
        self.ticked_at = clock.monotonic()
        self.draining = False
        self.offline = False
        self._has_more = False  # a large run can go on: its next slice is due at once
        self._last_look = (clock.now(), clock.monotonic())

    def pause_s(self) -> float:
        """Seconds until time itself brings something; never more than until the next sweep."""
        if self._has_more:
            return 0.0
        now = self._clock.now()
        waits = [(self._sweep_at - now).total_seconds()]
        due = self._next_due(self._context(now))
        if due is not None:
            waits.append((from_text(due) - now).total_seconds())
        if self._again_at is not None:
            waits.append((self._again_at - now).total_seconds())
        if self._started_at is not None:
            waits.append((self._started_at + STARTED_AFTER - now).total_seconds())
        return max(0.0, min(*waits, LOOK_EVERY_S))

    def has_active_attempts(self) -> bool:
        """True while a process is to be running whose end will be told."""
        return not all(attempt.is_unknown for attempt in attempts.active_attempts(self.writer))

    def is_ending_something(self) -> bool:
        """True while a run that was asked to end has not, and will."""
        return runs.any_ending(self.writer)

    def stop_everything(self) -> None:
        """Asks every running process to end: the daemon is to go down without them."""
        with self.writer.write(to_text(self._clock.now())):
            for attempt in attempts.active_attempts(self.writer):
                runs.set_node_message(self.writer, attempt.node_id, "ended by lineclear down --kill-steps")
                request_stop(self.writer, attempt.node_id, "kill" if attempt.is_unknown else "stop")
        self._sweep_at = self._clock.now()

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
        ctx = self._context(now)
        ctx.collect = lambda attempt, node: effects.collect(ctx, attempt, node)
        ctx.reserve = effects.reserve
        if to_text(now) < self._looked_at:  # the clock went back: what is due is not what it was
            self._looked_at, self._sweep_at, self._due = "", now, None
        due = self._next_due(ctx)
        is_due = due is not None and due <= to_text(now)
        lazy = self._started_at is not None and now >= self._started_at + STARTED_AFTER
        sweep = now >= self._sweep_at
        drift = self._drift(now)
        stale = bool(self._pushes) and now - self._pushes[0][0] > PUSH_WAIT
        if drift:
            self._shift(ctx, drift)
        if not (stale or ends or messages or is_due or lazy or sweep or self._has_more):
            return
        self._outside.boundary("before-tick")
        if ends:
            self._outside.boundary("ends")
        try:
            self._transact(ctx, ends, messages, sweep=sweep, runtime=runtime, effects=effects)
        except (sqlite3.Error, LineclearError) as error:
            self._fail(ends, messages, error)

    def _drift(self, now: datetime) -> timedelta:
        """How far the wall clock has left the awake time since the last look: it was set, or the machine slept."""
        wall, awake = self._last_look
        self._last_look = (now, self._clock.monotonic())
        drift = (now - wall) - timedelta(seconds=self._last_look[1] - awake)
        return drift if abs(drift) > DRIFT else timedelta(0)

    def _shift(self, ctx: Context, drift: timedelta) -> None:
        """Limits count awake time: they move with the clock. Schedules are wall time and stay."""
        log.warning("the clock moved by %s s", drift.total_seconds(), extra={"action": "clock"})
        with self.writer.write(to_text(ctx.at)):
            shift_limits(self.writer, drift)
        self._due = None

    def _next_due(self, ctx: Context) -> str | None:
        """What time brings next: asked once after each transaction, for nothing else can change it."""
        if self._due is None:
            self._due = next_due(ctx, self._looked_at) or ""
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

    def _transact(
        self, ctx: Context, ends: list[Observation], messages: list[Work], *, sweep: bool, runtime: RuntimeEnds, effects: Effects
    ) -> None:
        answers: list[Callable[[], None]] = []
        removed: list[RunId] = []
        applied: list[Applied] = []
        is_behind = False
        free_bytes = self._outside.free_bytes() if sweep else None
        with self.writer.write(to_text(ctx.at)):
            if sweep:
                is_behind = not ctx.offline and pass_journal(ctx)
                mark_everything(ctx)
                look_around(self.writer, free_bytes)
            later = take_over(ctx, [*self._started.values(), *ends])
            for message in messages:
                self._take(ctx, message, answers, applied, removed)
            pass_deadlines(ctx)
            pass_holds_until(ctx)
            look_at_windows(ctx.writer, everywhere=sweep)
            pass_slices(ctx)
            settle(ctx)
            pass_holds(ctx)
            if not ctx.offline:
                pass_patience(ctx)
                pass_crons(ctx)
                removed += pass_ttl(ctx)
            settle(ctx)
            while self.writer.marks.ended:
                removed += after_ends(ctx)
                settle(ctx)
            pass_overdue(ctx)
            is_left = has_more(ctx)
            commits, self.writer.marks.commits = self.writer.marks.commits, {}
            self._outside.boundary("before-commit")
        self._outside.boundary("after-commit")
        self._started.clear()
        self._started_at = None
        self._kept, self._again_at = later, ctx.at + RETRY_AFTER if later else None
        self._looked_at, self._due, self._has_more = to_text(ctx.at), None, is_left
        self._after_commit()
        if sweep:
            self._sweep_at = ctx.at + (RETRY_AFTER if is_behind else SWEEP_EVERY)
        runtime.acknowledge([seen.attempt_id for seen in ends if isinstance(seen, End) and seen not in later])
        effects.act(self._context(ctx.at), removed)
        if effects.is_behind:
            self._sweep_at = ctx.at + RETRY_AFTER
        for answer in answers:
            ctx.boundary("answer")
            answer()
        self._tell(ctx, applied)
        effects.prepare(commits)

    def _after_commit(self) -> None:
        """Has sent what is to be told, and counts what happened: not before it has."""
        marks = self.writer.marks
        moves, marks.moves = marks.moves, []
        self._outside.tally.add_tick([counted(move) for move in moves], self._clock.monotonic() - self.ticked_at)
        if marks.notices:
            marks.notices = False
            self._outside.noticed()

    def _take(
        self, ctx: Context, message: Work, answers: list[Callable[[], None]], applied: list[Applied], removed: list[RunId]
    ) -> None:
        match message:
            case Request():
                answers.append(self._request(ctx, message, removed))
            case Pushed():
                self._pushes.append((ctx.at, message))
                self._outside.look_at_git()
            case Revision():
                ctx.boundary("observe")
                applied.append(self._apply(ctx, message))
            case BranchMissing():
                note_missing(ctx, message)
                applied.append(Applied(sha=message.head, state="not read", lines=(message.reason,)))
            case BranchRead():
                note_read(ctx, message)
                self._last = ("", {})
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
        return lambda: self._answer(request, result, offer_again=again)

    def _answer(self, request: Request, result: dict[str, Any], *, offer_again: bool) -> None:
        if offer_again:
            self._outside.offer_again()
        if "runs" in result:
            result["runs"] = [self._describe(run_id) for run_id in result["runs"]]
        if "run" in result:
            result |= self._describe(result.pop("run"), message=result.get("message"))
        request.answer({"ok": result})

    def _describe(self, run_id: RunId, message: object = None) -> dict[str, Any]:
        run = runs.find_run_by_id(self.writer, run_id)
        if run is None:
            return {"namespace": "", "name": "", "run": "", "phase": "", "message": "it has ended and was removed"}
        text = waiting_text(self.writer, run_id) if message is None else message
        if self.draining and not text and not run.is_final:
            text = "waits until a daemon runs again: this one is ending"
        told = {"namespace": run.namespace, "name": run.name, "run": run.name, "phase": run.phase.value}
        if run.ended_by in RULES:
            return {**told, "message": run.message, "refused": run.ended_by}
        return {**told, "message": text}

    def _tell(self, ctx: Context, applied: list[Applied]) -> None:
        """Tells the source what is live, and every push that reached it what came of it."""
        for result in applied:
            if result.state == "applied":
                ctx.boundary("before-note")
                self._outside.applied(result.sha)
            elif result.state == "outdated":
                self._outside.offer_again()
                continue
            self._last = (result.sha, {"lines": [*result.lines, *self._run_lines(result)], "state": result.state})
        if not self._pushes:
            return
        live = catalogue.applied_sha(ctx.writer)
        waiting, self._pushes = self._pushes, []
        for at, push in waiting:
            if push.sha == self._last[0]:
                push.answer({**self._last[1], "live": live})
            elif push.sha == live:
                push.answer({"lines": ["this commit is live already"], "state": "applied", "live": live})
            elif ctx.at - at > PUSH_WAIT:
                push.answer({"lines": ["accepted; see lineclear sync"], "state": "waiting", "live": live})
            else:
                self._pushes.append((at, push))

    def _run_lines(self, result: Applied) -> list[str]:
        lines = []
        for run_id in result.runs:
            told = self._describe(run_id)
            word = "refused" if "refused" in told else "submitted"
            lines.append(f"{word}: {told['name']}: {told['message'] or told['phase']}")
        return lines

    def _fail(self, ends: list[Observation], messages: list[Work], error: Exception) -> None:
        """The tick was rolled back: nothing was lost, everything is looked at again."""
        log.error("a tick was rolled back: %s", error, extra={"action": "tick"})
        self._kept, self._has_more = ends, False
        self._outside.tally.add_failed_tick()
        self._sweep_at = self._clock.now() + RETRY_AFTER
        reply: Mapping[str, Any] = {"error": {"code": Transient.exit_code, "message": f"the store refused: {error}; try again"}}
        for message in messages:
            if isinstance(message, Request | Pushed):
                message.answer(reply)
        if any(isinstance(message, Revision) for message in messages):
            self._outside.offer_again()
