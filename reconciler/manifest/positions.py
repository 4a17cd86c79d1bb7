"""Where each key and value of one document is written, packed into eight bytes a node.

Owns the lookup from a path inside the data to line and column. It never holds the text, and pickles small, because
parsed files travel between processes.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any

Path = tuple[str | int, ...]

_COLUMN_BITS = 24
_COLUMN_MASK = (1 << _COLUMN_BITS) - 1


def pack(line: int, column: int) -> int:
    """One integer for a zero-based line and column."""
    return line << _COLUMN_BITS | column


def unpack(spot: int) -> tuple[int, int]:
    """Line and column, both from 1."""
    return (spot >> _COLUMN_BITS) + 1, (spot & _COLUMN_MASK) + 1


class Positions:
    """Line and column (from 1) by path. `spots` follow the data in order: a value, then each key before its value."""

    __slots__ = ("_data", "_folded", "_index", "_spots")

    def __init__(self, data: Any, spots: Sequence[int]) -> None:
        self._data = data
        self._spots = array("Q", spots)
        self._index: dict[Path, tuple[int, int]] | None = None
        self._folded: dict[Path, tuple[int, int]] | None = None

    def __reduce__(self) -> tuple[type[Positions], tuple[Any, array[int]]]:
        return (Positions, (self._data, self._spots))

    def value(self, path: Path) -> tuple[int, int]:
        """Place of the value at `path`; of the nearest enclosing value where the path leads nowhere."""
        return unpack(self._find(path)[1])

    def key(self, path: Path) -> tuple[int, int]:
        """Place of the key that ends `path`; of the item itself for a list item."""
        return unpack(self._find(path)[0])

    def _find(self, path: Path) -> tuple[int, int]:
        index = self._index
        if index is None:
            index = self._index = dict(_walk(self._data, (), None, iter(self._spots)))
        if path in index:
            return index[path]
        if self._folded is None:
            self._folded = {_folded(known): spots for known, spots in reversed(index.items())}
        path = _folded(path)
        while path not in self._folded:
            path = path[:-1]
        return self._folded[path]


def _folded(path: Path) -> Path:
    return tuple(part.lower() if isinstance(part, str) else part for part in path)


def _walk(value: Any, path: Path, key: int | None, spots: Iterator[int]) -> Iterator[tuple[Path, tuple[int, int]]]:
    spot = next(spots)
    yield path, (spot if key is None else key, spot)
    if isinstance(value, dict):
        for name, item in value.items():
            key_spot = next(spots)
            yield from _walk(item, (*path, name), key_spot, spots)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _walk(item, (*path, number), None, spots)
