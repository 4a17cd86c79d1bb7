"""The source: revisions of the branch, what each brought, files that are refused and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType

from tui.core.model import CommitRow, GitDetail, Snapshot
from tui.core.query import COMMITS, Columns
from tui.feed import Target
from tui.keymap import Action
from tui.screens.listing import Listing
from tui.screens.room import bindings_of
from tui.show import git
from tui.show.layout import BLANK, Line
from tui.widgets.vtable import Cells

TARGET: Target = ("git", "")


class GitRoom(Listing[CommitRow]):
    """Room 5."""

    ROOM = "git"
    WHAT = "revisions"
    HINT = "words   state:held   by:bob   commit:3f2a   !word"
    COLUMNS = git.COLUMNS
    EMPTY = git.EMPTY
    BINDINGS: ClassVar[list[BindingType]] = bindings_of("git")

    def key_of(self, row: CommitRow) -> str:
        return git.key_of(row)

    @property
    def detail(self) -> GitDetail | None:
        """The source's page, once it has been read."""
        found = self.desk.details.get(TARGET)
        return found if isinstance(found, GitDetail) else None

    def resume(self) -> None:
        super().resume()
        self.desk.want(TARGET)

    def all_rows(self, snapshot: Snapshot) -> Sequence[CommitRow]:
        del snapshot
        return self.detail.commits if self.detail is not None else ()

    def table_cells(self, row: CommitRow) -> Cells:
        return git.cells(row, self.desk.now())

    def query_columns(self) -> Columns[CommitRow]:
        return COMMITS

    def watched(self, row: CommitRow) -> Target | None:
        del row
        return TARGET

    def detail_came(self, target: Target, *, is_first: bool) -> None:
        del is_first
        if target == TARGET:
            self.refresh_rows()
            self.show_side()

    def counts(self, snapshot: Snapshot, *, wide: bool) -> Line:
        return git.counts(snapshot, self.desk.now(), wide=wide)

    def side_title(self, row: CommitRow) -> str:
        return row.sha[:12]

    def side_lines(self, row: CommitRow, width: int) -> tuple[Line, ...]:
        now = self.desk.now()
        return (*git.commit_lines(row, now, width), BLANK, *git.finding_lines(self.detail, width))

    def why_not_here(self, action: Action) -> str:
        if action.id == "approve":
            sync = self.desk.snapshot.sync if self.desk.snapshot is not None else None
            return "" if sync is not None and sync.held is not None else "no revision is held"
        return super().why_not_here(action)

    def command(self) -> str:
        return "lineclear sync log"

    def do_copy(self) -> None:
        """Copies the whole hash."""
        if self.row is not None:
            self.desk.copy(self.row.sha)

    def do_sync(self) -> None:
        """Applies the head now, after asking."""
        self.desk.changes.ask_sync()

    def do_approve(self) -> None:
        """Approves the held revision, after asking."""
        snapshot = self.desk.snapshot
        if snapshot is not None and snapshot.sync.held is not None:
            self.desk.changes.ask_approve(snapshot.sync.held.sha)
