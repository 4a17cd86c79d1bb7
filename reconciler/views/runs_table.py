"""Runs as the rows of a list, and one run as `get` prints it: header, locks, tree of nodes."""

from __future__ import annotations

from reconciler.store import read_locks, read_runs
from reconciler.views.barriers import first_barrier
from reconciler.views.clean import clean
from reconciler.views.doing import owner_of, reason_of
from reconciler.views.instants import age, duration, whole_seconds
from reconciler.views.names import node_label, party
from reconciler.views.table import fields, table
from reconciler.views.waiting import Room, first_hindered, node_message, placed_message, waited_by_run, waiting_message, waits_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row

    from reconciler.store.read import Reader

HEADER = ("NAME", "STATUS", "AGE", "DURATION", "PRIORITY", "MESSAGE")
WIDE = (*HEADER, "P/R/C", "PARAMETERS")
_MARKS = {
    "Pending": "◷",
    "Running": "●",
    "Succeeded": "✔",
    "Failed": "✖",
    "Error": "⚠",
    "Skipped": "○",
    "Omitted": "○",
}
_ASCII = {"◷": ".", "●": ">", "✔": "+", "✖": "x", "⚠": "!", "○": "o", "├─": "|-", "└─": "`-", "│ ": "| "}


def status_text(row: Row) -> str:
    """The phase, and in brackets what was done to the run, as `argo list` shows it."""
    if row["ended_by"]:
        return f"{row['phase']} ({_ENDED.get(row['ended_by'], row['ended_by'])})"
    if row["shutdown"] and row["finished_at"] is None:
        return f"{row['phase']} ({row['shutdown']})"
    if row["origin"] == "hold" and row["phase"] == "Running":
        return f"{row['phase']} (Maintenance)"
    if row["is_paused"]:
        return f"{row['phase']} (Suspended)"
    return str(row["phase"])


_ENDED = {"stop": "Stopped", "terminate": "Terminated", "delete": "Deleted", "replace": "Replaced", "removed": "Removed"}


def run_rows(reader: Reader, rows: list[Row], now_s: float, *, wide: bool = False) -> list[tuple[str, ...]]:
    """The cells under HEADER (or WIDE); a run that waits says for which lock and behind whom."""
    room = Room(reader)
    waits = waited_by_run(reader, [row["id"] for row in rows if row["finished_at"] is None])
    kept = read_runs.find_keepers(reader) if any(row["finished_at"] for row in rows) else set()
    found: list[tuple[str, ...]] = []
    for row in rows:
        cells = (
            row["name"],
            status_text(row),
            age(row["created_at"], now_s),
            duration(row["started_at"], row["finished_at"], now_s),
            str(row["priority"]),
            _message(room, row, waits.get(row["id"]), keeps=row["id"] in kept) or _beside(reader, row),
        )
        found.append((*cells, *_wide_cells(reader, row)) if wide else cells)
    return found


def _message(room: Room, row: Row, waits: list[Row] | None, *, keeps: bool) -> str:
    if row["origin"] == "hold" and row["finished_at"] is None:
        told = f"maintenance hold by {owner_of(row['annotations_json'])}: {reason_of(row['annotations_json'])}"
        return f"{told}; {waiting_message(room, waits, row['namespace'])}" if waits else told
    if waits:
        return waiting_message(room, waits, row["namespace"])
    if keeps and row["finished_at"] is not None:
        return "keeps its locks; " + row["message"] if row["message"] else "keeps its locks"
    return str(row["message"])


def _beside(reader: Reader, row: Row) -> str:
    """What a run that has its locks waits for all the same."""
    return first_barrier(reader, row) or first_hindered(reader, row)


def _wide_cells(reader: Reader, row: Row) -> tuple[str, str]:
    import json

    counts = "/".join(str(number) for number in read_runs.count_pod_phases(reader, row["id"]))
    return counts, ",".join(f"{name}={value}" for name, value in json.loads(row["arguments_json"]).items())


def run_text(reader: Reader, row: Row, now_s: float, *, ascii_only: bool = False) -> str:
    """One run for people: what it is, which locks it holds and waits for, and its nodes as a tree."""
    import json

    room = Room(reader)
    waits = [wait for wait in read_locks.list_waited_by(reader, row["id"]) if not wait["nested"]]
    done, pods = read_runs.count_pods(reader, row["id"])
    arguments = json.loads(row["arguments_json"])
    message = row["message"]
    message = message or _beside(reader, row)
    if waits and waits[0]["node"] is None:
        message = placed_message(room, waits, row["namespace"], now_s)
    text = fields(
        [
            ("Name", row["name"]),
            ("Namespace", row["namespace"]),
            ("Status", status_text(row)),
            ("Message", message),
            ("Priority", str(row["priority"]) if row["priority"] else ""),
            ("From", _origin(row)),
            ("Commit", row["commit_sha"]),
            ("Created", _when(row["created_at"], now_s)),
            ("Started", _when(row["started_at"], now_s)),
            ("Finished", _when(row["finished_at"], now_s)),
            ("Duration", duration(row["started_at"], row["finished_at"], now_s)),
            ("Progress", f"{done}/{pods}" if pods else ""),
            ("Ends by ttlStrategy", _when(row["ttl_at"], now_s) if row["ttl_at"] else ""),
        ]
    )
    if arguments:
        text += "Parameters:\n" + fields([(f"  {name}", value) for name, value in arguments.items()])
    text += _locks_text(reader, row, waits, now_s, room)
    tree = _tree(reader, row, waits, now_s, room)
    if ascii_only:
        for shape, plain in _ASCII.items():
            tree = tree.replace(shape, plain)
    return text + tree


def _origin(row: Row) -> str:
    source = f"{row['origin_kind']}/{row['origin_name']}" if row["origin_kind"] else row["origin"]
    return f"{source} ({row['origin_place']})" if row["origin_place"] else source


def _when(instant: str | None, now_s: float) -> str:
    if instant is None:
        return ""
    passed = age(instant, now_s)
    return f"{whole_seconds(instant)} ({passed} ago)" if passed != "0s" else f"{whole_seconds(instant)}"


def _locks_text(reader: Reader, row: Row, waits: list[Row], now_s: float, room: Room) -> str:
    held = read_locks.list_held_by(reader, row["id"])
    text = ""
    if held:
        ttl = " or its ttlStrategy ends it" if row["ttl_at"] is not None else ""
        kept = f" (kept until it is terminated{ttl})" if row["finished_at"] is not None else ""
        text += f"Locks held{kept}:\n"
        for hold in held:
            where = f", by step {node_label(hold['node'], hold['display'])}" if hold["node"] is not None else ""
            nested = ", inside an enclosing holder" if hold["nested"] else ""
            text += clean(f"  {hold['key']}#{hold['epoch']}   since {age(hold['granted_at'], now_s)}{where}{nested}") + "\n"
    if waits:
        text += "Locks waited for:\n"
        for wait in waits:
            where = f", by step {node_label(wait['node'], wait['display'])}" if wait["node"] is not None else ""
            holders = ", ".join(party(holder, row["namespace"]) for holder in room.holders(wait["lock_id"])[:3]) or "nobody"
            place = f"position {room.position(wait)}, since {age(wait['requested_at'], now_s)}"
            text += clean(f"  {wait['key']}   {place}{where}; held by {holders}") + "\n"
    return text


def _tree(reader: Reader, row: Row, waits: list[Row], now_s: float, room: Room) -> str:
    rows = read_runs.list_nodes(reader, row["id"])
    if not rows:
        return ""
    by_node: dict[int, list[Row]] = {}
    for wait in waits:
        by_node.setdefault(wait["node_id"] or 0, []).append(wait)
    children: dict[int | None, list[Row]] = {}
    for node in rows:
        children.setdefault(node["parent_id"], []).append(node)
    lines: list[tuple[str, ...]] = []

    def add(node: Row, lead: str, branch: str) -> None:
        message = node_message(room, waits_at(by_node, node), node, row["namespace"])
        name = clean(node["display"] or row["name"])
        attempt = "" if node["attempt_id"] is None else str(node["attempt_id"])
        spent = duration(node["started_at"], node["finished_at"], now_s)
        lines.append((f"{lead}{branch}{_MARKS[node['phase']]} {name}", node["template"], attempt, spent, message))
        below = children.get(node["id"], [])
        deeper = lead + ("│ " if branch == "├─" else "  " if branch else "")
        stack.extend((child, deeper, "└─" if child is below[-1] else "├─") for child in reversed(below))

    stack = [(root, "", "") for root in reversed(children.get(None, []))]
    while stack:
        add(*stack.pop())
    return "\n" + table(("STEP", "TEMPLATE", "ATTEMPT", "DURATION", "MESSAGE"), lines)
