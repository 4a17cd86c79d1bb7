"""Where other threads leave what they saw: immutable messages, and a descriptor that wakes the control thread."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.model.source import BranchMissing, BranchRead, Revision


@dataclass(frozen=True, slots=True)
class Request:
    """One request over the socket. `answer` is called once, after the commit, with the reply; it never blocks."""

    verb: str
    args: Mapping[str, Any]
    actor: str
    answer: Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Pushed:
    """A push reached this commit; `answer` is called with what came of it."""

    sha: str
    answer: Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Look:
    """Something changed outside: run the effects again (a tree is ready, a worker of an earlier daemon ended)."""


@dataclass(frozen=True, slots=True)
class Noted:
    """A revision's Git note is written."""

    revision_id: int


@dataclass(frozen=True, slots=True)
class Told:
    """A notice was sent, or could not be (`problem`); `tries` is how many tries came before."""

    notice_id: int
    tries: int
    problem: str


@dataclass(frozen=True, slots=True)
class Ping:
    """Is the control thread alive? `answer` is called by it, without a transaction."""

    answer: Callable[[], None]


Work = Request | Pushed | Revision | BranchMissing | BranchRead | Look | Noted | Told
Message = Work | Ping


class Inbox:
    """A queue of messages with a wake-up descriptor to poll on."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._lock = threading.Lock()
        self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def put(self, message: Message) -> None:
        """Leaves a message; from any thread."""
        with self._lock:
            self._messages.append(message)
            os.eventfd_write(self.fd, 1)

    def drain(self) -> list[Message]:
        """Takes every message, in order of arrival."""
        if not self._messages:
            return []
        with self._lock:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self.fd)
            messages, self._messages = self._messages, []
        return messages

    def close(self) -> None:
        """Closes the descriptor."""
        os.close(self.fd)
