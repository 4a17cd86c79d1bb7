"""Reads definitions, crons, the journal and the source's revisions. Nothing here writes."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row

    from reconciler.store.read import Reader

_DEFINITIONS = """
SELECT id, kind, namespace, name, path, line, commit_sha, labels_json, annotations_json, body_json,
  stale, applied_at
FROM definition WHERE retired_at IS NULL AND kind = :kind AND (:namespace IS NULL OR namespace = :namespace)
  AND (:name IS NULL OR name = :name) ORDER BY namespace, name, path, doc_index"""
_CRONS = """
SELECT cron.namespace, cron.name, cron.since, cron.watermark, cron.next_at, cron.suspended, cron.last_run_at,
  definition.body_json, definition.path, definition.line, definition.stale, definition.applied_at, definition.commit_sha,
  definition.labels_json, definition.annotations_json
FROM definition LEFT JOIN cron ON cron.namespace = definition.namespace AND cron.name = definition.name
WHERE definition.kind = 'CronWorkflow' AND definition.retired_at IS NULL
  AND (:namespace IS NULL OR definition.namespace = :namespace) AND (:name IS NULL OR definition.name = :name)
ORDER BY definition.namespace, definition.name"""
_CRON_ACTIVE = """
SELECT run.id, run.uid, run.namespace, run.name, run.phase FROM run
WHERE run.namespace = :namespace AND run.cron = :cron AND (run.finished_at IS NULL
  OR run.id IN (SELECT run_id FROM claim_lock WHERE state = 'held')) ORDER BY run.id"""
_TICKS = """
SELECT due_at, decision, reason, run_name, count, decided_at FROM tick
WHERE namespace = :namespace AND cron = :cron ORDER BY due_at DESC LIMIT :limit"""
_JOURNAL = """
SELECT seq, at, kind, actor, namespace, run, subject, detail_json, hash FROM journal
WHERE seq > :after AND (:run IS NULL OR (namespace = :namespace AND run = :run)) AND (:subject IS NULL OR subject = :subject)
ORDER BY seq LIMIT :limit"""
_JOURNAL_TAIL = """
SELECT min(seq) FROM (SELECT seq FROM journal
WHERE (:run IS NULL OR (namespace = :namespace AND run = :run)) AND (:subject IS NULL OR subject = :subject)
ORDER BY seq DESC LIMIT :limit)"""
_REVISIONS = """
SELECT id, sha, seen_at, applied_at, state, author, subject, message, outcome_json
FROM revision ORDER BY id DESC LIMIT :limit"""


def list_definitions(reader: Reader, kind: str, namespace: str | None, name: str | None = None) -> list[Row]:
    """The live definitions of one kind, by namespace and name."""
    return reader.rows(_DEFINITIONS, kind=kind, namespace=namespace, name=name)


def list_crons(reader: Reader, namespace: str | None, name: str | None = None) -> list[Row]:
    """The live CronWorkflows with what the store knows of their instants; those columns are NULL before the first look."""
    return reader.rows(_CRONS, namespace=namespace, name=name)


def list_active_runs(reader: Reader, namespace: str, cron: str) -> list[Row]:
    """The cron's runs that are not finished, or are finished and keep locks; oldest first."""
    return reader.rows(_CRON_ACTIVE, namespace=namespace, cron=cron)


def list_ticks(reader: Reader, namespace: str, cron: str, limit: int) -> list[Row]:
    """What was decided about the latest instants, newest first."""
    return reader.rows(_TICKS, namespace=namespace, cron=cron, limit=limit)


class JournalFilter:
    """Which rows of the journal are wanted: of a run (with its namespace), of a subject such as a lock's key, or all."""

    __slots__ = ("namespace", "run", "subject")

    def __init__(self, namespace: str = "", run: str | None = None, subject: str | None = None) -> None:
        self.namespace = namespace
        self.run = run
        self.subject = subject


def list_journal(reader: Reader, wanted: JournalFilter, after: int, limit: int) -> list[Row]:
    """Rows after a sequence number, oldest first."""
    return reader.rows(
        _JOURNAL, after=after, run=wanted.run, namespace=wanted.namespace, subject=wanted.subject, limit=limit
    )


def find_journal_tail(reader: Reader, wanted: JournalFilter, limit: int) -> int:
    """The sequence number after which the last `limit` rows begin."""
    first = reader.number(_JOURNAL_TAIL, run=wanted.run, namespace=wanted.namespace, subject=wanted.subject, limit=limit)
    return max(0, first - 1)


def list_revisions(reader: Reader, limit: int) -> list[Row]:
    """The latest revisions of the branch, newest first."""
    return reader.rows(_REVISIONS, limit=limit)


def source_state(reader: Reader) -> tuple[str, str]:
    """Why the branch's head is not live, and since when; two '' if it is, or waits for approval."""
    rows = reader.rows("SELECT key, value FROM meta WHERE key IN ('source_state', 'source_since')")
    found = {row["key"]: row["value"] for row in rows}
    return found.get("source_state", ""), found.get("source_since", "")


def count_live(reader: Reader) -> tuple[int, int, int]:
    """How many definitions are live, how many files hold them, and how many foreign documents were skipped."""
    counts = "count(*) AS definitions, count(DISTINCT path) AS files"
    live = reader.rows(f"SELECT {counts} FROM definition WHERE retired_at IS NULL")[0]
    skipped = reader.rows("SELECT coalesce(sum(foreign_count), 0) AS documents FROM file")[0]
    return live["definitions"], live["files"], skipped["documents"]


def list_bad_files(reader: Reader) -> list[Row]:
    """Files whose newest version is refused, with their findings."""
    return reader.rows("SELECT path, findings_json FROM file WHERE bad = 1 ORDER BY path")
