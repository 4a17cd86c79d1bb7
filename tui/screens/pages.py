"""What pages of one thing have in common: a watched detail, a table to move in, a filter, zooming."""

from __future__ import annotations

from typing import TypeVar

from textual.widget import Widget

from tui.feed import Target
from tui.screens.moving import Moving
from tui.screens.room import Room
from tui.widgets.filterbar import FilterBar
from tui.widgets.pane import Pane
from tui.widgets.vtable import VirtualTable

R = TypeVar("R")


class Page(Moving[R], Room):
    """A page is pushed onto a room's screen and left with esc. `target` names the detail that it shows."""

    BODY_CLASSES = "-stack"
    HAS_LOGS = False

    def __init__(self, target: Target) -> None:
        super().__init__()
        self.target = target
        self.filter = ""

    def begin(self) -> None:
        super().begin()
        self.table.focus()

    def resume(self) -> None:
        self.desk.want(self.target, logs=self.HAS_LOGS)
        super().resume()

    def detail_came(self, target: Target, *, is_first: bool) -> None:
        del is_first
        if target == self.target:
            self.refresh_rows()
            self.show_frame()

    def tick(self) -> None:
        super().tick()
        self.table.tick()

    def on_virtual_table_moved(self, message: VirtualTable.Moved) -> None:
        """Another row is under the cursor."""
        message.stop()
        self.show_frame()

    def on_virtual_table_opened(self, message: VirtualTable.Opened) -> None:
        """A row was clicked twice."""
        message.stop()
        self.action_do("open")

    # the filter

    def do_filter(self) -> None:
        """Types a filter, beginning with the last one."""
        bar = self.query_one(FilterBar)
        bar.open(self.filter or bar.last)
        bar.box.select_all()

    def on_filter_bar_typed(self, message: FilterBar.Typed) -> None:
        """Filters at every key."""
        self.filter = message.text.strip()
        self.filter_changed()

    def filter_changed(self) -> None:
        """The filter is another."""
        self.refresh_rows()

    def on_filter_bar_closed(self) -> None:
        """Typing is over."""
        self.after_filter().focus()

    def after_filter(self) -> Widget:
        """What gets the focus then."""
        return self.table

    def do_back(self) -> None:
        """Shows all panes again, clears the filter, or leaves."""
        if self.has_class("-zoomed"):
            self.do_zoom()
        elif self.filter:
            self.filter = ""
            self.filter_changed()
        else:
            super().do_back()

    def do_zoom(self) -> None:
        """The focused pane alone, or all of them."""
        is_on = not self.has_class("-zoomed")
        focused = self.focused
        for pane in self.query(Pane):
            is_mine = focused is not None and pane in focused.ancestors
            pane.set_class(is_on and not is_mine, "hidden-by-zoom")
        self.set_class(is_on, "-zoomed")
