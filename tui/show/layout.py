"""How text is fitted into cells: which columns a width has room for, and strings cut or padded to an exact width.

A span is a text with the name of a look; a line is a tuple of spans. Everything here is pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

from tui.core.fmt import clean

Span = tuple[str, str]
Line = tuple[Span, ...]
BLANK: Line = ()
GAP = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column. It takes `width` cells, and a share of what is left by `flex`; the highest `drop` goes first, 0 never."""

    key: str
    title: str
    width: int
    flex: int = 0
    right: bool = False
    drop: int = 0
    middle: bool = False


def fit_columns(columns: Sequence[Column], width: int) -> tuple[tuple[int, int], ...]:
    """(index, cells) of each column that fits into `width`; columns go by `drop` until the rest has its least width."""
    kept = list(range(len(columns)))
    while _least(columns, kept) > width:
        droppable = [index for index in kept if columns[index].drop]
        if not droppable:
            break
        kept.remove(max(droppable, key=lambda index: columns[index].drop))
    left = width - _least(columns, kept)
    shares = sum(columns[index].flex for index in kept)
    found = []
    for index in kept:
        more = max(0, left) * columns[index].flex // shares if shares else 0
        found.append((index, columns[index].width + more))
    return tuple(_squeezed(columns, found, width))


def _least(columns: Sequence[Column], kept: Sequence[int]) -> int:
    return sum(columns[index].width for index in kept) + GAP * max(0, len(kept) - 1)


def _squeezed(columns: Sequence[Column], found: list[tuple[int, int]], width: int) -> list[tuple[int, int]]:
    """Where even what must stay is too wide, flexible columns give way, the widest first, to four cells each at worst."""
    cells = dict(found)
    over = sum(cells.values()) + GAP * max(0, len(found) - 1) - width
    flexible = [index for index in cells if columns[index].flex]
    for _ in range(over):
        widest = max(flexible, key=lambda index: cells[index], default=-1)
        if widest < 0 or cells[widest] <= 4:
            break
        cells[widest] -= 1
    return list(cells.items())


def fit(text: str, width: int, *, right: bool = False, middle: bool = False) -> str:
    """The text in exactly `width` cells: padded, or cut with `…` at its end, or in its middle."""
    if width <= 0:
        return ""
    size = _cells(text, width)
    if size <= width:
        pad = " " * (width - size)
        return pad + text if right else text + pad
    if width == 1:
        return "…"
    if not middle or width < 8:
        return _first_cells(text, width - 1) + "…"
    tail = (width - 1) // 2
    return _first_cells(text, width - 1 - tail) + "…" + _last_cells(text, tail)


def _cells(text: str, most: int) -> int:
    """How many cells the text takes; of a long one maybe only that they are more than `most`: it is not looked through."""
    head = text[: most + 1]
    return len(head) if head.isascii() else cell_len(text)


def _first_cells(text: str, width: int) -> str:
    return text[:width] if text[: width + 1].isascii() else set_cell_size(text, width)


def _last_cells(text: str, width: int) -> str:
    if text[-width:].isascii():
        return text[-width:]
    start, taken = len(text), 0
    while start and taken + cell_len(text[start - 1]) <= width:
        start -= 1
        taken += cell_len(text[start])
    return text[start:] + " " * (width - taken)


def width_of(line: Line) -> int:
    """How many cells a line takes."""
    return sum(len(text) if text.isascii() else cell_len(text) for text, _ in line)


def fit_line(line: Line, width: int) -> Line:
    """The line in exactly `width` cells; what is cut ends in `…`."""
    left, found = width, []
    for text, look in line:
        size = _cells(text, left)
        if size > left:
            found.append((fit(text, left), look))
            return tuple(found)
        found.append((text, look))
        left -= size
    if left:
        found.append((" " * left, ""))
    return tuple(found)


def spread(left: Line, right: Line, width: int) -> Line:
    """`left` at the start and `right` at the end of a line; where both do not fit, `left` is cut."""
    room = width - width_of(right)
    if room < 8:
        return fit_line(left, width)
    return (*fit_line(left, room), *right)


def wrap(text: str, width: int) -> list[str]:
    """The text, made clean, in lines of at most `width` cells, broken at spaces where that can be done."""
    found: list[str] = []
    current = ""
    for word in clean(text).split(" "):
        joined = f"{current} {word}" if current else word
        if _cells(joined, width) <= width:
            current = joined
            continue
        if current:
            found.append(current)
        current = word
        while _cells(current, width) > width > 0:
            head = _first_cells(current, width).rstrip(" ") or current[0]
            found.append(head)
            current = current[len(head) :]
    if current or not found:
        found.append(current)
    return found


def plain(lines: Iterable[Line]) -> str:
    """The words of lines without their looks, for tests and for copying."""
    return "\n".join("".join(text for text, _ in line).rstrip() for line in lines)
