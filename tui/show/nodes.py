"""A run's nodes as the lines of a tree: rules, shape and name at the left, what each waits for and how long at the right."""

from __future__ import annotations

from datetime import datetime

from tui.core import states
from tui.core.fmt import count, took
from tui.core.model import NodeRow
from tui.core.tree import TreeLine
from tui.show.layout import Column, Span

COLUMNS = (
    Column(key="node", title="STEP", width=16, flex=3),
    Column(key="state", title="STATE", width=11, drop=2),
    Column(key="took", title="TOOK", width=6, right=True),
    Column(key="note", title="NOTE", width=8, flex=2, drop=1),
)


def note(line: TreeLine) -> Span:
    """The lock it waits for, its message, its exit code, or how many nodes are folded below it."""
    node = line.node
    if node.waits_for is not None:
        return (f"{node.waits_for.lock.rpartition('/')[2]} #{node.waits_for.position}", "blocked")
    if line.is_folded:
        return (f"+{count(line.hidden, 'node')} ({line.done}/{line.total})", "muted")
    if node.exit_code:
        return (f"exit {node.exit_code}" + (f" · {node.message}" if node.message else ""), "failed")
    return (node.message, "muted")


def shown_state(node: NodeRow) -> str:
    """The word that the shape is chosen by: a node that waits for a lock is waiting, whatever its phase."""
    return "waiting" if node.waits_for is not None else node.phase or "not started"


def cells(line: TreeLine, now: datetime) -> tuple[Span, ...]:
    """One for each of COLUMNS."""
    node = line.node
    shown = states.of(shown_state(node))
    fold = "▸ " if line.is_folded else ""
    group = node.type in ("Steps", "DAG", "StepGroup", "TaskGroup", "Retry") and not node.waits_for
    return (
        (f"{line.lead}{shown.glyph} {fold}{node.label or node.name}", shown.style if shown.style != "ok" or not group else ""),
        (shown.word.lower(), shown.style),
        (took(node.started_at, node.finished_at, now), "muted"),
        note(line),
    )
