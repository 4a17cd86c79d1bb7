"""What a push check asks of the live definitions, answered by a read-only connection of the asking thread's own."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing

from reconciler.errors import Transient
from reconciler.manifest import parse_file
from reconciler.model.locks import LockKind
from reconciler.model.source import Identity, Standing
from reconciler.model.spec import Document, Finding, Kind, Place, Severity

_DIGITS = 19  # an id of SQLite is below 2**63
_LIVE = "SELECT kind, namespace, name, path, line, body_json FROM definition WHERE retired_at IS NULL"

_LOCK_COUNTS = (
    "SELECT n.key, sum(n.uses) FROM named_lock n JOIN definition d ON d.id = n.definition_id"
    " WHERE d.retired_at IS NULL AND d.path NOT IN (SELECT value FROM json_each(?)) GROUP BY n.key"
)
_LOCK_USERS = (
    "SELECT DISTINCT d.kind, d.namespace, d.name, d.path, d.line FROM named_lock n JOIN definition d ON d.id = n.definition_id"
    " WHERE n.key IN (SELECT value FROM json_each(?)) AND d.retired_at IS NULL"
    " AND d.path NOT IN (SELECT value FROM json_each(?)) ORDER BY d.path, d.doc_index LIMIT ?"
)


class StoreLookup:
    """Answers from the rows; each question opens the file with mode=ro, so no connection outlives its thread."""

    def __init__(self, path: str) -> None:
        self._path = path

    def is_current(self, sha: str) -> bool:
        """True if this commit is the one that was applied last."""
        return self._rows("SELECT value FROM meta WHERE key = 'applied'", ()) == [(sha,)]

    def template(self, namespace: str, name: str) -> Document | None:
        """The live WorkflowTemplate of that name."""
        return self.find((Kind.WORKFLOW_TEMPLATE.value, namespace, name))

    def find(self, identity: Identity) -> Document | None:
        """The live definition with that identity."""
        rows = self._rows(_LIVE + " AND kind = ? AND namespace = ? AND name = ?", identity)
        return _document(rows[0]) if rows else None

    def identities(self) -> list[Identity]:
        """Every live template and ConfigMap, in order."""
        kinds = "kind IN ('WorkflowTemplate', 'ClusterWorkflowTemplate', 'ConfigMap')"
        sql = f"SELECT kind, namespace, name FROM definition WHERE retired_at IS NULL AND {kinds} ORDER BY kind, namespace, name"
        return [(row[0], row[1], row[2]) for row in self._rows(sql, ())]

    def referrers(self, namespace: str, template: str) -> Sequence[tuple[Identity, Place]]:
        """Who names that template by workflowTemplateRef or templateRef, and where; without a namespace it is a cluster's."""
        kind = Kind.WORKFLOW_TEMPLATE if namespace else Kind.CLUSTER_TEMPLATE
        sql = _LIVE + " AND id IN (SELECT definition_id FROM reference WHERE kind = ? AND namespace = ? AND name = ?)"
        rows = self._rows(sql + " ORDER BY path, doc_index", (kind.value, namespace, template))
        return [((row[0], row[1], row[2]), _place(row)) for row in rows]

    def semaphore_users(self, namespace: str, configmap: str) -> Sequence[tuple[Identity, Place]]:
        """Who takes a semaphore from that ConfigMap, and where."""
        sql = _LIVE + " AND kind <> 'ConfigMap' AND instr(body_json, ?) ORDER BY path, doc_index"
        rows = self._rows(sql, (configmap,))
        found = []
        for row in rows:
            document = _document(row)
            if document is not None and _takes_from(document, namespace, configmap):
                found.append(((row[0], row[1], row[2]), _place(row)))
        return found

    def lock_counts(self, without: Collection[str]) -> Mapping[str, int]:
        """How often live definitions name which locks, but for those of the paths `without`."""
        return dict(self._rows(_LOCK_COUNTS, (json.dumps(sorted(without)),)))

    def lock_users(self, keys: Collection[str], without: Collection[str], most: int) -> Sequence[tuple[Identity, Place]]:
        """Who names one of these locks, and where, by path; but for those of the paths `without`, and at most so many."""
        rows = self._rows(_LOCK_USERS, (json.dumps(sorted(keys)), json.dumps(sorted(without)), most))
        return [((row[0], row[1], row[2]), _place(row)) for row in rows]

    def owner(self, identity: Identity) -> Place | None:
        """Where the live definition of that identity is written."""
        rows = self._rows(_LIVE + " AND kind = ? AND namespace = ? AND name = ?", identity)
        return _place(rows[0]) if rows else None

    def standing_errors(self) -> Sequence[Finding]:
        """The errors that files of the applied revision have."""
        found = []
        for path, findings in self._rows("SELECT path, findings_json FROM file WHERE bad = 1 ORDER BY path", ()):
            for line, column, rule, severity, message in json.loads(findings):
                place = Place(path=path, line=line, column=column)
                found.append(Finding(place=place, rule=rule, severity=Severity(severity), message=message))
        return [finding for finding in found if finding.severity is Severity.ERROR]

    def _rows(self, sql: str, values: Sequence[object]) -> list[tuple]:  # type: ignore[type-arg]  # rows
        return _read(self._path, sql, values)


def _read(path: str, sql: str, values: Sequence[object]) -> list[tuple]:  # type: ignore[type-arg]  # rows
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)) as db:
            return db.execute(sql, tuple(values)).fetchall()
    except sqlite3.Error as error:
        raise Transient(f"the store could not be read: {error}; try again") from error


def read_standing(path: str) -> Standing:
    """The paths that the source must treat with care at the next revision."""
    refused = _read(path, "SELECT path FROM file WHERE refused = 1", ())
    return Standing(live_paths=LivePaths(path), refused=frozenset(row[0] for row in refused))


def read_commits(path: str) -> frozenset[str]:
    """The commits whose trees are kept: the live one and those that runs refer to; costs the commits, not the runs."""
    sql = (
        "WITH RECURSIVE used (sha) AS (SELECT min(commit_sha) FROM run"
        " UNION ALL SELECT (SELECT min(commit_sha) FROM run WHERE commit_sha > sha) FROM used WHERE sha IS NOT NULL)"
        " SELECT sha FROM used WHERE sha <> '' UNION SELECT value FROM meta WHERE key = 'applied'"
    )
    return frozenset(row[0] for row in _read(path, sql, ()))


def read_forgotten_runs(path: str, folders: Iterable[str]) -> list[str]:
    """Those of the folders whose run was made by this database and removed from it.

    A folder of a run that the database never made is somebody's: after an older copy was put back it may hold the only record
    of a step that still runs. One statement: a step's record is made before the commit that makes its run, which may come
    between two looks.
    """
    sql = (
        "SELECT value FROM json_each(?) WHERE CAST(value AS INTEGER) <= (SELECT seq FROM sqlite_sequence WHERE name = 'run')"
        " AND CAST(value AS INTEGER) NOT IN (SELECT id FROM run) ORDER BY CAST(value AS INTEGER)"
    )
    named = json.dumps([name for name in folders if name.isdecimal() and name.isascii() and len(name) < _DIGITS])
    return [row[0] for row in _read(path, sql, (named,))]


class LivePaths(Collection[str]):
    """The paths that hold live definitions, asked of the rows one by one: there may be ten thousand of them."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __contains__(self, path: object) -> bool:
        return bool(_read(self._path, "SELECT 1 FROM definition WHERE path = ? AND retired_at IS NULL LIMIT 1", (path,)))

    def __iter__(self) -> Iterator[str]:
        rows = _read(self._path, "SELECT DISTINCT path FROM definition WHERE retired_at IS NULL ORDER BY path", ())
        return (row[0] for row in rows)

    def __len__(self) -> int:
        return int(_read(self._path, "SELECT count(DISTINCT path) FROM definition WHERE retired_at IS NULL", ())[0][0])


class LiveDefinitions(Mapping[Identity, Document]):
    """The live templates and ConfigMaps as lint asks for them: one read for each identity."""

    def __init__(self, lookup: StoreLookup) -> None:
        self._lookup = lookup

    def __getitem__(self, identity: Identity) -> Document:
        found = self._lookup.find(identity)
        if found is None:
            raise KeyError(identity)
        return found

    def __iter__(self) -> Iterator[Identity]:
        return iter(self._lookup.identities())

    def __len__(self) -> int:
        return len(self._lookup.identities())


def _place(row: tuple) -> Place:  # type: ignore[type-arg]  # a row
    return Place(path=row[3], line=row[4], column=1)


def _document(row: tuple) -> Document | None:  # type: ignore[type-arg]  # a row
    documents = parse_file(row[3], "", row[5].encode(), held_before=True).documents
    return documents[0] if documents else None


def _takes_from(document: Document, namespace: str, configmap: str) -> bool:
    if document.spec is None or document.kind is Kind.CONFIG_MAP:
        return False
    levels = (document.spec.locks, *(template.locks for template in document.spec.templates.values()))
    wanted = [lock for locks in levels for lock in locks if lock.kind is LockKind.SEMAPHORE]
    return any(lock.configmap == configmap and (lock.namespace or document.namespace) == namespace for lock in wanted)
