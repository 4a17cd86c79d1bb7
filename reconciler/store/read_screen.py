"""Reads what the operator's screen polls: whole lists as bare tuples, each statement one pass over an index.

Lists are made anew whenever anything was committed, so these statements read no JSON and join nothing that cannot change.
Nothing here writes.
"""

from __future__ import annotations

from reconciler.store.read_rest import JournalFilter
from reconciler.store.unknown import RUN_MESSAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row
    from typing import Any

    from reconciler.store.read import Reader

_CHANGING = f"SELECT id, phase, {RUN_MESSAGE}, priority, shutdown, suspended, started_at, finished_at FROM run "
ID, PHASE, MESSAGE, PRIORITY, SHUTDOWN, SUSPENDED, STARTED_AT, FINISHED_AT = range(8)
_OPEN = _CHANGING + "WHERE finished_at IS NULL ORDER BY id DESC"
_KEEPING = (
    _CHANGING
    + """WHERE finished_at IS NOT NULL AND id IN (SELECT run_id FROM claim_lock WHERE state = 'held')
ORDER BY id DESC"""
)
_ENDED = (
    _CHANGING
    + """WHERE finished_at IS NOT NULL AND id NOT IN (SELECT run_id FROM claim_lock WHERE state = 'held')
ORDER BY id DESC LIMIT :limit"""
)
_ONE = _CHANGING + "WHERE id = :id"
_FIXED = """
SELECT id, namespace, name, cron, origin, origin_name, commit_sha, created_at
FROM run WHERE id IN (SELECT value FROM json_each(:ids))"""
NAMESPACE, NAME, CRON, ORIGIN, ORIGIN_NAME, COMMIT, CREATED_AT = range(1, 8)
_QUEUES = """
SELECT lock_id, claim_id FROM claim_lock WHERE state = 'waiting' AND nested = 0
ORDER BY lock_id, priority DESC, queue_order, claim_id"""
_CLAIMS = """
SELECT claim.id, claim.run_id, claim.node_id, node.name, node.display, claim.requested_at
FROM claim LEFT JOIN node ON node.id = claim.node_id WHERE claim.id IN (SELECT value FROM json_each(:ids))"""
_HELD = "SELECT run_id, count(*) FROM claim_lock WHERE state = 'held' AND nested = 0 GROUP BY run_id"
_STEPS = """
SELECT run_id, count(finished_at), count(*) FROM node
WHERE run_id IN (SELECT value FROM json_each(:ids)) AND type = 'Pod' GROUP BY run_id"""
_MAKERS = """
SELECT run.id, max(journal.actor) FROM run JOIN journal ON journal.namespace = run.namespace AND journal.run = run.name
WHERE run.id IN (SELECT value FROM json_each(:ids)) AND journal.kind = 'run.created' AND journal.actor <> '' GROUP BY run.id"""
_AUTHORS = "SELECT sha, author FROM revision WHERE author <> '' ORDER BY id"
_JOURNAL = """
SELECT seq, at, kind, actor, namespace, run, subject, detail_json FROM journal
WHERE seq < :before AND seq > :after AND (:run IS NULL OR (namespace = :namespace AND run = :run))
  AND (:subject IS NULL OR subject = :subject) AND (:by_people = 0 OR actor <> '')
ORDER BY seq DESC LIMIT :limit"""
_JOURNAL_UP = _JOURNAL.replace("seq DESC", "seq")
_HOLDS = """
SELECT lock.key, run.namespace, run.name, claim.run_id, node.name, node.display, claim.epoch, claim.granted_at,
  ifnull(claim_lock.let_go_at, claim.released_at)
FROM claim_lock JOIN claim ON claim.id = claim_lock.claim_id JOIN lock ON lock.id = claim_lock.lock_id
  LEFT JOIN run ON run.id = claim.run_id LEFT JOIN node ON node.id = claim.node_id
WHERE claim_lock.lock_id = :lock AND claim_lock.nested = 0 AND claim.granted_at IS NOT NULL
ORDER BY claim.id DESC LIMIT :limit"""
_QUEUE_PAGE = """
SELECT claim.id AS claim_id, claim.priority, claim.requested_at, claim.run_id, run.namespace, run.name AS run,
  node.name AS node, node.display
FROM claim_lock JOIN claim ON claim.id = claim_lock.claim_id
  LEFT JOIN run ON run.id = claim.run_id LEFT JOIN node ON node.id = claim.node_id
WHERE claim_lock.lock_id = :lock AND claim_lock.state = 'waiting' AND claim_lock.nested = 0
ORDER BY claim_lock.priority DESC, claim_lock.queue_order, claim_lock.claim_id LIMIT :limit OFFSET :skip"""
_OTHERS = """
SELECT claim_lock.claim_id, lock.key FROM claim_lock JOIN lock ON lock.id = claim_lock.lock_id
WHERE claim_lock.claim_id IN (SELECT value FROM json_each(:ids)) AND claim_lock.lock_id <> :lock ORDER BY lock.id"""
_ATTEMPTS = """
SELECT attempt.id, attempt.state, attempt.pid, attempt.queued_at, attempt.finished_at, attempt.exit_code, node.name, node.display
FROM attempt JOIN node ON node.id = attempt.node_id WHERE attempt.run_id = :run ORDER BY attempt.id"""
_ATTEMPT = "SELECT state, finished_at FROM attempt WHERE id = :attempt AND run_id = :run"
_FINDINGS = "SELECT path, findings_json FROM file WHERE bad = 1 OR refused = 1 OR findings_json <> '[]' ORDER BY path"
_LIVE = "SELECT path, kind, namespace, name FROM definition WHERE retired_at IS NULL ORDER BY path, doc_index"
LATEST = 1 << 62

Values = tuple["Any", ...]


def list_changing(reader: Reader, limit: int) -> list[Values]:
    """What may change of runs: of open ones, of ended ones that keep locks, of the newest `limit` others; each newest first.

    The places are named by the constants ID to FINISHED_AT.
    """
    return [*reader.tuples(_OPEN), *reader.tuples(_KEEPING), *reader.tuples(_ENDED, limit=limit)]


def find_changing(reader: Reader, run_id: int) -> Values | None:
    """The same of one run, or None."""
    found = reader.tuples(_ONE, id=run_id)
    return found[0] if found else None


def list_fixed(reader: Reader, ids: list[int]) -> dict[int, Values]:
    """What never changes of runs, by id; the places are named by the constants NAMESPACE to CREATED_AT."""
    return {values[0]: values for values in reader.tuples(_FIXED, ids=str(ids))} if ids else {}


def list_queues(reader: Reader) -> list[Values]:
    """(lock id, claim id) of everybody who waits, lock by lock in the order in which they will be served. Reads one index."""
    return reader.tuples(_QUEUES)


def list_claims(reader: Reader, ids: list[int]) -> list[Values]:
    """(claim, run id, node id, node's name, its display, since when) of claims; none of it ever changes."""
    return reader.tuples(_CLAIMS, ids=str(ids)) if ids else []


def count_held_by_run(reader: Reader) -> dict[int, int]:
    """How many locks each run holds, its nodes included; runs that hold none are absent."""
    return {int(run or 0): int(count or 0) for run, count in reader.tuples(_HELD)}


def count_steps(reader: Reader, ids: list[int]) -> dict[int, tuple[int, int]]:
    """How many processes of each run have ended, and how many there are; runs that have none are absent."""
    found: list[Values] = reader.tuples(_STEPS, ids=str(ids)) if ids else []
    return {run: (done, total) for run, done, total in found}


def find_makers(reader: Reader, ids: list[int]) -> dict[int, str]:
    """Who asked for these runs, where the journal names a person."""
    found: list[Values] = reader.tuples(_MAKERS, ids=str(ids)) if ids else []
    return dict(found)


def list_authors(reader: Reader) -> dict[str, str]:
    """Authors of the branch's revisions by hash."""
    found: list[Values] = reader.tuples(_AUTHORS)
    return dict(found)


class JournalPage:
    """Which rows of the journal, and which part of them: below `before` newest first, or above `after` oldest first."""

    __slots__ = ("after", "before", "by_people", "limit", "wanted")

    def __init__(self, wanted: JournalFilter, *, before: int | None, after: int | None, by_people: bool, limit: int) -> None:
        self.wanted = wanted
        self.before = before
        self.after = after
        self.by_people = by_people
        self.limit = limit


def list_journal_page(reader: Reader, page: JournalPage) -> list[Row]:
    """The rows of a page, newest first."""
    rows = reader.rows(
        _JOURNAL if page.after is None else _JOURNAL_UP,
        before=LATEST if page.before is None else page.before,
        after=-1 if page.after is None else page.after,
        run=page.wanted.run,
        namespace=page.wanted.namespace,
        subject=page.wanted.subject,
        by_people=int(page.by_people),
        limit=page.limit,
    )
    return rows if page.after is None else rows[::-1]


def list_holds(reader: Reader, lock_id: int, limit: int) -> list[Values]:
    """(key, namespace, run, run id, node's name, its display, epoch, granted, released) of the lock's latest claims."""
    return reader.tuples(_HOLDS, lock=lock_id, limit=limit)


def list_queue_page(reader: Reader, lock_id: int, limit: int, skip: int = 0) -> list[Row]:
    """A part of the queue, in the order in which it will be served."""
    return reader.rows(_QUEUE_PAGE, lock=lock_id, limit=limit, skip=skip)


def list_others_of(reader: Reader, claims: list[int], lock_id: int) -> dict[int, list[str]]:
    """By claim, the keys of the other locks that it needs; all or none."""
    found: dict[int, list[str]] = {}
    for claim, key in reader.tuples(_OTHERS, ids=str(claims), lock=lock_id) if claims else []:
        found.setdefault(int(claim or 0), []).append(str(key))
    return found


def list_attempts_whole(reader: Reader, run_id: int) -> list[Row]:
    """The run's processes in the order in which they were asked for."""
    return reader.rows(_ATTEMPTS, run=run_id)


def find_attempt(reader: Reader, run_id: int, attempt_id: int) -> Row | None:
    """State and end of one process, or None."""
    return reader.row(_ATTEMPT, run=run_id, attempt=attempt_id)


def list_findings(reader: Reader) -> list[Values]:
    """(path, findings as JSON) of every file in which something was found."""
    return reader.tuples(_FINDINGS)


def list_live_definitions(reader: Reader) -> list[Values]:
    """(path, kind, namespace, name) of what is live, in the order of the repository."""
    return reader.tuples(_LIVE)


def count_bad_files(reader: Reader) -> int:
    """How many files have a newest version that is refused."""
    return reader.number("SELECT count(*) FROM file WHERE bad = 1")
