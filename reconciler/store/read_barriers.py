"""Reads barriers: who waits at one, for whom, and until when. Asked only where a run waits at one; nothing here writes."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row

    from reconciler.store.read import Reader

_WAITS = """
SELECT barrier.id, barrier.pipeline, barrier.name AS barrier, node.id AS node_id, node.name AS node, node.display,
  node.started_at, node.wake_at
FROM barrier JOIN node AS first ON first.id = barrier.node_id
  JOIN node ON node.run_id = barrier.run_id AND node.type = 'Suspend' AND node.template = first.template
WHERE barrier.run_id = :run AND barrier.state = 'arrived' AND node.finished_at IS NULL ORDER BY barrier.id, node.id"""
_MEMBERS = """
SELECT barrier.run_id, run.namespace, run.name AS run, run.phase, run.finished_at, barrier.state
FROM barrier JOIN run ON run.id = barrier.run_id
WHERE barrier.pipeline = :pipeline AND barrier.name = :barrier ORDER BY barrier.id"""
_ARRIVED = """
SELECT barrier.id, barrier.pipeline, barrier.name AS barrier, barrier.run_id, node.id AS node_id, run.namespace, run.name AS run,
  first.name AS node, first.display, first.started_at AS since
FROM barrier JOIN run ON run.id = barrier.run_id JOIN node AS first ON first.id = barrier.node_id
  JOIN node ON node.run_id = barrier.run_id AND node.type = 'Suspend' AND node.template = first.template
WHERE barrier.state = 'arrived' AND node.finished_at IS NULL ORDER BY barrier.id, node.id"""
_AWAITED = """
SELECT barrier.id, barrier.run_id, run.namespace, run.name AS run,
  run.suspended = 1 OR run.shutdown <> '' OR run.successor_of IS NOT NULL OR run.finished_at IS NOT NULL
  OR EXISTS (SELECT 1 FROM attempt WHERE attempt.run_id = run.id AND attempt.state IN ('queued', 'intended', 'live'))
  OR EXISTS (SELECT 1 FROM node WHERE node.run_id = run.id AND node.finished_at IS NULL
    AND (node.wake_at IS NOT NULL OR (node.type = 'Suspend' AND node.phase = 'Running'))
    AND NOT (node.type = 'Suspend' AND node.template IN (SELECT at.template FROM barrier AS own JOIN node AS at
      ON at.id = own.node_id WHERE own.run_id = run.id AND own.state = 'arrived'))) AS may_go_on
FROM barrier JOIN run ON run.id = barrier.run_id
WHERE barrier.pipeline = :pipeline AND barrier.name = :barrier AND barrier.state = 'absent' ORDER BY barrier.id"""
_PARENTS = """
WITH RECURSIVE above (id, parent) AS (
  SELECT node.id, node.parent_id FROM barrier JOIN node ON node.run_id = barrier.run_id AND node.type = 'Suspend'
  WHERE barrier.state = 'arrived' AND node.finished_at IS NULL
  UNION SELECT node.id, node.parent_id FROM above JOIN node ON node.id = above.parent)
SELECT id, parent FROM above"""


def list_barrier_waits(reader: Reader, run_id: int) -> list[Row]:
    """The barriers at which a run waits, each with the nodes that do, the first first."""
    return reader.rows(_WAITS, run=run_id)


def list_members(reader: Reader, wait: Row) -> list[Row]:
    """All runs that have the barrier of a wait, by arrival, with where each stands."""
    return reader.rows(_MEMBERS, pipeline=wait["pipeline"], barrier=wait["barrier"])


def list_arrived(reader: Reader) -> list[Row]:
    """Every wait at a barrier, once for each node that waits."""
    return reader.rows(_ARRIVED)


def list_awaited(reader: Reader, wait: Row) -> list[Row]:
    """The runs that a wait is for; `may_go_on` if something other than waits can take them on."""
    return reader.rows(_AWAITED, pipeline=wait["pipeline"], barrier=wait["barrier"])


def list_enclosing_barriers(reader: Reader) -> dict[int, int | None]:
    """By node, the node that made it; of all nodes that wait at a barrier and of those around them."""
    return dict(reader.tuples(_PARENTS))


def has_barriers(reader: Reader, run_id: int) -> bool:
    """True if the run shares a barrier with others that is still to be passed."""
    sql = "SELECT 1 FROM barrier WHERE run_id = :run AND state IN ('absent', 'arrived') LIMIT 1"
    return reader.row(sql, run=run_id) is not None
