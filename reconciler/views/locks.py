"""Locks as operators see them: state, verdict, holders, queue. Reads rows, decides nothing and changes nothing."""

from __future__ import annotations

from reconciler.errors import NotFound, UsageError
from reconciler.store import read_locks
from reconciler.views.doing import HEALTHY, STUCK, WINDING_UP, doing, holder_verdict
from reconciler.views.instants import age, whole_seconds
from reconciler.views.names import node_label, party

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row
    from typing import Any

    from reconciler.store.read import Reader

HEADER = ("LOCK", "KIND", "HELD/LIMIT", "WAITING", "OLDEST-WAIT", "HOLDER", "STATE", "VERDICT")
_RANK = {"stuck": 0, "contended": 1, "held": 2, "free": 3}
_LISTED = 30


class LockLine:
    """One lock with its counts; `rank` sorts what needs a person first."""

    __slots__ = ("ended", "held", "oldest", "rank", "row", "waiting")

    def __init__(self, row: Row, held: tuple[int, int], waiting: tuple[int, int]) -> None:
        self.row = row
        self.held, self.ended = held
        self.waiting, self.oldest = waiting
        self.rank = _RANK["stuck" if self.ended else _plain_state(row, self.held, self.waiting)]


def list_lines(reader: Reader, namespace: str | None) -> list[LockLine]:
    """Every lock with its counts, those that need a person first, then by key."""
    held, waiting = read_locks.count_held(reader), read_locks.count_waiting(reader)
    lines = [
        LockLine(row, held.get(row["id"], (0, 0)), waiting.get(row["id"], (0, 0)))
        for row in read_locks.list_locks(reader, namespace)
    ]
    lines.sort(key=lambda line: (line.rank, line.row["key"]))
    return lines


def line_of(reader: Reader, row: Row) -> LockLine:
    """One lock with its counts."""
    held, waiting = read_locks.count_held(reader), read_locks.count_waiting(reader)
    return LockLine(row, held.get(row["id"], (0, 0)), waiting.get(row["id"], (0, 0)))


def state_of(reader: Reader, line: LockLine, holders: list[Row], boot_id: str) -> tuple[str, str]:
    """The lock's state (free, held, contended, stuck) and a short verdict."""
    for holder in holders:
        verdict, _ = holder_verdict(reader, holder, boot_id)
        if verdict in STUCK:
            return "stuck", verdict
    return _plain_state(line.row, line.held, line.waiting), _plain_verdict(line, holders)


def _plain_state(row: Row, held: int, waiting: int) -> str:
    if row["capacity"] is None and waiting:
        return "stuck"
    if waiting:
        if held < (row["capacity"] or 0) and not row["blocked_head"]:
            return "stuck"
        return "contended"
    return "held" if held else "free"


def _plain_verdict(line: LockLine, holders: list[Row]) -> str:
    capacity = line.row["capacity"]
    if line.row["kind"] == "ConfigMap":
        if capacity is None:
            return "limit never read"
        if capacity == 0:
            return "closed: limit 0"
        if line.held > capacity:
            return "over: limit was lowered"
    if line.waiting and capacity is not None and line.held < capacity:
        return "head blocked by another lock" if line.row["blocked_head"] else "lost wake-up"
    if any(holder["shutdown"] and holder["finished_at"] is None for holder in holders):
        return WINDING_UP
    return HEALTHY if line.held else ""


def table_row(reader: Reader, line: LockLine, now_s: float, boot_id: str) -> tuple[str, ...]:
    """The cells under HEADER."""
    row = line.row
    holders = read_locks.list_holders(reader, row["id"], _LISTED) if line.held else []
    state, verdict = state_of(reader, line, holders, boot_id)
    oldest = age(read_locks.requested_at(reader, line.oldest), now_s) if line.waiting else "-"
    names = party(holders[0], row["namespace"]) if holders else "-"
    more = f" (+{line.held - 1})" if line.held > 1 else ""
    return (row["key"], row["kind"], held_of(line), str(line.waiting), oldest, names + more, state, verdict or "-")


def held_of(line: LockLine) -> str:
    """`1/1`; `?` for a limit that was never read."""
    capacity = line.row["capacity"]
    if line.row["kind"] == "Policy":
        return str(line.held)
    return f"{line.held}/{'?' if capacity is None else capacity}"


def lock_object(reader: Reader, line: LockLine, now_s: float, boot_id: str) -> dict[str, Any]:
    """Everything about one lock as plain data: holders with evidence, the queue with positions."""
    row = line.row
    holders = read_locks.list_holders(reader, row["id"])
    state, verdict = state_of(reader, line, holders, boot_id)
    queue = enumerate(read_locks.list_queue(reader, row["id"]), 1)
    return {
        "kind": "Lock",
        "metadata": {"name": row["name"], "namespace": row["namespace"]},
        "key": row["key"],
        "type": row["kind"],
        "limit": row["capacity"],
        "limitSource": row["limit_source"],
        "held": line.held,
        "waiting": line.waiting,
        "state": state,
        "verdict": verdict,
        "holders": [holder_object(reader, holder, row["key"], now_s, boot_id) for holder in holders],
        "queue": [waiter_object(reader, waiter, row["id"], place, place + line.held) for place, waiter in queue],
    }


def holder_object(reader: Reader, holder: Row, key: str, now_s: float, boot_id: str) -> dict[str, Any]:
    """One holder: who, since when, which epoch, what it does, and what is to be thought of it."""
    verdict, evidence = holder_verdict(reader, holder, boot_id)
    return {
        "namespace": holder["namespace"],
        "run": holder["run"],
        "node": None if holder["node"] is None else node_label(holder["node"], holder["display"]),
        "level": holder["level"],
        "claim": holder["claim_id"],
        "epoch": holder["epoch"],
        "id": f"{key}#{holder['epoch']}",
        "since": whole_seconds(holder["granted_at"]),
        "phase": holder["phase"],
        "doing": doing(reader, holder, now_s),
        "verdict": verdict,
        "evidence": evidence,
    }


def waiter_object(reader: Reader, waiter: Row, lock_id: int, position: int, order: int) -> dict[str, Any]:
    """One waiter: position counts waiters from 1, order counts the holders too."""
    return {
        "position": position,
        "order": order,
        "namespace": waiter["namespace"],
        "run": waiter["run"],
        "node": None if waiter["node"] is None else node_label(waiter["node"], waiter["display"]),
        "priority": waiter["priority"],
        "since": whole_seconds(waiter["requested_at"]),
        "alsoNeeds": read_locks.list_other_locks(reader, waiter["claim_id"], lock_id),
    }


def get_lock(reader: Reader, word: str, namespace: str) -> Row:
    """The lock that `word` names: its key, or the end of one key; of several the one in `namespace`.

    Raises NotFound, or UsageError if it names several.
    """
    found = read_locks.find_lock(reader, word)
    if found is not None:
        return found
    keys = read_locks.find_lock_names(reader, word)
    keys = [key for key in keys if key.startswith(f"{namespace}/")] or keys
    if len(keys) > 1:
        raise UsageError(f"lock {word!r} is not one lock: it could be {', '.join(keys)}; give the whole key")
    if not keys:
        known = [row["key"] for row in read_locks.list_locks(reader, None)][:5]
        hint = f"known are {', '.join(known)}" if known else "no lock was ever asked for"
        raise NotFound(f"there is no lock {word!r}; {hint}; see `lineclear locks -A`")
    one = read_locks.find_lock(reader, keys[0])
    if one is None:
        raise NotFound(f"there is no lock {word!r} any more")
    return one
