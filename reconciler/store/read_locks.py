"""Reads locks, claims, holders and queues. A queue is ordered by priority, arrival of the run, arrival of the claim."""

from __future__ import annotations

from reconciler.store.unknown import NODE_MESSAGE, OF_CLAIM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row

    from reconciler.store.read import Reader

_IDS = "SELECT id FROM lock WHERE :namespace IS NULL OR namespace = :namespace ORDER BY key"
_LOCK = (
    "SELECT id, key, kind, namespace, name, capacity, limit_source, blocked_head, held_back, policy, queue_limit, overflow,"
    " reserved, wait_limit_s, hold_limit_s, ends_hold, overtake, on_failure, hold_for_s, fails_youngest,"
    " frozen_until, frozen_why FROM lock "
)
_LOCKS = _LOCK + "WHERE id IN (SELECT value FROM json_each(:ids)) ORDER BY key"
_BY_KEY = _LOCK + "WHERE key = :key"
_SOME_KEYS = "SELECT key FROM lock ORDER BY key LIMIT :limit"
_HELD = "SELECT DISTINCT lock_id FROM claim_lock WHERE state = 'held' AND nested = 0"
_HELD_AFTER_END = _HELD + " AND run_id NOT IN (SELECT id FROM run WHERE finished_at IS NULL)"
_WAITING = """
SELECT lock_id, waiting, (SELECT requested_at FROM claim WHERE claim.id = longest)
FROM (SELECT lock_id, count(*) AS waiting, min(claim_id) AS longest
  FROM claim_lock WHERE state = 'waiting' AND nested = 0 GROUP BY lock_id)"""
_SUFFIX = "SELECT id, key FROM lock WHERE name = :name OR substr(key, -length(:tail)) = :tail ORDER BY key"
_PARTY = f"""
SELECT claim.id AS claim_id, claim.level, claim.state, claim.epoch, claim.priority, claim.queue_order, claim.requested_at,
  claim.granted_at, claim.wait_until, claim.overtaken, claim.run_id, claim.node_id, claim_lock.lock_id, claim_lock.template,
  claim_lock.resolved_json, claim_lock.units,
  run.namespace, run.name AS run, run.phase, run.finished_at, run.ttl_at, run.ended_by, run.shutdown,
  run.policy, run.policy_place,
  CASE WHEN run.origin = 'hold' THEN run.annotations_json END AS hold_json,
  CASE WHEN run.origin = 'hold' THEN ifnull(run.until_at,
    (SELECT min(wake_at) FROM node AS pause WHERE pause.run_id = run.id AND pause.finished_at IS NULL)) END AS hold_until,
  node.name AS node, node.display, node.phase AS node_phase, node.finished_at AS node_finished_at,
  CASE WHEN claim.state = 'held' THEN ({OF_CLAIM}) END AS unknown
FROM claim_lock JOIN claim ON claim.id = claim_lock.claim_id
  LEFT JOIN run ON run.id = claim.run_id LEFT JOIN node ON node.id = claim.node_id
"""
_HOLDERS = (
    _PARTY
    + """WHERE claim_lock.lock_id = :lock AND claim_lock.state = 'held' AND claim_lock.nested = 0
ORDER BY claim.epoch LIMIT :limit"""
)
_HOLDERS_OF = (
    _PARTY
    + """WHERE claim_lock.lock_id IN (SELECT value FROM json_each(:ids)) AND claim_lock.state = 'held' AND claim_lock.nested = 0
ORDER BY claim.epoch"""
)
_QUEUE = (
    _PARTY
    + """WHERE claim_lock.lock_id = :lock AND claim_lock.state = 'waiting' AND claim_lock.nested = 0
ORDER BY claim_lock.priority DESC, claim_lock.queue_order, claim_lock.claim_id LIMIT :limit"""
)
_AHEAD = (
    _PARTY
    + """WHERE claim_lock.lock_id = :lock AND claim_lock.state = 'waiting' AND claim_lock.nested = 0
  AND (claim_lock.priority > :priority OR (claim_lock.priority = :priority
    AND (claim_lock.queue_order, claim_lock.claim_id) < (:queue_order, :claim)))
ORDER BY claim_lock.priority DESC, claim_lock.queue_order, claim_lock.claim_id LIMIT :limit"""
)
_QUEUED_HOLDS = """
SELECT (SELECT count(*) FROM claim_lock AS ahead
    WHERE ahead.lock_id = mine.lock_id AND ahead.state = 'waiting' AND ahead.nested = 0
    AND (ahead.priority > mine.priority OR (ahead.priority = mine.priority
      AND (ahead.queue_order, ahead.claim_id) < (mine.queue_order, mine.claim_id)))),
  json_extract(spec.spec_json, '$.templates[0].suspend.duration'), run.until_at
FROM claim_lock AS mine JOIN run ON run.id = mine.run_id JOIN spec ON spec.digest = run.spec_digest
WHERE mine.lock_id = :lock AND mine.state = 'waiting' AND mine.units = 2147483647
ORDER BY mine.priority DESC, mine.queue_order, mine.claim_id LIMIT :limit"""
_QUEUE_CLAIMS = """
SELECT claim_id FROM claim_lock WHERE lock_id = :lock AND state = 'waiting' AND nested = 0
ORDER BY priority DESC, queue_order, claim_id"""
_COUNT_AHEAD = """
SELECT count(*) FROM claim_lock WHERE lock_id = :lock AND state = 'waiting' AND nested = 0
  AND (priority > :priority OR (priority = :priority AND (queue_order, claim_id) < (:queue_order, :claim)))"""
_CLAIMS_OF_RUN = """
SELECT claim.id AS claim_id, claim.run_id, claim.node_id, claim.level, claim.state, claim.priority, claim.queue_order,
  claim.epoch, claim.requested_at, claim.granted_at, claim_lock.lock_id, claim_lock.nested, claim_lock.units, claim_lock.template,
  claim_lock.resolved_json, lock.key, lock.kind, lock.capacity, lock.limit_source, lock.held_back, node.name AS node,
  node.display, CASE WHEN claim_lock.thaws = 0 THEN lock.frozen_until END AS frozen_until, lock.frozen_why
FROM claim_lock JOIN claim ON claim.id = claim_lock.claim_id JOIN lock ON lock.id = claim_lock.lock_id
  LEFT JOIN node ON node.id = claim.node_id
"""
_HELD_BY_RUN = _CLAIMS_OF_RUN + "WHERE claim_lock.run_id = :run AND claim_lock.state = 'held' ORDER BY claim.id, lock.id"
_WAITED_BY_RUN = (
    _CLAIMS_OF_RUN + "WHERE claim_lock.run_id = :run AND claim_lock.state = 'waiting' ORDER BY claim.id, lock.id"
)
_FIRST_WAITED_BY_RUN = (
    _CLAIMS_OF_RUN
    + """WHERE claim_lock.run_id = :run AND claim_lock.state = 'waiting' AND claim_lock.nested = 0
ORDER BY claim_lock.claim_id, claim_lock.lock_id LIMIT :limit"""
)
_COUNT_WAITED_BY_RUN = "SELECT count(*) FROM claim_lock WHERE run_id = :run AND state = 'waiting' AND nested = 0"
_SUM_HELD = "SELECT count(*), ifnull(sum(units), 0) FROM claim_lock WHERE lock_id = :lock AND state = 'held' AND nested = 0"
_WAITED_BY_RUNS = (
    _CLAIMS_OF_RUN
    + """WHERE claim_lock.state = 'waiting' AND claim_lock.run_id BETWEEN :low AND :high
ORDER BY claim.id, lock.id"""
)
_OTHERS = """
SELECT lock.key FROM claim_lock JOIN lock ON lock.id = claim_lock.lock_id
WHERE claim_lock.claim_id = :claim AND claim_lock.lock_id <> :lock ORDER BY lock.id"""
_BEFORE_BOOT = """
SELECT attempt.run_id, ifnull(nullif(ltrim(node.name, '.'), ''), node.display) FROM attempt JOIN node ON node.id = attempt.node_id
WHERE attempt.state IN ('intended', 'live') AND attempt.boot_id NOT IN ('', :boot)"""
_LIVE_ON = f"""
SELECT attempt.id, attempt.state, attempt.boot_id, attempt.pid, node.name AS node, node.display, node.started_at, {NODE_MESSAGE},
  attempt.unknown_at, attempt.unknown
FROM attempt JOIN node ON node.id = attempt.node_id
WHERE attempt.run_id = :run AND attempt.state IN ('intended', 'live') ORDER BY attempt.id"""


def list_lock_ids(reader: Reader, namespace: str | None) -> list[int]:
    """Ids of every lock that was ever asked for, in the order of their keys."""
    return [row[0] for row in reader.rows(_IDS, namespace=namespace)]


def list_locks(reader: Reader, ids: list[int]) -> list[Row]:
    """The locks with these ids, by key."""
    return reader.rows(_LOCKS, ids=str(ids))


def list_some_keys(reader: Reader, limit: int) -> list[str]:
    """The first keys, for a message."""
    return [str(row[0]) for row in reader.rows(_SOME_KEYS, limit=limit)]


def find_lock(reader: Reader, key: str) -> Row | None:
    """The lock with that key, or None."""
    return reader.row(_BY_KEY, key=key)


def find_lock_names(reader: Reader, word: str) -> list[str]:
    """Keys of the locks whose name is `word` or whose key ends in `/word`."""
    return [str(row["key"]) for row in reader.rows(_SUFFIX, name=word, tail="/" + word)]


def list_held_ids(reader: Reader) -> tuple[list[int], list[int]]:
    """Ids of the locks that somebody holds, and of those that a run holds which has ended or is gone."""
    return [row[0] for row in reader.rows(_HELD)], [row[0] for row in reader.rows(_HELD_AFTER_END)]


def count_waiting(reader: Reader) -> dict[int, tuple[int, str]]:
    """Number of waiters and since when the first of them has waited, by lock id. A smaller claim id was asked earlier."""
    return {row[0]: (row[1], row[2]) for row in reader.rows(_WAITING)}


def list_holders(reader: Reader, lock_id: int, limit: int = -1) -> list[Row]:
    """The claims that hold a unit of the lock, oldest grant first, each with its run and node."""
    return reader.rows(_HOLDERS, lock=lock_id, limit=limit)


def list_holders_of(reader: Reader, ids: list[int]) -> dict[int, list[Row]]:
    """As `list_holders`, for several locks at once, by lock id; free locks are absent."""
    found: dict[int, list[Row]] = {}
    for row in reader.rows(_HOLDERS_OF, ids=str(ids)):
        found.setdefault(row["lock_id"], []).append(row)
    return found


def list_queued_holds(reader: Reader, lock_id: int, most: int) -> list[tuple[int, float | None, str | None]]:
    """(place from 0, seconds that it will last, or the instant of its end) of the first holds in a lock's queue, in order."""
    found = reader.tuples(_QUEUED_HOLDS, lock=lock_id, limit=most)
    return [(place, None if length is None else float(str(length).rstrip("s")), until) for place, length, until in found]


def list_queue(reader: Reader, lock_id: int, limit: int = -1) -> list[Row]:
    """The claims that wait for the lock in the order in which they will be served."""
    return reader.rows(_QUEUE, lock=lock_id, limit=limit)


def list_ahead(reader: Reader, claim: Row, limit: int) -> list[Row]:
    """The first waiters before this claim in the queue of the lock that the row names."""
    return reader.rows(
        _AHEAD,
        lock=claim["lock_id"],
        priority=claim["priority"],
        queue_order=claim["queue_order"],
        claim=claim["claim_id"],
        limit=limit,
    )


def list_queue_claims(reader: Reader, lock_id: int) -> list[int]:
    """Ids of all claims that wait for the lock, in the order in which they will be served."""
    return [row[0] for row in reader.rows(_QUEUE_CLAIMS, lock=lock_id)]


def count_ahead(reader: Reader, claim: Row) -> int:
    """How many wait before this claim for the lock that the row names."""
    return reader.number(
        _COUNT_AHEAD,
        lock=claim["lock_id"],
        priority=claim["priority"],
        queue_order=claim["queue_order"],
        claim=claim["claim_id"],
    )


def list_held_by(reader: Reader, run_id: int) -> list[Row]:
    """The locks that a run and its nodes hold; one row for each lock of each claim."""
    return reader.rows(_HELD_BY_RUN, run=run_id)


def list_waited_by(reader: Reader, run_id: int) -> list[Row]:
    """The locks that a run and its nodes wait for; one row for each lock of each claim."""
    return reader.rows(_WAITED_BY_RUN, run=run_id)


def list_first_waited_by(reader: Reader, run_id: int, limit: int) -> list[Row]:
    """As `list_waited_by`, the first of them, without turns inside a holder."""
    return reader.rows(_FIRST_WAITED_BY_RUN, run=run_id, limit=limit)


def count_waited_by(reader: Reader, run_id: int) -> int:
    """How many locks a run and its nodes wait for, turns inside a holder left out."""
    return reader.number(_COUNT_WAITED_BY_RUN, run=run_id)


def sum_held(reader: Reader, lock_id: int) -> tuple[int, int]:
    """How many claims hold the lock, and how many units."""
    found = reader.row(_SUM_HELD, lock=lock_id)
    return (int(found[0]), int(found[1])) if found else (0, 0)


def list_waited_between(reader: Reader, low: int, high: int) -> list[Row]:
    """As `list_waited_by`, for all runs with ids from `low` to `high`."""
    return reader.rows(_WAITED_BY_RUNS, low=low, high=high)


def list_other_locks(reader: Reader, claim_id: int, lock_id: int) -> list[str]:
    """Keys of the other locks that the same claim needs: all or none."""
    return [str(row[0]) for row in reader.rows(_OTHERS, claim=claim_id, lock=lock_id)]


def list_live_attempts(reader: Reader, run_id: int) -> list[Row]:
    """The run's processes that were started, or are about to be, and have no end written down."""
    return reader.rows(_LIVE_ON, run=run_id)


def find_lost_steps(reader: Reader, boot_id: str) -> dict[int, str]:
    """By run id, the name of a step that is written down as started before the machine's last boot."""
    return {row[0]: str(row[1]) for row in reader.rows(_BEFORE_BOOT, boot=boot_id)} if boot_id else {}
