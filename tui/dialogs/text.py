"""A dialog that only tells something."""

from __future__ import annotations

from tui.dialogs.base import Dialog
from tui.show.layout import Line


class TextDialog(Dialog[None]):
    """Lines that scroll, and a way out."""

    def __init__(self, title: str, lines: tuple[Line, ...]) -> None:
        super().__init__(title, lines, cancel="Close")
