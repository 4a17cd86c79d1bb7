"""How runs, nodes and lock holders are written: Argo's node ids and holder keys, labels, and short names for people."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row

SYNC_ID = "workflows.argoproj.io/sync-id"
MUTEXES = ("Mutex", "DatabaseMutex")
SEMAPHORES = ("ConfigMap", "Database")
_LABEL_LIMIT = 63
_FNV_OFFSET, _FNV_PRIME = 0x811C9DC5, 0x01000193


def fnv32a(text: str) -> int:
    """The 32-bit FNV-1a hash of the text's UTF-8 bytes."""
    value = _FNV_OFFSET
    for byte in text.encode():
        value = ((value ^ byte) * _FNV_PRIME) & 0xFFFFFFFF
    return value


def node_id(run: str, node: str) -> str:
    """Argo's node id: the run's name for the root, else the run's name and the hash of the whole node name."""
    return f"{run}-{fnv32a(run + node)}" if node else run


def node_label(node: str, display: str) -> str:
    """A node as a person types it: its name without the run's and without a leading dot."""
    return node.removeprefix(".") or display


def party(row: Row, namespace: str) -> str:
    """A holder or waiter for a person: `RUN` or `RUN/NODE`, with its namespace where that is another than `namespace`."""
    if row["run"] is None:
        return f"(run {row['run_id']} is gone)"
    where = "" if row["namespace"] == namespace else f"{row['namespace']}/"
    node = f"/{node_label(row['node'], row['display'])}" if row["node"] is not None else ""
    return f"{where}{row['run']}{node}"


def holder_key(row: Row) -> str:
    """A holder as Argo writes it in status: NAMESPACE/RUN, and /NODEID for a template-level lock."""
    if row["run"] is None:
        return ""
    key = f"{row['namespace']}/{row['run']}"
    return key if row["node"] is None else f"{key}/{node_id(row['run'], row['node'])}"


def label_safe(text: str) -> str:
    """The text as a label value: at most 63 letters, digits, `-`, `_`, `.`; the ends are letters or digits."""
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "." if c == "/" else "_" for c in text)
    return safe[:_LABEL_LIMIT].strip("-_.")


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th."""
    suffix = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"
