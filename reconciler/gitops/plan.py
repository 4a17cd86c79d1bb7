"""From a revision and the live definitions to what applying it does: pure, so that the daemon, `plan` and tests agree.

It owns identity, isolation of bad files, the removal guard and the rule of what runs (again). It never reads Git or the
store, never looks at a clock, and never decides when a run starts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reconciler.model.source import (
    AlreadyRan,
    Catalogue,
    ChangeKind,
    DefinitionChange,
    Identity,
    LiveDefinition,
    Revision,
    RevisionPlan,
    Submission,
    generate_prefix,
    identity_of,
)
from reconciler.model.spec import Document, Finding, Kind, ParsedFile, Place, Severity

RERUN_ANNOTATION = "lineclear.dev/rerun"
RERUN_ON_CHANGE = "OnChange"
GUARD_COUNT = 5
GUARD_SHARE = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claims:
    """Who wants which identity: the one document that gets it, or why nobody does."""

    granted: Mapping[Identity, Document]
    contested: Mapping[Identity, tuple[str, ...]]  # identity -> all paths that claim it, sorted
    findings: tuple[Finding, ...]
    refused: tuple[str, ...]


def wanted_identities(revision: Revision) -> frozenset[Identity]:
    """The identities of the revision's documents: what a catalogue must hold beside the definitions of its paths."""
    return frozenset(identity_of(d) for file in revision.changed if not file.is_bad for d in file.documents)


def wanted_runs(revision: Revision, by_identity: Mapping[Identity, LiveDefinition]) -> frozenset[tuple[Identity, str]]:
    """The (identity, digest) pairs whose earlier runs a catalogue must name: also those that a generateName may continue."""
    pairs: set[tuple[Identity, str]] = set()
    for file in revision.changed:
        for document in file.documents if not file.is_bad else ():
            if document.kind is not Kind.WORKFLOW:
                continue
            pairs.add((identity_of(document), document.digest))
            if not document.name:
                alike = (i for i in by_identity if generate_prefix(i) == document.generate_name)
                pairs |= {(i, document.digest) for i in alike}
    return frozenset(pairs)


def plan_revision(revision: Revision, catalogue: Catalogue) -> RevisionPlan:
    """What applying the revision does; empty but for findings if the live definitions already say the same.

    A file with an error changes nothing but to mark what it held as stale. Removals come last; runs are ordered by the bytes
    of their path, then by their index in the file.
    """
    files = {file.path: file for file in revision.changed}
    touched = files.keys() | set(revision.removed)
    claims = _settle(files, touched, catalogue)
    former = _follow_generated(claims, touched, files, catalogue)
    kept = _change_documents(claims, former, catalogue)
    stale, retired = _account_for_rest(claims, former, files, touched, catalogue)
    runs = [change.document for change in kept if _is_new_content(change) and change.document is not None]
    submissions, already = _choose_runs(runs, former, catalogue)
    findings = [*revision.notices, *(f for file in revision.changed for f in file.findings), *claims.findings]
    return RevisionPlan(
        sha=revision.sha,
        changes=(*kept, *stale, *retired),
        submissions=submissions,
        already_ran=already,
        findings=tuple(findings),
        held=_guard(revision.sha, kept, retired, catalogue),
        refused=claims.refused,
    )


def _settle(files: Mapping[str, ParsedFile], touched: Iterable[str], catalogue: Catalogue) -> _Claims:
    """Give each identity to its one claimant. A bad file goes on claiming what is live from it: its text cannot be trusted.

    The same identity in two files: both are refused and what was live stays, whichever file is older.
    """
    wanted: dict[Identity, list[Document]] = {}
    for path in sorted(files, key=_path_key):
        if not files[path].is_bad:
            for document in files[path].documents:
                wanted.setdefault(identity_of(document), []).append(document)
    touched_paths = frozenset(touched)
    granted: dict[Identity, Document] = {}
    contested: dict[Identity, tuple[str, ...]] = {}
    findings: list[Finding] = []
    refused: set[str] = set()
    for identity, documents in wanted.items():
        others = _silent_claim(catalogue.by_identity.get(identity), touched_paths, files)
        if len(documents) == 1 and others is None:
            granted[identity] = documents[0]
            continue
        places = [d.place for d in documents] + ([others] if others is not None else [])
        contested[identity] = tuple(sorted({p.path for p in places}, key=_path_key))
        refused |= {d.place.path for d in documents}
        findings += [_double(identity, place, places) for place in places]
    return _Claims(
        granted=granted,
        contested=contested,
        findings=tuple(sorted(findings, key=lambda f: (_path_key(f.place.path), f.place.line))),
        refused=tuple(sorted(refused, key=_path_key)),
    )


def _silent_claim(live: LiveDefinition | None, touched: frozenset[str], files: Mapping[str, ParsedFile]) -> Place | None:
    """Where an identity is claimed without being among the documents: in an unchanged file, or a bad one."""
    if live is None:
        return None
    if live.path in touched and not (live.path in files and files[live.path].is_bad):
        return None
    return Place(path=live.path, line=1, column=1)


def _double(identity: Identity, place: Place, places: list[Place]) -> Finding:
    others = ", ".join(str(p) for p in places if p != place) or f"{place.path} again"
    message = f"{describe_identity(identity)} cannot be applied: it is also in {others}; keep one, what is live stays live"
    return Finding(place=place, rule="LC401", severity=Severity.ERROR, message=message)


def _follow_generated(
    claims: _Claims, touched: Iterable[str], files: Mapping[str, ParsedFile], catalogue: Catalogue
) -> dict[Identity, LiveDefinition]:
    """New identity -> the live definition it continues, for generateName, whose identity holds its place.

    A document that moved (another path or index) with its content is the same one; else one of the same path and prefix is.
    """
    touched_paths = frozenset(touched)
    lost = [
        live
        for identity, live in sorted(catalogue.by_identity.items())
        if generate_prefix(identity) is not None
        and identity not in claims.granted
        and live.path in touched_paths
        and not (live.path in files and files[live.path].is_bad)
    ]
    found: dict[Identity, LiveDefinition] = {}
    fresh = [(i, d) for i, d in claims.granted.items() if generate_prefix(i) is not None and i not in catalogue.by_identity]
    for same_content in (True, False):
        for identity, document in fresh:
            if identity in found:
                continue
            for live in lost:
                alike = live.identity[:2] == identity[:2] and generate_prefix(live.identity) == document.generate_name
                if alike and (live.digest == document.digest if same_content else live.path == document.place.path):
                    found[identity] = live
                    lost.remove(live)
                    break
    return found


def _change_documents(
    claims: _Claims, former: Mapping[Identity, LiveDefinition], catalogue: Catalogue
) -> tuple[DefinitionChange, ...]:
    changes = []
    for identity, document in sorted(claims.granted.items(), key=lambda item: _place_key(item[1])):
        before = former.get(identity) or catalogue.by_identity.get(identity)
        kind = _compare(before, document)
        if kind is not None:
            old = before.identity if before is not None and before.identity != identity else None
            changes.append(DefinitionChange(kind=kind, identity=identity, document=document, former=old))
    return tuple(changes)


def _compare(live: LiveDefinition | None, document: Document) -> ChangeKind | None:
    if live is None:
        return ChangeKind.ADD
    if live.digest != document.digest:
        return ChangeKind.UPDATE
    if (live.path, live.index) != (document.place.path, document.index):
        return ChangeKind.MOVE
    return ChangeKind.FRESH if live.stale else None


def _account_for_rest(
    claims: _Claims,
    former: Mapping[Identity, LiveDefinition],
    files: Mapping[str, ParsedFile],
    touched: Iterable[str],
    catalogue: Catalogue,
) -> tuple[tuple[DefinitionChange, ...], tuple[DefinitionChange, ...]]:
    """The live definitions of touched paths that no document took: stale if their file says nothing usable, else retired."""
    touched_paths = frozenset(touched)
    continued = {live.identity for live in former.values()}
    stale, retired = [], []
    for identity, live in sorted(catalogue.by_identity.items()):
        if identity in claims.granted or identity in continued or live.path not in touched_paths:
            continue
        reason = _stale_reason(identity, live, files, claims)
        if not reason:
            retired.append(DefinitionChange(kind=ChangeKind.RETIRE, identity=identity))
        elif reason != live.stale:
            claimants = claims.contested.get(identity, (live.path,))
            path = "" if live.path in claimants else claimants[0]
            stale.append(DefinitionChange(kind=ChangeKind.STALE, identity=identity, reason=reason, path=path))
    return tuple(stale), tuple(retired)


def _stale_reason(identity: Identity, live: LiveDefinition, files: Mapping[str, ParsedFile], claims: _Claims) -> str:
    file = files.get(live.path)
    if file is not None and file.is_bad:
        return str(next(f for f in file.findings if f.severity is Severity.ERROR))
    if identity in claims.contested:
        return f"more than one document claims it, in {' and '.join(claims.contested[identity])}"
    return ""


def _is_new_content(change: DefinitionChange) -> bool:
    is_workflow = change.document is not None and change.document.kind is Kind.WORKFLOW
    return is_workflow and change.kind in (ChangeKind.ADD, ChangeKind.UPDATE)


def _choose_runs(
    documents: Iterable[Document], former: Mapping[Identity, LiveDefinition], catalogue: Catalogue
) -> tuple[tuple[Submission, ...], tuple[AlreadyRan, ...]]:
    submissions, already = [], []
    for document in sorted(documents, key=_place_key):
        identity = identity_of(document)
        run = catalogue.ran.get((identity, document.digest))
        if run is None and identity in former:
            run = catalogue.ran.get((former[identity].identity, document.digest))
        if run is None or document.annotations.get(RERUN_ANNOTATION) == RERUN_ON_CHANGE:
            submissions.append(Submission(document=document))
        else:
            already.append(AlreadyRan(document=document, run_name=run))
    return tuple(submissions), tuple(already)


def _guard(sha: str, kept: tuple[DefinitionChange, ...], retired: tuple[DefinitionChange, ...], catalogue: Catalogue) -> str:
    """Why the revision waits for a person, '' if it does not: it removes everything, or more than max(5, 30 %)."""
    if not retired or sha in catalogue.approved:
        return ""
    added = sum(change.kind is ChangeKind.ADD for change in kept)
    left = catalogue.total - len(retired) + added
    if left > 0 and len(retired) <= max(GUARD_COUNT, GUARD_SHARE * catalogue.total):
        return ""
    what = "everything" if left <= 0 else f"{len(retired)} of {catalogue.total} definitions"
    return f"{sha[:12]} is not applied: it would remove {what}; if that is meant, run: lineclear sync approve {sha}"


def describe_identity(identity: Identity) -> str:
    """The identity as people write it: `CronWorkflow default/nightly`."""
    kind, namespace, name = identity
    prefix = generate_prefix(identity)
    return f"{kind} {namespace}/{name if prefix is None else prefix + '*'}"


def _path_key(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _place_key(document: Document) -> tuple[bytes, int]:
    return (_path_key(document.place.path), document.index)
