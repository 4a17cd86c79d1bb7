"""A step whose worker is gone: its code is kept if the kernel made it our child, and its end is told only when it is proven.

It holds the record's lock, so nobody else decides meanwhile. Proof is a cgroup of the attempt's own that is empty; without one
there is none: what can be found of the attempt is shown and signalled, and that nothing is found means nothing. It must never
wait.
"""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import replace

from reconciler.clock import Clock
from reconciler.model.attempt import End, Exited, HolderFound, HolderUnknown, Intent, Liveness, Lost
from reconciler.runtime import groups, wire
from reconciler.runtime.processes import Process, read_process, send_signal
from reconciler.runtime.records import Code, Record, Start, write_exited, write_lost
from reconciler.runtime.recover import UNPROVEN
from reconciler.runtime.survivors import find_survivors

CHASE_S = 0.005
STUCK_S = 1.0


class Orphan:
    """One such step; call `look` when `due_at` has come or the main process' pidfd is ready."""

    def __init__(self, intent: Intent, record_fd: int, record: Record, *, clock: Clock) -> None:
        self._id = intent.attempt_id
        self._fd = record_fd
        self._record = record
        self._clock = clock
        self._code = record.seen
        self._stopped = False
        self._kill_at: float | None = None
        self._seen: dict[int, Process] = {}  # of ours, to be reaped when they end
        self._told = HolderUnknown(attempt_id=self._id, at=clock.now(), evidence="")
        self._was_unknown = intent.is_unknown
        self._chase_s = CHASE_S
        assert record.claim is not None
        self._group, self._group_id = record.claim.group, record.claim.group_id
        self.start = record.start or self._find_start()
        self.is_ours = self.start is not None and _is_child(self.start)
        self.due_at: float | None = clock.monotonic()

    def stop(self, grace_s: float) -> None:
        """Ask what can be found to end; `look` kills what is left of it after the grace."""
        kill_at = self._clock.monotonic() + grace_s
        if grace_s <= 0:
            self.end_found()
        elif self._kill_at is None:
            self._signal(signal.SIGTERM)
            self._signal(signal.SIGCONT)
        self._stopped = True
        self._kill_at = kill_at if self._kill_at is None else min(kill_at, self._kill_at)
        self.due_at = self._kill_at

    def look(self) -> End | HolderUnknown | HolderFound | None:
        """The end once it is proven; else whether it can be, if that has changed."""
        state = groups.look(self._group, self._group_id) if self._group else groups.UNKNOWN
        self.due_at = self._kill_at
        if self.is_ours and self._code is None:  # after the look: whoever is gone from the group has a code
            self._take_code()
        match state:
            case groups.EMPTY:
                return self._report()
            case groups.POPULATED:
                return self._chase()
            case _:
                return self._go_without()

    def liveness(self) -> Liveness:
        """Evidence for verdicts."""
        unknown = Liveness(state="unknown", pids=self._find_pids(), evidence=self._told.evidence)
        return unknown if self._told.evidence else replace(unknown, state="alive", evidence="processes are in its control group")

    def end_found(self) -> None:
        """Kill what can be found."""
        if self._group:
            groups.kill(self._group, self._group_id)
        self._signal(signal.SIGKILL)

    def _chase(self) -> HolderFound | None:
        """The step may run to its end, or its grace, while its code can be had; then all in the group is killed until none is."""
        now = self._clock.monotonic()
        is_awaited = self.is_ours and self._code is None
        if not is_awaited or (self._kill_at is not None and now >= self._kill_at):
            groups.kill(self._group, self._group_id)
            self.due_at = now + self._chase_s
            self._chase_s = min(STUCK_S, 2 * self._chase_s)
        was_unknown, self._was_unknown = self._was_unknown, False
        self._told = HolderUnknown(attempt_id=self._id, at=self._clock.now(), evidence="")
        return HolderFound(attempt_id=self._id, at=self._clock.now()) if was_unknown else None

    def _go_without(self) -> HolderUnknown | None:
        """Nothing will prove its end: a stop is passed on to what can be found, and that is all."""
        now = self._clock.monotonic()
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_at = self.due_at = None
            self._signal(signal.SIGKILL)
        evidence = f"its shim was lost and {UNPROVEN}"
        if self._group:  # it may be readable again
            evidence = f"its shim was lost, its control group {self._group} cannot be looked at, and {UNPROVEN}"
            self.due_at = min(self.due_at or now + STUCK_S, now + STUCK_S)
        self._was_unknown = True
        return self._tell(evidence)

    def close(self) -> None:
        os.close(self._fd)

    def _tell(self, evidence: str) -> HolderUnknown | None:
        pids = self._find_pids()
        if (evidence, pids) == (self._told.evidence, self._told.pids):
            return None
        self._told = HolderUnknown(attempt_id=self._id, at=self._clock.now(), evidence=evidence, pids=pids)
        return self._told

    def _find(self) -> tuple[Process, ...]:
        found = find_survivors(self._record)
        self._reap()
        self._seen.update((process.pid, process) for process in found)
        return found

    def _find_pids(self) -> tuple[int, ...]:
        return tuple(process.pid for process in self._find())

    def _find_start(self) -> Start | None:
        """What a worker started but died before recording: handed to us, leading its session, with the token."""
        for process in find_survivors(self._record):
            if process.session == process.pid and process.parent == os.getpid():
                at = self._clock.now()
                fields = {"pid": process.pid, "ticks": process.ticks, "at": at.timestamp(), "worker": os.getpid()}
                wire.write_slot(self._fd, wire.START, dict(fields))
                return Start(pid=process.pid, ticks=process.ticks, at=at)
        return None

    def _take_code(self) -> None:
        """If the main process has ended, its code is recorded before it is reaped."""
        assert self.start is not None
        ended = os.waitid(os.P_PID, self.start.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None:
            return
        by_signal = ended.si_code != os.CLD_EXITED
        self._code = Code(
            exit_code=128 + ended.si_status if by_signal else ended.si_status,
            signal=ended.si_status if by_signal else None,
        )
        wire.write_slot(self._fd, wire.SEEN, {"code": self._code.exit_code, "signal": self._code.signal or 0})
        os.waitid(os.P_PID, self.start.pid, os.WEXITED)

    def _reap(self) -> None:
        """Take the dead that the kernel handed to us out of the process table."""
        for process in tuple(self._seen.values()):
            now = read_process(process.pid)
            if now is None or now.ticks != process.ticks:
                del self._seen[process.pid]
            elif now.state == "Z" and not self._waits_for(process.pid):
                with contextlib.suppress(ChildProcessError):
                    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG)

    def _waits_for(self, pid: int) -> bool:
        """Whether the exit code of that process is still to be taken."""
        return self._code is None and self.start is not None and pid == self.start.pid

    def _signal(self, signum: int) -> None:
        for process in self._find():
            with contextlib.suppress(PermissionError):  # it has another user's rights
                send_signal(process, signum)

    def _report(self) -> End:
        """Write the end down, then let the group go: it is the proof until then."""
        outcome = self._outcome()
        if isinstance(outcome, Lost):
            write_lost(self._fd, outcome)
        else:
            write_exited(self._fd, outcome)
        self._reap()
        groups.remove(self._group)
        return outcome

    def _outcome(self) -> Exited | Lost:
        at = self._clock.now()
        if self._code is None:
            evidence = "its shim ended without an exit record, and its control group is empty"
            return Lost(attempt_id=self._id, at=at, began=True, evidence=evidence)
        return Exited(
            attempt_id=self._id,
            exit_code=self._code.exit_code,
            signal=self._code.signal,
            at=at,
            stopped=self._stopped,
        )


def _is_child(start: Start) -> bool:
    """Whether the process is our child, ended or not; its pid may have become another's."""
    process = read_process(start.pid)
    return process is not None and process.ticks == start.ticks and process.parent == os.getpid()
