"""The tree of a run's nodes: a table of flattened lines in which branches fold. What was folded stays so through refreshes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from tui.core.model import NodeRow
from tui.core.tree import TreeLine, flatten, folded_at_first
from tui.show import nodes
from tui.widgets.vtable import VirtualTable


class NodeTree(VirtualTable[TreeLine]):
    """The cursor is on a node's name."""

    def __init__(self, now: Callable[[], datetime], *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(nodes.COLUMNS, lambda line, _now: nodes.cells(line, now()), lambda line: line.node.name, id=id)
        self._roots: tuple[NodeRow, ...] = ()
        self._folded: frozenset[str] | None = None

    def set_roots(self, roots: tuple[NodeRow, ...]) -> None:
        """Takes a run's nodes; large groups are folded the first time."""
        if self._folded is None and roots:
            self._folded = folded_at_first(roots)
        if roots != self._roots:
            self._roots = roots
            self.set_rows(flatten(roots, self._folded or frozenset()))

    def toggle_fold(self) -> None:
        """Folds the node under the cursor, or unfolds it."""
        line = self.row
        if line is None or not line.has_children:
            return
        self._folded = (self._folded or frozenset()) ^ {line.node.name}
        self.set_rows(flatten(self._roots, self._folded))
