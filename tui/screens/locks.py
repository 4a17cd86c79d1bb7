"""The home room: all locks, the ones that need a person first, and beside them the holders and the queue of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType

from tui.core.model import LockDetail, LockRow, RunKey, Snapshot
from tui.core.query import LOCKS, Columns
from tui.feed import Target
from tui.keymap import Action
from tui.screens.listing import Listing
from tui.screens.room import bindings_of
from tui.show import locks
from tui.show.layout import Line
from tui.widgets.vtable import Cells


def why_not_terminate(row: LockRow | None) -> str:
    """Why there is no holder to terminate; '' if there is one. Whether it is stuck is for the dialog to say."""
    if row is None:
        return "no lock is chosen"
    return "" if row.held else f"nobody holds {row.name}"


def holder_of(row: LockRow) -> RunKey | None:
    """The run that holds the lock longest, if it still exists."""
    return row.holders[0].key if row.holders and row.holders[0].run else None


class LockActions(Listing[LockRow]):
    """What rooms whose rows are locks can do with one."""

    def key_of(self, row: LockRow) -> str:
        return row.key

    def watched(self, row: LockRow) -> Target | None:
        return ("lock", row.key)

    def side_title(self, row: LockRow) -> str:
        return row.name

    def side_lines(self, row: LockRow, width: int) -> tuple[Line, ...]:
        now, detail = self.desk.now(), self.desk.details.get(("lock", row.key))
        if isinstance(detail, LockDetail):
            return locks.detail_lines(detail, now, width)
        return locks.row_lines(row, now, width)

    def query_columns(self) -> Columns[LockRow]:
        return LOCKS

    def why_not_here(self, action: Action) -> str:
        row = self.row
        if action.id == "terminate":
            return why_not_terminate(row)
        if action.id == "logs" and (row is None or holder_of(row) is None):
            return "nobody holds it"
        if action.id == "why" and (row is None or row.next_run is None):
            return "nobody waits for it"
        return super().why_not_here(action)

    def command(self) -> str:
        return f"lineclear locks show {self.row.key}" if self.row is not None else "lineclear locks -A"

    def do_open(self) -> None:
        """The lock's page."""
        if self.row is not None:
            self.desk.open_lock(self.row.key)

    def do_terminate(self) -> None:
        """The dialog with the plan."""
        if self.row is not None:
            self.desk.changes.ask_terminate(self.row.key, self.row.name)

    def do_logs(self) -> None:
        """The holder's logs."""
        holder = holder_of(self.row) if self.row is not None else None
        if holder is not None:
            self.desk.open_run(holder, focus="logs")

    def do_why(self) -> None:
        """Why the first in the queue waits."""
        if self.row is not None and self.row.next_run is not None:
            self.desk.open_run(self.row.next_run, focus="why")

    def do_cancel(self) -> None:
        """Stops the first in the queue."""
        if self.row is not None and self.row.next_run is not None:
            self.desk.changes.ask_stop(self.row.next_run)


class LocksRoom(LockActions):
    """Room 1."""

    ROOM = "locks"
    WHAT = "locks"
    HINT = "words   state:stuck,blocked   kind:mutex   holder:bob   age>1h   waits>3   !word"
    COLUMNS = locks.COLUMNS
    SORTS = locks.SORTS
    EMPTY = locks.EMPTY
    BINDINGS: ClassVar[list[BindingType]] = bindings_of("locks")

    def all_rows(self, snapshot: Snapshot) -> Sequence[LockRow]:
        return snapshot.locks

    def table_cells(self, row: LockRow) -> Cells:
        return locks.cells(row, self.desk.now())

    def counts(self, snapshot: Snapshot, *, wide: bool) -> Line:
        return locks.counts(snapshot, self.desk.now(), wide=wide)
