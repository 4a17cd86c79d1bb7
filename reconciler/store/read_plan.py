"""A private copy, in memory, of what a revision could touch, for a plan to be carried out on; and what came of it there.

The home's file is opened with `mode=ro` and read in one transaction; nothing is ever written to it. What has ended and holds
nothing is copied by name only, so the copy costs what is open and live, not what has been.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from reconciler.model.source import Standing
from reconciler.store.lookup import StoreLookup
from reconciler.store.read import Gone, open_read, unreadable
from reconciler.store.writer import Writer

_FOLDER = os.path.join(os.path.dirname(__file__), "migrations")
_OPEN = "SELECT id FROM main.run WHERE finished_at IS NULL"
_NAMES = (
    "INSERT INTO main.run (id, uid, namespace, name, phase, queue_order, spec_digest, origin, created_at, finished_at)"
    " SELECT id, '', namespace, name, 'Succeeded', 0, '', 'git', '', '' FROM home.run"
    " WHERE finished_at IS NOT NULL AND id NOT IN (SELECT run_id FROM main.claim)"
)
_COPIES = (  # whole rows: the copy's tables are made from the home's own schema, column by column
    "INSERT INTO main.meta SELECT * FROM home.meta",
    "INSERT INTO main.definition SELECT * FROM home.definition WHERE retired_at IS NULL",
    "INSERT INTO main.reference SELECT * FROM home.reference WHERE definition_id IN (SELECT id FROM main.definition)",
    "INSERT INTO main.named_lock SELECT * FROM home.named_lock WHERE definition_id IN (SELECT id FROM main.definition)",
    "INSERT INTO main.ran SELECT * FROM home.ran",
    "INSERT INTO main.file SELECT * FROM home.file WHERE refused = 1",
    "INSERT INTO main.cron SELECT * FROM home.cron",
    "UPDATE main.cron SET next_at = NULL",  # what is due anyway is no part of the plan
    "INSERT INTO main.lock SELECT * FROM home.lock",
    "INSERT INTO main.claim SELECT * FROM home.claim WHERE state <> 'released'",
    "INSERT INTO main.claim_lock SELECT * FROM home.claim_lock WHERE claim_id IN (SELECT id FROM main.claim)",
    "INSERT INTO main.run SELECT * FROM home.run WHERE finished_at IS NULL",
    "INSERT INTO main.run SELECT * FROM home.run WHERE finished_at IS NOT NULL AND id IN (SELECT run_id FROM main.claim)",
    _NAMES,
    "INSERT INTO main.spec SELECT * FROM home.spec WHERE digest IN (SELECT DISTINCT spec_digest FROM main.run)",
    f"INSERT INTO main.node SELECT * FROM home.node WHERE run_id IN ({_OPEN})",
    f"INSERT INTO main.attempt SELECT * FROM home.attempt WHERE run_id IN ({_OPEN})",
    "DELETE FROM main.sqlite_sequence",
    "INSERT INTO main.sqlite_sequence SELECT name, seq FROM home.sqlite_sequence WHERE name IN ('run', 'claim', 'attempt')",
)
_WAS = (
    "CREATE TABLE was_run AS SELECT id, phase, removed FROM run WHERE finished_at IS NULL",
    "CREATE UNIQUE INDEX was_run_id ON was_run (id)",
    "CREATE TABLE was_lock AS SELECT id, capacity, limit_source FROM lock",
    "CREATE UNIQUE INDEX was_lock_id ON was_lock (id)",
    "CREATE TABLE was_waiting AS SELECT id FROM claim WHERE state = 'waiting'",
    "CREATE TABLE was AS SELECT ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'run'), 0) AS last_run",
)
_SCHEMA = "SELECT sql FROM home.sqlite_master WHERE sql IS NOT NULL AND name NOT GLOB 'sqlite_*' AND (type = 'table') = ?"
_NODE = "ifnull(ifnull(nullif(ltrim(n.name, '.'), ''), n.display), '')"
_WHO = (
    f"SELECT cl.claim_id, ifnull(r.namespace, ''), ifnull(r.name, 'run ' || cl.run_id), ifnull(r.phase, ''), {_NODE},"
    " cl.run_id > (SELECT last_run FROM was)"
    " FROM claim_lock cl LEFT JOIN run r ON r.id = cl.run_id JOIN claim c ON c.id = cl.claim_id"
    " LEFT JOIN node n ON n.id = c.node_id"
    " WHERE cl.lock_id = ? AND cl.nested = 0"
)
_HOLDERS = _WHO + " AND cl.state = 'held' ORDER BY c.epoch"
_QUEUE = _WHO + " AND cl.state = 'waiting' ORDER BY cl.priority DESC, cl.queue_order, cl.claim_id"
_NEW = (
    "SELECT id, namespace, name, phase, message, priority, origin, origin_kind, origin_name, origin_place, cron, suspended,"
    " started_at IS NOT NULL, (SELECT count(*) FROM attempt a WHERE a.run_id = run.id AND a.state = 'queued'),"
    " ended_by, policy, policy_place, ifnull((SELECT p.name FROM run p WHERE p.id = run.successor_of), '')"
    " FROM run WHERE id > (SELECT last_run FROM was) ORDER BY id"
)
_CLAIMS = (
    f"SELECT c.run_id, c.id, c.level, c.state, {_NODE}, cl.lock_id, cl.nested > 0,"
    " l.key, l.kind, cl.template, cl.resolved_json, l.capacity, l.limit_source, l.held_back,"
    " CASE WHEN cl.thaws = 0 AND l.frozen_until IS NOT NULL THEN 'frozen until ' || substr(l.frozen_until, 1, 19) || 'Z by '"
    " || l.frozen_why ELSE '' END"
    " FROM claim c JOIN claim_lock cl ON cl.claim_id = c.id JOIN lock l ON l.id = cl.lock_id LEFT JOIN node n ON n.id = c.node_id"
    " WHERE c.run_id > (SELECT last_run FROM was) AND c.level <> 'policy' ORDER BY c.run_id, c.id, l.key"
)


@dataclass(frozen=True, slots=True)
class WhoRow:
    """A holder or a waiter. `node` '' for a workflow-level claim; `is_new`: the plan itself would submit it."""

    claim: int
    namespace: str
    run: str
    phase: str
    node: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class NewRunRow:
    """A run that the plan would submit, as it stands afterwards. `queued` counts steps that wait for a slot.

    `waits_for` is the run that must be gone first, as the run's concurrency policy says; '' for none.
    """

    id: int
    namespace: str
    name: str
    phase: str
    message: str
    priority: int
    origin: str
    kind: str
    definition: str
    place: str
    cron: str
    suspended: bool
    has_started: bool
    queued: int
    ended_by: str
    policy: str
    policy_place: str
    waits_for: str

    @property
    def claimant(self) -> tuple[str, str]:
        """How a claim's row names it: namespace and name."""
        return self.namespace, self.name


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """One lock of a claim of such a run; `node` '' for the run itself."""

    run: int
    claim: int
    level: str
    state: str
    node: str
    lock: int
    is_nested: bool
    key: str
    kind: str
    template: str
    resolved_json: str
    capacity: int | None
    limit_source: str
    held_back: str
    frozen: str


def open_copy(path: str) -> Writer:
    """A writer of a copy in memory; an empty one if the home has no database yet. Raises Unreachable if it cannot be read."""
    db = sqlite3.connect(":memory:", isolation_level=None, cached_statements=512, uri=True)
    try:
        open_read(path).close()
    except Gone:
        for name in sorted(os.listdir(_FOLDER)):
            if name.endswith(".sql"):
                with open(os.path.join(_FOLDER, name), encoding="utf-8") as file:
                    db.executescript(file.read())
    else:
        _copy(db, path)
    for statement in _WAS:
        db.execute(statement)
    db.execute("PRAGMA foreign_keys = ON")
    return Writer(db)


def _copy(db: sqlite3.Connection, path: str) -> None:
    quoted = path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    try:
        db.execute("ATTACH ? AS home", (f"file:{quoted}?mode=ro",))
        db.execute("PRAGMA busy_timeout = 5000")
        db.execute("BEGIN")
        for (statement,) in db.execute(_SCHEMA, (1,)).fetchall():
            db.execute(statement)
        for statement in _COPIES:
            db.execute(statement)
        for (statement,) in db.execute(_SCHEMA, (0,)).fetchall():
            db.execute(statement)
        db.execute("COMMIT")
        db.execute("DETACH home")
    except sqlite3.DatabaseError as error:
        db.close()
        raise unreadable(path, error) from error


class CopyLookup(StoreLookup):
    """What a push check asks of the live definitions, answered by the copy: one instant, and no connection for each question."""

    def __init__(self, writer: Writer) -> None:
        super().__init__("")
        self._db = writer.db

    def _rows(self, sql: str, values: Sequence[object]) -> list[tuple]:  # type: ignore[type-arg]  # rows
        return self._db.execute(sql, tuple(values)).fetchall()


def standing_of(writer: Writer) -> Standing:
    """The paths that the source must treat with care."""
    live = writer.db.execute("SELECT DISTINCT path FROM definition WHERE retired_at IS NULL")
    refused = writer.db.execute("SELECT path FROM file WHERE refused = 1")
    return Standing(live_paths=frozenset(r[0] for r in live), refused=frozenset(r[0] for r in refused))


def contested_before(writer: Writer) -> dict[str, str]:
    """Path -> blob of the files of which a document is not live because another file claims its identity."""
    return dict(writer.db.execute("SELECT path, blob FROM file WHERE refused = 1").fetchall())


def workflow_at(writer: Writer, place: str) -> str:
    """The name of the live Workflow that is written at path:line; '' if there is none."""
    path, _, line = place.rpartition(":")
    sql = "SELECT name FROM definition WHERE kind = 'Workflow' AND path = ? AND line = ? AND retired_at IS NULL"
    row = writer.db.execute(sql, (path, int(line))).fetchone()
    return "" if row is None else str(row[0]).partition("|")[0]


def new_runs(writer: Writer) -> list[NewRunRow]:
    """The runs that were submitted on the copy, in order."""
    return [NewRunRow(*row) for row in writer.db.execute(_NEW)]


def claims_of_new(writer: Writer) -> dict[int, list[ClaimRow]]:
    """Their claims' locks by run, in the order of the claims."""
    found: dict[int, list[ClaimRow]] = {}
    for row in writer.db.execute(_CLAIMS):
        found.setdefault(row[0], []).append(ClaimRow(*row))
    return found


def holders(writer: Writer, lock: int) -> list[WhoRow]:
    """Who holds a unit of the lock, oldest grant first."""
    return [_who(row) for row in writer.db.execute(_HOLDERS, (lock,))]


def queue(writer: Writer, lock: int) -> list[WhoRow]:
    """Who waits for the lock, in the order in which they will be served."""
    return [_who(row) for row in writer.db.execute(_QUEUE, (lock,))]


def _who(row: Sequence[object]) -> WhoRow:
    claim, namespace, run, phase, node, is_new = row
    assert isinstance(claim, int)
    return WhoRow(claim, str(namespace), str(run), str(phase), str(node), bool(is_new))


def refusals(writer: Writer) -> list[tuple[str, str, str, bool]]:
    """(namespace, place, reason, whether its concurrency policy forbade it) of what could not be submitted, in order."""
    sql = (
        "SELECT namespace, subject, json_extract(detail_json, '$.why'), kind = 'run.forbidden' FROM journal"
        " WHERE kind IN ('run.refused', 'run.forbidden') ORDER BY seq"
    )
    return [(*row[:3], bool(row[3])) for row in writer.db.execute(sql)]


def displaced_runs(writer: Writer) -> list[tuple[str, str, str, str]]:
    """(namespace, run, phase before, `replaced by X` or `superseded by X`) of earlier runs that end for new ones."""
    sql = (
        "SELECT j.namespace, j.run, ifnull(w.phase, r.phase), json_extract(j.detail_json, '$.reason') AS reason FROM journal j"
        " JOIN run r ON r.namespace = j.namespace AND r.name = j.run LEFT JOIN was_run w ON w.id = r.id"
        " WHERE r.id <= (SELECT last_run FROM was) AND ((j.kind = 'run.shutdown' AND json_extract(j.detail_json, '$.by') IN"
        " ('replace', 'superseded')) OR (j.kind = 'claim.released' AND reason GLOB 'replaced by *' AND w.id IS NULL))"
        " GROUP BY r.id ORDER BY r.id"
    )
    return writer.db.execute(sql).fetchall()


def removed_runs(writer: Writer) -> list[tuple[str, str, str, str, bool]]:
    """(workflow's namespace, its name, run, phase before, has ended) of the runs whose Workflow goes."""
    sql = (
        "SELECT r.namespace, r.origin_name, r.name, w.phase, r.finished_at IS NOT NULL FROM was_run w JOIN run r ON r.id = w.id"
        " WHERE r.removed = 1 AND w.removed = 0 ORDER BY r.id"
    )
    return [(*row[:4], bool(row[4])) for row in writer.db.execute(sql)]


def admitted_others(writer: Writer) -> list[tuple[str, str, str, str]]:
    """(namespace, run, node, lock's key) of earlier waiters that would have their locks at once."""
    sql = (
        f"SELECT r.namespace, r.name, {_NODE}, l.key"
        " FROM was_waiting w JOIN claim c ON c.id = w.id AND c.granted_at IS NOT NULL JOIN run r ON r.id = c.run_id"
        " JOIN claim_lock cl ON cl.claim_id = c.id JOIN lock l ON l.id = cl.lock_id"
        " LEFT JOIN node n ON n.id = c.node_id ORDER BY c.epoch, l.key"
    )
    return writer.db.execute(sql).fetchall()


def changed_limits(writer: Writer) -> list[tuple[str, int | None, int | None, str]]:
    """(lock's key, limit before, limit now, where it was read or what is wrong) of the semaphores that the plan touches."""
    sql = (
        "SELECT l.key, w.capacity, l.capacity, l.limit_source FROM was_lock w JOIN lock l ON l.id = w.id"
        " WHERE (l.capacity IS NOT w.capacity OR l.limit_source <> w.limit_source) AND l.kind = 'ConfigMap' ORDER BY l.key"
    )
    return writer.db.execute(sql).fetchall()


def cron_state(writer: Writer, namespace: str, name: str) -> tuple[str | None, bool | None, list[tuple[str, str, str]]]:
    """(next tick, an operator's override of `suspend`, [(due, decision, reason)] decided at once) of a cron."""
    find = "SELECT next_at, suspended FROM cron WHERE namespace = ? AND name = ?"
    row = writer.db.execute(find, (namespace, name)).fetchone() or (None, None)
    sql = "SELECT due_at, decision, reason FROM tick WHERE namespace = ? AND cron = ? ORDER BY due_at"
    return row[0], None if row[1] is None else bool(row[1]), writer.db.execute(sql, (namespace, name)).fetchall()
