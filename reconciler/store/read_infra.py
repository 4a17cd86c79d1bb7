"""Reads where InfrastructureDefinitions led, who deploys there, and how much of each constraint is taken."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row

    from reconciler.store.read import Reader

_MAPPINGS = """
SELECT m.namespace, m.definition, m.service, m.fields_json, m.first_at, m.last_at, m.deployments, m.lock_id, l.key,
  l.queue_limit,
  (SELECT count(*) FROM claim_lock c WHERE c.lock_id = l.id AND c.state = 'held' AND c.nested = 0) AS held,
  (SELECT count(*) FROM claim_lock c WHERE c.lock_id = l.id AND c.state = 'waiting' AND c.nested = 0) AS waiting
FROM mapping m JOIN lock l ON l.id = m.lock_id
WHERE (:namespace IS NULL OR m.namespace = :namespace) AND (:name IS NULL OR m.definition = :name)
ORDER BY m.namespace, m.definition, l.key"""
_DEPLOYMENTS = """
SELECT run.namespace, run.name AS run, run.phase, run.started_at, run.finished_at, claim.epoch, claim.granted_at,
  claim.released_at, claim.release_reason
FROM claim_lock JOIN claim ON claim.id = claim_lock.claim_id JOIN run ON run.id = claim.run_id
WHERE claim_lock.lock_id = :lock AND claim.granted_at IS NOT NULL ORDER BY claim.epoch DESC LIMIT :limit"""
_CONSTRAINTS = """
SELECT d.namespace, d.name, d.path, d.line, d.body_json, l.key, l.name AS queue, l.capacity, l.limit_source, l.overtake,
  ifnull((SELECT sum(c.units) FROM claim_lock c WHERE c.lock_id = l.id AND c.state = 'held' AND c.nested = 0), 0) AS held,
  ifnull((SELECT count(*) FROM claim_lock c WHERE c.lock_id = l.id AND c.state = 'waiting' AND c.nested = 0), 0) AS waiting
FROM definition d LEFT JOIN lock l ON l.kind = 'Constraint' AND l.namespace = d.namespace
  AND (l.name = d.name OR substr(l.name, 1, length(d.name) + 1) = d.name || '/')
WHERE d.kind = 'ResourceConstraint' AND d.retired_at IS NULL
  AND (:namespace IS NULL OR d.namespace = :namespace) AND (:name IS NULL OR d.name = :name)
ORDER BY d.namespace, d.name, l.key"""


def list_mappings(reader: Reader, namespace: str | None, name: str | None = None) -> list[Row]:
    """Each place that a definition was resolved to, with its service, its lock, and who holds and waits."""
    return reader.rows(_MAPPINGS, namespace=namespace, name=name)


def list_deployments(reader: Reader, lock_id: int, limit: int) -> list[Row]:
    """The runs that held a place, the latest first; those of deleted runs are in the journal only."""
    return reader.rows(_DEPLOYMENTS, lock=lock_id, limit=limit)


def list_constraints(reader: Reader, namespace: str | None, name: str | None = None) -> list[Row]:
    """Each live ResourceConstraint, a row for each of its queues that was ever used (else one without a key)."""
    return reader.rows(_CONSTRAINTS, namespace=namespace, name=name)
