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
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.errors import LineclearError, UsageError

log = logging.getLogger(__name__)
ACCEPT_AGAIN_S = 0.1
LIMIT_BYTES = 16 * 1024 * 1024
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
    """Listens at a path until `close`. `serve` gets (verb, args, peer, reply); it may call reply later, from any thread."""

    def __init__(self, path: str, serve: Serve) -> None:
        self._path = path
        self._serve = serve
        self._socket = _listen(path)
        self._closed = False
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
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError as error:
                if self._closed:
                    return
                log.warning("a connection could not be accepted: %s", error, extra={"action": "accept"})
                time.sleep(ACCEPT_AGAIN_S)
                continue
            threading.Thread(target=self._talk, args=(connection,), name="peer", daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        peer = _peer(connection)
        if peer.uid not in (0, os.geteuid()):
            connection.close()
            return
        reply = _Outbox(connection).put

        with connection, contextlib.suppress(OSError), connection.makefile("rb") as lines:
            while line := lines.readline(LIMIT_BYTES):
                self._one(line, peer, reply)

    def _one(self, line: bytes, peer: Peer, reply: Reply) -> None:
        try:
            request = json.loads(line)
            verb, args = request["verb"], request.get("args", request)
            claimed = str(request.get("actor") or "")
            self._serve(str(verb), args, Peer(uid=peer.uid, pid=peer.pid, claimed=claimed), reply)
        except LineclearError as error:
            reply({"error": {"code": error.exit_code, "message": str(error)}})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            code = UsageError.exit_code
            reply({"error": {"code": code, "message": f"the request could not be read: {type(error).__name__}: {error}"}})


class _Outbox:
    """Sends answers to one peer without ever holding up who answers: what the peer does not take at once, a thread sends."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._waiting: deque[bytes] = deque()

    def put(self, answer: Mapping[str, Any]) -> None:
        """Sends an answer, now or after those before it; to a peer that is gone it is dropped."""
        data = json.dumps(answer).encode() + b"\n"
        with self._lock:
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
                threading.Thread(target=self._send, name="answers", daemon=True).start()

    def _send(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    return
                data = self._waiting[0]
            with contextlib.suppress(OSError):
                self._connection.sendall(data)
            with self._lock:
                self._waiting.popleft()


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
