"""Locks as operators see them: state, verdict, holders, queue. Reads rows, decides nothing and changes nothing."""

from __future__ import annotations

from reconciler.errors import NotFound, UsageError
from reconciler.store import read_locks
from reconciler.views.doing import HEALTHY, STUCK, WINDING_UP, doing, holder_verdict
from reconciler.views.instants import age, whole_seconds
from reconciler.views.names import SEMAPHORES, node_label, party

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row
    from typing import Any

    from reconciler.store.read import Reader

HEADER = ("LOCK", "KIND", "HELD/LIMIT", "WAITING", "OLDEST-WAIT", "HOLDER", "STATE", "VERDICT")
_RANK = {"stuck": 0, "contended": 1, "held": 2, "free": 3}


class LockLine:
    """One lock with its counts and holders; `oldest` is since when the first waiter waits."""

    __slots__ = ("held", "holders", "oldest", "row", "waiting")

    def __init__(self, row: Row, holders: list[Row], waiting: tuple[int, str]) -> None:
        self.row = row
        self.holders = holders
        self.held = len(holders)
        self.waiting, self.oldest = waiting


class LockList:
    """All locks of a namespace at one instant, those that need a person first; rows are read for those that are shown only."""

    __slots__ = ("_ids", "_lost", "_reader", "_waiting")

    def __init__(self, reader: Reader, namespace: str | None, boot_id: str) -> None:
        held, ended = read_locks.list_held_ids(reader)
        self._waiting = read_locks.count_waiting(reader)
        ranks = dict.fromkeys(held, 2) | dict.fromkeys(self._waiting, 1) | dict.fromkeys(ended, 0)
        self._ids = read_locks.list_lock_ids(reader, namespace)
        self._ids.sort(key=lambda lock: ranks.get(lock, 3))
        self._lost = read_locks.find_lost_steps(reader, boot_id)
        self._reader = reader

    def __len__(self) -> int:
        return len(self._ids)

    def lines(self, limit: int) -> list[tuple[LockLine, str, str]]:
        """The first locks, each with its state and verdict; `limit` 0 means all."""
        ids = self._ids[:limit] if limit else self._ids
        holders = read_locks.list_holders_of(self._reader, ids)
        found = []
        for row in read_locks.list_locks(self._reader, ids):
            line = LockLine(row, holders.get(row["id"], []), self._waiting.get(row["id"], (0, "")))
            found.append((line, *state_of(self._reader, line, self._lost)))
        found.sort(key=lambda entry: _RANK[entry[1]])
        return found


def line_of(reader: Reader, row: Row) -> LockLine:
    """One lock with its counts."""
    waiting = read_locks.count_waiting(reader)
    return LockLine(row, read_locks.list_holders(reader, row["id"]), waiting.get(row["id"], (0, "")))


def state_of(reader: Reader, line: LockLine, lost: dict[int, str]) -> tuple[str, str]:
    """The lock's state (free, held, contended, stuck) and a short verdict."""
    for holder in line.holders:
        verdict, _ = holder_verdict(holder, lost)
        if verdict in STUCK:
            return "stuck", verdict
    if line.row["held_back"]:
        return "stuck", "held back until `lineclear unhold`"
    capacity = line.row["capacity"]
    if line.waiting and capacity is None:
        return "stuck", "limit never read"
    if line.waiting and line.held < capacity:
        other = _head_needs(reader, line.row["id"])
        return ("contended", f"head blocked: it also needs {other}") if other else ("stuck", "lost wake-up")
    return ("contended" if line.waiting else "held" if line.held else "free"), _verdict(line)


def _verdict(line: LockLine) -> str:
    capacity = line.row["capacity"]
    if line.row["kind"] in SEMAPHORES and capacity == 0:
        return "closed: limit 0"
    if line.row["kind"] in SEMAPHORES and line.held > (capacity or 0):
        return "over: limit was lowered"
    if any(holder["shutdown"] and holder["finished_at"] is None for holder in line.holders):
        return WINDING_UP
    return HEALTHY if line.held else ""


def limit_trouble(row: Row) -> str:
    """What is wrong with where a semaphore's limit comes from, and what counts meanwhile; '' if nothing is.

    The store writes `PATH:LINE` for a limit that was read well, and a sentence otherwise.
    """
    source = str(row["limit_source"] or "")
    is_well = " " not in source or source.rpartition(":")[2].isdigit() or source.startswith("limit set by ")
    if row["kind"] not in SEMAPHORES or is_well:
        return ""
    stays = "no limit was ever read, so it admits nobody"
    if row["capacity"] is not None:
        stays = f"the limit that was read last, {row['capacity']}, stays"
    return f"{source}: {stays}"


def _head_needs(reader: Reader, lock_id: int) -> str:
    """The lock that the first waiter lacks besides this one; '' if it lacks none."""
    for head in read_locks.list_queue(reader, lock_id, 1):
        for key in read_locks.list_other_locks(reader, head["claim_id"], lock_id):
            other = read_locks.find_lock(reader, key)
            if other is not None and len(read_locks.list_holders(reader, other["id"])) >= (other["capacity"] or 0):
                return key
    return ""


def table_row(line: LockLine, state: str, verdict: str, now_s: float) -> tuple[str, ...]:
    """The cells under HEADER."""
    row = line.row
    oldest = age(line.oldest, now_s) if line.waiting else "-"
    name = party(line.holders[0], row["namespace"]) if line.holders else "-"
    more = f" (+{line.held - 1})" if line.held > 1 else ""
    return (row["key"], row["kind"], held_of(line), str(line.waiting), oldest, name + more, state, verdict or "-")


def held_of(line: LockLine) -> str:
    """`1/1`; `?` for a limit that was never read."""
    capacity = line.row["capacity"]
    if line.row["kind"] == "Policy":
        return str(line.held)
    return f"{line.held}/{'?' if capacity is None else capacity}"


def lock_object(reader: Reader, line: LockLine, now_s: float, boot_id: str) -> dict[str, Any]:
    """Everything about one lock as plain data: holders with evidence, the queue with positions."""
    row = line.row
    lost = read_locks.find_lost_steps(reader, boot_id)
    state, verdict = state_of(reader, line, lost)
    queue = enumerate(read_locks.list_queue(reader, row["id"]), 1)
    return {
        "kind": "Lock",
        "metadata": {"name": row["name"], "namespace": row["namespace"]},
        "key": row["key"],
        "type": row["kind"],
        "limit": row["capacity"],
        "limitSource": row["limit_source"],
        "limitTrouble": limit_trouble(row),
        "heldBack": row["held_back"],
        "held": line.held,
        "waiting": line.waiting,
        "state": state,
        "verdict": verdict,
        "holders": [holder_object(reader, holder, row["key"], now_s, lost) for holder in line.holders],
        "queue": [waiter_object(reader, waiter, row["id"], place, place + line.held) for place, waiter in queue],
    }


def holder_object(reader: Reader, holder: Row, key: str, now_s: float, lost: dict[int, str]) -> dict[str, Any]:
    """One holder: who, since when, which epoch, what it does, and what is to be thought of it."""
    verdict, evidence = holder_verdict(holder, lost)
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
    """The lock that `word` names: its key, also as `lock/KEY`, or the end of one key; of several the one in `namespace`.

    Raises NotFound, or UsageError if it names several.
    """
    word = word.removeprefix("lock/")
    found = read_locks.find_lock(reader, word)
    if found is not None:
        return found
    keys = read_locks.find_lock_names(reader, word)
    keys = [key for key in keys if key.startswith(f"{namespace}/")] or keys
    if len(keys) > 1:
        raise UsageError(f"lock {word!r} is not one lock: it could be {', '.join(keys)}; give the whole key")
    if not keys:
        known = read_locks.list_some_keys(reader, 5)
        hint = f"known are {', '.join(known)}" if known else "no lock was ever asked for"
        raise NotFound(f"there is no lock {word!r}; {hint}; see `lineclear locks -A`")
    one = read_locks.find_lock(reader, keys[0])
    if one is None:
        raise NotFound(f"there is no lock {word!r} any more")
    return one
