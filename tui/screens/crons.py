"""CronWorkflows: when each fires next, and how its last ticks were decided."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType

from tui.core.model import CronRow, Snapshot
from tui.core.query import CRONS, Columns
from tui.keymap import Action
from tui.screens.listing import Listing
from tui.screens.room import bindings_of
from tui.show import crons
from tui.show.layout import Line
from tui.widgets.vtable import Cells


class CronsRoom(Listing[CronRow]):
    """Room 4."""

    ROOM = "crons"
    WHAT = "crons"
    HINT = "words   state:suspended   policy:forbid   last:error   !word"
    COLUMNS = crons.COLUMNS
    SORTS = crons.SORTS
    EMPTY = crons.EMPTY
    BINDINGS: ClassVar[list[BindingType]] = bindings_of("crons")

    def key_of(self, row: CronRow) -> str:
        return str(row.key)

    def all_rows(self, snapshot: Snapshot) -> Sequence[CronRow]:
        return snapshot.crons

    def table_cells(self, row: CronRow) -> Cells:
        return crons.cells(row, self.desk.now())

    def query_columns(self) -> Columns[CronRow]:
        return CRONS

    def counts(self, snapshot: Snapshot, *, wide: bool) -> Line:
        return crons.counts(snapshot, self.desk.now(), wide=wide)

    def side_title(self, row: CronRow) -> str:
        return row.name

    def side_lines(self, row: CronRow, width: int) -> tuple[Line, ...]:
        return crons.detail_lines(row, self.desk.now(), width)

    def why_not_here(self, action: Action) -> str:
        if action.id == "suspend" and self.row is None:
            return "no cron is chosen"
        return super().why_not_here(action)

    def command(self) -> str:
        return f"lineclear cron get {self.row.name} -n {self.row.namespace}" if self.row is not None else "lineclear cron list -A"

    def do_open(self) -> None:
        """The runs of the cron."""
        if self.row is not None:
            self.desk.show_runs_of(f"cron:{self.row.name}")

    def do_suspend(self) -> None:
        """Suspends or resumes it, after asking."""
        if self.row is not None:
            self.desk.changes.ask_suspend(self.row)
