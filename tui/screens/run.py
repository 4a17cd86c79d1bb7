"""One run's page: the tree of its nodes, why it waits, what it is, and its logs, which follow and filter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widget import Widget

from tui.core import states
from tui.core.fmt import count
from tui.core.model import Failure, RunDetail, RunKey, RunRow, Snapshot
from tui.core.tree import TreeLine
from tui.feed import Target
from tui.keymap import Action
from tui.screens.pages import Page
from tui.screens.room import bindings_of
from tui.screens.runs import why_not
from tui.show import runs
from tui.show.layout import Line
from tui.widgets.lines import LinesView
from tui.widgets.logview import LogView
from tui.widgets.nodetree import NodeTree
from tui.widgets.pane import Pane

SHIFT_CELLS = 20


class RunPage(Page[TreeLine]):
    """Opened with enter on a run; `focus` says where to begin: 'logs', 'why', or at the tree."""

    ROOM = "run"
    TAB = "runs"
    BINDINGS: ClassVar[list[BindingType]] = bindings_of("run")
    HAS_LOGS = True
    HINT = "of the logs: any text, !text for lines without it   n N go to matches"

    def __init__(self, key: RunKey, *, focus: str = "") -> None:
        super().__init__(("run", str(key)))
        self.key = key
        self._first = focus

    def body(self) -> ComposeResult:
        self.table = self.nodes = NodeTree(self.desk.now, id="table")
        self.why, self.facts, self.logs = LinesView(), LinesView(), LogView(id="logs")
        self.tree_pane = Pane(self.nodes, title="Steps", classes="tree")
        self.why_pane = Pane(self.why, title="Why", classes="fitted extra")
        self.facts_pane = Pane(self.facts, title="Run", classes="fitted extra")
        self.log_pane = Pane(self.logs, title="Logs", classes="labelled")
        yield self.tree_pane
        yield Vertical(self.why_pane, self.facts_pane, self.log_pane, classes="right")

    def begin(self) -> None:
        super().begin()
        if self._first == "logs":
            self.logs.focus()
        elif self._first == "why":
            self.call_after_refresh(self._show_why_if_small)

    @property
    def detail(self) -> RunDetail | None:
        """What was read of it last."""
        found = self.desk.details.get(self.target)
        return found if isinstance(found, RunDetail) else None

    @property
    def run_row(self) -> RunRow | None:
        """Its row: of the detail, or of the snapshot."""
        if self.detail is not None:
            return self.detail.row
        every: Iterator[RunRow] = iter(self.desk.snapshot.runs if self.desk.snapshot is not None else ())
        return next((row for row in every if row.key == self.key), None)

    # showing

    def refresh_rows(self) -> None:
        detail = self.detail
        if detail is None:
            found = self.desk.details.get(self.target)
            text = found.text if isinstance(found, Failure) else "Reading…"
            self.why.set_lines((((f" {text}", "muted"),),))
            self.nodes.empty = (((f" {text}", "muted"),),)
            self.nodes.refresh()
            return
        self.nodes.empty = (((" It has not begun: it has no steps yet.", "muted"),),)
        self.nodes.set_roots(detail.root)
        width = max(20, self.why.size.width)
        self._fill(self.why, runs.why(detail, width))
        self._fill(self.facts, runs.facts(detail, self.desk.now(), width))
        self.tree_pane.label(f"Steps · {detail.row.nodes_done}/{detail.row.nodes_total}")
        self.why_pane.label(f"Why · {states.of(detail.row.state).word.lower()}")
        self._label_logs()

    @staticmethod
    def _fill(view: LinesView, lines: tuple[Line, ...]) -> None:
        if len(lines) != len(view.lines):
            view.styles.height = max(1, min(len(lines), 10))
        view.set_lines(lines)

    def detail_came(self, target: Target, *, is_first: bool) -> None:
        if target == self.target and is_first:
            self.logs.clear()
        super().detail_came(target, is_first=is_first)

    def lines_came(self, target: Target, lines: tuple[tuple[str, str], ...]) -> None:
        if target == self.target:
            self.logs.append(lines)

    def on_log_view_changed(self) -> None:
        """It follows, or not; it has other lines."""
        self._label_logs()

    def _label_logs(self) -> None:
        logs = self.logs
        self.logs.note = " Nothing was written yet." if not logs.entries else " No line has that text; esc clears the filter."
        shown = count(len(logs.entries), "line")
        if logs.filter:
            mark = "!" if logs.inverted else ""
            shown = f"{len(logs.shown):,} of {shown} · /{mark}{logs.filter}"
        lost = f" · {logs.dropped:,} older dropped" if logs.dropped else ""
        self.log_pane.label(f"Logs · {shown}{lost}", "following" if logs.follow else "f follows")

    def places(self) -> tuple[str, ...]:
        return ("Runs", str(self.key) if self.key.namespace != "default" else self.key.name)

    def counts(self, snapshot: Snapshot, *, wide: bool) -> Line:
        del snapshot
        row = self.run_row
        if row is None:
            return ()
        shown = states.of(row.state)
        note, look = runs.waits_text(row)
        return ((f"{shown.glyph} {shown.word} ", shown.style), (f" {note}" if wide or row.waits_for else "", look))

    # actions

    def why_not_here(self, action: Action) -> str:
        if action.id in ("terminate", "cancel", "retry"):
            return why_not(action, self.run_row)
        if action.id in ("next", "previous") and not self.logs.filter and not self.logs.search:
            return "no filter was typed"
        return ""

    def command(self) -> str:
        return f"lineclear logs {self.key.name} -n {self.key.namespace}"

    def filter_changed(self) -> None:
        text = self.filter
        self.logs.set_filter(text.removeprefix("!"), inverted=text.startswith("!"))

    def after_filter(self) -> Widget:
        return self.logs

    def do_open(self) -> None:
        """On a node: only its logs."""
        line = self.nodes.row
        if line is not None and self.focused is self.nodes:
            self.filter = line.node.label if line.node.attempt else ""
            self.filter_changed()
            self.logs.focus()

    def do_logs(self) -> None:
        """To the logs."""
        self.logs.focus()

    def do_why(self) -> None:
        """The whole explanation."""
        from tui.dialogs.text import TextDialog

        if self.detail is not None:
            self.app.push_screen(TextDialog(f"Why · {self.key.name}", runs.why(self.detail, 88)))

    def _show_why_if_small(self) -> None:
        if self.size.width < 100:
            self.do_why()

    def do_follow(self) -> None:
        """Follows the logs, or stays."""
        self.logs.toggle_follow()

    def do_fold(self) -> None:
        """Folds a branch of the tree."""
        self.nodes.toggle_fold()

    def do_next(self) -> None:
        """The next line with the text."""
        self.logs.find(1)

    def do_previous(self) -> None:
        """The one before."""
        self.logs.find(-1)

    def do_left(self) -> None:
        """Towards the start of long lines."""
        self.logs.shift(-SHIFT_CELLS)

    def do_right(self) -> None:
        """Towards their end."""
        self.logs.shift(SHIFT_CELLS)

    def do_terminate(self) -> None:
        """The dialog for the lock that it waits for, or that it holds."""
        if self.run_row is not None:
            self.desk.changes.ask_terminate_of(self.run_row)

    def do_cancel(self) -> None:
        """Stops it, after asking."""
        self.desk.changes.ask_stop(self.key)

    def do_retry(self) -> None:
        """Tries it again, after asking."""
        self.desk.changes.ask_retry(self.key)

    def do_copy(self) -> None:
        """Copies the run's name."""
        self.desk.copy(self.key.name)

    def do_down(self) -> None:
        self._in_logs(1) or super().do_down()

    def do_up(self) -> None:
        self._in_logs(-1) or super().do_up()

    def do_first(self) -> None:
        self._in_logs(-len(self.logs.shown)) or super().do_first()

    def do_last(self) -> None:
        self._in_logs(len(self.logs.shown)) or super().do_last()

    def do_page_down(self) -> None:
        self._in_logs(self.logs.size.height - 1) or super().do_page_down()

    def do_page_up(self) -> None:
        self._in_logs(1 - self.logs.size.height) or super().do_page_up()

    def _in_logs(self, lines: int) -> bool:
        """Scrolls the logs if they have the focus; False if they have not."""
        if self.focused is not self.logs:
            return False
        self.logs.scroll_lines(lines)
        return True
