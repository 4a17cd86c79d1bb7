"""What it means to take a lock whole: a claim that is granted when nobody holds the lock, and beside which nobody is.

Its units outnumber every limit, so that a limit which is raised meanwhile lets nobody in, and one of 0 does not keep it out.
"""

from __future__ import annotations

WHOLE = 2**31 - 1


def lacking(units: int, capacity: int, held: int) -> int:
    """How many units of a lock have to come free before a claim of so many has room; at most 0 if it has room now."""
    return held if units >= WHOLE else units - (capacity - held)


def shown_units(units: int, capacity: int | None) -> int:
    """Units for people: whoever takes a lock whole takes all that there are, at least one."""
    return max(1, capacity or 0) if units >= WHOLE else units
