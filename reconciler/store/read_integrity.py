"""Statements that find what must not be: rows that contradict one another. Each gives the row's number first; none repairs.

They read tables and no index (`NOT INDEXED`), where a broken index could hide a row. Whether an index agrees with its table is
SQLite's own check.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from reconciler.store.read import Reader

    Values = tuple[Any, ...]

CONTRADICTIONS = {
    "copies": """
SELECT claim_lock.claim_id, lock.key, claim_lock.state || '/' || claim_lock.priority || '/' || claim_lock.queue_order || '/'
    || claim_lock.run_id || '/' || claim_lock.node_level,
  claim.state || '/' || claim.priority || '/' || claim.queue_order || '/' || claim.run_id || '/' || (claim.level = 'node')
FROM claim_lock NOT INDEXED JOIN claim ON claim.id = claim_lock.claim_id LEFT JOIN lock ON lock.id = claim_lock.lock_id
WHERE (claim_lock.state, claim_lock.priority, claim_lock.queue_order, claim_lock.run_id, claim_lock.node_level)
  <> (claim.state, claim.priority, claim.queue_order, claim.run_id, claim.level = 'node')
  AND NOT (claim_lock.state = 'released' AND claim.state = 'held'  -- one of its locks went before the others
    AND (claim_lock.priority, claim_lock.queue_order, claim_lock.run_id) = (claim.priority, claim.queue_order, claim.run_id)
    AND EXISTS (SELECT 1 FROM claim_lock AS other NOT INDEXED WHERE other.claim_id = claim.id AND other.state = 'held'))
ORDER BY 1, 2""",
    "empty-claim": """
SELECT claim.id, claim.state, claim.run_id FROM claim NOT INDEXED
WHERE claim.state <> 'released' AND claim.id NOT IN (SELECT claim_id FROM claim_lock NOT INDEXED) ORDER BY 1""",
    "gone-run": """
SELECT claim.id, claim.state, claim.run_id FROM claim NOT INDEXED
WHERE claim.state <> 'released' AND claim.run_id NOT IN (SELECT id FROM run NOT INDEXED) ORDER BY 1""",
    "held-after-end": """
SELECT claim.id, run.namespace || '/' || run.name, run.phase, run.ended_by, claim.level
FROM claim NOT INDEXED JOIN run ON run.id = claim.run_id
WHERE claim.state = 'held' AND run.finished_at IS NOT NULL
  AND (run.phase = 'Succeeded' OR run.ended_by <> '' OR claim.level = 'node'
    OR (claim.level = 'policy' AND NOT EXISTS (SELECT 1 FROM claim AS other NOT INDEXED
      WHERE other.run_id = run.id AND other.state = 'held' AND other.level <> 'policy')))
ORDER BY 1""",
    "waits-after-end": """
SELECT claim.id, run.namespace || '/' || run.name, run.phase FROM claim NOT INDEXED JOIN run ON run.id = claim.run_id
WHERE claim.state = 'waiting' AND run.finished_at IS NOT NULL ORDER BY 1""",
    "claim-of-ended-node": """
SELECT claim.id, claim.state, claim.node_id, ifnull(node.name, '(no such node)')
FROM claim NOT INDEXED LEFT JOIN node ON node.id = claim.node_id LEFT JOIN run ON run.id = claim.run_id
WHERE claim.state <> 'released' AND claim.level = 'node' AND run.finished_at IS NULL
  AND (node.id IS NULL OR node.finished_at IS NOT NULL OR node.run_id <> claim.run_id)
ORDER BY 1""",
    "turn-without-holder": """
SELECT claim_lock.claim_id, lock.key, claim_lock.nested
FROM claim_lock NOT INDEXED JOIN claim ON claim.id = claim_lock.claim_id JOIN lock ON lock.id = claim_lock.lock_id
WHERE claim.state <> 'released' AND claim_lock.nested > 0 AND NOT EXISTS (
  SELECT 1 FROM claim_lock AS outer_lock JOIN claim AS outer_claim ON outer_claim.id = outer_lock.claim_id
  WHERE outer_lock.claim_id = claim_lock.nested AND outer_lock.lock_id = claim_lock.lock_id
    AND outer_claim.state = 'held' AND outer_claim.run_id = claim.run_id)
ORDER BY 1""",
    "epoch-twice": """
SELECT min(id), epoch, group_concat(id, ', ') FROM claim NOT INDEXED
WHERE epoch IS NOT NULL GROUP BY epoch HAVING count(*) > 1 ORDER BY 1""",
    "epoch-beyond-counter": """
SELECT id, epoch, ifnull((SELECT value FROM meta WHERE key = 'epoch'), '0') FROM claim NOT INDEXED
WHERE epoch > CAST(ifnull((SELECT value FROM meta WHERE key = 'epoch'), '0') AS INTEGER) ORDER BY 1""",
    "attempt-without-running-node": """
SELECT attempt.id, attempt.state, attempt.run_id, attempt.node_id, ifnull(node.phase, 'gone'), ifnull(run.phase, 'gone')
FROM attempt NOT INDEXED LEFT JOIN node ON node.id = attempt.node_id LEFT JOIN run ON run.id = attempt.run_id
WHERE (attempt.state IN ('intended', 'live') AND (node.phase IS NOT 'Running' OR run.finished_at IS NOT NULL OR run.id IS NULL
    OR node.run_id <> attempt.run_id))
  OR (attempt.state = 'queued' AND (node.id IS NULL OR node.finished_at IS NOT NULL OR run.finished_at IS NOT NULL))
ORDER BY 1""",
    "running-step-without-attempt": """
SELECT node.id, node.run_id, node.name FROM node NOT INDEXED
WHERE node.type = 'Pod' AND node.phase = 'Running' AND node.id NOT IN (SELECT node_id FROM attempt NOT INDEXED) ORDER BY 1""",
}
_CROWDED = """
SELECT lock.id, lock.key, lock.kind, sum(claim_lock.units), sum(claim_lock.mutex), group_concat(claim.id, ', '),
  max(claim.granted_at)
FROM claim_lock NOT INDEXED JOIN claim ON claim.id = claim_lock.claim_id JOIN lock ON lock.id = claim_lock.lock_id
WHERE claim_lock.state = 'held' AND claim_lock.nested = 0 GROUP BY lock.id
HAVING (sum(claim_lock.units) > ifnull(lock.capacity, 0) AND (count(*) > 1 OR max(claim_lock.units) < 2147483647))
  OR sum(claim_lock.mutex) > 1 ORDER BY 1"""
_LIMITS = """
SELECT at, detail_json FROM journal WHERE subject = :key AND kind = 'lock.limit' AND at <= :until ORDER BY seq"""
_LIVE = "SELECT id, run_id FROM attempt NOT INDEXED WHERE state = 'live' ORDER BY id"
_FOREIGN = "PRAGMA foreign_key_check"
_WHOLE = "PRAGMA integrity_check"
_SOUND = [("ok",)]


def list_contradictions(reader: Reader, check: str) -> list[Values]:
    """What one of CONTRADICTIONS finds; the first value is a row's number."""
    return reader.tuples(CONTRADICTIONS[check])


def list_crowded(reader: Reader) -> list[Values]:
    """(lock, key, kind, units held, how many of them are to be alone, claims, latest grant) of locks above their limit."""
    return reader.tuples(_CROWDED)


def list_limits(reader: Reader, key: str, until: str) -> list[Values]:
    """(instant, detail as JSON) of the changes of a lock's limit up to an instant, oldest first."""
    return reader.tuples(_LIMITS, key=key, until=until)


def list_live(reader: Reader) -> list[Values]:
    """(attempt, run) of every process that is written down as alive."""
    return reader.tuples(_LIVE)


def list_dangling(reader: Reader) -> list[Values]:
    """(table, row, table that it refers to, ...) of every reference that leads nowhere, by SQLite's own check."""
    return reader.tuples(_FOREIGN)


def list_damage(reader: Reader) -> list[str]:
    """What SQLite finds wrong with the file, at most its own hundred lines; [] if it is sound."""
    found = reader.tuples(_WHOLE)
    return [] if found == _SOUND else [str(values[0]) for values in found]
