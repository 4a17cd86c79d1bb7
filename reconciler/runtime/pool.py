"""The zygote and the links to its workers: one worker per parallel slot, one spare, none idle for long.

It moves frames and notices deaths. It must never interpret what a frame says of an attempt, nor wait.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.clock import Clock
from reconciler.model.attempt import AttemptId
from reconciler.runtime import wire
from reconciler.runtime.faults import describe, is_of_host
from reconciler.runtime.job import STEP_SIGNALS
from reconciler.runtime.poller import Poller, wait_for_end

log = logging.getLogger(__name__)

DIED, UNBORN = 0, 255  # beside the kinds of frames: the worker is gone; none can be made, for the machine lacks something
SPARE_AFTER_S = 0.02
KEEP_IDLE = 1  # the spare: its fork is paid before it is needed
IDLE_FOR_S = 10.0
ZYGOTE_AGAIN_S = 0.5
CONTROL_FD = 3
BOOT = "import sys; sys.path.append(sys.argv[1]); from reconciler.runtime.zygote import main; main()"
FAILPOINT = "LINECLEAR_FAILPOINT"


@dataclass(slots=True, eq=False)
class Link:
    """One worker, from the request to fork it until it is reaped."""

    sock: socket.socket
    fd: int
    pid: int = 0
    pidfd: int | None = None
    received: bytearray = field(default_factory=bytearray)
    to_send: bytearray = field(default_factory=bytearray)
    attempt: AttemptId | None = None  # being served, or ended and not yet acknowledged
    idle_since: float = 0.0
    is_open: bool = True


class Pool:
    """Workers to hand attempts to. `events` collects (link, kind, attempt id, body) until the owner takes them."""

    def __init__(self, home: Path, arguments: Sequence[str], *, clock: Clock, poller: Poller) -> None:
        """`arguments` are the zygote's, after its control descriptor."""
        self.events: list[tuple[Link, int, int, bytes]] = []
        self._home = home
        self._arguments = arguments
        self._clock = clock
        self._poller = poller
        self._control: socket.socket | None = None
        self._zygote_pid = 0
        self._zygote_at = float("-inf")
        self._trouble = ""  # why no zygote could be started last
        self._spare_at = 0.0  # when a missing spare is made: not while the step that took the last one is starting
        self._unforked: deque[socket.socket] = deque()  # a worker's end of its link, until a zygote has it
        self._links: set[Link] = set()
        self._idle: list[Link] = []  # the warmest last
        self._unsent: set[Link] = set()
        self._told = ""  # what a worker said last of why it has no control group

    def start(self) -> None:
        """Have a zygote and a spare worker on their way."""
        self._keep_spare()

    def assign(self, attempt: AttemptId, frame: bytes) -> Link:
        """Hand a launch to the warmest idle worker, or to one not yet born; raises OSError when out of descriptors."""
        link = self._idle.pop() if self._idle else self._make_link()
        link.attempt = attempt
        self.send(link, frame)
        self._spare_at = self._clock.monotonic() + SPARE_AFTER_S
        return link

    def send(self, link: Link, frame: bytes, *, soon: bool = True) -> None:
        """Send now, or with what follows at the latest when the control thread is about to wait."""
        link.to_send += frame
        if soon:
            self._flush(link)
        else:
            self._unsent.add(link)

    def release(self, link: Link) -> None:
        """The worker's last attempt is settled: it may have another."""
        link.attempt = None
        if link.is_open and link not in self._idle:
            link.idle_since = self._clock.monotonic()
            self._idle.append(link)

    def flush(self) -> None:
        for link in tuple(self._unsent):
            self._flush(link)

    def timeout_s(self) -> float | None:
        """Until something is due here."""
        due = []
        if self._unforked:
            due.append(self._zygote_at + ZYGOTE_AGAIN_S)
        elif not self._idle:
            due.append(self._spare_at)
        if len(self._idle) > KEEP_IDLE:
            due.append(min(link.idle_since for link in self._idle) + IDLE_FOR_S)
        return max(0.0, min(due) - self._clock.monotonic()) if due else None

    def on_time(self) -> None:
        """Do what is due: try the zygote again, have a spare worker made, let idle workers leave."""
        if self._unforked:
            self._fork()
        elif not self._idle and self._clock.monotonic() >= self._spare_at:
            self._spare_at = self._clock.monotonic() + ZYGOTE_AGAIN_S
            self._keep_spare()
        if len(self._idle) > KEEP_IDLE:
            limit = self._clock.monotonic() - IDLE_FOR_S
            for link in [link for link in self._idle if link.idle_since <= limit][: len(self._idle) - KEEP_IDLE]:
                self._idle.remove(link)
                self._hang_up(link)

    def pids(self) -> frozenset[int]:
        """The zygote and all workers that have said hello; each leads a session of its own."""
        return frozenset({self._zygote_pid, *(link.pid for link in self._links)})

    def hang_up(self) -> list[Link]:
        """Let the zygote and every worker go: idle ones leave, busy ones finish alone. The links of the idle."""
        idle = [link for link in self._links if link.attempt is None]
        self.flush()
        for link in tuple(self._links):
            self._hang_up(link)
        for end in self._unforked:
            end.close()
        self._unforked.clear()
        self._idle.clear()
        self._drop_zygote()
        return idle

    def forget(self, link: Link) -> None:
        """Close what is left of a worker and reap it, if the zygote's death made it a child of this process."""
        self._links.discard(link)
        self._hang_up(link)
        if link.pidfd is not None:
            self._poller.unregister(link.pidfd)
            os.close(link.pidfd)
            link.pidfd = None
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, link.pid, os.WEXITED | os.WNOHANG)

    def _keep_spare(self) -> None:
        if not self._idle and not self._unforked:
            with contextlib.suppress(OSError):  # out of descriptors: the next launch tries again
                self._idle.append(self._make_link())

    def _make_link(self) -> Link:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        link = Link(sock=ours, fd=ours.fileno(), idle_since=self._clock.monotonic())
        self._links.add(link)
        self._poller.register(link.fd, lambda: self._on_ready(link))
        self._unforked.append(theirs)
        self._fork()
        return link

    def _fork(self) -> None:
        """Pass the waiting links to the zygote, starting one if there is none."""
        if self._control is None and self._clock.monotonic() >= self._zygote_at + ZYGOTE_AGAIN_S:
            self._zygote_at = self._clock.monotonic()
            try:
                self._start_zygote()
            except OSError as error:
                self._tell_unborn(f"cannot make a process for it: {describe(error)}")
        while self._unforked and self._control is not None:
            try:
                socket.send_fds(self._control, [b"+"], [self._unforked[0].fileno()])
            except BlockingIOError:
                self._zygote_at = self._clock.monotonic()
                return
            except OSError:
                self._drop_zygote()
                return
            self._unforked.popleft().close()

    def _tell_unborn(self, why: str) -> None:
        """Those who wait for a worker learn why there is none; they go on waiting."""
        if why != self._trouble:
            self._trouble = why
            log.warning("the zygote could not be started and is tried again: %s", why, extra={"action": "zygote-failed"})
        for link in self._links:
            if link.attempt is not None and not link.pid:
                self.events.append((link, UNBORN, link.attempt, why.encode("utf-8", "replace")))

    def _start_zygote(self) -> None:
        root = str(Path(__file__).parents[2])
        argv = [sys.executable, "-I", "-S", "-c", BOOT, root, str(CONTROL_FD), *self._arguments]
        env = {wire.SHIM_MARK: "1"}
        if FAILPOINT in os.environ:
            env[FAILPOINT] = os.environ[FAILPOINT]
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                log = _open_log(self._home / "shim.log")
            except OSError:
                ours.close()
                raise
            try:
                self._zygote_pid = os.posix_spawn(
                    sys.executable,
                    argv,
                    env,
                    file_actions=[
                        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                        (os.POSIX_SPAWN_DUP2, log, 1),
                        (os.POSIX_SPAWN_DUP2, log, 2),
                        (os.POSIX_SPAWN_DUP2, theirs.fileno(), CONTROL_FD),
                    ],
                    setsid=True,
                    setsigmask=(),
                    setsigdef=STEP_SIGNALS,
                )
            except OSError:
                ours.close()
                raise
            finally:
                os.close(log)
        ours.setblocking(False)
        self._trouble = ""
        self._control = ours
        self._poller.register(ours.fileno(), self._on_control)

    def _on_control(self) -> None:
        if self._control is None:
            return
        try:
            if self._control.recv(1):
                return
        except OSError as error:
            if is_of_host(error):  # nothing is there after all, or nothing can be taken now
                return
        log.warning("zygote ended; another is started", extra={"action": "zygote-ended", "pid": self._zygote_pid})
        self._drop_zygote()
        if not self._idle:
            self._keep_spare()

    def _drop_zygote(self) -> None:
        if self._control is None:
            return
        self._poller.unregister(self._control.fileno())
        self._control.close()
        self._control = None
        with contextlib.suppress(ChildProcessError, ProcessLookupError):
            pidfd = os.pidfd_open(self._zygote_pid)
            wait_for_end(pidfd, 1000)  # it leaves at once, unless somebody has stopped it
            os.close(pidfd)
            os.waitid(os.P_PID, self._zygote_pid, os.WEXITED | os.WNOHANG)
        self._zygote_pid = 0

    def _flush(self, link: Link) -> None:
        self._unsent.discard(link)
        if not link.is_open or not link.to_send:
            return
        try:
            del link.to_send[: link.sock.send(link.to_send)]
        except BlockingIOError:
            pass
        except ConnectionError:
            link.to_send.clear()  # its death is noticed by the pidfd or the end of the socket
        self._poller.want_writable(link.fd, wanted=bool(link.to_send))

    def _on_ready(self, link: Link) -> None:
        if link.to_send:
            self._flush(link)
        self._receive(link)

    def _receive(self, link: Link) -> None:
        """Take what the worker has sent. Its end of the socket closes before its death is complete: see `_on_death`."""
        if not link.is_open:
            return
        try:
            data, passed = wire.receive(link.sock, 1 << 18)
        except OSError as error:
            if is_of_host(error):  # nothing is there after all, or it waits in the socket until the machine can take it
                return
            data, passed = b"", None
        if passed is not None:
            link.pidfd = passed
            self._poller.register(link.pidfd, lambda: self._on_death(link))
        if data:
            link.received += data
            for kind, attempt, body in wire.split_frames(link.received):
                if kind == wire.HELLO:
                    self._greet(link, attempt, body)
                else:
                    self.events.append((link, kind, attempt, body))
            return
        self._hang_up(link)
        if link.pidfd is None:
            self._on_death(link)

    def _greet(self, link: Link, pid: int, body: bytes) -> None:
        link.pid = pid
        problem = body.partition(b"\0")[2].decode("utf-8", "replace")
        if problem and problem != self._told:
            log.warning("a worker goes without: %s", problem, extra={"action": "groups"})
        self._told = problem

    def _hang_up(self, link: Link) -> None:
        if link.is_open:
            link.is_open = False
            self._unsent.discard(link)
            self._poller.unregister(link.fd)
            link.sock.close()

    def _on_death(self, link: Link) -> None:
        """The worker has ended, and its step has been handed to the subreaper: only the pidfd tells this."""
        if link not in self._links or (link.pidfd is not None and not wait_for_end(link.pidfd, 0)):
            return
        while link.is_open:
            before = len(link.received), len(self.events)
            self._receive(link)
            if link.is_open and before == (len(link.received), len(self.events)):
                break
        if link in self._idle:
            self._idle.remove(link)
        self.forget(link)
        if not link.pid:  # the zygote could not fork: not again before a while
            self._spare_at = self._clock.monotonic() + ZYGOTE_AGAIN_S
        if link.attempt is not None:
            self.events.append((link, DIED, link.attempt, b""))
        if link.pid:
            self._keep_spare()


def _open_log(path: Path) -> int:
    """Where the zygote's own complaints go; nowhere, if there is no room for them: steps matter more."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
