"""A room that is a list: a table, a pane beside it that tells more about one row, a filter, an order.

The rows come from the snapshot by way of `tui.core.query`; the pane is filled from the row at once, and from its detail when
that has been read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from textual.app import ComposeResult
from textual.timer import Timer
from textual.widgets import Input

from tui.core.model import Snapshot
from tui.core.query import Columns, order, select
from tui.feed import Target
from tui.keymap import Action
from tui.screens.moving import Moving
from tui.screens.room import Room
from tui.show.layout import Column, Line
from tui.show.locks import nothing_matches
from tui.widgets.filterbar import FilterBar
from tui.widgets.lines import LinesView
from tui.widgets.pane import Pane
from tui.widgets.vtable import Cells, VirtualTable

R = TypeVar("R")
SIDE_SHOWN_FROM = 100
REST_S = 0.04


class Listing(Moving[R], Room):
    """Rows of one kind. A subclass says which, how they look, and what opens."""

    HINT = "words   state:waiting   age>1h   !word   esc clears, enter keeps"
    COLUMNS: tuple[Column, ...] = ()
    SORTS: tuple[str, ...] = ("",)
    WHAT = "rows"
    EMPTY: tuple[Line, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.filter = ""
        self.sort = ""
        self._resting: Timer | None = None

    # what a subclass gives

    def table_cells(self, row: R) -> Cells:
        """(text, look) for each column."""
        raise NotImplementedError

    def key_of(self, row: R) -> str:
        """What tells rows apart."""
        raise NotImplementedError

    def all_rows(self, snapshot: Snapshot) -> Sequence[R]:
        """The rows before the filter."""
        raise NotImplementedError

    def query_columns(self) -> Columns[R]:
        """How they are searched and ordered."""
        raise NotImplementedError

    def side_lines(self, row: R, width: int) -> tuple[Line, ...]:
        """What the pane tells about a row."""
        del row, width
        return ()

    def side_title(self, row: R) -> str:
        """What the pane's frame says."""
        return self.key_of(row)

    def watched(self, row: R) -> Target | None:
        """The detail that is to be read for a row: its kind and key; None for none."""
        del row
        return None

    # parts

    def body(self) -> ComposeResult:
        self.table: VirtualTable[R] = VirtualTable(
            self.COLUMNS, lambda row, _now: self.table_cells(row), self.key_of, id="table"
        )
        self.side = LinesView(id="side-lines")
        self.main_pane = Pane(self.table, classes="main")
        self.side_pane = Pane(self.side, classes="side")
        yield self.main_pane
        yield self.side_pane

    def begin(self) -> None:
        super().begin()
        self.table.focus()

    @property
    def row(self) -> R | None:
        """The row under the cursor."""
        return self.table.row

    # showing

    def refresh_rows(self) -> None:
        snapshot = self.desk.snapshot
        if snapshot is None:
            is_off = self.desk.freshness().cause
            self.table.empty = (((" Nothing could be read yet." if is_off else " Reading…", "muted"),),)
            self.table.refresh()
            return
        every = self.all_rows(snapshot)
        rows: Sequence[R] = every
        columns = self.query_columns()
        if self.filter:
            rows = select(rows, self.filter, columns, self.desk.now())
        if self.sort:
            rows = order(rows, self.sort, columns, is_descending=self.sort in ("for", "queue", "waits", "age", "depth"))
        hidden = len(every) - len(rows)
        self.table.empty = nothing_matches(self.WHAT, self.filter, hidden) if self.filter else self.EMPTY
        self.table.changed = self.desk.changed
        self.table.sort_shown = self.sort
        self.table.set_rows(rows)
        self._label(len(every), len(rows))

    def _label(self, every: int, shown: int) -> None:
        count = f"{shown:,} of {every:,}" if shown != every else f"{every:,}"
        filter_text = f" · /{self.filter}" if self.filter else ""
        below = f"sorted by {self.sort.upper()}" if self.sort else ""
        marks = len(self.table.marks)
        below = " · ".join(part for part in (below, f"{marks} marked (+)" if marks else "") if part)
        self.main_pane.label(f"{self.WHAT.capitalize()} · {count}{filter_text}", below)

    def tick(self) -> None:
        super().tick()
        self.table.tick()
        self.show_side()

    def on_virtual_table_moved(self, message: VirtualTable.Moved) -> None:
        """Another row, or other rows. What is slow waits until the cursor rests, so that a held key is never behind."""
        message.stop()
        if self._resting is None:
            self._resting = self.set_timer(REST_S, self._rest)
        else:
            self._resting.reset()

    def _rest(self) -> None:
        self._resting = None
        self.show_side()
        self.show_keys()
        row = self.row
        self.desk.want(self.watched(row) if row is not None else None)

    def on_virtual_table_opened(self, message: VirtualTable.Opened) -> None:
        """A row was clicked twice."""
        message.stop()
        self.action_do("open")

    def show_side(self) -> None:
        """Fills the pane beside the table; nothing where it is not seen."""
        row = self.row
        if self.size.width < SIDE_SHOWN_FROM:
            return
        self.side_pane.label(self.side_title(row) if row is not None else "")
        self.side.set_lines(self.side_lines(row, self.side.size.width) if row is not None else ())

    def detail_came(self, target: Target, *, is_first: bool) -> None:
        """A detail was read: shown if it is of the row under the cursor."""
        del is_first
        row = self.row
        if row is not None and self.watched(row) == target:
            self.show_side()

    # actions

    def why_not_here(self, action: Action) -> str:
        if action.id in ("open", "mark") and self.row is None:
            return "the list is empty"
        return ""

    def do_filter(self) -> None:
        """Types a filter, beginning with the last one."""
        bar = self.query_one(FilterBar)
        bar.open(self.filter or bar.last)
        self.query_one(Input).select_all()

    def on_filter_bar_typed(self, message: FilterBar.Typed) -> None:
        """Filters at every key."""
        self.filter = message.text.strip()
        self.refresh_rows()

    def on_filter_bar_closed(self) -> None:
        """Typing is over."""
        self.table.focus()
        self.show_frame()

    def do_back(self) -> None:
        """Clears the filter, or goes up."""
        if self.filter:
            self.filter = ""
            self.refresh_rows()
            return
        super().do_back()

    def do_sort(self) -> None:
        """The next order."""
        place = self.SORTS.index(self.sort) if self.sort in self.SORTS else 0
        self.sort = self.SORTS[(place + 1) % len(self.SORTS)]
        self.refresh_rows()

    def do_mark(self) -> None:
        """Marks a row and goes on."""
        self.table.toggle_mark()
        self.table.move(1)
        self.refresh_rows()

    def do_copy(self) -> None:
        """Copies the row's key."""
        if self.table.key is not None:
            self.desk.copy(self.table.key)
