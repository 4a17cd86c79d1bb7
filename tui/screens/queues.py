"""The queues: one row for each lock that somebody waits for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType

from tui.core.model import LockRow, Snapshot
from tui.keymap import Action
from tui.screens.locks import LockActions
from tui.screens.room import bindings_of
from tui.show import queues
from tui.show.layout import Line
from tui.widgets.vtable import Cells


class QueuesRoom(LockActions):
    """Room 3."""

    ROOM = "queues"
    WHAT = "queues"
    COLUMNS = queues.COLUMNS
    SORTS = queues.SORTS
    EMPTY = queues.EMPTY
    BINDINGS: ClassVar[list[BindingType]] = bindings_of("queues")

    def all_rows(self, snapshot: Snapshot) -> Sequence[LockRow]:
        return queues.rows_of(snapshot)

    def table_cells(self, row: LockRow) -> Cells:
        return queues.cells(row, self.desk.now())

    def counts(self, snapshot: Snapshot, *, wide: bool) -> Line:
        return queues.counts(snapshot, self.desk.now(), wide=wide)

    def why_not_here(self, action: Action) -> str:
        if action.id == "cancel" and (self.row is None or self.row.next_run is None):
            return "nobody waits"
        return super().why_not_here(action)
