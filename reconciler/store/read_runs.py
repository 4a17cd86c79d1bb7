"""Reads runs, their nodes and attempts. Every statement is bounded by an index or a page; nothing here writes."""

from __future__ import annotations

from reconciler.store.unknown import LIST, NODE_MESSAGE, RUN_MESSAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row
    from collections.abc import Iterator

    from reconciler.store.read import Reader

PAGE = 500
ANY_ID = 1 << 62
_FILTER = """
  AND (:namespace IS NULL OR namespace = :namespace)
  AND (:phases IS NULL OR instr(:phases, ',' || phase || ',') > 0)
  AND (:prefix IS NULL OR substr(name, 1, length(:prefix)) = :prefix)
  AND (:since IS NULL OR created_at >= :since)
  AND (:older IS NULL OR created_at < :older)
  AND (:cron IS NULL OR cron = :cron)
  AND (:waiting = 0 OR id IN (SELECT run_id FROM claim_lock WHERE state = 'waiting'))
ORDER BY id DESC LIMIT :limit"""
_PAUSED = """(finished_at IS NULL AND (suspended = 1 OR EXISTS (SELECT 1 FROM node WHERE node.run_id = run.id
    AND node.finished_at IS NULL AND node.type = 'Suspend' AND node.phase = 'Running'))) AS is_paused"""
_LIST = f"""
SELECT {_PAUSED}, id, uid, namespace, name, phase, {RUN_MESSAGE}, priority, labels_json, annotations_json, arguments_json, cron,
  shutdown, ended_by, origin, origin_kind, origin_name, successor_of, removed, created_at, started_at, finished_at
FROM run WHERE id < :below"""
_OPEN = _LIST + " AND finished_at IS NULL" + _FILTER
_KEEPING = _LIST + " AND finished_at IS NOT NULL AND id IN (SELECT run_id FROM claim_lock WHERE state = 'held')" + _FILTER
_ENDED = _LIST + " AND finished_at IS NOT NULL AND id NOT IN (SELECT run_id FROM claim_lock WHERE state = 'held')" + _FILTER
_RUN = f"""
SELECT {_PAUSED}, id, uid, namespace, name, phase, {RUN_MESSAGE}, priority, queue_order, spec_digest, labels_json,
  annotations_json, arguments_json, cron, shutdown, ended_by, origin, origin_kind, origin_name, origin_place, commit_sha,
  scheduled_at, successor_of, removed, created_at, started_at, finished_at, deadline_at, ttl_at, until_at, suspended,
  outputs_json, policy, policy_group, policy_place
FROM run """
_BY_NAME = _RUN + "WHERE namespace = :namespace AND name = :name"
_BY_ID = _RUN + "WHERE id = :id"
_LATEST = _RUN + "WHERE :namespace IS NULL OR namespace = :namespace ORDER BY id DESC LIMIT 1"
_NODES = f"""
SELECT node.id, node.parent_id, node.name, node.display, node.type, node.template, node.phase, {NODE_MESSAGE},
  node.inputs_json, node.outputs_json, node.wake_at, node.exit_code, node.created_at, node.started_at, node.finished_at,
  node.deadline_at,
  attempt.id AS attempt_id, attempt.state AS attempt_state, attempt.pid, attempt.boot_id, attempt.queued_at, attempt.stop,
  attempt.cpu_ms, attempt.memory_kb
FROM node LEFT JOIN attempt ON attempt.node_id = node.id WHERE node.run_id = :run ORDER BY node.id"""

_PAUSES = """
SELECT name, display, type, template, outputs_json, wake_at, started_at FROM node
WHERE run_id = :run AND finished_at IS NULL AND ((type = 'Suspend' AND phase = 'Running') OR wake_at IS NOT NULL) ORDER BY id"""


class RunFilter:
    """Which runs are wanted; None means any. `phases` is ',Failed,Error,' with commas at both ends; instants are texts."""

    __slots__ = ("cron", "limit", "namespace", "older", "phases", "prefix", "since", "waiting")

    def __init__(self, namespace: str | None = None, *, limit: int = -1) -> None:
        self.namespace = namespace
        self.limit = limit
        self.phases: str | None = None
        self.prefix: str | None = None
        self.since: str | None = None
        self.older: str | None = None
        self.cron: str | None = None
        self.waiting = False


def iterate_runs(reader: Reader, wanted: RunFilter) -> Iterator[Row]:
    """Runs in the order that an operator looks: unfinished, then finished that keep locks, then the rest; newest first.

    Pages are keyed by id, so what commits meanwhile neither repeats nor skips a run. `limit` is not applied to the sum.
    """
    for statement in (_OPEN, _KEEPING, _ENDED):
        below: int | None = ANY_ID
        while below is not None:
            page = _page(reader, statement, wanted, below)
            yield from page
            below = page[-1]["id"] if len(page) == PAGE else None


def _page(reader: Reader, statement: str, wanted: RunFilter, below: int) -> list[Row]:
    return reader.rows(
        statement,
        namespace=wanted.namespace,
        phases=wanted.phases,
        prefix=wanted.prefix,
        since=wanted.since,
        older=wanted.older,
        cron=wanted.cron,
        waiting=int(wanted.waiting),
        below=below,
        limit=PAGE if wanted.limit < 0 else min(PAGE, wanted.limit + 1),
    )


def count_runs(reader: Reader, namespace: str | None) -> int:
    """How many runs there are."""
    return reader.number("SELECT count(*) FROM run WHERE :namespace IS NULL OR namespace = :namespace", namespace=namespace)


def find_run(reader: Reader, namespace: str, name: str) -> Row | None:
    """One run whole, or None."""
    return reader.row(_BY_NAME, namespace=namespace, name=name)


def find_run_by_id(reader: Reader, run_id: int) -> Row | None:
    """One run whole, or None."""
    return reader.row(_BY_ID, id=run_id)


def find_latest_run(reader: Reader, namespace: str | None) -> Row | None:
    """The run that arrived last, or None."""
    return reader.row(_LATEST, namespace=namespace)


def list_unknown(reader: Reader) -> list[Row]:
    """Every step of which nothing proves whether its processes live: namespace, run, step, since, why."""
    return reader.rows(LIST)


def list_nodes(reader: Reader, run_id: int) -> list[Row]:
    """The run's nodes in order of creation, each with its attempt if it has one."""
    return reader.rows(_NODES, run=run_id)


def count_pods(reader: Reader, run_id: int) -> tuple[int, int]:
    """How many Pod nodes have ended, and how many there are."""
    found = reader.row("SELECT count(finished_at), count(*) FROM node WHERE run_id = :run AND type = 'Pod'", run=run_id)
    return (int(found[0]), int(found[1])) if found else (0, 0)


def count_running_attempts(reader: Reader) -> int:
    """How many parallelism slots are in use."""
    return reader.number("SELECT count(*) FROM attempt WHERE state IN ('intended', 'live')")


def count_queued_before(reader: Reader, attempt_id: int) -> int:
    """How many attempts are ahead of this one in the queue for a parallelism slot."""
    return reader.number(
        "SELECT count(*) FROM attempt AS mine JOIN attempt AS other ON other.state = 'queued'"
        " AND (other.priority > mine.priority"
        " OR (other.priority = mine.priority AND (other.queue_order, other.id) < (mine.queue_order, mine.id)))"
        " WHERE mine.id = :attempt",
        attempt=attempt_id,
    )


def read_spec(reader: Reader, digest: str) -> str:
    """The frozen spec's JSON text; '{}' if it is gone."""
    found = reader.row("SELECT spec_json FROM spec WHERE digest = :digest", digest=digest)
    return str(found[0]) if found else "{}"


def list_attempts(reader: Reader, run_id: int) -> list[Row]:
    """The run's attempts with their node's name, in the order in which they were asked for."""
    return reader.rows(
        "SELECT attempt.id, attempt.state, attempt.finished_at, node.name, node.display FROM attempt"
        " JOIN node ON node.id = attempt.node_id WHERE attempt.run_id = :run ORDER BY attempt.id",
        run=run_id,
    )


def find_failed_pod(reader: Reader, run_id: int) -> Row | None:
    """The first step of the run that ended Failed or Error, or None."""
    return reader.row(
        "SELECT name, display, message, exit_code, finished_at FROM node"
        " WHERE run_id = :run AND type = 'Pod' AND phase IN ('Failed', 'Error') ORDER BY finished_at, id LIMIT 1",
        run=run_id,
    )


def list_pauses(reader: Reader, run_id: int) -> list[Row]:
    """Nodes of a run that wait for a person (type Suspend) or for an instant (a Retry between two tries), by id."""
    return reader.rows(_PAUSES, run=run_id)


def list_queued_attempts(reader: Reader, run_id: int) -> list[Row]:
    """The run's steps that are ready and wait for a parallelism slot."""
    return reader.rows(
        "SELECT attempt.id, attempt.queued_at, node.name, node.display FROM attempt JOIN node ON node.id = attempt.node_id"
        " WHERE attempt.run_id = :run AND attempt.state = 'queued' ORDER BY attempt.id",
        run=run_id,
    )


def find_keepers(reader: Reader) -> set[int]:
    """Ids of the runs that hold a lock."""
    return {int(row[0]) for row in reader.rows("SELECT DISTINCT run_id FROM claim_lock WHERE state = 'held'")}


def count_pod_phases(reader: Reader, run_id: int) -> tuple[int, int, int]:
    """How many of the run's steps are Pending, Running and ended."""
    found = reader.row(
        "SELECT sum(phase = 'Pending'), sum(phase = 'Running'), sum(finished_at IS NOT NULL) FROM node"
        " WHERE run_id = :run AND type = 'Pod'",
        run=run_id,
    )
    return (int(found[0] or 0), int(found[1] or 0), int(found[2] or 0)) if found else (0, 0, 0)
