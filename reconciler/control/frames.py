"""Takes requests off a connection, one line of JSON each, within bounds: of bytes, of depth, of parts, of time.

What a peer sends is held against a budget that all peers share, until it was answered. Nothing is known here of what it means.
"""

from __future__ import annotations

import json
import re
import select
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any

from reconciler.errors import Transient, UsageError

MB = 1_000_000
DEEPEST = 64
MOST_PARTS = 400_000
_CHUNK_BYTES = 65_536
_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_SIGNS = re.compile(rb"[\[\]{}]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much a peer may send, how many peers there may be, and how long a request may take to arrive."""

    frame_bytes: int = 16 * MB
    connections: int = 64
    arrival_s: float = 30.0

    @property
    def all_bytes(self) -> int:
        """What all peers together may have sent and not be answered yet."""
        return 4 * self.frame_bytes


class Budget:
    """Bytes that are held for all peers together."""

    def __init__(self, most_bytes: int) -> None:
        self._left = most_bytes
        self._lock = threading.Lock()

    def take(self, count: int) -> bool:
        """True if so many more may be held."""
        with self._lock:
            if count > self._left:
                return False
            self._left -= count
            return True

    def give(self, count: int) -> None:
        """So many are held no more."""
        with self._lock:
            self._left += count


class Frames:
    """The requests of one connection, in order."""

    def __init__(self, connection: socket.socket, bounds: Bounds, budget: Budget) -> None:
        self._connection = connection
        self._bounds = bounds
        self._budget = budget
        self._rest = b""
        self._held = 0
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)

    def next(self) -> bytes | None:
        """The next line, None when the peer has closed. Raises UsageError or Transient for one that cannot be taken."""
        parts, self._rest = [self._rest], b""
        deadline = time.monotonic() + self._bounds.arrival_s
        while b"\n" not in parts[-1]:
            self._wait(deadline)
            chunk = self._connection.recv(_CHUNK_BYTES)
            if not chunk:
                return b"".join(parts) or None
            self._hold(len(chunk))
            parts.append(chunk)
        line, _, self._rest = b"".join(parts).partition(b"\n")
        return line

    def done(self) -> None:
        """What was taken was answered: it is held no more, but for what came after it."""
        self._budget.give(self._held)
        self._held = 0

    def _hold(self, count: int) -> None:
        if self._held + count > self._bounds.frame_bytes:
            most = self._bounds.frame_bytes // MB
            raise UsageError(f"the request is larger than {most} MB, the setting limits.frame_mb; ask for less at a time")
        if not self._budget.take(count):
            most = self._bounds.all_bytes // MB
            raise Transient(f"the requests of all peers together are over {most} MB, four times limits.frame_mb; try again")
        self._held += count

    def _wait(self, deadline: float) -> None:
        if not self._poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise Transient(f"no whole request came in {self._bounds.arrival_s:g} s; the connection is closed")


def decode(line: bytes) -> dict[str, Any]:
    """The object that a line is. Raises UsageError for one that is none, is nested too deep or has too many parts."""
    _check_size(line)
    try:
        found = json.loads(line, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise UsageError(f"the request could not be read: it is not UTF-8: {error.reason} at byte {error.start}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise UsageError(f"the request could not be read: {type(error).__name__}: {error}") from error
    if not isinstance(found, dict):
        raise UsageError("the request could not be read: it must be an object with a verb")
    return found


def _check_size(line: bytes) -> None:
    if line.count(b"[") + line.count(b"{") + line.count(b",") <= DEEPEST:
        return
    plain = _TEXT.sub(b"", line)
    parts = plain.count(b"[") + plain.count(b"{") + plain.count(b",")
    if parts > MOST_PARTS:
        raise UsageError(f"the request could not be read: it has {parts} parts, and may have {MOST_PARTS}")
    depth = 0
    for sign in _SIGNS.finditer(plain):
        depth += 1 if sign[0] in b"[{" else -1
        if depth > DEEPEST:
            raise UsageError(f"the request could not be read: it is nested deeper than {DEEPEST}")


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is no number")
