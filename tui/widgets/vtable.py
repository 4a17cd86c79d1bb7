"""A table of any number of rows that draws only the lines it shows. The cursor and the marks belong to keys, not to places.

Rows are values; `set_rows` takes a new sequence and keeps the cursor on the row with the same key. Cells are made when a line
is drawn, so ages move without new rows. It must never read, sort or filter: it shows what it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Generic, TypeVar

from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui.show.layout import GAP, Column, Line, fit, fit_columns
from tui.widgets.lines import WHEEL_LINES, Drawn

R = TypeVar("R")
Cells = Sequence[tuple[str, str]]
MARGIN = 2


def _utc_now() -> datetime:
    return datetime.now(UTC)


class VirtualTable(Drawn, Generic[R], can_focus=True):
    """Rows under a header. `key_of` must tell rows apart; `cells` gives (text, look) for each column of a row at an instant."""

    DEFAULT_CSS = "VirtualTable { height: 1fr; }"

    class Moved(Message):
        """The cursor is on another row, or the rows are others."""

        def __init__(self, table: Widget) -> None:
            super().__init__()
            self.table = table

        @property
        def control(self) -> Widget:
            return self.table

    class Opened(Moved):
        """A row was opened: the key, or a second click."""

    def __init__(
        self,
        columns: Sequence[Column],
        cells: Callable[[R, datetime], Cells],
        key_of: Callable[[R], str],
        *,
        id: str | None = None,  # noqa: A002 - Textual's name
    ) -> None:
        super().__init__(id=id)
        self.columns = tuple(columns)
        self._cells = cells
        self._key_of = key_of
        self.rows: Sequence[R] = ()
        self.cursor = 0
        self.top = 0
        self.marks: set[str] = set()
        self.changed: frozenset[str] = frozenset()
        self.sort_shown = ""
        self.empty: tuple[Line, ...] = ()
        self.clock: Callable[[], datetime] = _utc_now
        self._fitted: tuple[tuple[int, int], ...] = ()
        self._fitted_for = -1
        self._box = Size(0, 0)
        self._drawn_now: datetime | None = None

    # what is shown

    @property
    def height(self) -> int:
        """How many rows it has room for."""
        return max(1, self.size.height - 1)

    @property
    def row(self) -> R | None:
        """The row under the cursor."""
        return self.rows[self.cursor] if self.rows else None

    @property
    def key(self) -> str | None:
        """The key of the row under the cursor."""
        return self._key_of(self.rows[self.cursor]) if self.rows else None

    def set_rows(self, rows: Sequence[R]) -> None:
        """Takes new rows; the cursor stays with its key, or else on its place."""
        before = self.key
        offset = self.cursor - self.top
        self.rows = rows
        self._follow(before, offset)
        self.refresh()
        if self.key != before or rows:
            self.post_message(self.Moved(self))

    def _follow(self, key: str | None, offset: int) -> None:
        """Puts the cursor on `key`, at the same height of the window where that can be."""
        count = len(self.rows)
        place = min(self.cursor, max(0, count - 1))
        if key is not None and (place >= count or self._key_of(self.rows[place]) != key):
            found = next((index for index, row in enumerate(self.rows) if self._key_of(row) == key), None)
            place = place if found is None else found
        self.cursor = place
        self.top = max(0, min(place - offset, count - self.height))
        self._scroll()

    def _scroll(self) -> bool:
        """Makes the cursor visible; True if that moved the window."""
        before = self.top
        if self.cursor < self.top:
            self.top = self.cursor
        elif self.cursor >= self.top + self.height:
            self.top = self.cursor - self.height + 1
        self.top = max(0, min(self.top, len(self.rows) - self.height))
        return self.top != before

    def move_to(self, place: int) -> None:
        """Puts the cursor on a row by its place; beyond the ends is the end."""
        if not self.rows:
            return
        before, self.cursor = self.cursor, max(0, min(place, len(self.rows) - 1))
        if self._scroll():
            self.refresh()
        elif before != self.cursor:
            self.refresh_line(before - self.top + 1)
            self.refresh_line(self.cursor - self.top + 1)
        if before != self.cursor:
            self.post_message(self.Moved(self))

    def move(self, count: int) -> None:
        """Moves the cursor down by so many rows, or up."""
        self.move_to(self.cursor + count)

    def page(self, direction: int) -> None:
        """Moves the cursor by a window's height."""
        self.move(direction * max(1, self.height - 1))

    def toggle_mark(self) -> None:
        """Marks the row under the cursor, or takes its mark away."""
        if self.key is not None:
            self.marks ^= {self.key}
            self.refresh_line(self.cursor - self.top + 1)

    def tick(self) -> None:
        """Draws what is shown again, since ages have grown."""
        self.refresh()

    # drawing

    def render_line(self, y: int) -> Strip:
        self._box = self.size
        width = self._box.width
        if width != self._fitted_for:
            self._fitted = fit_columns(self.columns, width - MARGIN - 1)
            self._fitted_for = width
        if y == 0:
            self._drawn_now = self.clock()
            return self.draw(self._header(), width)
        index = self.top + y - 1
        if index >= len(self.rows):
            empty = self.empty[y - 2] if not self.rows and 0 <= y - 2 < len(self.empty) else ()
            return self.draw(empty, width)
        return self._row_strip(index, y, width)

    def _row_strip(self, index: int, y: int, width: int) -> Strip:
        row = self.rows[index]
        key = self._key_of(row)
        is_cursor = index == self.cursor
        cells = self._cells(row, self._drawn_now or self.clock())
        plain = "changed" if key in self.changed else ""
        parts: list[tuple[str, str]] = [(self._sign(is_cursor=is_cursor, is_marked=key in self.marks), "key")]
        for place, (column, cell_width) in enumerate(self._fitted):
            spec, (text, look) = self.columns[column], cells[column]
            if place:
                parts.append((" " * GAP, ""))
            parts.append((fit(self.safe(text), cell_width, right=spec.right, middle=spec.middle), look or plain))
        parts.append(self._thumb(y, width))
        under = ("cursor" if self.has_focus else "cursor-blurred") if is_cursor else ""
        return self.draw(tuple(parts), width, under)

    @staticmethod
    def _sign(*, is_cursor: bool, is_marked: bool) -> str:
        return (">" if is_cursor else " ") + ("+" if is_marked else " ")

    def _thumb(self, y: int, width: int) -> tuple[str, str]:
        """The last cell of a line: a piece of the scroll bar where there is more than is shown."""
        used = MARGIN + sum(cells for _, cells in self._fitted) + GAP * max(0, len(self._fitted) - 1)
        pad = " " * max(0, width - used - 1)
        count, height = len(self.rows), max(1, self._box.height - 1)
        if count <= height:
            return (pad + " ", "")
        size = max(1, height * height // count)
        start = (height - size) * self.top // max(1, count - height)
        return (pad + ("▐" if start <= y - 1 < start + size else " "), "thumb")

    def _header(self) -> Line:
        parts = ["  "]
        for place, (index, cell_width) in enumerate(self._fitted):
            column = self.columns[index]
            title = column.title + ("↓" if column.key == self.sort_shown else "")
            parts.append(" " * GAP if place else "")
            parts.append(fit(title, cell_width, right=column.right))
        return (("".join(parts), "head"),)

    # events

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def on_resize(self) -> None:
        self._scroll()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.move(WHEEL_LINES)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.move(-WHEEL_LINES)

    def on_click(self, event: events.Click) -> None:
        place = self.top + event.y - 1
        if event.y < 1 or place >= len(self.rows):
            return
        is_again = place == self.cursor and event.chain > 1
        self.move_to(place)
        if is_again:
            self.post_message(self.Opened(self))
