"""The state of a lock and a short verdict on it: free, held, contended, stuck. Reads rows and decides nothing."""

from __future__ import annotations

from reconciler.model.whole import WHOLE, shown_units
from reconciler.store import read_locks
from reconciler.views.doing import HEALTHY, MAINTENANCE, STUCK, WINDING_UP, frozen_text, holder_verdict
from reconciler.views.names import SEMAPHORES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row

    from reconciler.store.read import Reader
    from reconciler.views.locks import Pace

OVERDUE = "overdue"
CYCLE = "cycle"
WAITS_FOR_PERSON = "waiting for a person"


class LockLine:
    """One lock with its holders and the units they hold; `oldest` is since when the first waiter waits."""

    __slots__ = ("held", "holders", "oldest", "row", "waiting")

    def __init__(self, row: Row, holders: list[Row], waiting: tuple[int, str]) -> None:
        self.row = row
        self.holders = holders
        self.held = sum(shown_units(holder["units"], row["capacity"]) for holder in holders)
        self.waiting, self.oldest = waiting


def line_of(reader: Reader, row: Row) -> LockLine:
    """One lock with its counts."""
    waiting = read_locks.count_waiting(reader)
    return LockLine(row, read_locks.list_holders(reader, row["id"]), waiting.get(row["id"], (0, "")))


def state_of(reader: Reader, line: LockLine, lost: dict[int, str], pace: Pace | None = None) -> tuple[str, str]:
    """The lock's state (free, held, contended, stuck) and a short verdict; by time too if its pace is given."""
    for holder in line.holders:
        verdict, _ = holder_verdict(holder, lost)
        if verdict in STUCK:
            return "stuck", verdict
        if verdict == MAINTENANCE:
            return ("contended" if line.waiting else "held"), MAINTENANCE
    if line.row["held_back"]:
        return "stuck", "held back until `lineclear unhold`"
    if line.row["frozen_until"]:
        return ("contended" if line.waiting else "held" if line.held else "free"), frozen_text(line.row)
    capacity = line.row["capacity"]
    if line.waiting and capacity is None:
        return "stuck", "limit never read"
    if line.waiting and line.held < capacity:
        needs = _head_needs(reader, line)
        return ("contended", f"head blocked: it {needs}") if needs else ("stuck", "lost wake-up")
    state, verdict = ("contended" if line.waiting else "held" if line.held else "free"), _verdict(line)
    if verdict != HEALTHY or pace is None:
        return state, verdict
    verdicts = [pace.verdict(holder, lost)[0] for holder in line.holders]
    if CYCLE in verdicts:
        return "stuck", CYCLE
    return state, next((one for one in (WAITS_FOR_PERSON, OVERDUE) if one in verdicts), verdict)


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


def _head_needs(reader: Reader, line: LockLine) -> str:
    """What the first waiter lacks although the lock has room: units, or another lock; '' if nothing."""
    for head in read_locks.list_queue(reader, line.row["id"], 1):
        if head["units"] >= WHOLE and line.held:
            return "is a maintenance hold, which waits until nobody holds it"
        if WHOLE > head["units"] > line.row["capacity"] - line.held:
            return f"needs {head['units']} units, and {line.row['capacity'] - line.held} are free"
        for key in read_locks.list_other_locks(reader, head["claim_id"], line.row["id"]):
            other = read_locks.find_lock(reader, key)
            if other is not None and line_of(reader, other).held >= (other["capacity"] or 0):
                return f"also needs {key}"
    return ""


def held_of(line: LockLine) -> str:
    """`1/1`; `?` for a limit that was never read."""
    capacity = line.row["capacity"]
    if line.row["kind"] == "Policy":
        return str(line.held)
    return f"{line.held}/{'?' if capacity is None else capacity}"
