"""What a run waits for, in one line and as a label; for lists and for objects."""

from __future__ import annotations

from reconciler.model.hindered import WAITS_FOR_MACHINE
from reconciler.model.whole import WHOLE
from reconciler.store import read_locks
from reconciler.views.doing import frozen_text, hold_text
from reconciler.views.instants import age
from reconciler.views.names import label_safe, party

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row

    from reconciler.store.read import Reader


class Room:
    """Remembers, for one reading, how much of each lock is taken and by whom, so that a list asks once for each lock."""

    __slots__ = ("_asked", "_holders", "_places", "_reader")

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._holders: dict[int, list[Row]] = {}
        self._asked: set[int] = set()
        self._places: dict[int, dict[int, int]] = {}

    def holders(self, lock_id: int) -> list[Row]:
        """The holders of a lock, oldest grant first."""
        found = self._holders.get(lock_id)
        if found is None:
            found = self._holders[lock_id] = read_locks.list_holders(self._reader, lock_id)
        return found

    def available(self, claim: Row) -> int:
        """Units of the row's lock that nobody holds; 0 for a limit that was never read."""
        held: int = sum(holder["units"] for holder in self.holders(claim["lock_id"]))
        return max(0, (claim["capacity"] or 0) - held)

    def lacks(self, claim: Row) -> bool:
        """True if units have to come free before the row's claim has room."""
        if claim["units"] >= WHOLE:
            return bool(self.holders(claim["lock_id"]))
        return self.available(claim) < int(claim["units"])

    def position(self, claim: Row) -> int:
        """The claim's place in the queue of the row's lock, from 1. From the second question on a queue is read whole, once."""
        lock = claim["lock_id"]
        if lock not in self._asked:
            self._asked.add(lock)
            return read_locks.count_ahead(self._reader, claim) + 1
        places = self._places.get(lock)
        if places is None:
            queue = read_locks.list_queue_claims(self._reader, lock)
            places = self._places[lock] = {claim_id: place for place, claim_id in enumerate(queue, 1)}
        return places.get(claim["claim_id"], 1)


def first_hindered(reader: Reader, row: Row) -> str:
    """What the first step of a run that waits for the machine says; '' if none does."""
    if row["phase"] != "Running":
        return ""
    told = (str(step["message"]) for step in read_locks.list_live_attempts(reader, row["id"]))
    return next((message for message in told if message.startswith(WAITS_FOR_MACHINE)), "")


def waited_by_run(reader: Reader, run_ids: list[int]) -> dict[int, list[Row]]:
    """The waiting claims' locks by run id, for the runs given; runs that wait for nothing are absent."""
    found: dict[int, list[Row]] = {}
    if not run_ids:
        return found
    wanted = set(run_ids)
    for row in read_locks.list_waited_between(reader, min(run_ids), max(run_ids)):
        if row["run_id"] in wanted and not row["nested"]:
            found.setdefault(row["run_id"], []).append(row)
    return found


def blocking(room: Room, waits: list[Row]) -> Row:
    """The first lock that blocks: the first without room, else the first (others are ahead in its queue)."""
    return next((row for row in waits if room.lacks(row)), waits[0])


def sync_id(room: Room, waits: list[Row]) -> str:
    """The value of the label workflows.argoproj.io/sync-id of a run that waits."""
    return label_safe(blocking(room, waits)["key"])


def waiting_message(room: Room, waits: list[Row], namespace: str) -> str:
    """One line in Argo's words, and behind whom: `Waiting for NS/Mutex/X lock. Lock status: 0/1; held by RUN`."""
    first = blocking(room, waits)
    available, capacity = room.available(first), first["capacity"]
    status = f"{available}/{'?' if capacity is None else capacity}"
    holders = room.holders(first["lock_id"])
    if first["frozen_until"] and not first["held_back"]:
        behind = frozen_text(first)
    elif holders:
        more = f" and {len(holders) - 1} more" if len(holders) > 1 else ""
        behind = hold_text(holders[0]) if holders[0]["hold_json"] else f"held by {party(holders[0], namespace)}{more}"
        if holders[0]["finished_at"] is not None:
            behind += f", which ended {holders[0]['phase']}"
    elif first["held_back"]:
        behind = "held back until `lineclear unhold`"
    elif capacity == 0:
        behind = "closed: its limit is 0"
    elif capacity is None:
        behind = first["limit_source"] or "its limit was never read"
    else:
        behind = "free; others are ahead in the queue"
    if first["kind"] == "Policy":
        return f"Waiting for its turn in {first['key']}, as its concurrency policy says; {behind}"
    where = f"{first['display']}: " if first["node"] is not None else ""
    return f"{where}Waiting for {first['key']} lock. Lock status: {status}; {behind}"


def waits_at(by_node: dict[int, list[Row]], node: Row) -> list[Row]:
    """What a node waits for; `by_node` has under 0 what the run does, which Acquire Resource Lock stands for too."""
    own = by_node.get(node["id"], [])
    return own or (by_node.get(0, []) if node["type"] == "Lock" and node["finished_at"] is None else [])


def node_message(room: Room, mine: list[Row], node: Row, namespace: str, now_s: float | None = None) -> str:
    """What a node has to say: whom it waits for (with its place if `now_s` is given), or its own message."""
    if not mine:
        is_queued = not node["message"] and node["attempt_state"] == "queued"
        return "Waiting for a parallelism slot" if is_queued else str(node["message"])
    is_placed = now_s is not None or node["type"] == "Lock"
    text = placed_message(room, mine, namespace, now_s) if is_placed else waiting_message(room, mine, namespace)
    return f"BLOCKED: {text}" if node["type"] == "Lock" else text


def placed_message(room: Room, waits: list[Row], namespace: str, now_s: float | None) -> str:
    """As `waiting_message`, with the position in the queue, and since when if `now_s` is given."""
    first = blocking(room, waits)
    text = waiting_message(room, waits, namespace)
    since = "" if now_s is None else f", since {age(first['requested_at'], now_s)}"
    return f"{text}; position {room.position(first)} in the queue{since}"
