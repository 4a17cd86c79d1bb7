"""Reads the present numbers that Prometheus asks for; each statement costs what is open, not what was. Nothing here writes."""

from __future__ import annotations

from reconciler.model.hindered import WAITS_FOR_MACHINE
from reconciler.store.unknown import COUNT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from reconciler.store.read import Reader

_LOCKS = """
SELECT lock.key, sum(CASE WHEN found.held = 2147483647 THEN max(1, ifnull(lock.capacity, 1)) ELSE found.held END),
  sum(found.waiting) FROM (
  SELECT lock_id, units AS held, 0 AS waiting FROM claim_lock WHERE state = 'held' AND nested = 0
  UNION ALL SELECT lock_id, 0, 1 FROM claim_lock WHERE state = 'waiting' AND nested = 0) AS found
JOIN lock ON lock.id = found.lock_id GROUP BY lock.id ORDER BY lock.id"""
_RUNS = "SELECT phase, count(*) FROM run WHERE finished_at IS NULL GROUP BY phase"
_STEPS = f"""
SELECT (SELECT count(*) FROM attempt WHERE state IN ('intended', 'live')),
  (SELECT count(*) FROM attempt WHERE state = 'queued'),
  (SELECT count(*) FROM attempt a JOIN node n ON n.id = a.node_id
   WHERE a.state IN ('intended', 'live') AND substr(n.message, 1, {len(WAITS_FOR_MACHINE)}) = '{WAITS_FOR_MACHINE}')"""
_NOTICES = "SELECT count(*) FROM notice WHERE state = 'waiting'"


def list_lock_counts(reader: Reader) -> list[tuple[str, int, int]]:
    """(key, units held, waiters) of every lock that is held or waited for, in the order of their first use."""
    return [(str(key), int(held), int(waiting)) for key, held, waiting in reader.tuples(_LOCKS)]


def count_open_runs(reader: Reader) -> dict[str, int]:
    """By phase; a phase without runs is absent."""
    return {str(phase): int(count) for phase, count in reader.tuples(_RUNS)}


def count_steps(reader: Reader) -> tuple[int, int, int]:
    """How many processes are to be running, how many steps wait for a slot, and how many of the first for the machine."""
    running, queued, hindered = reader.tuples(_STEPS)[0]
    return int(running), int(queued), int(hindered)


def count_unknown_steps(reader: Reader) -> int:
    """How many steps there are of which nothing proves whether their processes live."""
    return reader.number(COUNT)


def count_waiting_notices(reader: Reader) -> int:
    """How many notices are not sent yet."""
    return reader.number(_NOTICES)
