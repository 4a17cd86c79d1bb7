"""What is wrong with a push, and whose fault it is: the pre-receive check, in the daemon or as a program of its own.

An error that the push brings refuses it: one in a file that it changes, or in an unchanged file that it breaks. Older errors
are told as warnings. It reads only Git and a `Lookup`; it never changes anything, and its own failure never stops a push.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from reconciler.errors import UsageError
from reconciler.model.source import Identity, PushVerdict, RefUpdate, Standing, identity_of
from reconciler.model.spec import Document, Finding, Kind, LockKind, LockRef, ParsedFile, Place, Severity
from reconciler.source.repository import Repository
from reconciler.source.tree import Entry

WARN_OPTIONS = ("receive.lineclear=warn", "lineclear=warn")
SHOWN_LIMIT = 100
_UNKNOWN = datetime.fromtimestamp(0, UTC)  # a check has no instant of its own


class Lookup(Protocol):
    """What a check must know of files that the push leaves alone; asked only when the push gives cause."""

    def template(self, namespace: str, name: str) -> Document | None:
        """The WorkflowTemplate of that name."""

    def referrers(self, namespace: str, template: str) -> Sequence[tuple[Identity, Place]]:
        """Who names that WorkflowTemplate by workflowTemplateRef, and where."""

    def semaphore_users(self, namespace: str, configmap: str) -> Sequence[tuple[Identity, Place]]:
        """Who takes a semaphore from that ConfigMap, and where."""

    def owner(self, identity: Identity) -> Place | None:
        """Where the definition of that identity is written."""

    def standing_errors(self) -> Sequence[Finding]:
        """The errors there are already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushRequest:
    """What a pre-receive hook was told."""

    updates: tuple[RefUpdate, ...]
    options: tuple[str, ...] = ()
    quarantine: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Push:
    """The manifests on both sides of a push to the watched branch."""

    changed: tuple[ParsedFile, ...]
    before: tuple[ParsedFile, ...]
    touched: frozenset[str]
    notices: tuple[Finding, ...]


def decode_request(data: Mapping[str, object]) -> PushRequest:
    """The request that the hook sent as JSON; raises UsageError if it is not one."""
    updates, quarantine, options = data.get("updates", []), data.get("quarantine", {}), data.get("options", [])
    if not isinstance(updates, list) or not isinstance(quarantine, dict) or not isinstance(options, list):
        raise UsageError("updates, quarantine and options are a list, an object and a list")
    if any(not isinstance(u, list) or len(u) != 3 for u in updates):
        raise UsageError("an update is a list of old, new and ref")
    return PushRequest(
        updates=tuple(RefUpdate(old=str(old), new=str(new), ref=str(ref)) for old, new, ref in updates),
        options=tuple(map(str, options)),
        quarantine={str(k): str(v) for k, v in quarantine.items()},
    )


def check_push(repository: Repository, request: PushRequest, lookup: Lookup, *, branch: str) -> PushVerdict:
    """Whether the push is taken, with the lines that the pusher reads: every error, then warnings, all at once.

    Raises Transient if Git cannot be read; the caller then lets the push through.
    """
    lines: list[str] = []
    verdict = PushVerdict()
    for update in request.updates:
        if update.ref != f"refs/heads/{branch}":
            lines.append(f"{update.ref}: not watched: only refs/heads/{branch} is")
        elif update.is_deletion:
            lines.append(f"warning: {update.ref} is deleted: nothing is removed and what was applied stays live; push it again")
        else:
            verdict = _check_update(repository.with_quarantine(request.quarantine), update, lookup)
    is_lenient = bool(verdict.errors) and _is_lenient(repository, request.options)
    lines += _describe(verdict, is_lenient=is_lenient)
    return PushVerdict(
        lines=tuple(lines),
        accepted=not verdict.errors or is_lenient,
        errors=verdict.errors,
        warnings=verdict.warnings,
    )


def _is_lenient(repository: Repository, options: Sequence[str]) -> bool:
    return any(option in WARN_OPTIONS for option in options) or repository.config("receive.lineclear") == "warn"


def _describe(verdict: PushVerdict, *, is_lenient: bool) -> list[str]:
    found = [*verdict.errors, *verdict.warnings]
    lines = [str(finding) for finding in found[:SHOWN_LIMIT]]
    if len(found) > SHOWN_LIMIT:
        lines.append(f"and {len(found) - SHOWN_LIMIT} more")
    count = f"{len(verdict.errors)} error{'s' if len(verdict.errors) != 1 else ''}"
    if is_lenient:
        lines.append(f"{count}, let through by receive.lineclear=warn: what they concern is not applied")
    elif verdict.errors:
        lines.append(f"refused: the push brings {count}; mend them, or push with -o receive.lineclear=warn")
    return lines


def _check_update(repository: Repository, update: RefUpdate, lookup: Lookup) -> PushVerdict:
    push = _read_push(repository, update)
    own = [finding for file in push.changed for finding in file.findings]
    after = {identity_of(d): d for file in push.changed if not file.is_bad for d in file.documents}
    broken = _broken_references(push, after, lookup)
    doubles = find_doubles([f for f in push.changed if not f.is_bad], lookup, push.touched)
    found = [*push.notices, *own, *doubles, *broken]
    standing = [
        Finding(place=f.place, rule=f.rule, severity=Severity.WARNING, message=f"(from before) {f.message}")
        for f in lookup.standing_errors()
        if f.place.path not in push.touched
    ]
    errors = [f for f in found if f.severity is Severity.ERROR]
    warnings = [f for f in found if f.severity is Severity.WARNING]
    return PushVerdict(errors=_sorted(errors), warnings=(*_sorted(warnings), *_sorted(standing)))


def _read_push(repository: Repository, update: RefUpdate) -> _Push:
    old = None if update.is_creation else update.old
    revision = repository.read_revision(update.new, old, at=_UNKNOWN)
    touched = frozenset([f.path for f in revision.changed]) | frozenset(revision.removed)
    before = repository.read_before(old, sorted(touched)) if old is not None and revision.previous is not None else []
    held = frozenset(f.path for f in before if f.documents)
    doubtful = [f for f in revision.changed if f.path in held and not f.documents and not f.is_bad]
    again: dict[str, ParsedFile] = {}
    if doubtful:
        entries = [Entry(path=f.path, mode="100644", blob=f.blob) for f in doubtful]
        again = {f.path: f for f in repository.parse_entries(entries, Standing(live_paths=held))}
    return _Push(
        changed=tuple(again.get(f.path, f) for f in revision.changed),
        before=tuple(before),
        touched=touched,
        notices=revision.notices,
    )


def _broken_references(push: _Push, after: Mapping[Identity, Document], lookup: Lookup) -> list[Finding]:
    """What names something that is not there after the push: unchanged files it breaks, changed ones that dangle."""
    gone = {identity_of(d) for file in push.before for d in file.documents} - after.keys()
    kept_by_bad = {d for file in push.changed if file.is_bad for d in _held_before(push, file.path)}
    findings = []
    for kind, namespace, name in sorted(gone - kept_by_bad):
        if kind == Kind.WORKFLOW_TEMPLATE.value:
            for (user_kind, _, user), place in lookup.referrers(namespace, name):
                if place.path not in push.touched:
                    message = f"{user_kind} {user} names WorkflowTemplate {name}, which this push removes; keep it or mend both"
                    findings.append(Finding(place=place, rule="LC906", severity=Severity.ERROR, message=message))
        elif kind == Kind.CONFIG_MAP.value:
            for (user_kind, _, user), place in lookup.semaphore_users(namespace, name):
                if place.path not in push.touched:
                    message = f"{user_kind} {user} takes a semaphore from ConfigMap {name}, which this push removes"
                    findings.append(Finding(place=place, rule="LC907", severity=Severity.WARNING, message=message))
    return findings + _dangling(push, after, lookup)


def _held_before(push: _Push, path: str) -> list[Identity]:
    return [identity_of(d) for file in push.before if file.path == path for d in file.documents]


def _dangling(push: _Push, after: Mapping[Identity, Document], lookup: Lookup) -> list[Finding]:
    findings = []
    for document in after.values():
        name = document.spec.template_ref if document.spec is not None else ""
        if not name or "{{" in name or (Kind.WORKFLOW_TEMPLATE.value, document.namespace, name) in after:
            continue
        found = lookup.template(document.namespace, name)
        if found is None or found.place.path in push.touched:
            message = f"WorkflowTemplate {document.namespace}/{name} is not there; push it first or with this"
            findings.append(Finding(place=document.place, rule="LC908", severity=Severity.WARNING, message=message))
    return findings


def find_doubles(
    files: Iterable[ParsedFile], lookup: Lookup | None = None, touched: frozenset[str] = frozenset()
) -> list[Finding]:
    """One error for each document whose identity another one has: in these files, or in one that they leave alone."""
    places: dict[Identity, list[Place]] = {}
    for document in (d for file in files for d in file.documents):
        places.setdefault(identity_of(document), []).append(document.place)
    findings = []
    for identity, own in places.items():
        owner = lookup.owner(identity) if lookup is not None else None
        others = [*own, owner] if owner is not None and owner.path not in touched else own
        for place in own if len(others) > 1 else ():
            where = ", ".join(str(p) for p in others if p is not place)
            message = f"{identity[0]} {identity[1]}/{identity[2]} cannot be applied: it is also in {where}; keep one"
            findings.append(Finding(place=place, rule="LC910", severity=Severity.ERROR, message=message))
    return findings


def _sorted(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda f: (f.place.path, f.place.line, f.place.column, f.rule)))


def semaphores_of(document: Document) -> Iterable[LockRef]:
    """The semaphore references of a document, workflow level and template level."""
    if document.spec is None:
        return
    levels = (document.spec.locks, *(template.locks for template in document.spec.templates.values()))
    yield from (lock for locks in levels for lock in locks if lock.kind is LockKind.SEMAPHORE)
