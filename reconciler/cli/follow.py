"""Waits for runs to end and prints what their steps write meanwhile. Polls `data_version`, which costs microseconds."""

from __future__ import annotations

import os
import sys
import time

from reconciler.errors import NotFound, TimedOut
from reconciler.store import read_runs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row
    from collections.abc import Callable
    from typing import BinaryIO

    from reconciler.home import Home
    from reconciler.store.read import Reader

POLL_S = 0.02
LOG_POLL_S = 0.05
_CHUNK_BYTES = 1 << 20


def wait_for_end(reader: Reader, ids: list[int], timeout_s: float | None, on_look: Callable[[list[Row]], None]) -> int:
    """0 if every run ended Succeeded, 7 if only full queues kept one from it, else 1.

    `on_look` gets the runs at the start and whenever something changed.
    Raises TimedOut, or NotFound for a run that was deleted meanwhile.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    seen = -1
    while True:
        version = reader.data_version()
        if version != seen:
            seen = version
            with reader:
                rows = [_get(reader, run_id) for run_id in ids]
            on_look(rows)
            if all(row["finished_at"] is not None for row in rows):
                return code_of({row["ended_by"] for row in rows if row["phase"] != "Succeeded"})
        if deadline is not None and time.monotonic() >= deadline:
            late = ", ".join(f"{row['name']} is {row['phase']}" for row in rows if row["finished_at"] is None)
            raise TimedOut(f"could not wait any longer than {timeout_s:g} s: {late}; see `lineclear why`")
        time.sleep(POLL_S)


def code_of(ends: set[str]) -> int:
    """The exit code by what ended the runs that did not succeed: 0 for none, 7 if all of them found a full queue, else 1."""
    return 0 if not ends else 7 if ends == {"queue-full"} else 1


def _get(reader: Reader, run_id: int) -> Row:
    row = read_runs.find_run_by_id(reader, run_id)
    if row is None:
        raise NotFound(f"run number {run_id} was deleted while it was waited for; `lineclear journal` says by whom")
    return row


def tell_end(row: Row) -> str:
    """One line on a run that has ended."""
    message = f": {row['message']}" if row["message"] else ""
    return f"{row['name']} {row['phase']} at {row['finished_at'][:19]}Z{message}"


class LogChoice:
    """What of the logs is wanted: of one node ('' for all), the last lines (None for all), lines with a pattern."""

    __slots__ = ("node", "pattern", "tail")

    def __init__(self, node: str = "", tail: int | None = None, pattern: Callable[[str], object] | None = None) -> None:
        self.node = node
        self.tail = tail
        self.pattern = pattern


class LogPrinter:
    """Prints the logs of a run's attempts, each line with its node's name; remembers how far it has read."""

    __slots__ = ("_attempts", "_choice", "_files", "_home", "_is_terminal", "_read", "_run_id", "_version")

    def __init__(self, home: Home, run_id: int, choice: LogChoice) -> None:
        self._home = home
        self._run_id = run_id
        self._choice = choice
        self._files: dict[int, tuple[int, bytes]] = {}
        self._read: set[int] = set()  # attempts that had ended when they were read last
        self._attempts: list[Row] = []
        self._version = -1
        self._is_terminal = sys.stdout.isatty()

    @property
    def has_read(self) -> bool:
        """True if any log was there."""
        return bool(self._files)

    def print_new(self, reader: Reader, *, whole: bool) -> None:
        """Prints the lines that were written since the last time; with `whole` also one that has no line feed yet."""
        version = reader.data_version()
        if version != self._version:
            self._version = version
            self._attempts = [
                attempt
                for attempt in read_runs.list_attempts(reader, self._run_id)
                if attempt["id"] not in self._read and (not self._choice.node or self._choice.node in _names(attempt))
            ]
        for attempt in self._attempts:
            has_ended = attempt["finished_at"] is not None
            if attempt["id"] not in self._read and attempt["state"] != "queued":
                self._print_attempt(attempt["id"], attempt["display"] or attempt["name"] or "root", whole=whole or has_ended)
                if has_ended:
                    self._read.add(attempt["id"])
        sys.stdout.flush()

    def _print_attempt(self, attempt_id: int, node: str, *, whole: bool) -> None:
        try:
            with open(os.path.join(self._home.attempt(self._run_id, attempt_id), "log"), "rb") as file:
                if attempt_id in self._files:
                    offset, rest = self._files[attempt_id]
                else:
                    offset, rest = 0 if self._choice.tail is None else tail_offset(file, self._choice.tail), b""
                file.seek(offset)
                while chunk := file.read(_CHUNK_BYTES):
                    offset += len(chunk)
                    *lines, rest = (rest + chunk).split(b"\n")
                    self._print(node, lines)
        except FileNotFoundError:
            return
        if whole and rest:
            self._print(node, [rest])
            rest = b""
        self._files[attempt_id] = (offset, rest)

    def _print(self, node: str, lines: list[bytes]) -> None:
        pattern = self._choice.pattern
        if pattern is not None:
            lines = [line for line in lines if pattern(line.decode("utf-8", "replace"))]
        if not lines:
            return
        if self._is_terminal:
            from reconciler.views.clean import clean, clean_lines

            lead = clean(node)
            sys.stdout.write("".join(f"{lead}: {clean_lines(line.decode('utf-8', 'replace'))}\n" for line in lines))
            return
        lead_bytes = node.encode("utf-8", "surrogateescape") + b": "
        sys.stdout.flush()
        sys.stdout.buffer.write(b"".join(lead_bytes + line + b"\n" for line in lines))


def tail_offset(file: BinaryIO, wanted: int) -> int:
    """Where the last `wanted` lines of a file begin; a line feed at the very end begins no line."""
    end = file.seek(0, os.SEEK_END)
    begin, found = end, b""
    while begin > 0 and found[:-1].count(b"\n") < wanted:
        begin = max(0, begin - _CHUNK_BYTES)
        file.seek(begin)
        found = file.read(end - begin)
    if wanted == 0:
        return end
    lines = found.removesuffix(b"\n").split(b"\n")
    return end - len(found) + len(b"\n".join(lines[:-wanted])) + (len(lines) > wanted)


def _names(attempt: Row) -> tuple[str, str, str]:
    return (attempt["display"], attempt["name"], attempt["name"].removeprefix("."))


def follow_logs(reader: Reader, printer: LogPrinter, run_id: int) -> int:
    """Prints until the run ends, attempts that begin meanwhile too; the result is as of `wait_for_end`."""
    while True:
        row = _get(reader, run_id)
        is_over = row["finished_at"] is not None
        printer.print_new(reader, whole=is_over)
        if is_over:
            return 0 if row["phase"] == "Succeeded" else 1
        time.sleep(LOG_POLL_S)
