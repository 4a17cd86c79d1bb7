"""The head and the foot of every screen: rooms, freshness, place; keys that work here. Lines come from `tui.show.frame`."""

from __future__ import annotations

from textual import events
from textual.message import Message

from tui.show.layout import Line, width_of, wrap
from tui.widgets.lines import Bar

BANNER_ROWS = 3


class HeadBar(Bar):
    """Two rows: rooms and how current everything is; where this is and what there is."""

    DEFAULT_CSS = "HeadBar { height: 2; }"

    class Chosen(Message):
        """A room was clicked."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    def on_click(self, event: events.Click) -> None:
        if event.y != 0 or not self.lines:
            return
        at = 0
        for text, look in self.lines[0]:
            at += width_of(((text, look),))
            if event.x < at:
                number = text.strip()[:1]
                if look.startswith("tab") and number.isdigit():
                    self.post_message(self.Chosen(int(number)))
                return


class Banner(Bar):
    """A few rows that say what is wrong with the connection or the data; hidden while nothing is."""

    DEFAULT_CSS = "Banner { height: 1; display: none; } Banner.-shown { display: block; }"
    UNDER = "banner"

    def say(self, text: str) -> None:
        """Shows the text, or hides where it is ''."""
        self.set_class(bool(text), "-shown")
        lines = wrap(text, max(20, self.app.size.width - 2))[:BANNER_ROWS] if text else []
        if len(lines) != len(self.lines):
            self.styles.height = max(1, len(lines))
        self.set_lines(tuple(((f" {line}", "banner"),) for line in lines))


class KeyBar(Bar):
    """One row: the keys of this screen; those that do not work now are greyed."""

    UNDER = "bar"

    def show(self, line: Line) -> None:
        """Shows these keys."""
        self.set_lines((line,))
