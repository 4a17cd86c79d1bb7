"""Rows of revisions, files and definitions: the slice a revision is held against, and the writing of its plan."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from reconciler.gitops.plan import wanted_identities, wanted_runs
from reconciler.manifest import named_locks, named_templates, parse_file
from reconciler.model.source import (
    Catalogue,
    ChangeKind,
    DefinitionChange,
    Identity,
    LiveDefinition,
    Revision,
    RevisionPlan,
    identity_of,
)
from reconciler.model.spec import Document, Kind, ParsedFile
from reconciler.store.writer import Writer

_LIVE = "SELECT kind, namespace, name, path, doc_index, digest, stale FROM definition WHERE retired_at IS NULL"
_UPSERT_FILE = (
    "INSERT INTO file (path, blob, bad, foreign_count, findings_json, refused) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (path) DO UPDATE SET blob = excluded.blob, bad = excluded.bad, foreign_count = excluded.foreign_count,"
    " findings_json = excluded.findings_json, refused = excluded.refused"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A live definition with its content. `body` is the whole document as plain data."""

    kind: Kind
    namespace: str
    name: str
    path: str
    line: int
    digest: str
    commit_sha: str
    body: Mapping[str, Any]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    stale: str

    @property
    def place(self) -> str:
        """path:line."""
        return f"{self.path}:{self.line}"


def catalogue_for(writer: Writer, revision: Revision) -> Catalogue:
    """The live definitions that the revision may touch, and which of its Workflows have run."""
    db = writer.db
    found: dict[Identity, LiveDefinition] = {}
    paths = [file.path for file in revision.changed] + list(revision.removed)
    for path in paths:
        for row in db.execute(_LIVE + " AND path = ?", (path,)):
            found[row[:3]] = _live(row)
    for identity in wanted_identities(revision):
        for row in db.execute(_LIVE + " AND kind = ? AND namespace = ? AND name = ?", identity):
            found[row[:3]] = _live(row)
    ran: dict[tuple[Identity, str], str] = {}
    for identity, digest in wanted_runs(revision, found):
        sql = "SELECT run_name FROM ran WHERE kind = ? AND namespace = ? AND name = ? AND digest = ? AND run_name <> ''"
        earlier = db.execute(sql, (*identity, digest)).fetchone()
        if earlier is not None:
            ran[(identity, digest)] = earlier[0]
    total = db.execute("SELECT count(*) FROM definition WHERE retired_at IS NULL").fetchone()[0]
    approved = writer.meta("approved")
    return Catalogue(by_identity=found, total=total, ran=ran, approved=frozenset([approved] if approved else []))


def _live(row: Sequence[Any]) -> LiveDefinition:
    return LiveDefinition(identity=(row[0], row[1], row[2]), path=row[3], index=row[4], digest=row[5], stale=row[6])


def applied_sha(writer: Writer) -> str | None:
    """The revision that is live."""
    return writer.meta("applied")


def write_files(writer: Writer, revision: Revision, plan: RevisionPlan) -> None:
    """Records each changed file's state; forgets removed ones."""
    refused = frozenset(plan.refused)
    for file in revision.changed:
        values = (file.path, file.blob, int(file.is_bad), file.foreign, _findings(file), int(file.path in refused))
        writer.db.execute(_UPSERT_FILE, values)
    for path in revision.removed:
        writer.db.execute("DELETE FROM file WHERE path = ?", (path,))
    for path in refused - {file.path for file in revision.changed}:
        writer.db.execute("UPDATE file SET refused = 1 WHERE path = ?", (path,))


def _findings(file: ParsedFile) -> str:
    rows = [[f.place.line, f.place.column, f.rule, f.severity.value, f.message] for f in file.findings]
    return json.dumps(rows) if rows else "[]"


def apply_changes(writer: Writer, sha: str, changes: Iterable[DefinitionChange]) -> None:
    """Writes each change of a definition and one line of the record for it."""
    for change in changes:
        match change.kind:
            case ChangeKind.RETIRE:
                _touch(writer, "UPDATE definition SET retired_at = ?" + _WHERE, (writer.now, *change.identity))
            case ChangeKind.STALE:
                sql = "UPDATE definition SET stale = ?, path = CASE WHEN ? = '' THEN path ELSE ? END" + _WHERE
                _touch(writer, sql, (change.reason, change.path, change.path, *change.identity))
            case ChangeKind.FRESH:
                _touch(writer, "UPDATE definition SET stale = ''" + _WHERE, change.identity)
            case ChangeKind.ADD:
                assert change.document is not None
                _insert(writer, sha, change.document)
            case ChangeKind.UPDATE | ChangeKind.MOVE:
                assert change.document is not None
                _touch(writer, "DELETE FROM definition" + _WHERE, change.former or change.identity)
                _insert(writer, sha, change.document)
                if change.former is not None:
                    _rename_ran(writer, change.former, change.identity)
        kind, namespace, name = change.identity
        detail = {"commit": sha, "reason": change.reason} if change.reason else {"commit": sha}
        writer.journal(f"definition.{change.kind.value}", namespace=namespace, subject=f"{kind}/{name}", detail=detail)


def _rename_ran(writer: Writer, former: Identity, identity: Identity) -> None:
    """A generateName that moved is still the same workflow: what has run under the old place has run."""
    sql = "UPDATE OR REPLACE ran SET kind = ?, namespace = ?, name = ? WHERE kind = ? AND namespace = ? AND name = ?"
    writer.db.execute(sql, (*identity, *former))


_WHERE = " WHERE kind = ? AND namespace = ? AND name = ? AND retired_at IS NULL"


def _touch(writer: Writer, sql: str, values: Sequence[object]) -> None:
    writer.db.execute(sql, tuple(values))


def _insert(writer: Writer, sha: str, document: Document) -> None:
    kind, namespace, name = identity_of(document)
    cursor = writer.db.execute(
        "INSERT INTO definition (kind, namespace, name, path, doc_index, line, digest, commit_sha, labels_json,"
        " annotations_json, body_json, applied_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            kind, namespace, name, document.place.path, document.index, document.place.line, document.digest, sha,
            json.dumps(dict(document.labels)), json.dumps(dict(document.annotations)), json.dumps(document.body), writer.now,
        ),
    )  # fmt: skip
    sql = "INSERT INTO reference (kind, namespace, name, definition_id) VALUES (?, ?, ?, ?)"
    writer.db.executemany(sql, [(*template, cursor.lastrowid) for template in named_templates(document)])
    sql = "INSERT INTO named_lock (key, definition_id, uses) VALUES (?, ?, ?)"
    writer.db.executemany(sql, [(key, cursor.lastrowid, uses) for key, uses in named_locks(document).items()])


def find_definition(writer: Writer, kind: Kind, namespace: str, name: str) -> Definition | None:
    """The live definition, or None."""
    row = writer.db.execute(
        "SELECT kind, namespace, name, path, line, digest, commit_sha, body_json, labels_json, annotations_json, stale"
        " FROM definition" + _WHERE,
        (kind.value, namespace, name),
    ).fetchone()
    if row is None:
        return None
    return Definition(
        kind=Kind(row[0]), namespace=row[1], name=row[2], path=row[3], line=row[4], digest=row[5], commit_sha=row[6],
        body=json.loads(row[7]), labels=json.loads(row[8]), annotations=json.loads(row[9]), stale=row[10],
    )  # fmt: skip


def never_ran(writer: Writer, template: Identity) -> list[Document]:
    """Live Workflows that name the template and whose content was never decided: neither run nor forbidden; by path, index."""
    sql = (
        "SELECT d.path, d.body_json, d.line, d.doc_index FROM reference r JOIN definition d ON d.id = r.definition_id"
        " WHERE r.kind = ? AND r.namespace = ? AND r.name = ? AND d.retired_at IS NULL AND d.kind = 'Workflow'"
        " AND NOT EXISTS (SELECT 1 FROM ran WHERE ran.kind = d.kind AND ran.namespace = d.namespace AND ran.name = d.name"
        " AND ran.digest = d.digest) ORDER BY d.path, d.doc_index"
    )
    found = []
    for path, body, line, index in writer.db.execute(sql, template).fetchall():
        documents = parse_file(path, "", body.encode(), held_before=True).documents
        found += [replace(d, place=replace(d.place, line=line, column=1), index=index) for d in documents]
    return found


def live_names(writer: Writer, kind: Kind, namespace: str) -> list[str]:
    """Names of the live definitions of a kind, sorted."""
    sql = "SELECT name FROM definition WHERE kind = ? AND namespace = ? AND retired_at IS NULL ORDER BY name"
    return [row[0] for row in writer.db.execute(sql, (kind.value, namespace))]


def record_ran(writer: Writer, identity: Identity, digest: str, run_name: str) -> None:
    """Remembers, beyond the run's own life, that this content has run."""
    sql = "INSERT INTO ran (kind, namespace, name, digest, run_name, at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
    writer.db.execute(sql + " run_name = excluded.run_name, at = excluded.at", (*identity, digest, run_name, writer.now))


def record_forbidden(writer: Writer, identity: Identity, digest: str) -> None:
    """Remembers that this content was refused by its policy: it has not run, and runs only if it is pushed anew."""
    sql = "INSERT INTO ran (kind, namespace, name, digest, run_name, at) VALUES (?, ?, ?, ?, '', ?) ON CONFLICT DO NOTHING"
    writer.db.execute(sql, (*identity, digest, writer.now))


def record_revision(writer: Writer, revision: Revision, state: str, message: str, outcome: Mapping[str, object]) -> None:
    """Adds the revision to the list; a held one that came before is superseded."""
    db = writer.db
    db.execute("UPDATE revision SET state = 'superseded' WHERE state = 'held'")
    applied = writer.now if state == "applied" else None
    db.execute(
        "INSERT INTO revision (sha, seen_at, applied_at, state, author, subject, message, outcome_json)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (revision.sha, writer.now, applied, state, revision.author, revision.subject, message, json.dumps(outcome)),
    )
    if state == "applied":
        writer.set_meta("applied", revision.sha)
    writer.set_meta("source_state", "")
    writer.set_meta("source_since", "")
    writer.journal(f"revision.{state}", subject=revision.sha, detail=outcome)


def unnoted(writer: Writer) -> list[tuple[int, str, str]]:
    """Applied revisions whose Git note is not written yet: (id, sha, outcome)."""
    sql = "SELECT id, sha, outcome_json FROM revision WHERE noted = 0 AND state = 'applied' ORDER BY id"
    return [(r[0], r[1], r[2]) for r in writer.db.execute(sql)]


def set_noted(writer: Writer, revision_id: int) -> None:
    """The note is written."""
    writer.db.execute("UPDATE revision SET noted = 1 WHERE id = ?", (revision_id,))
