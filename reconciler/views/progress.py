"""A run as it goes on: its nodes as a small tree that is drawn again and again, or one line for each change.

Reads rows and makes text. It must never write to a terminal itself, nor wait.
"""

from __future__ import annotations

from reconciler.views.clean import clean
from reconciler.views.instants import duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row

_MARKS = {
    "Pending": "◷",
    "Running": "●",
    "Succeeded": "✔",
    "Failed": "✖",
    "Error": "⚠",
    "Skipped": "○",
    "Omitted": "○",
}
_PLAIN = {"◷": ".", "●": ">", "✔": "+", "✖": "x", "⚠": "!", "○": "o", "├─": "|-", "└─": "`-", "│ ": "| "}
_COLOURS = {"Running": 36, "Succeeded": 32, "Failed": 31, "Error": 31, "Skipped": 2, "Omitted": 2, "Pending": 33}
_AT_WORK = ("queued", "intended", "live")
_FIRST, _LAST = -1, 9  # before and after every rank that is below
_FAILURES, _FAILURE_LINES = 20, 20
_HIDDEN = "StepGroup"  # a group says no more than its members do


def tree_lines(run: Row, nodes: list[Row], now_s: float, *, ascii_only: bool = False) -> list[tuple[str, str]]:
    """(phase, line) for the run and each of its nodes below its parent; groups of steps are left out."""
    children: dict[int | None, list[Row]] = {}
    for node in nodes:
        children.setdefault(node["parent_id"], []).append(node)
    roots = children.get(None, [])
    phase, message = run["phase"], run["message"]
    lines = [(phase, _line("", run["name"], phase, duration(run["started_at"], run["finished_at"], now_s), message))]
    if len(roots) == 1 and roots[0]["id"] in children:  # the root is the run itself
        roots = _members(children[roots[0]["id"]], children)
    stack = [(node, "", node is roots[-1]) for node in reversed(roots)]
    while stack:
        node, lead, is_last = stack.pop()
        spent = duration(node["started_at"], node["finished_at"], now_s)
        branch = lead + ("└─" if is_last else "├─")
        name = node["display"] or node["template"] or run["name"]
        lines.append((node["phase"], _line(branch, name, node["phase"], spent, _message(node))))
        below = _members(children.get(node["id"], []), children)
        deeper = lead + ("  " if is_last else "│ ")
        stack.extend((child, deeper, child is below[-1]) for child in reversed(below))
    return [(phase, _in_ascii(line)) for phase, line in lines] if ascii_only else lines


def _members(nodes: list[Row], children: dict[int | None, list[Row]]) -> list[Row]:
    """The nodes, with the members of a group of steps, and the groups that follow it, in its place."""
    found: list[Row] = []
    for node in nodes:
        found += _members(children.get(node["id"], []), children) if node["type"] == _HIDDEN else [node]
    return found


def _message(node: Row) -> str:
    if not node["message"] and node["attempt_state"] == "queued":
        return "Waiting for a parallelism slot"
    return str(node["message"])


def _line(branch: str, name: str, phase: str, spent: str, message: str) -> str:
    text = f"{branch}{_MARKS.get(phase, '?')} {name}  {phase}"
    return clean(f"{text}  {spent}" if spent else text) + (f"  {clean(message)}" if message else "")


def _in_ascii(line: str) -> str:
    for shape, plain in _PLAIN.items():
        line = line.replace(shape, plain)
    return line


def frame(lines: list[tuple[str, str]], width: int, height: int, *, colour: bool) -> list[str]:
    """What of a tree fits a terminal of this size: each line cut to its width, ended nodes left out first."""
    shown = lines
    if len(lines) > height:
        active = [line for line in lines[1:] if line[0] in ("Running", "Pending")]
        others = [line for line in lines[1:] if line[0] not in ("Running", "Pending")]
        room = max(0, height - 2)
        kept = {id(line) for line in [*active[:room], *others[max(0, len(others) - max(0, room - len(active))) :]]}
        shown = [lines[0], *[line for line in lines[1:] if id(line) in kept][:room]]
        shown.append(("", f"... and {len(lines) - len(shown)} more"))
    return [_coloured(phase, line[: max(1, width - 1)], colour=colour) for phase, line in shown]


def _coloured(phase: str, line: str, *, colour: bool) -> str:
    code = _COLOURS.get(phase)
    return f"\x1b[{code}m{line}\x1b[0m" if colour and code is not None else line


def change_lines(run: Row, nodes: list[Row], told: dict[int, str], now_s: float) -> list[str]:
    """One line for each node that is in another phase than `told` says, which is brought up to date; groups are left out.

    What caused comes before what followed.
    """
    changed = []
    for node in nodes:
        before, phase = told.get(node["id"]), node["phase"]
        if phase == before or (before is None and phase == "Pending") or node["type"] == _HIDDEN:
            continue
        told[node["id"]] = phase
        changed.append(node)
    if len(changed) > 1:
        by_id = {node["id"]: node for node in nodes}
        changed.sort(key=lambda node: _order(node, by_id))
    return [_change_line(run["name"], node, now_s) for node in changed]


def _order(node: Row, by_id: dict[int, Row]) -> tuple[str, list[tuple[int, int]]]:
    """By instant, which is that of a tick; within it a node begins before what is below it, and ends after that."""
    way = [(_LAST if node["finished_at"] else _FIRST, 0)]
    above: Row | None = node
    while above is not None:
        way.append((_rank(above), above["id"]))
        above = by_id.get(above["parent_id"])
    return _instant(node), way[::-1]


def _rank(node: Row) -> int:
    """Among siblings an end lets others be left out, and both let others begin."""
    if node["finished_at"] is None:
        return 2
    return 1 if node["phase"] in ("Skipped", "Omitted") else 0


def _instant(node: Row) -> str:
    return str(node["finished_at"] or node["started_at"] or node["created_at"])


def _change_line(run_name: str, node: Row, now_s: float) -> str:
    spent = duration(node["started_at"], node["finished_at"], now_s) if node["finished_at"] else ""
    tail = "".join(f"  {text}" for text in (spent, _message(node)) if text)
    return clean(f"{_instant(node)[11:19]}  {node['phase']:<9}  {run_name}{node['name']}{tail}")


def failure_lines(run: Row, nodes: list[Row], width: int) -> list[str]:
    """Each failed node with its whole message, wrapped at the width; what the run's own message says already is left out."""
    from textwrap import wrap

    failed = [node for node in nodes if node["phase"] in ("Failed", "Error") and node["message"] and node["type"] != _HIDDEN]
    failed = [node for node in failed if node["parent_id"] is not None or node["message"] != run["message"]]
    lines = []
    for node in failed[:_FAILURES]:
        text = f"{node['display'] or node['template'] or run['name']} {node['phase']}: {node['message']}"
        wrapped = [
            part for line in text.splitlines() for part in wrap(clean(line), max(20, width - 1), subsequent_indent="    ")
        ]
        lines += wrapped[:_FAILURE_LINES]
        if len(wrapped) > _FAILURE_LINES:
            lines.append(f"    ... and {len(wrapped) - _FAILURE_LINES} more lines")
    if len(failed) > _FAILURES:
        lines.append(f"... and {len(failed) - _FAILURES} more failed")
    return lines


def waits_for_person(run: Row, nodes: list[Row]) -> bool:
    """True if only a person can let the run go on: it is suspended, or nothing of it is at work but untimed suspend nodes."""
    is_open = [node for node in nodes if node["finished_at"] is None]
    if any(node["attempt_state"] in _AT_WORK or node["wake_at"] is not None for node in is_open):
        return False
    return bool(run["suspended"]) or any(node["type"] == "Suspend" and node["phase"] == "Running" for node in is_open)
