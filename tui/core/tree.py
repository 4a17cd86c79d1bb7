"""A run's nodes as lines: the tree flattened in order, less what is folded, with the rules that lead to each line. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from tui.core.model import NodeRow

_FOLD_ABOVE = 500
_GROUPS = frozenset({"StepGroup", "TaskGroup", "Retry"})
_BAD = frozenset({"Failed", "Error"})
_ASCII = str.maketrans({"├": "|", "└": "`", "│": "|", "─": "-"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeLine:
    """One line of a tree. `lead` are the rules before the shape: '', '├─', '│ └─'. `hidden` counts folded nodes below it.

    `done` of `total` counts the processes below it, itself included.
    """

    node: NodeRow
    lead: str
    has_children: bool
    is_folded: bool
    hidden: int
    done: int
    total: int


def flatten(roots: tuple[NodeRow, ...], folded: frozenset[str] = frozenset(), *, only_bad: bool = False) -> tuple[TreeLine, ...]:
    """The lines of the tree from top to bottom. `folded` are names of nodes whose children are not shown.

    With `only_bad`, nodes that ended Failed or Error and the way to them.
    """
    lines: list[TreeLine] = []
    counts: dict[str, tuple[int, int, int]] = {}
    bad = {name for root in roots for name in _bad_names(root)} if only_bad else set()
    for root in roots:
        _count(root, counts)
    stack = [(root, "", "") for root in reversed(roots)]
    while stack:
        node, lead, branch = stack.pop()
        if only_bad and node.name not in bad:
            continue
        is_folded = bool(node.children) and node.name in folded
        done, total, below = counts[node.name]
        lines.append(
            TreeLine(
                node=node,
                lead=lead + branch,
                has_children=bool(node.children),
                is_folded=is_folded,
                hidden=below if is_folded else 0,
                done=done,
                total=total,
            )
        )
        if is_folded:
            continue
        deeper = lead + ("│ " if branch == "├─" else "  " if branch else "")
        shown = [child for child in node.children if child.name in bad] if only_bad else node.children
        stack.extend((child, deeper, "└─" if child is shown[-1] else "├─") for child in reversed(shown))
    return tuple(lines)


def walk(roots: tuple[NodeRow, ...]) -> Iterator[NodeRow]:
    """Every node, parents before children, in order."""
    stack = list(reversed(roots))
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(node.children))


def folded_at_first(roots: tuple[NodeRow, ...]) -> frozenset[str]:
    """What to fold when a run is opened: in large trees the groups in which nothing is wrong and nothing runs."""
    nodes = list(walk(roots))
    if len(nodes) <= _FOLD_ABOVE:
        return frozenset()
    busy = {name for root in roots for name in _bad_names(root) | _open_names(root)}
    return frozenset(node.name for node in nodes if node.children and node.type in _GROUPS and node.name not in busy)


def ascii_lead(lead: str) -> str:
    """The rules for terminals without box drawing."""
    return lead.translate(_ASCII)


def bar(node: NodeRow, begin: datetime, end: datetime, cells: int, now: datetime) -> tuple[int, int]:
    """Where a node's bar begins and ends on a time axis of `cells` cells from `begin` to `end`; (0, 0) if it has not begun."""
    if node.started_at is None or cells <= 0:
        return (0, 0)
    whole = max((end - begin).total_seconds(), 0.001)
    first = int((node.started_at - begin).total_seconds() / whole * cells)
    last = int(((node.finished_at or now) - begin).total_seconds() / whole * cells)
    first = max(0, min(first, cells - 1))
    return (first, max(first + 1, min(last, cells)))


def _bad_names(root: NodeRow) -> set[str]:
    return _names_to(root, lambda node: node.phase in _BAD)


def _open_names(root: NodeRow) -> set[str]:
    return _names_to(root, lambda node: node.started_at is not None and not node.is_final)


def _names_to(root: NodeRow, is_wanted: Callable[[NodeRow], bool]) -> set[str]:
    """Names of the wanted nodes and of all nodes above them."""
    found: set[str] = set()
    stack: list[tuple[NodeRow, tuple[str, ...]]] = [(root, (root.name,))]
    while stack:
        node, way = stack.pop()
        if is_wanted(node):
            found.update(way)
        stack.extend((child, (*way, child.name)) for child in node.children)
    return found


def _count(root: NodeRow, counts: dict[str, tuple[int, int, int]]) -> None:
    """Per node: processes that ended, processes, nodes below it. Children are counted before their parents."""
    for node in reversed(list(walk((root,)))):
        is_process = node.type == "Pod"
        done, total, below = int(is_process and node.is_final), int(is_process), 0
        for child in node.children:
            child_done, child_total, child_below = counts[child.name]
            done, total, below = done + child_done, total + child_total, below + child_below + 1
        counts[node.name] = (done, total, below)
