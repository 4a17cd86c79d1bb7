"""Answers the control socket: one JSON object a line in, one or more a line out. It reads, checks who asks, and hands over.

It decides nothing and writes nothing: a verb is a function of the daemon's. Each connection has a thread, so a slow peer holds up
nobody; peers are known by the kernel's word for them.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import pwd
import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.control.frames import Bounds, Budget, Frames, decode
from reconciler.control.shapes import check_request
from reconciler.errors import LineclearError, Transient

log = logging.getLogger(__name__)
ACCEPT_AGAIN_S = 0.1
TELL_AGAIN_S = 60.0  # the same trouble again
GRACE_S = 0.1  # a connection is let stay so long before it counts as silent
LOOK_S = 1.0  # how often it is looked whether who waits for an answer is still there
LONGEST_ACTOR = 200
TAKES_S = 30.0
UNANSWERED = ("poke",)
_WHOLE = frozenset(("ok", "error", "exit"))  # an answer with one of these is the last part
_AROUND = ("verb", "actor")
Reply = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Who is at the other end. `claimed` is what a shared account's user says to be; the uid is the kernel's."""

    uid: int
    pid: int
    claimed: str = ""

    @property
    def actor(self) -> str:
        """How the journal names the person."""
        login = _login(self.uid)
        return f"{login} ({self.claimed}, claimed)" if self.claimed and self.claimed != login else login


@functools.lru_cache(maxsize=64)
def _login(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


Serve = Callable[[str, Mapping[str, Any], Peer, Reply], None]


class ControlServer:
    """Listens at a path until `close`. `serve` gets (verb, args, peer, reply); it may call reply later, from any thread.

    A connection has one request in hand at a time. Where there are as many connections as there may be, one more takes the
    place of the one that has been silent for longest; only where all of them wait for us it is turned away, with an answer.
    """

    def __init__(self, path: str, serve: Serve, bounds: Bounds | None = None) -> None:
        self._path = path
        self._serve = serve
        self._bounds = bounds or Bounds()
        self._budget = Budget(self._bounds.all_bytes)
        self._changed = threading.Condition()
        self._talks: dict[_Talk, None] = {}  # in the order in which they were heard of last
        self._socket = _listen(path)
        self._closed = False
        self._spare = _open_spare()  # given up for who asks when there are no descriptors: the owner gets an answer
        self._told, self._told_at = "", 0.0
        self._thread = threading.Thread(target=self._accept, name="control", daemon=True)

    def start(self) -> None:
        """Begins to accept."""
        self._thread.start()

    def close(self) -> None:
        """Stops to accept and removes the socket."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        if self._spare >= 0:
            os.close(self._spare)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError as error:
                if self._closed:
                    return
                self._make_way(str(error))
                continue
            if self._spare < 0:
                self._spare = _open_spare()
            peer = _peer(connection)
            if peer.uid not in (0, os.geteuid()):
                connection.close()
                continue
            talk = _Talk(connection, peer)
            if self._admit(talk):
                self._begin(talk)

    def _make_way(self, why: str) -> None:
        """Once somebody asks, frees a descriptor: the spare one, else that of the connection that is silent for longest.

        Without one, `accept` fails also while nobody asks: the connections that there are lose nothing by that.
        """
        self._await_somebody()
        if why != self._told or time.monotonic() > self._told_at + TELL_AGAIN_S:
            self._told, self._told_at = why, time.monotonic()
            log.warning("a connection could not be accepted: %s; it is tried again", why, extra={"action": "accept"})
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1
            return
        with self._changed:
            just_come = time.monotonic() - GRACE_S  # what such a one asks may be on its way
            silent = next((one for one in self._talks if not one.is_awaited() and one.heard_at <= just_come), None)
            if silent is not None:
                del self._talks[silent]
        if silent is not None:
            silent.let_go(f"the daemon has no descriptor left ({why}): this connection was silent for longest; ask again")
        time.sleep(ACCEPT_AGAIN_S)

    def _await_somebody(self) -> None:
        look = select.poll()
        with contextlib.suppress(OSError, ValueError):  # the server was closed meanwhile
            look.register(self._socket, select.POLLIN)
            look.poll()

    def _admit(self, talk: _Talk) -> bool:
        """Makes room for a connection; False if it was turned away."""
        most = self._bounds.connections
        told = f"{most} connections to the daemon are open, the setting limits.connections"
        with self._changed:
            while len(self._talks) >= most:
                silent = next((one for one in self._talks if not one.is_awaited()), None)
                if silent is None:
                    talk.let_go(f"{told}, and each of them waits for an answer; try again")
                    talk.end()
                    return False
                left_s = silent.heard_at + GRACE_S - time.monotonic()
                if left_s > 0:  # it has only come: what it asks may be on its way
                    self._changed.wait(left_s)
                    continue
                del self._talks[silent]
                silent.let_go(f"{told}: this one was silent for longest and made room for another; ask again")
            self._talks[talk] = None
        return True

    def _begin(self, talk: _Talk) -> None:
        try:
            threading.Thread(target=self._converse, args=(talk,), name="peer", daemon=True).start()
        except RuntimeError as error:  # no thread is to be had
            log.warning("a connection could not be served: %s", error, extra={"action": "accept"})
            talk.let_go("the daemon could not begin to answer: the machine gives it no thread; try again")
            self._forget(talk)

    def _converse(self, talk: _Talk) -> None:
        frames = Frames(talk.connection, self._bounds, self._budget)
        try:
            while (line := frames.next()) is not None and self._heard(talk):
                self._one(line, talk)
                del line
                if not talk.wait_until_answered():
                    return
                frames.done()
        except LineclearError as error:
            talk.reply(_refusal(error))
        except OSError:
            pass  # it is gone
        finally:
            frames.done()
            self._forget(talk)

    def _heard(self, talk: _Talk) -> bool:
        """A request came, and the peer waits; False if its connection was let go meanwhile: it is not carried out."""
        with self._changed:
            if talk not in self._talks:
                return False
            del self._talks[talk]
            self._talks[talk] = None
            talk.begin()
            return True

    def _forget(self, talk: _Talk) -> None:
        with self._changed:
            self._talks.pop(talk, None)
            self._changed.notify()
        talk.end()

    def _one(self, line: bytes, talk: _Talk) -> None:
        asked = ""
        try:
            request = decode(line)
            asked, args = check_request(request.get("verb"), _fields(request))
            peer = Peer(uid=talk.peer.uid, pid=talk.peer.pid, claimed=_name(request.get("actor")))
            self._serve(asked, args, peer, talk.reply)
        except LineclearError as error:
            talk.reply(_refusal(error))
        except Exception as error:  # the boundary of a request: a bug in one ends that one only
            log.exception("a request failed", extra={"action": "request", "verb": asked})
            message = f"{asked} failed, a mistake of ours: {type(error).__name__}: {error}; see the daemon's log"
            talk.reply({"error": {"code": LineclearError.exit_code, "message": message}})
        if asked in UNANSWERED:
            talk.answered()


def _fields(request: Mapping[str, Any]) -> object:
    """What is asked besides the verb: under `args`, or beside it, as the hooks say it."""
    return request["args"] if "args" in request else {name: value for name, value in request.items() if name not in _AROUND}


def _name(claimed: object) -> str:
    """What a peer says that its person is called, as far as a journal can keep it."""
    text = claimed if isinstance(claimed, str) else ""
    return "".join(c for c in text[:LONGEST_ACTOR] if c.isprintable())


def _refusal(error: LineclearError) -> dict[str, Any]:
    return {"error": {"code": error.exit_code, "message": str(error)}}


class _Talk:
    """One connection: who is there, and whether it waits for us."""

    def __init__(self, connection: socket.socket, peer: Peer) -> None:
        self.connection = connection
        self.peer = peer
        self._outbox = _Outbox(connection)
        self._answered = threading.Event()
        self._answered.set()
        self.heard_at = time.monotonic()

    def is_awaited(self) -> bool:
        """True while a request of it is in hand."""
        return not self._answered.is_set()

    def begin(self) -> None:
        """A request of it is in hand."""
        self._answered.clear()

    def answered(self) -> None:
        """It waits for nothing more."""
        self.heard_at = time.monotonic()
        self._answered.set()

    def reply(self, answer: Mapping[str, Any]) -> None:
        """Sends a part of the answer, or the whole of it."""
        self._outbox.put(answer)
        if not answer.keys().isdisjoint(_WHOLE):
            self.answered()

    def wait_until_answered(self) -> bool:
        """False if the peer has gone before its answer came."""
        while not self._answered.wait(LOOK_S):
            look = select.poll()
            look.register(self.connection, 0)
            if look.poll(0):
                return False
        return True

    def let_go(self, why: str) -> None:
        """Tells it why, and has its thread end."""
        self._outbox.put({"error": {"code": Transient.exit_code, "message": why}})
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RD)

    def end(self) -> None:
        """Closes it once it has taken what it was told, or will not."""
        self._outbox.close()


class _Outbox:
    """Sends answers to one peer without ever holding up who answers: what the peer does not take at once, a thread sends.

    A peer that takes nothing for `TAKES_S` gets no more.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._waiting: deque[bytes] = deque()
        self._is_closing = False

    def put(self, answer: Mapping[str, Any]) -> None:
        """Sends an answer, now or after those before it; to a peer that is gone it is dropped."""
        data = json.dumps(answer).encode() + b"\n"
        with self._lock:
            if self._is_closing:
                return
            if self._waiting:
                self._waiting.append(data)
                return
            try:
                sent = self._connection.send(data, socket.MSG_DONTWAIT)
            except BlockingIOError:
                sent = 0
            except OSError:
                return
            if sent < len(data):
                self._waiting.append(data[sent:])
                self._start()

    def close(self) -> None:
        """Closes the connection: now, or when what is left has been sent."""
        with self._lock:
            self._is_closing = True
            if not self._waiting:
                self._connection.close()

    def _start(self) -> None:
        try:
            threading.Thread(target=self._send, name="answers", daemon=True).start()
        except RuntimeError:  # no thread is to be had: the peer reads what it got, and sees that it is cut off
            self._waiting.clear()
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)

    def _send(self) -> None:
        look = select.poll()
        look.register(self._connection, select.POLLOUT)
        while True:
            with self._lock:
                if not self._waiting:
                    break
                data = self._waiting[0]
            sent = 0
            with contextlib.suppress(OSError):
                if look.poll(TAKES_S * 1000):
                    sent = self._connection.send(data, socket.MSG_DONTWAIT)
            with self._lock:
                if not sent:
                    self._waiting.clear()
                    break
                self._waiting[0] = data[sent:]
                if sent == len(data):
                    self._waiting.popleft()
        with self._lock:
            if self._is_closing and not self._waiting:
                self._connection.close()


def _open_spare() -> int:
    try:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def _listen(path: str) -> socket.socket:
    """A listening socket at a path of any length: bound by way of its directory's descriptor, owner only."""
    directory = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    mask = os.umask(0o177)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
        listener.listen(128)
    finally:
        os.umask(mask)
        os.close(directory)
    return listener


def _peer(connection: socket.socket) -> Peer:
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", data)
    return Peer(uid=uid, pid=pid)
