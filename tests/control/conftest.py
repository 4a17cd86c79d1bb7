"""A control socket in this process, and peers that say whatever a test says, byte for byte."""

from __future__ import annotations

import contextlib
import json
import os
import socket

import pytest

from reconciler.control.frames import Bounds
from reconciler.control.server import ControlServer


class Line:
    """One connection, at the level of bytes."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        folder = os.open(path.parent, os.O_PATH)
        self.socket.connect(f"/proc/self/fd/{folder}/{path.name}")
        os.close(folder)
        self._rest = b""

    def say(self, data):
        """Sends it, as far as it is taken."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def answer(self):
        """The next line that comes back, decoded; None if the connection ends first."""
        while b"\n" not in self._rest:
            try:
                chunk = self.socket.recv(65536)
            except ConnectionResetError:
                return None
            if not chunk:
                return None
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        return json.loads(line)

    def ask(self, data):
        self.say(data)
        return self.answer()

    def error(self, data):
        return self.ask(data)["error"]["message"]

    def close(self):
        self.socket.close()


class Desk:
    """A server whose verbs are a function of the test's, and lines to it."""

    def __init__(self, path):
        self.path = path
        self.heard = []
        self.kept = []
        self.server = None
        self.lines = []

    def serve(self, verb, args, peer, reply):
        self.heard.append((verb, dict(args)))
        if verb == "suspend":
            self.kept.append(reply)  # it is answered later, or never
        elif verb == "retry":
            raise ZeroDivisionError("a bug")
        elif verb != "poke":
            reply({"ok": {"actor": peer.actor}})

    def open(self, **bounds):
        self.server = ControlServer(str(self.path), self.serve, Bounds(**bounds))
        self.server.start()
        return self

    def line(self):
        self.lines.append(Line(self.path))
        return self.lines[-1]

    def close(self):
        for line in self.lines:
            line.close()
        if self.server is not None:
            self.server.close()


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path / "control.sock")
    yield made
    made.close()
