"""Small pieces that several rooms share: named values, headings. The words themselves come from `tui.core.fmt`."""

from __future__ import annotations

from tui.show.layout import Line, Span, wrap

NONE = "—"


def field(name: str, *value: Span, pad: int = 10) -> Line:
    """A named value."""
    return ((f" {name:<{pad}}", "muted"), *value)


def fields(name: str, text: str, width: int, look: str = "", pad: int = 10) -> tuple[Line, ...]:
    """A named text on as many lines as it takes."""
    pieces = wrap(text, max(12, width - pad - 2))
    return tuple(field(name if not index else "", (piece, look), pad=pad) for index, piece in enumerate(pieces))


def heading(text: str, more: str = "") -> Line:
    """The title of a part of a page."""
    return ((f" {text}", "title"), (f"  {more}" if more else "", "muted"))
