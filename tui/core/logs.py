"""Reads the log of one process in bounded pieces of whole lines, by offset. Files may grow, be cut short or be gone meanwhile."""

from __future__ import annotations

import os

from reconciler.home import Home
from tui.core.model import Failure, LogChunk

CHUNK_BYTES = 1 << 18
LINE_BYTES = 1 << 16


def read_log(path: str, attempt: int, offset: int, *, limit: int = CHUNK_BYTES, is_over: bool) -> LogChunk | Failure:
    """What is in the log from `offset` on, `limit` bytes at most; a negative offset means so many bytes before its end.

    A line without an end stays unread until it is whole, unless the process is over or the line is longer than LINE_BYTES: then
    it comes in pieces of `limit` bytes. A file that is shorter than `offset` is read from its beginning.
    """
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            begin = max(0, size + offset) if offset < 0 else offset if offset <= size else 0
            file.seek(begin)
            found = file.read(limit)
    except FileNotFoundError:
        if is_over:
            return Failure(kind="missing", text=f"the log of attempt {attempt} is gone: logs are kept for some days only")
        return LogChunk(attempt=attempt, lines=(), begin=max(0, offset), offset=max(0, offset))
    except OSError as error:
        return Failure(kind="unreadable", text=f"could not read {path}: {error.strerror}; check who may read it")
    if offset < 0 and begin:
        skipped = found.find(b"\n") + 1
        begin, found = begin + skipped, found[skipped:]
    has_more = begin + len(found) < size
    body = _whole(found, min(limit, LINE_BYTES), is_last=is_over and not has_more)
    return LogChunk(
        attempt=attempt,
        lines=_lines(body),
        begin=begin,
        offset=begin + len(body),
        has_more=has_more and bool(body),
        is_ended=is_over and begin + len(body) >= size,
        skipped=begin if offset < 0 else 0,
    )


def path_of(home: Home, run_id: int, attempt: int) -> str:
    """Where the log of a process lies."""
    return os.path.join(home.attempt(run_id, attempt), "log")


def _whole(found: bytes, longest: int, *, is_last: bool) -> bytes:
    end = found.rfind(b"\n") + 1
    rest = len(found) - end
    if is_last or (not end and rest >= longest):
        return found
    return found[:end]


def _lines(body: bytes) -> tuple[str, ...]:
    if not body:
        return ()
    return tuple(line.decode("utf-8", "replace") for line in body.removesuffix(b"\n").split(b"\n"))
