"""All runs: open ones first, then those that ended and keep locks, then the rest, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType

from tui.core.model import RunDetail, RunRow, RunState, Snapshot
from tui.core.query import RUNS, Columns
from tui.feed import Target
from tui.keymap import Action
from tui.screens.listing import Listing
from tui.screens.room import bindings_of
from tui.show import runs
from tui.show.layout import BLANK, Line
from tui.widgets.vtable import Cells

OVER = (RunState.SUCCEEDED, RunState.FAILED, RunState.ERROR)


def why_not(action: Action, row: RunRow | None) -> str:
    """Why an action does not fit a run; '' if it does."""
    if row is None:
        return "no run is chosen"
    if action.id == "terminate" and row.waits_for is None and not row.holds:
        return f"{row.name} neither holds a lock nor waits for one"
    if action.id == "cancel" and row.state in (*OVER, RunState.HOLDING):
        return f"{row.name} has ended {row.phase}"
    if action.id == "retry" and row.phase not in ("Failed", "Error"):
        return f"{row.name} is {row.phase}; only a run that ended Failed or Error is retried"
    return ""


class RunsRoom(Listing[RunRow]):
    """Room 2."""

    ROOM = "runs"
    WHAT = "runs"
    HINT = "words   state:waiting,failed   lock:db   by:bob   age>1h   !word"
    COLUMNS = runs.COLUMNS
    SORTS = runs.SORTS
    EMPTY = runs.EMPTY
    BINDINGS: ClassVar[list[BindingType]] = bindings_of("runs")

    def key_of(self, row: RunRow) -> str:
        return f"{row.namespace}/{row.name}"

    def all_rows(self, snapshot: Snapshot) -> Sequence[RunRow]:
        return snapshot.runs

    def table_cells(self, row: RunRow) -> Cells:
        return runs.cells(row, self.desk.now())

    def query_columns(self) -> Columns[RunRow]:
        return RUNS

    def counts(self, snapshot: Snapshot, *, wide: bool) -> Line:
        return runs.counts(snapshot, self.desk.now(), wide=wide)

    def watched(self, row: RunRow) -> Target | None:
        return ("run", str(row.key))

    def side_title(self, row: RunRow) -> str:
        return row.name

    def side_lines(self, row: RunRow, width: int) -> tuple[Line, ...]:
        detail = self.desk.details.get(("run", str(row.key)))
        if isinstance(detail, RunDetail):
            return (*runs.facts(detail, self.desk.now(), width), BLANK, *runs.why(detail, width))
        return ((runs.waits_text(row),),)

    def why_not_here(self, action: Action) -> str:
        if action.id in ("terminate", "cancel", "retry", "logs", "why"):
            return why_not(action, self.row)
        return super().why_not_here(action)

    def command(self) -> str:
        if self.row is None:
            return "lineclear list -A"
        return f"lineclear get {self.row.name} -n {self.row.namespace}"

    def do_open(self) -> None:
        """The run's page."""
        if self.row is not None:
            self.desk.open_run(self.row.key)

    def do_logs(self) -> None:
        """The run's page, at its logs."""
        if self.row is not None:
            self.desk.open_run(self.row.key, focus="logs")

    def do_why(self) -> None:
        """The run's page, at why it waits."""
        if self.row is not None:
            self.desk.open_run(self.row.key, focus="why")

    def do_terminate(self) -> None:
        """The dialog for the lock that the run waits for, or that it holds."""
        if self.row is not None:
            self.desk.changes.ask_terminate_of(self.row)

    def do_cancel(self) -> None:
        """Stops the run, after asking."""
        if self.row is not None:
            self.desk.changes.ask_stop(self.row.key)

    def do_retry(self) -> None:
        """Tries the run again, after asking."""
        if self.row is not None:
            self.desk.changes.ask_retry(self.row.key)
