"""The record: everything that happened, newest first, refused and failed commands too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType

from tui.core.model import JournalRow, RunKey, Snapshot
from tui.core.query import JOURNAL, Columns
from tui.feed import Target
from tui.screens.listing import Listing
from tui.screens.room import bindings_of
from tui.show import journal
from tui.show.layout import Line
from tui.widgets.vtable import Cells

TARGET: Target = ("journal", "")


class JournalRoom(Listing[JournalRow]):
    """Room 6."""

    ROOM = "journal"
    WHAT = "entries"
    HINT = "words   kind:terminate   by:bob   name:RUN   lock:db   age<1h   !word"
    COLUMNS = journal.COLUMNS
    SORTS = journal.SORTS
    EMPTY = journal.EMPTY
    BINDINGS: ClassVar[list[BindingType]] = bindings_of("journal")

    def key_of(self, row: JournalRow) -> str:
        return journal.key_of(row)

    @property
    def entries(self) -> tuple[JournalRow, ...]:
        """Newest first; () until they have been read."""
        found = self.desk.details.get(TARGET)
        return found if isinstance(found, tuple) else ()

    def resume(self) -> None:
        super().resume()
        self.desk.want(TARGET)

    def all_rows(self, snapshot: Snapshot) -> Sequence[JournalRow]:
        del snapshot
        return self.entries

    def table_cells(self, row: JournalRow) -> Cells:
        return journal.cells(row, self.desk.now())

    def query_columns(self) -> Columns[JournalRow]:
        return JOURNAL

    def watched(self, row: JournalRow) -> Target | None:
        del row
        return TARGET

    def detail_came(self, target: Target, *, is_first: bool) -> None:
        del is_first
        if target == TARGET:
            self.refresh_rows()
            self.show_side()

    def counts(self, snapshot: Snapshot, *, wide: bool) -> Line:
        del snapshot, wide
        return (("newest first", "muted"),)

    def side_lines(self, row: JournalRow, width: int) -> tuple[Line, ...]:
        return journal.entry_lines(row, self.desk.now(), width)

    def command(self) -> str:
        return "lineclear journal"

    def do_open(self) -> None:
        """The run that the entry is about."""
        row = self.row
        if row is not None and row.run:
            self.desk.open_run(RunKey(namespace=row.namespace, name=row.run))
        elif row is not None and row.subject.count("/") >= 2:
            self.desk.open_lock(row.subject)
        else:
            self.desk.say("this entry is about no run and no lock", is_warning=True)
