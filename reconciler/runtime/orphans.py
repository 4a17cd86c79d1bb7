"""A step whose worker is gone: kept to its end if the kernel made it our child, else ended; proven dead either way.

It holds the record's lock, so nobody else decides meanwhile. It must never report an end while a process that may belong to
the attempt is left, and must never wait.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable

from reconciler.clock import Clock
from reconciler.model.attempt import AttemptId, Exited, Lost
from reconciler.runtime import wire
from reconciler.runtime.processes import Process, read_process, send_signal
from reconciler.runtime.records import Code, Record, Start, write_exited, write_lost
from reconciler.runtime.survivors import Marks, Survivors, find_survivors

CHASE_S = 0.005
STUCK_S = 1.0


class Orphan:
    """One such step; call `look` when `due_at` has come or the main process' pidfd is ready."""

    def __init__(
        self,
        attempt_id: AttemptId,
        record_fd: int,
        record: Record,
        *,
        clock: Clock,
        find_spared: Callable[[], frozenset[int]] | None,
    ) -> None:
        """`find_spared` names the sessions of others if what the worker left behind became ours, else it is None."""
        assert record.claim is not None
        self._attempt_id = attempt_id
        self._fd = record_fd
        self._clock = clock
        self._find_spared = find_spared
        self._token = record.claim.token
        self._code = record.seen
        self._stopped = False
        self._kill_at: float | None = None
        self._chase_s = CHASE_S
        self._dying: dict[int, Process] = {}
        self.start = record.start or self._find_start()
        self.is_ours = self.start is not None and _is_child(self.start)
        self.due_at: float | None = clock.monotonic()
        main = read_process(self.start.pid) if self.start is not None else None
        if main is not None and self.is_ours:
            self._dying[main.pid] = main

    def stop(self, grace_s: float) -> None:
        """Ask the tree to end; `look` kills what is left after the grace."""
        kill_at = self._clock.monotonic() + grace_s
        if self._kill_at is None and grace_s > 0:
            self._signal(signal.SIGTERM)
            self._signal(signal.SIGCONT)
        self._stopped = True
        self._kill_at = kill_at if self._kill_at is None else min(kill_at, self._kill_at)
        self.due_at = self._kill_at

    def look(self) -> Exited | Lost | None:
        """The end, once it is proven; None as long as a process is left."""
        if self.is_ours and self._code is None and not self._take_code():
            if self._kill_at is not None and self._clock.monotonic() >= self._kill_at:
                self._signal(signal.SIGKILL)
                self.due_at = self._clock.monotonic() + CHASE_S
            else:
                self.due_at = self._kill_at
            return None
        left = self._end_rest()
        if left is not None:
            self.due_at = self._clock.monotonic() + self._chase_s
            self._chase_s = min(STUCK_S, 2 * self._chase_s)
            return None
        return self._report()

    def close(self) -> None:
        os.close(self._fd)

    def _marks(self) -> Marks:
        spared = self._find_spared() if self._find_spared is not None else None
        return Marks(token=self._token, start=self.start, spared=spared)

    def _find_start(self) -> Start | None:
        """What a worker started but died before recording: handed to us, leading its session, with the token."""
        for process in find_survivors(Marks(token=self._token, start=None)).sure:
            if process.session == process.pid and process.parent == os.getpid():
                at = self._clock.now()
                fields = {"pid": process.pid, "ticks": process.ticks, "at": at.timestamp(), "worker": os.getpid()}
                wire.write_slot(self._fd, wire.START, dict(fields))
                return Start(pid=process.pid, ticks=process.ticks, at=at)
        return None

    def _take_code(self) -> bool:
        """Whether the main process has ended: its code is then recorded before it is reaped."""
        assert self.start is not None
        ended = os.waitid(os.P_PID, self.start.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None:
            return False
        by_signal = ended.si_code != os.CLD_EXITED
        self._code = Code(
            exit_code=128 + ended.si_status if by_signal else ended.si_status,
            signal=ended.si_status if by_signal else None,
        )
        wire.write_slot(self._fd, wire.SEEN, {"code": self._code.exit_code, "signal": self._code.signal or 0})
        os.waitid(os.P_PID, self.start.pid, os.WEXITED)
        return True

    def _end_rest(self) -> Survivors | None:
        """Kill what is left; None once two looks in a row found nothing."""
        for _ in range(2):
            left = find_survivors(self._marks())
            if left.sure or left.doubtful:
                self._kill(left)
                return left
        return None

    def _kill(self, left: Survivors) -> None:
        for process in left.sure:
            with contextlib.suppress(PermissionError):  # it has another user's rights: the proof has to wait for it
                send_signal(process, signal.SIGKILL)
        self._dying.update((process.pid, process) for process in left.sure)

    def _reap(self) -> None:
        """Take the dead that the kernel handed to us out of the process table."""
        for process in self._dying.values():
            now = read_process(process.pid)
            if now is not None and now.ticks == process.ticks:
                with contextlib.suppress(ChildProcessError):
                    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG)

    def _signal(self, signum: int) -> None:
        for process in find_survivors(self._marks()).sure:
            with contextlib.suppress(PermissionError):
                send_signal(process, signum)

    def _report(self) -> Exited | Lost:
        self._reap()
        at = self._clock.now()
        if self._code is None:
            evidence = "the worker ended without an exit record; no process carries the attempt's token"
            lost = Lost(attempt_id=self._attempt_id, at=at, began=True, evidence=evidence)
            write_lost(self._fd, lost)
            return lost
        exited = Exited(
            attempt_id=self._attempt_id,
            exit_code=self._code.exit_code,
            signal=self._code.signal,
            at=at,
            stopped=self._stopped,
        )
        write_exited(self._fd, exited)
        return exited


def _is_child(start: Start) -> bool:
    """Whether the process is our child, ended or not; its pid may have become another's."""
    process = read_process(start.pid)
    return process is not None and process.ticks == start.ticks and process.parent == os.getpid()
