"""The home's database as the screen uses it: opened when asked, opened again when it was replaced, errors told as values.

One connection, one reader at a time, from any thread. It never writes; statements lie in `reconciler.store.read*`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TypeVar

from reconciler.errors import LineclearError, NotFound, Refused, UsageError
from reconciler.home import Home
from reconciler.store.read import Busy, Gone, Newer, Reader, Reading, open_read
from tui.core.model import Failure

T = TypeVar("T")
_KINDS = (
    (Gone, "gone"),
    (Newer, "newer"),
    (Busy, "busy"),
    (NotFound, "missing"),
    (Refused, "refused"),
    (UsageError, "choose"),
)
_BROKEN = ("gone", "newer", "unreadable")


class Store:
    """A home's database. `instance` names what is open: another name, and nothing that was read before need hold."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._lock = threading.RLock()
        self._reader: Reader | None = None
        self._file = ""
        self._opened = 0
        self.instance = ""

    def read(self, question: Callable[[Reader], T]) -> T | Failure:
        """What the question finds, all of one instant; a Failure if it cannot be asked or what it wants is not there."""
        with self._lock:
            try:
                with Reading(self._current()) as reader:
                    return question(reader)
            except LineclearError as error:
                failure = _failure(error)
        if failure.kind in _BROKEN:
            self.close()
        return failure

    def stamp(self) -> tuple[str, int] | Failure:
        """The database's name and a number that changes with every commit of others; costs microseconds."""
        return self.read(lambda reader: (self.instance, reader.data_version()))

    def close(self) -> None:
        """Ends the connection; the next question opens it again."""
        with self._lock:
            if self._reader is not None:
                self._reader.close()
            self._reader, self._file = None, ""

    def _current(self) -> Reader:
        path = self._home.database
        file = _file_at(path)
        if self._reader is not None and file == self._file:
            return self._reader
        self.close()
        self._reader = open_read(path, is_shared=True)
        self._file = file
        self._opened += 1
        self.instance = f"{file}:{self._opened}"
        return self._reader


def _file_at(path: str) -> str:
    """Device and inode of a file; '' if there is none. Nobody gets the same ones while we have it open."""
    try:
        found = os.stat(path)
    except OSError:
        return ""
    return f"{found.st_dev}:{found.st_ino}"


def _failure(error: LineclearError) -> Failure:
    kind = next((word for known, word in _KINDS if isinstance(error, known)), "unreadable")
    return Failure(kind=kind, text=str(error))
