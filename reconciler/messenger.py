"""Sends what the outbox holds: runs the command of the settings with one notice after the other on its standard input.

A thread of its own reads the rows and never writes: what came of a notice goes to the control thread, which writes it down.
Until that is done the same notice stays the next one, so a crash between the command and the row sends it twice, never not
at all. Nothing that the command does, or does not do, reaches the control thread.
"""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import IO, Any

from reconciler.clock import Clock, SystemClock, from_text, to_text
from reconciler.loop.inbox import Inbox, Told
from reconciler.store.read import open_read
from reconciler.store.read_notices import find_next

log = logging.getLogger(__name__)
AGAIN_S = 5.0  # a row that does not change is looked at again
STOP_WAIT_S = 2.0
SAID_BYTES = 2000
LINE_LENGTH = 300
LOOK_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one call. `problem` is '' if it went well; `said` is the end of what the command wrote."""

    problem: str
    said: str
    took_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """The program that is told, and what it is given."""

    argv: Sequence[str]
    env: Mapping[str, str]
    folder: str
    timeout_s: float

    def tell(self, event: Mapping[str, Any], *, is_stopped: Callable[[], bool] = lambda: False) -> Outcome:
        """Runs it with the event on its standard input, until it ends, its time is up or `is_stopped`: then it is killed.

        What it leaves in the background after its own end is its own business.
        """
        began = time.monotonic()
        try:
            with _text_file(json.dumps(event, ensure_ascii=False) + "\n") as given:
                child = subprocess.Popen(
                    self.argv, stdin=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=self.folder,
                    env=self.env, umask=0o077, start_new_session=True,
                )  # fmt: skip
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            return Outcome(problem=f"{self.argv[0]} could not be started: {reason}", said="", took_s=0.0)
        said, ended = _attend(child, began + self.timeout_s, is_stopped)
        return Outcome(problem=self._problem(child.returncode, ended), said=said, took_s=time.monotonic() - began)

    def _problem(self, code: int, ended: str) -> str:
        name = self.argv[0]
        if ended == "late":
            return f"{name} was killed: it had not ended after {self.timeout_s:g} s"
        if ended == "stopped":
            return f"{name} was killed: the daemon ends"
        if code < 0:
            return f"{name} was ended by {signal.Signals(-code).name}"
        return f"{name} ended with exit code {code}" if code else ""


def _text_file(text: str) -> IO[bytes]:
    """A nameless file that holds the text, at its beginning: unlike a pipe nobody has to wait for its reader."""
    file = os.fdopen(os.memfd_create("notice", os.MFD_CLOEXEC), "w+b")
    file.write(text.encode("utf-8", "replace"))
    file.seek(0)
    return file


def _attend(child: subprocess.Popen[bytes], deadline: float, is_stopped: Callable[[], bool]) -> tuple[str, str]:
    """Waits for the child, or kills it with its session; the end of its output, and '', 'late' or 'stopped'."""
    assert child.stdout is not None
    said, ended = b"", ""
    pidfd = os.pidfd_open(child.pid)
    try:
        out = child.stdout.fileno()
        os.set_blocking(out, False)
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.register(out, select.POLLIN)
        while child.poll() is None and not ended:
            left = deadline - time.monotonic()
            poll.poll(max(0, min(left, LOOK_S)) * 1000)
            piece = _read(out)
            if piece == b"":
                poll.unregister(out)
                out = -1
            said = (said + (piece or b""))[-SAID_BYTES:]
            ended = "late" if left <= 0 else "stopped" if is_stopped() else ""
        if child.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        said = (said + (_read(out) or b""))[-SAID_BYTES:]
    finally:
        os.close(pidfd)
        child.stdout.close()
    return said.decode("utf-8", "replace").strip(), ended


def _read(out: int) -> bytes | None:
    """What lies in the pipe: b'' at its end, None if nothing does now."""
    if out < 0:
        return None
    try:
        return os.read(out, 65_536)
    except BlockingIOError:
        return None


def event_of(home: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """What the command is told: `text` for people, `detail` for programs, `id` the same each time it is told again."""
    detail = json.loads(row["detail_json"])
    text = str(detail.pop("text", "") or row["kind"])
    told = {"id": row["id"], "kind": row["kind"], "at": row["at"], "text": text, "try": row["tries"] + 1}
    return told | {"host": socket.gethostname(), "home": home, "detail": detail}


def try_out(command: Command, home: str) -> dict[str, Any]:
    """What comes of an event of the kind `test`, as plain data: it has the shape of all others, and is tried once."""
    detail = json.dumps({"text": "a test: whoever reads this is told of what happens here"})
    row = {"id": 0, "kind": "test", "at": to_text(SystemClock().now()), "tries": 0, "detail_json": detail}
    outcome = command.tell(event_of(home, row))
    took_s = round(outcome.took_s, 3)
    return {"command": list(command.argv), "problem": outcome.problem, "output": outcome.said, "tookSeconds": took_s}


class Messenger:
    """Sends until `stop`. `boundary` is told of the points at which a crash must do no harm."""

    def __init__(
        self, home: str, database: str, command: Command, inbox: Inbox, *, clock: Clock, boundary: Callable[[str], None]
    ) -> None:
        self.command = command
        self._home = home
        self._database = database
        self._inbox = inbox
        self._clock = clock
        self._boundary = boundary
        self._told: Told | None = None  # the last outcome: as long as its row does not know it, it is handed over again
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="messenger", daemon=True)

    def start(self) -> None:
        """Begins with what an earlier daemon left."""
        self._thread.start()

    def wake(self) -> None:
        """The outbox changed: look at it. Cheap, from any thread."""
        self._woken.set()

    def stop(self) -> None:
        """Ends; a command that is under way has two seconds, and its notice is sent again by the next daemon."""
        self._stopping.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(STOP_WAIT_S * 2)

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                pause_s = self._step()
            except Exception:  # the thread's boundary: whatever it was, the rows are looked at again
                log.exception("the outbox could not be worked on", extra={"action": "notify"})
                pause_s = AGAIN_S
            self._woken.wait(pause_s)

    def _step(self) -> float | None:
        """Sends the next notice if its time has come; how long there is nothing to do, None for until woken."""
        with closing(open_read(self._database)) as reader:
            row = find_next(reader)
        if row is None:
            return None
        ahead_s = (from_text(row["next_at"]) - self._clock.now()).total_seconds()
        if ahead_s > 0:
            return ahead_s
        if self._told is None or (self._told.notice_id, self._told.tries) != (row["id"], row["tries"]):
            self._boundary("notify")
            self._told = self._send(row)
            self._boundary("notified")
        self._inbox.put(self._told)
        return AGAIN_S

    def _send(self, row: Any) -> Told:
        stop_at: list[float] = []

        def is_stopped() -> bool:
            if self._stopping.is_set() and not stop_at:
                stop_at.append(time.monotonic() + STOP_WAIT_S)
            return bool(stop_at) and time.monotonic() > stop_at[0]

        event = event_of(self._home, row)
        outcome = self.command.tell(event, is_stopped=is_stopped)
        if outcome.problem and not row["tries"]:
            fields = {"action": "notify", "kind": row["kind"], "notice": row["id"]}
            log.warning("a notice could not be sent and will be tried again: %s", outcome.problem, extra=fields)
        said = [line[-LINE_LENGTH:] for line in outcome.said.splitlines()[-1:] if outcome.problem]
        return Told(row["id"], row["tries"], ": ".join([outcome.problem, *said]))
