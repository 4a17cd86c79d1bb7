"""When those who wait for a lock may expect their turns, from how long its earlier holds took. An estimate, never a promise."""

from __future__ import annotations

from reconciler.store import read_locks
from reconciler.views.doing import HEALTHY, MAINTENANCE
from reconciler.views.instants import epoch_s, span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from reconciler.store.read import Reader
    from reconciler.views.lock_state import LockLine
    from reconciler.views.locks import Pace

    Queued = dict[int, tuple[float | None, str | None]]

_HOLDS_COUNTED = 100
FEWEST = 5  # fewer earlier holds than these tell nothing


def expected_starts(
    reader: Reader, line: LockLine, pace: Pace, lost: dict[int, str], now_s: float
) -> tuple[list[float], str]:
    """When each place in the lock's queue may expect its turn, in seconds since 1970, and how that was worked out.

    Every hold ahead counts as long as half of the earlier ones took, the present ones less what has passed, one for maintenance
    its own time. ([], why) if it cannot be told: too little is known, or a holder does not let go by itself or is over that time
    by far. Where only the end of a maintenance hold or a freeze is known, the list stops where that no longer tells.
    """
    times = pace.times(line.row["id"])
    if not line.waiting:
        return [], ""
    verdicts = [pace.verdict(holder, lost)[0] for holder in line.holders]
    is_held = MAINTENANCE in verdicts
    is_frozen = line.row["frozen_until"] is not None and not line.holders
    if times is None and not (is_held or is_frozen):
        return [], f"fewer than {FEWEST} ended holds of this lock are known"
    if line.row["kind"] == "Constraint" and not is_held:
        return [], "its claims want several units each, and it cannot be told which of them fits first"
    if line.row["held_back"] or not line.row["capacity"] or line.held > line.row["capacity"]:
        return [], "the lock admits nobody before a person acts, or its limit was lowered"
    bad = next((verdict for verdict in verdicts if verdict not in (HEALTHY, MAINTENANCE)), "")
    if bad:
        return [], f"a holder's verdict is {bad}"
    half = None if times is None else times[0]
    queued = read_locks.list_queued_holds(reader, line.row["id"], _HOLDS_COUNTED)
    held = {place: (length, until) for place, length, until in queued}
    begin = max(now_s, epoch_s(line.row["frozen_until"])) if line.row["frozen_until"] else now_s
    starts = _turns([max(begin, at) for at in _free(line, half, now_s, is_held=is_held)], held, half, line.waiting)
    counted = "the freeze ends then" if is_frozen else "a maintenance hold counts its own time"
    if half is None:
        return starts, f"{counted}; fewer than {FEWEST} other holds of this lock are known"
    how = f"{pace.told(line.row['id'])}; each hold ahead counts {span(half)}, a present one what is left of that"
    return starts, f"{how}; {counted}" if is_held or held or is_frozen else how


def _free(line: LockLine, half: float | None, now_s: float, *, is_held: bool) -> list[float]:
    """When each of the units that the waiters will take is free for the first of them, earliest first."""
    if is_held or half is None:
        until = line.holders[0]["hold_until"] if is_held else line.row["frozen_until"]
        return [max(now_s, epoch_s(until))] * min(line.waiting, line.row["capacity"]) if until else []
    free = [max(now_s, epoch_s(holder["granted_at"]) + half) for holder in line.holders]
    free += [now_s] * min(line.waiting, line.row["capacity"] - line.held)
    return sorted(free)


def _turns(free: list[float], held: Queued, half: float | None, waiting: int) -> list[float]:
    """The start of each place; units come free in the order in which they are taken, for all holds but these count alike."""
    units, taken = len(free), 0
    starts: list[float] = []
    for place in range(waiting):
        left = len(free) - taken
        if not left or (place in held and left < units):
            break
        if place not in held:
            starts.append(free[taken])
            taken += 1
            if half is not None:
                free.append(starts[-1] + half)
            continue
        length, until = held[place]
        starts.append(free[-1])
        end = free[-1] + length if length is not None else epoch_s(until) if until else free[-1]
        if end > free[-1]:
            free, taken = [end] * units, 0
    return starts
