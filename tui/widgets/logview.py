"""Log lines that follow, filter and search. A ring of lines of bounded number and length; only what is shown is drawn.

It is given lines in batches and never reads a file. Whatever a step wrote is shown as text, control characters as escapes.
"""

from __future__ import annotations

from collections.abc import Iterable

from textual import events
from textual.message import Message
from textual.strip import Strip

from tui.core.fmt import clean_log
from tui.show.layout import BLANK, Line, fit
from tui.widgets.lines import WHEEL_LINES, Drawn

RING_LINES = 50_000
LINE_CELLS = 4_000
Entry = tuple[str, str]  # who wrote it, and the text


class LogView(Drawn, can_focus=True):
    """Lines with the step that wrote each. `follow` keeps the last line in sight."""

    DEFAULT_CSS = "LogView { height: 1fr; }"

    class Changed(Message):
        """Its state is another: following, filter, number of lines."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.entries: list[Entry] = []
        self.shown: list[Entry] = []
        self.follow = True
        self.filter = ""
        self.search = ""
        self.inverted = False
        self.top = 0
        self.left = 0
        self.dropped = 0
        self._longest = 1
        self.note = ""

    # content

    def clear(self) -> None:
        """Forgets all lines."""
        self.entries, self.shown, self.top, self.left, self.dropped = [], [], 0, 0, 0
        self.refresh()

    def append(self, entries: Iterable[Entry]) -> None:
        """Adds lines at the end; the oldest go where the ring is full."""
        new = list(entries)
        if not new:
            return
        self._longest = max(self._longest, *(len(who) for who, _ in new), 1)
        new = [(who, clean_log(text, LINE_CELLS)) for who, text in new]
        self.entries += new
        self.shown += [entry for entry in new if self._is_wanted(entry)]
        over = len(self.entries) - RING_LINES
        if over > 0:
            self.dropped += over
            del self.entries[:over]
            self._choose()
        self._settle()
        self.post_message(self.Changed())

    def set_filter(self, text: str, *, inverted: bool = False) -> None:
        """Shows only lines that contain the text (or do not), regardless of case; '' shows all."""
        self.filter, self.inverted = text.casefold(), inverted
        self._choose()
        self._settle()
        self.post_message(self.Changed())

    def set_search(self, text: str) -> None:
        """Marks the text wherever it stands; all lines stay."""
        self.search = text.casefold()
        self._seen.clear()
        self.refresh()

    def _is_wanted(self, entry: Entry) -> bool:
        if not self.filter:
            return True
        return (self.filter in entry[1].casefold() or self.filter in entry[0].casefold()) != self.inverted

    def _choose(self) -> None:
        self.shown = [entry for entry in self.entries if self._is_wanted(entry)]

    def _settle(self) -> None:
        last = self.last_top()
        self.top = last if self.follow else min(self.top, last)
        self.refresh()

    # moving

    def last_top(self) -> int:
        """The first line when the last one is in sight."""
        return max(0, len(self.shown) - self.size.height)

    def scroll_lines(self, count: int) -> None:
        """Moves the window; moving up ends following, reaching the end takes it up again."""
        self.top = max(0, min(self.last_top(), self.top + count))
        was, self.follow = self.follow, self.top >= self.last_top() and (self.follow or count > 0)
        self.refresh()
        if was != self.follow:
            self.post_message(self.Changed())

    def toggle_follow(self) -> None:
        """Follows the end, or stays."""
        self.follow = not self.follow
        self._settle()
        self.post_message(self.Changed())

    def shift(self, cells: int) -> None:
        """Shows more to the right of long lines, or to the left."""
        self.left = max(0, min(LINE_CELLS, self.left + cells))
        self._seen.clear()
        self.refresh()

    def find(self, direction: int) -> bool:
        """Goes to the next line with the searched text, or the one before; False if there is none."""
        wanted = self.search or self.filter
        if not wanted or not self.shown:
            return False
        count = len(self.shown)
        for step in range(1, count + 1):
            place = (self.top + direction * step) % count
            if wanted in self.shown[place][1].casefold():
                self.follow = False
                self.top = min(place, self.last_top()) if count > self.size.height else 0
                self.refresh()
                self.post_message(self.Changed())
                return True
        return False

    # drawing

    def render_line(self, y: int) -> Strip:
        index = self.top + y
        if index >= len(self.shown):
            empty = self.note if not self.shown and y == 0 else ""
            return self.draw(((empty, "muted"),) if empty else BLANK, self.size.width)
        return self.draw(self._line(self.shown[index]), self.size.width)

    def _line(self, entry: Entry) -> Line:
        who, text = entry
        shown = self.safe(text)[self.left :]
        name: Line = ((f" {fit(self.safe(who), self.name_cells(), middle=True)}  ", "muted"),) if who else ((" ", ""),)
        wanted = self.search or (self.filter if not self.inverted else "")
        if not wanted or wanted not in (folded := shown.casefold()) or len(folded) != len(shown):
            return (*name, (shown, ""))
        parts: list[tuple[str, str]] = []
        start = 0
        while (place := folded.find(wanted, start)) >= 0:
            parts += [(shown[start:place], ""), (shown[place : place + len(wanted)], "match")]
            start = place + len(wanted)
        return (*name, *parts, (shown[start:], ""))

    def name_cells(self) -> int:
        """How wide the column of the steps' names is."""
        return min(self._longest, 20 if self.size.width >= 60 else 8)

    def on_resize(self) -> None:
        self._settle()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.scroll_lines(WHEEL_LINES)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.scroll_lines(-WHEEL_LINES)
