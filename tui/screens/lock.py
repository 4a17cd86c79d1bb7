"""One lock's page: its whole queue in order, and beside it the holders, the limit, what helps, and what happened before."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from tui.core.model import Failure, LockDetail, LockRow, Snapshot, Waiter
from tui.core.query import QUEUE, select
from tui.keymap import Action
from tui.screens.locks import holder_of, why_not_terminate
from tui.screens.pages import Page
from tui.screens.room import bindings_of
from tui.show import locks
from tui.show.layout import Line
from tui.widgets.lines import LinesView
from tui.widgets.pane import Pane
from tui.widgets.vtable import VirtualTable


class LockPage(Page[Waiter]):
    """Opened with enter on a lock."""

    ROOM = "lock"
    TAB = "locks"
    BINDINGS: ClassVar[list[BindingType]] = bindings_of("lock")
    HINT = "words   age>1h   !word"

    def __init__(self, key: str) -> None:
        super().__init__(("lock", key))
        self.lock_key = key

    def body(self) -> ComposeResult:
        now = self.desk.now
        self.table: VirtualTable[Waiter] = VirtualTable(
            locks.QUEUE_COLUMNS, lambda row, _now: locks.queue_cells(row, now()), lambda row: f"{row.key}/{row.node}", id="table"
        )
        self.lines = LinesView(id="lock-lines")
        self.queue_pane = Pane(self.table, classes="right")
        self.about_pane = Pane(self.lines, classes="right labelled")
        yield self.queue_pane
        yield self.about_pane

    @property
    def detail(self) -> LockDetail | None:
        """What was read of it last."""
        found = self.desk.details.get(self.target)
        return found if isinstance(found, LockDetail) else None

    @property
    def lock_row(self) -> LockRow | None:
        """Its row in the snapshot."""
        snapshot = self.desk.snapshot
        return next((row for row in snapshot.locks if row.key == self.lock_key), None) if snapshot is not None else None

    def refresh_rows(self) -> None:
        detail = self.detail
        if detail is None:
            found = self.desk.details.get(self.target)
            text = found.text if isinstance(found, Failure) else "Reading…"
            self.lines.set_lines((((f" {text}", "muted"),),))
            return
        rows = select(detail.queue, self.filter, QUEUE, self.desk.now()) if self.filter else detail.queue
        self.table.empty = (((" Nobody waits for it.", "muted"),),)
        self.table.set_rows(rows)
        more = f" · first {len(detail.queue)} shown" if detail.row.queue_length > len(detail.queue) else ""
        self.queue_pane.label(f"Queue · {detail.row.queue_length} waiting, first come first served{more}")
        self.about_pane.label(detail.row.name)
        self.lines.set_lines(locks.page_lines(detail, self.desk.now(), self.lines.size.width))

    def places(self) -> tuple[str, ...]:
        return ("Locks", self.lock_key)

    def counts(self, snapshot: Snapshot, *, wide: bool) -> Line:
        del snapshot, wide
        row = self.lock_row
        return locks.summary(row) if row is not None else (("it is no more", "muted"),)

    def why_not_here(self, action: Action) -> str:
        row = self.lock_row
        if action.id == "terminate":
            return why_not_terminate(row)
        if action.id == "logs" and (row is None or holder_of(row) is None):
            return "nobody holds it"
        if action.id in ("open", "why") and self.table.row is None:
            return "nobody waits for it"
        return ""

    def command(self) -> str:
        return f"lineclear locks show {self.lock_key}"

    def do_open(self) -> None:
        """The waiting run's page."""
        if self.table.row is not None:
            self.desk.open_run(self.table.row.key)

    def do_why(self) -> None:
        """Why that run waits."""
        if self.table.row is not None:
            self.desk.open_run(self.table.row.key, focus="why")

    def do_logs(self) -> None:
        """The holder's logs."""
        holder = holder_of(self.lock_row) if self.lock_row is not None else None
        if holder is not None:
            self.desk.open_run(holder, focus="logs")

    def do_terminate(self) -> None:
        """The dialog with the plan."""
        if self.lock_row is not None:
            self.desk.changes.ask_terminate(self.lock_row.key, self.lock_row.name)

    def do_copy(self) -> None:
        """Copies the lock's key."""
        self.desk.copy(self.lock_key)
