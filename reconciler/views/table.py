"""Rows of text as a table for a terminal or a pipe. Cells are cleaned here, so no caller can forget it."""

from __future__ import annotations

from reconciler.views.clean import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_GAP = "   "


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, show_header: bool = True) -> str:
    """Left-aligned columns, the last one not padded; ends with a line feed unless it is empty."""
    lines = [list(header)] if show_header else []
    lines += [[clean(cell) for cell in row] for row in rows]
    if not lines:
        return ""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shape = _GAP.join(f"{{:<{width}}}" for width in widths[:-1]) + (_GAP if len(widths) > 1 else "") + "{}\n"
    return "".join([shape.format(*line).rstrip(" \n") + "\n" for line in lines])


def fields(pairs: Iterable[tuple[str, str]], width: int = 20) -> str:
    """`Name:   value` lines as `argo get` prints them; pairs with an empty value are left out."""
    return "".join(f"{name + ':':<{width}} {clean(value)}\n" for name, value in pairs if value)
