"""A shim worker: starts each step once, waits for its whole tree, writes down how it ended.

Standard library only and little of it: the zygote imports this file. It must never start an attempt whose claim it did not
write itself under the record's lock, or report an end while a process of the step is left.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time

from reconciler.runtime.bounds import Meter
from reconciler.runtime.box import BOX, remove_tree, tidy
from reconciler.runtime.faults import MachineFault, describe
from reconciler.runtime.job import Job, NotStartable, enter_directory, fail_at, make_directories, spawn, write_script
from reconciler.runtime.membership import Membership
from reconciler.runtime.processes import find_descendants, read_process, read_processes, send_signal
from reconciler.runtime.tee import FILE, Tee, trim_log
from reconciler.runtime.wire import (
    ACKNOWLEDGE,
    CLAIM,
    END,
    ENDED,
    HELLO,
    HINDERED,
    KILL,
    LAUNCH,
    PUT_OFF,
    RECORD_BYTES,
    REFUSED,
    SEEN,
    SETTLED,
    SLOT,
    START,
    STARTED,
    STOP,
    clear_claim,
    lock_record,
    open_record,
    pack_frame,
    poke,
    split_frames,
    sync_file,
    write_slot,
)

ACKNOWLEDGE_WITHIN_S = 0.05
ANNOUNCE_AFTER_MS = 5  # a shorter step is announced together with its end: one wake-up of the daemon, not two
LOCK_WITHIN_S = 1.0
CHASE_MS = 10
LOG_LOOK_MS = 1000  # how often a log with a limit is looked at
CHASES = 3  # then the whole group is killed, if there is one
STORE_AGAIN_MS = 1000
STEP_SCORE = 500  # added to the out-of-memory score; also tells what a step made from what the daemon made
LONGEST_WAIT_MS = 3_600_000  # poll refuses weeks


class Worker:
    """Serves attempts one after the other; leaves when its daemon has hung up and nothing is left to do."""

    def __init__(self, link: socket.socket, boot_id: str, poke_path: str, membership: Membership) -> None:
        self.link = link
        self.membership = membership
        self.meter = Meter(membership)
        self.boot_id = boot_id
        self.poke_path = poke_path
        self.pid = os.getpid()
        own = read_process(self.pid)
        self.ticks = own.ticks if own is not None else 0
        self.score_fd = os.open("/proc/self/oom_score_adj", os.O_RDWR | os.O_CLOEXEC)
        self.own_score = int(os.read(self.score_fd, 16))
        self.connected = True
        self.buffer = bytearray()
        self.inbox: list[tuple[int, int, bytes]] = []
        self.unsettled: tuple[Job, int, float] | None = None  # attempt, its record, when to stop waiting for the daemon
        self.tee: Tee | None = None
        self.wanted = 0  # STOP or KILL, once asked for
        self.kill_at: float | None = None
        self.chased = 0  # how often the tree of this attempt has been killed, process by process
        self.requests: dict[int, int] = {}  # what each signal asks for
        self.wake, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for signum, wanted in ((signal.SIGCHLD, 0), (signal.SIGTERM, STOP), (signal.SIGUSR1, KILL)):
            self.requests[signum] = wanted
            signal.signal(signum, self.note_signal)
        self.poll = select.poll()
        self.poll.register(link, select.POLLIN)
        self.poll.register(self.wake, select.POLLIN)

    def want(self, wanted: int) -> None:
        self.wanted = max(self.wanted, wanted)

    def note_signal(self, signum: int, _frame: object) -> None:
        self.want(self.requests[signum])

    def serve(self) -> None:
        """Until the daemon has hung up or an idle worker is asked to stop."""
        own = os.pidfd_open(self.pid)
        about = f"{self.membership.path}\0{self.membership.problem}"
        socket.send_fds(self.link, [pack_frame(HELLO, self.pid, about.encode("utf-8", "surrogateescape"))], [own])
        os.close(own)
        while True:
            if self.inbox:
                kind, attempt, body = self.inbox.pop(0)
                if kind == LAUNCH:
                    self.settle()
                    self.attempt(Job(attempt, body))
                elif kind == ACKNOWLEDGE and self.unsettled and self.unsettled[0].attempt == attempt:
                    os.close(self.unsettled[1])
                    self.unsettled = None
            elif not self.connected or self.wanted:
                self.leave()
                return
            elif self.unsettled and time.monotonic() >= self.unsettled[2]:
                self.settle()
            else:
                self.wait(ACKNOWLEDGE_WITHIN_S * 1000 if self.unsettled else None)

    def leave(self) -> None:
        served = self.unsettled is not None
        self.settle()
        self.membership.leave()
        if served and not self.connected:
            poke(self.poke_path)

    def settle(self) -> None:
        """Make the last exit record durable: nobody has said that it is stored elsewhere."""
        if self.unsettled is not None:
            job, record, _ = self.unsettled
            if job.keep_stdout:
                sync_file(job.directory + FILE)
            os.fsync(record)
            os.close(record)
            self.unsettled = None
            self.tell(SETTLED, job.attempt)

    def tell(self, kind: int, attempt: int, body: bytes = b"") -> None:
        with contextlib.suppress(ConnectionError):  # the poll sees the end of the socket
            self.link.sendall(pack_frame(kind, attempt, body))

    def wait(self, timeout_ms: float | None) -> list[int]:
        """The descriptors that became ready; frames go to the inbox."""
        ready = [fd for fd, _ in self.poll.poll(timeout_ms)]
        if self.wake in ready:
            os.read(self.wake, 512)
        if self.tee is not None and self.tee.fd in ready:
            self.tee.take()
            self.forget_closed(self.tee)
        if self.link.fileno() in ready:
            try:
                data = self.link.recv(1 << 18)
            except ConnectionError:
                data = b""
            if data:
                self.buffer += data
                self.inbox += split_frames(self.buffer)
            else:
                self.connected = False
                self.poll.unregister(self.link)
        return ready

    def attempt(self, job: Job) -> None:
        """Serve one attempt, or say why not; an empty refusal is final only if the record says so."""
        self.wanted = 0
        self.kill_at = None
        self.chased = 0
        if not self.membership.is_fit():
            self.tell(PUT_OFF, job.attempt, self.membership.problem.encode("utf-8", "replace"))
            return
        try:
            record = open_record(job.directory)
        except OSError as error:
            self.tell(PUT_OFF, job.attempt, f"cannot make its record: {describe(error)}".encode("utf-8", "replace"))
            return
        if not lock_record(record, LOCK_WITHIN_S) or any(os.pread(record, SLOT.size, CLAIM)):
            os.close(record)
            self.tell(REFUSED, job.attempt)
            return
        self.meter.begin(job.bounds)
        fail_at("K7")
        claim = {"by": "worker", "attempt": job.attempt, "token": job.token.decode(), "boot": self.boot_id}
        claim |= {"worker": self.pid, "ticks": self.ticks}
        write_slot(record, CLAIM, {**claim, **self.membership.fields()})
        fail_at("K8")
        try:
            end = self.carry_out(job, record)
        except MachineFault as error:
            self.put_off(job, record, str(error))
            return
        if job.sandbox:
            tidy(job.directory)
        write_slot(record, END, {**end, "at": f"{time.time():.6f}"})
        fail_at("K13")
        self.wanted = 0  # what was asked of this attempt says nothing of the next
        self.tell(ENDED, job.attempt, os.pread(record, RECORD_BYTES, 0).rstrip(b"\0"))
        self.unsettled = (job, record, time.monotonic() + ACKNOWLEDGE_WITHIN_S)
        os.chdir("/")
        self.membership.come_back()
        self.membership.tidy()

    def put_off(self, job: Job, record: int, why: str) -> None:
        """No process was made and the machine is to blame: the attempt is nobody's again, to be tried later."""
        if job.sandbox:
            with contextlib.suppress(OSError):
                remove_tree(job.directory + BOX)
        clear_claim(record)
        os.close(record)
        os.chdir("/")
        self.tell(PUT_OFF, job.attempt, why.encode("utf-8", "replace"))

    def carry_out(self, job: Job, record: int) -> dict[str, object]:
        """Start the step and see its whole tree out; the fields of the exit record. Raises MachineFault if it never began."""
        try:
            make_directories(job)
            if not job.sandbox:
                enter_directory(job)
            write_script(job)
            self.set_score(min(1000, self.own_score + STEP_SCORE))
            pid = self.start(job, record)
        except NotStartable as error:
            return {"kind": "not-started", "code": error.code, "message": error}
        except OSError as error:  # the folders, the script, the log and the pipe are ours, not the step's
            raise MachineFault(f"cannot prepare the step: {describe(error)}") from None
        finally:
            self.set_score(self.own_score)
        fail_at("K9")
        main = read_process(pid)
        started = {"pid": pid, "ticks": main.ticks if main else 0, "at": f"{time.time():.6f}", "worker": self.pid}
        write_slot(record, START, started)
        fail_at("K10")
        self.watch(job, pid, record)
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        fail_at("K12")
        number = 0 if ended is None or ended.si_code == os.CLD_EXITED else ended.si_status
        code = 128 + number if number or ended is None else ended.si_status
        write_slot(record, SEEN, {"code": code, "signal": number})
        stopped = int(self.kill_at is not None)
        if self.tee is not None and self.tee.is_open:
            self.tee.drain()
            self.forget_closed(self.tee)
        self.end_tree(job, pid)
        trim_log(job.directory, job.log_bytes)
        message = "; ".join(filter(None, (self.meter.end(), self.store_output(job))))
        return {"kind": "exited", "code": code, "signal": number, "stopped": stopped, **self.meter.used(), "message": message}

    def start(self, job: Job, record: int) -> int:
        """The step's pid; raises NotStartable, MachineFault or OSError."""
        tee = Tee(job.directory) if job.keep_stdout else None
        try:
            pid = spawn(job, record, tee.writing if tee is not None else None)
        except BaseException:
            if tee is not None:
                tee.close()
            raise
        if tee is not None:
            tee.begin()
            self.poll.register(tee.fd, select.POLLIN)
            self.tee = tee
        return pid

    def forget_closed(self, tee: Tee) -> None:
        if not tee.is_open:
            self.poll.unregister(tee.fd)

    def store_output(self, job: Job) -> str:
        """Keep the step's standard output, if it is wanted; '', or why it was given up.

        A disk that is full is waited for: what succeeded stays so. Only who asks for KILL meanwhile gives the output up.
        """
        tee, self.tee = self.tee, None
        if tee is None:
            return ""
        if tee.is_open:
            self.poll.unregister(tee.fd)
        told = problem = ""
        while True:
            try:
                tee.store()
                break
            except OSError as error:
                problem = f"cannot keep the step's standard output: {describe(error)}"
            self.obey(job)
            if self.wanted == KILL:
                break
            if problem != told:
                told = problem
                self.tell(HINDERED, job.attempt, problem.encode("utf-8", "replace"))
            self.wait(STORE_AGAIN_MS)
            problem = ""
        tee.close()
        return problem

    def set_score(self, score: int) -> None:
        """How readily the kernel takes this process, and what it starts now, when memory ends. Steps go first."""
        with contextlib.suppress(OSError):  # the system may forbid it
            os.pwrite(self.score_fd, b"%d" % score, 0)

    def watch(self, job: Job, pid: int, record: int) -> None:
        """Until the main process has ended; it stays unreaped, so that its pid and group cannot be another's."""
        pidfd = os.pidfd_open(pid)
        self.poll.register(pidfd, select.POLLIN)
        announced = False
        while pidfd not in self.wait(self.patience_ms(job) if announced else ANNOUNCE_AFTER_MS):
            trim_log(job.directory, job.log_bytes)
            if not announced:
                announced = True
                self.tell(STARTED, job.attempt, os.pread(record, SEEN, 0).rstrip(b"\0"))
                fail_at("K11")
            while (orphan := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and orphan.si_pid != pid:
                self.meter.reap(orphan.si_pid)
            self.obey(job)
            if self.wanted and self.kill_at is None:
                self.kill_at = time.monotonic() + job.grace_s
                if self.wanted == STOP:
                    self.signal_tree(signal.SIGTERM)
                    self.signal_tree(signal.SIGCONT)
            if self.is_time_to_kill() and not self.end_group():
                self.signal_tree(signal.SIGKILL)
        self.poll.unregister(pidfd)
        os.close(pidfd)

    def patience_ms(self, job: Job) -> float | None:
        """How long to wait for an event: to the next look at the log or at what is dying, or to the end of the grace."""
        if self.kill_at is None:
            return LOG_LOOK_MS if job.log_bytes else None
        left_ms = (self.kill_at - time.monotonic()) * 1000 + 1
        return CHASE_MS if self.is_time_to_kill() else min(left_ms, LONGEST_WAIT_MS)

    def is_time_to_kill(self) -> bool:
        return self.kill_at is not None and (self.wanted == KILL or time.monotonic() >= self.kill_at)

    def obey(self, job: Job) -> None:
        """Note requests for this attempt; what is for an earlier one is over, a launch keeps its place."""
        for kind, attempt, _ in self.inbox:
            if attempt == job.attempt and kind in (STOP, KILL):
                self.want(kind)
        self.inbox = [frame for frame in self.inbox if frame[0] == LAUNCH]

    def signal_tree(self, signum: int) -> None:
        for process in find_descendants(self.pid, read_processes()):
            with contextlib.suppress(PermissionError):  # it took another user's rights: waited for all the same
                send_signal(process, signum)

    def end_group(self) -> bool:
        """End a tree that outruns the kills of its processes, or has taken another user's rights; False if it is not yet time."""
        self.chased += 1
        return self.chased > CHASES and self.membership.end_others()

    def end_tree(self, job: Job, pid: int) -> None:
        """Reap until no descendant is left; after a stop the others keep what is left of the grace.

        Only direct children are killed, which nobody else can reap: theirs become ours in turn.
        """
        if self.kill_at is None:
            self.kill_at = 0.0
            with contextlib.suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
        while True:
            try:
                if self.meter.reap(-1, os.WNOHANG):
                    continue
            except ChildProcessError:
                return
            self.obey(job)
            if self.is_time_to_kill() and not self.end_group():
                for process in read_processes().values():
                    if process.parent == self.pid and process.state != "Z":
                        with contextlib.suppress(PermissionError):  # it took another user's rights: waited for
                            os.kill(process.pid, signal.SIGKILL)
            self.wait(self.patience_ms(job))
