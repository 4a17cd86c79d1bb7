"""A reader whose transaction never outlasts the reading: what is printed meanwhile is held, and goes out after it has ended.

An open transaction keeps SQLite from ever using its log's beginning again. Whoever takes what we print may be a pager left
open for a weekend, so nothing is written to a stream while one is open.
"""

from __future__ import annotations

import sys

from reconciler.store.read import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self, TextIO


class _Held:
    """Stands for a stream: keeps what is written to it, in one list with the other's; for the rest it is that stream."""

    def __init__(self, stream: TextIO, kept: list[tuple[TextIO, str]]) -> None:
        self._stream = stream
        self._kept = kept

    def write(self, text: str) -> int:
        """Keeps it."""
        self._kept.append((self._stream, text))
        return len(text)

    def flush(self) -> None:
        """Nothing goes out yet."""

    @property
    def encoding(self) -> str:
        """As that stream's."""
        return self._stream.encoding

    def isatty(self) -> bool:
        """As that stream."""
        return self._stream.isatty()


class Snapshot(Reader):
    """A Reader; as a context manager it holds what is printed until its transaction has ended, in the order of printing."""

    __slots__ = ("_kept", "_streams")

    def __enter__(self) -> Self:
        super().__enter__()
        self._kept: list[tuple[TextIO, str]] = []
        self._streams = (sys.stdout, sys.stderr)
        sys.stdout, sys.stderr = (_Held(stream, self._kept) for stream in self._streams)
        return self

    def __exit__(self, *raised: object) -> None:
        sys.stdout, sys.stderr = self._streams
        super().__exit__(*raised)
        for stream, text in self._kept:
            stream.write(text)
        self._kept.clear()
