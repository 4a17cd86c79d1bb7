"""A box with a title around one widget. The title is text, never markup."""

from __future__ import annotations

from textual.containers import Container
from textual.content import Content
from textual.widget import Widget

from tui.core.fmt import clean


class Pane(Container):
    """One framed part of a screen."""

    def __init__(self, *children: Widget, title: str = "", id: str | None = None, classes: str = "") -> None:  # noqa: A002
        super().__init__(*children, id=id, classes=f"pane {classes}".strip())
        self.label(title)

    def label(self, title: str, below: str = "") -> None:
        """Writes on the frame: above, and below at its end."""
        self.border_title = Content(clean(title)) if title else None
        self.border_subtitle = Content(clean(below)) if below else None
