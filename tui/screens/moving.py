"""The keys that move in a table: lists and pages have the same."""

from __future__ import annotations

from typing import Generic, TypeVar

from tui.widgets.vtable import VirtualTable

R = TypeVar("R")


class Moving(Generic[R]):
    """What a screen with one table does at the keys that move its cursor."""

    table: VirtualTable[R]

    def do_down(self) -> None:
        self.table.move(1)

    def do_up(self) -> None:
        self.table.move(-1)

    def do_first(self) -> None:
        self.table.move_to(0)

    def do_last(self) -> None:
        self.table.move_to(len(self.table.rows) - 1)

    def do_page_down(self) -> None:
        self.table.page(1)

    def do_page_up(self) -> None:
        self.table.page(-1)
