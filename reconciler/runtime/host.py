"""The runtime for processes of this machine: launches attempts, watches them, and reports each end once it is proven.

Belongs to the daemon's single control thread and never blocks it. It must never start an attempt twice, never take a
signal sent for a death, and never learn of runs, nodes or locks.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import assert_never

from reconciler.clock import Clock
from reconciler.errors import Transient
from reconciler.model.attempt import (
    AttemptId,
    End,
    HolderFound,
    Intent,
    Launch,
    Liveness,
    Lost,
    Observation,
)
from reconciler.runtime import wire
from reconciler.runtime.cases import (
    Adopted,
    Case,
    Cases,
    Ended,
    Kept,
    Open,
    Recovery,
    Serving,
    due_at,
    find_grace_s,
    intent_of,
    pause_s,
    put_later,
    signal_worker,
)
from reconciler.runtime.faults import MachineFault, describe
from reconciler.runtime.grouping import NO_GROUPS, Grouping
from reconciler.runtime.launching import UnstartableError, pack_launch
from reconciler.runtime.liveness import find_liveness
from reconciler.runtime.orphans import Orphan
from reconciler.runtime.poller import Poller, wait_for_end
from reconciler.runtime.pool import DIED, UNBORN, Link, Pool
from reconciler.runtime.processes import Process, become_subreaper
from reconciler.runtime.records import Record, find_outcome, parse_record, revoke_record
from reconciler.runtime.recover import Adopt, Busy, Finding, Keep, Over, Unclaimed, Unproven, examine
from reconciler.runtime.reports import Reports

BUSY_AGAIN_S = 0.002
RELAUNCH_AGAIN_S = 1.0
LONGEST_WAIT_S = 3600.0  # poll refuses weeks
UNREADABLE_AGAIN_S = 1.0


class HostRuntime:
    """Starts and watches the attempts of one home on this machine.

    `poke_path` is the control socket that a worker without a daemon tells of its end. `boot_id` names this start of the
    machine.
    """

    def __init__(self, home: Path, *, poke_path: Path, clock: Clock, boot_id: str, grouping: Grouping = NO_GROUPS) -> None:
        self._clock = clock
        self._boot_id = boot_id
        self._poller = Poller()
        self._pool = Pool(home, [boot_id, str(poke_path.absolute()), *grouping.words()], clock=clock, poller=self._poller)
        self._cases = Cases(self._poller)
        self.is_idle = self._cases.are_over
        self._reports = Reports(clock)
        self._is_open = False

    def open(self) -> None:
        """Have a worker ready before the first launch; makes this process the one that orphaned steps are handed to."""
        if not self._is_open:
            self._is_open = True
            become_subreaper()
            self._pool.start()

    def launch(self, launch: Launch) -> None:
        """Start the attempt unless it is known or was ever claimed. What comes of it is told by `collect`."""
        if launch.attempt_id not in self._cases:
            self.open()
            self._hand_over(launch)

    def stop(self, attempt_id: AttemptId) -> None:
        """Ask the attempt to end: TERM to its whole tree, KILL after its grace. Ignored if it is not running."""
        self._request(attempt_id, wire.STOP)

    def kill(self, attempt_id: AttemptId) -> None:
        """Ask for KILL to the whole tree at once."""
        self._request(attempt_id, wire.KILL)

    def revoke(self, intent: Intent) -> bool:
        """Make sure that an attempt never begins: True if nobody had claimed it, and `collect` then reports it Lost.

        False means it has begun, or may have: `stop` it instead. Raises Transient if the disk refuses.
        """
        case = self._cases.get(intent.attempt_id)
        if isinstance(case, Ended | Kept | Adopted):
            return False
        try:
            is_revoked = revoke_record(intent, boot_id=self._boot_id, at=self._clock.now())
        except OSError as error:
            text = f"cannot revoke the attempt in {intent.directory}: {error.strerror}; make room or repair the directory"
            raise Transient(text) from error
        if case is None:
            self._cases.put(intent.attempt_id, Open(intent=intent, launch=None, due_at=self._clock.monotonic()))
        return is_revoked

    def forget(self, attempt_ids: Iterable[AttemptId]) -> None:
        """The rows have ended these without a word of ours: what can be found is killed, and nothing more is told of them."""
        for attempt_id in attempt_ids:
            case = self._cases.get(attempt_id)
            if isinstance(case, Kept):
                case.orphan.end_found()
            if isinstance(case, Open | Kept):
                self._cases.drop(attempt_id)
                self._reports.forget(attempt_id)

    def fds(self) -> list[int]:
        """What to poll for reading; the same for the runtime's whole life."""
        return [self._poller.fileno()]

    def timeout_s(self) -> float | None:
        """Seconds until `collect` has something to do of itself; None if only an event can bring it."""
        self._pool.flush()
        if self._reports or self._pool.events:
            return 0.0
        now = self._clock.monotonic()
        due = [at - now for at in (due_at(self._cases[one]) for one in self._cases.restless) if at is not None]
        pool = self._pool.timeout_s()
        if pool is not None:
            due.append(pool)
        return min(max(0.0, min(due)), LONGEST_WAIT_S) if due else None

    def collect(self) -> list[Observation]:
        """All that has happened since the last call, in order for each attempt; never waits."""
        self._pool.flush()
        self._poller.dispatch()
        self._pool.on_time()
        self._take_events()
        self._look_at_restless()
        return self._reports.take()

    def acknowledge(self, attempt_ids: Iterable[AttemptId]) -> None:
        """These ends are stored for good: their workers need not sync them and may have the next attempt."""
        for attempt_id in attempt_ids:
            case = self._cases.get(attempt_id)
            if isinstance(case, Ended):
                del self._cases[attempt_id]
                self._reports.forget(attempt_id)
                if case.link is not None and case.link.attempt == attempt_id:
                    self._pool.send(case.link, wire.pack_frame(wire.ACKNOWLEDGE, attempt_id), soon=False)
                    self._pool.release(case.link)

    def recover(self, intents: Sequence[Intent]) -> Recovery:
        """Take up attempts that rows call intended or live. Once, before any launch."""
        self.open()
        to_launch = []
        for intent in intents:
            case = Open(intent=intent, launch=None, due_at=self._clock.monotonic())
            self._cases.put(intent.attempt_id, case)
            with contextlib.suppress(OSError):  # out of descriptors, say: it is looked at again
                finding = self._examine(case)
                if isinstance(finding, Unclaimed):
                    self._cases.drop(intent.attempt_id)
                    to_launch.append(intent.attempt_id)
                else:
                    self._apply(intent.attempt_id, case, finding)
        return Recovery(observations=tuple(self._reports.take()), to_launch=tuple(to_launch))

    def liveness(self, intent: Intent) -> Liveness:
        """Evidence for verdicts; changes nothing."""
        case = self._cases.get(intent.attempt_id)
        return case.orphan.liveness() if isinstance(case, Kept) else find_liveness(intent, self._boot_id)

    def detach(self) -> None:
        """Let go of everything; steps go on, and a later runtime recovers them."""
        for attempt_id in tuple(self._cases):
            self._cases.drop(attempt_id)
        self._pool.hang_up()
        self._poller.close()

    def close(self) -> None:
        """For tests: let go, and wait until the zygote and the idle workers are gone."""
        for attempt_id in tuple(self._cases):
            self._cases.drop(attempt_id)
        for link in self._pool.hang_up():
            if link.pidfd is not None:
                wait_for_end(link.pidfd, 2000)
            self._pool.forget(link)
        self._poller.close()

    def _end(self, outcome: End, *, link: Link | None = None) -> None:
        if outcome.attempt_id in self._cases:
            self._cases.drop(outcome.attempt_id)
        self._cases.put(outcome.attempt_id, Ended(link=link))
        self._reports.add(outcome)

    def _hand_over(self, launch: Launch, tries: int = 0) -> None:
        now = self._clock.monotonic()
        try:
            frame = pack_launch(launch, secrets.token_hex(12))
        except UnstartableError as error:
            self._end(self._reports.not_started(launch.attempt_id, str(error), exit_code=error.exit_code))
            return
        except MachineFault as error:
            self._put_off(launch, str(error), tries)
            return
        try:
            link = self._pool.assign(launch.attempt_id, frame)
        except OSError as error:
            self._put_off(launch, f"cannot hand it to a worker: {describe(error)}", tries)
        else:
            self._cases.put(launch.attempt_id, Serving(link=link, launch=launch, launched_at=now, tries=tries))

    def _put_off(self, launch: Launch, why: str, tries: int) -> None:
        """Nobody has claimed it, and the machine is to blame: it is handed over again until that works, later and later."""
        now = self._clock.monotonic()
        intent = replace(intent_of(launch, self._boot_id), reserved=False)  # its record may be made anew
        again = Open(intent=intent, launch=launch, due_at=now + pause_s(tries), tries=tries + 1, is_nobodys=True)
        self._cases.put(launch.attempt_id, again)
        self._reports.hinder(launch.attempt_id, why, began=False)

    def _reopen(self, attempt_id: AttemptId, case: Serving) -> None:
        """The worker has it no longer: look at its record."""
        now = self._clock.monotonic()
        intent = intent_of(case.launch, self._boot_id, began=self._reports.has_started(attempt_id))
        again = Open(intent=intent, launch=case.launch, due_at=now, launched_at=case.launched_at, grace_s=case.grace_s)
        self._cases.put(attempt_id, again)

    def _take_events(self) -> None:
        events, self._pool.events = self._pool.events, []
        for link, kind, number, body in events:
            attempt_id = AttemptId(number)
            case = self._cases.get(attempt_id)
            if kind == wire.SETTLED and link.attempt == attempt_id:
                self._pool.release(link)
            elif isinstance(case, Serving) and case.link is link:
                self._take_report(attempt_id, case, kind, body)
            elif isinstance(case, Ended) and case.link is link and kind == DIED:
                case.link = None

    def _take_report(self, attempt_id: AttemptId, case: Serving, kind: int, body: bytes) -> None:
        if kind in {wire.STARTED, wire.ENDED}:
            record = parse_record(body)
            self._reports.add_start(attempt_id, record)
            outcome = find_outcome(record, attempt_id)
            if outcome is not None:
                self._end(outcome, link=case.link)
            return
        text = body.decode("utf-8", "replace")
        if kind in {wire.REFUSED, wire.PUT_OFF}:
            self._pool.release(case.link)
        if kind == wire.PUT_OFF:
            self._take_back(case, text)
        elif kind in {wire.HINDERED, UNBORN}:
            self._reports.hinder(attempt_id, text, began=kind == wire.HINDERED)
        elif kind == DIED and not case.link.pid:
            self._take_back(case, "cannot make a process for it: too many processes, or no memory")
        else:
            self._reopen(attempt_id, case)

    def _take_back(self, case: Serving, why: str) -> None:
        """Its worker has given it back, or was never born: a stop that was asked for meanwhile still counts."""
        self._put_off(case.launch, why, case.tries)
        again = self._cases[case.launch.attempt_id]
        if isinstance(again, Open) and case.grace_s is not None:
            again.grace_s, again.due_at = case.grace_s, self._clock.monotonic()

    def _request(self, attempt_id: AttemptId, kind: int) -> None:
        match self._cases.get(attempt_id):
            case Serving(link=link) as case:
                case.grace_s = find_grace_s(case.launch, kind)
                self._pool.send(link, wire.pack_frame(kind, attempt_id))
                if link.pidfd is not None:
                    signal_worker(link.pidfd, signal.SIGCONT)
            case Adopted(pidfd=pidfd) as case:
                case.grace_s = find_grace_s(None, kind)
                signal_worker(pidfd, signal.SIGTERM if kind == wire.STOP else signal.SIGUSR1)
                signal_worker(pidfd, signal.SIGCONT)
            case Open() as case:
                case.grace_s, case.due_at = find_grace_s(case.launch, kind), self._clock.monotonic()
            case Kept() as case:
                case.orphan.stop(find_grace_s(case.launch, kind))
            case _:
                pass

    def _look_at_restless(self) -> None:
        for attempt_id, case in self._cases.due(self._clock.monotonic()):
            try:
                self._look_at(attempt_id, case)
            except OSError as error:  # out of descriptors, say: what is not seen now is seen later
                began = not (isinstance(case, Open) and case.is_nobodys)
                self._reports.hinder(attempt_id, f"cannot look after it: {describe(error)}", began=began)
                put_later(case, self._clock.monotonic() + UNREADABLE_AGAIN_S)

    def _look_at(self, attempt_id: AttemptId, case: Case) -> None:
        if isinstance(case, Open):
            self._apply(attempt_id, case, self._examine(case))
        elif isinstance(case, Kept):
            seen = case.orphan.look()
            if isinstance(seen, End):
                self._end(seen)
            elif seen is not None:
                self._reports.add(seen)

    def _examine(self, case: Open) -> Finding:
        return examine(case.intent, boot_id=self._boot_id, at=self._clock.now())

    def _apply(self, attempt_id: AttemptId, case: Open, finding: Finding) -> None:
        now = self._clock.monotonic()
        match finding:
            case Busy() if not case.is_busy_too_long(now):
                case.due_at = now + BUSY_AGAIN_S
            case Busy(evidence=evidence) | Unproven(evidence=evidence):
                case.tell_unknown(evidence, self._clock, self._reports)
            case Unclaimed():
                self._start_over(attempt_id, case)
            case Over(outcome=outcome, record=record):
                self._reports.add_start(attempt_id, record)
                self._end(outcome)
            case Adopt(worker=worker, pidfd=pidfd, record=record):
                self._reports.add_start(attempt_id, record)
                self._adopt(attempt_id, case, worker, pidfd)
            case Keep(record_fd=record_fd, record=record):
                self._reports.add_start(attempt_id, record)
                self._keep(attempt_id, case, record_fd, record)
            case _:
                assert_never(finding)

    def _start_over(self, attempt_id: AttemptId, case: Open) -> None:
        """Nobody claimed it: hand it over again, at most once a second, or see to it that it never begins."""
        now = self._clock.monotonic()
        if case.launch is None or case.grace_s is not None:
            self._revoke_unclaimed(attempt_id, case)
        elif now < case.launched_at + RELAUNCH_AGAIN_S:
            case.due_at = case.launched_at + RELAUNCH_AGAIN_S
        else:
            self._hand_over(case.launch, case.tries)

    def _revoke_unclaimed(self, attempt_id: AttemptId, case: Open) -> None:
        """It is not to begin. What no worker has needs no record for that, so that a full disk cannot keep it from ending."""
        case.due_at = self._clock.monotonic() + BUSY_AGAIN_S
        try:
            self.revoke(case.intent)
        except Transient as error:
            case.due_at = self._clock.monotonic() + UNREADABLE_AGAIN_S
            if case.is_nobodys:
                evidence = "it was never handed over: the machine could not begin it"
                self._end(Lost(attempt_id=attempt_id, at=self._clock.now(), began=False, evidence=evidence))
            else:
                self._reports.hinder(attempt_id, str(error), began=False)

    def _adopt(self, attempt_id: AttemptId, case: Open, worker: Process, pidfd: int) -> None:
        adopted = Adopted(intent=case.intent, worker=worker, pidfd=pidfd)
        if case.told is not None or case.intent.is_unknown:
            self._reports.add(HolderFound(attempt_id=attempt_id, at=self._clock.now()))

        def look_again() -> None:
            if self._cases.get(attempt_id) is adopted and wait_for_end(pidfd, 0):
                self._cases.drop(attempt_id)
                now, began = self._clock.monotonic(), self._reports.has_started(attempt_id)
                intent = replace(case.intent, began=began, is_unknown=False)
                self._cases.put(attempt_id, Open(intent=intent, launch=case.launch, due_at=now, grace_s=adopted.grace_s))

        self._cases.put(attempt_id, adopted)
        self._poller.register(pidfd, look_again)
        if case.grace_s is not None:
            self._request(attempt_id, wire.STOP if case.grace_s else wire.KILL)

    def _keep(self, attempt_id: AttemptId, case: Open, record_fd: int, record: Record) -> None:
        intent = replace(case.intent, is_unknown=case.intent.is_unknown or case.told is not None)
        orphan = Orphan(intent, record_fd, record, clock=self._clock)
        kept = Kept(orphan=orphan, launch=case.launch, pidfd=None)
        self._cases.put(attempt_id, kept)
        if orphan.start is not None and orphan.is_ours:
            pidfd = os.pidfd_open(orphan.start.pid)

            def look_now() -> None:
                if self._cases.get(attempt_id) is kept and wait_for_end(pidfd, 0):
                    self._poller.unregister(pidfd)
                    orphan.due_at = self._clock.monotonic()

            kept.pidfd = pidfd
            self._poller.register(pidfd, look_now)
        if case.grace_s is not None:
            orphan.stop(case.grace_s)
        self._look_at(attempt_id, kept)
