"""What is wrong with a push, and whose fault it is: the pre-receive check, in the daemon or as a program of its own.

An error that the push brings refuses it: one in a file that it changes, or in an unchanged file that it breaks. Older errors
are told as warnings. A check that cannot be done refuses it too. It reads only Git and a `Lookup`; it never changes anything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from reconciler.errors import LineclearError, Refused, UsageError
from reconciler.lint import HOST_IMAGES, lint_files
from reconciler.manifest import rules
from reconciler.manifest.mistakes import mistake_finding
from reconciler.model.images import Images
from reconciler.model.locks import LockKind, LockRef
from reconciler.model.source import Identity, PushVerdict, RefUpdate, Standing, identity_of
from reconciler.model.spec import Document, Finding, Kind, ParsedFile, Place, Severity
from reconciler.source import hook
from reconciler.source.parsing import UNCHECKED, log_mistakes
from reconciler.source.repository import Repository

SHOWN_LIMIT = 100
MOST_DOCUMENTS = 20_000  # the default of limits.documents
_UNKNOWN = datetime.fromtimestamp(0, UTC)  # a check has no instant of its own


class Lookup(Protocol):
    """What a check must know of files that the push leaves alone; asked only when the push gives cause."""

    def template(self, namespace: str, name: str) -> Document | None:
        """The WorkflowTemplate of that name."""

    def referrers(self, namespace: str, template: str) -> Sequence[tuple[Identity, Place]]:
        """Who names that WorkflowTemplate by workflowTemplateRef or templateRef, and where.

        Without a namespace it is a ClusterWorkflowTemplate, and the referrers may be in any.
        """

    def semaphore_users(self, namespace: str, configmap: str) -> Sequence[tuple[Identity, Place]]:
        """Who takes a semaphore from that ConfigMap, and where."""

    def lock_counts(self, without: Collection[str]) -> Mapping[str, int]:
        """How often definitions of other paths than these name which locks (`NAMESPACE/KIND/NAME`, as written)."""

    def lock_users(self, keys: Collection[str], without: Collection[str], most: int) -> Sequence[tuple[Identity, Place]]:
        """Who names one of these locks, and where, but for those paths; at most so many."""

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


def check_push(
    repository: Repository,
    request: PushRequest,
    lookup: Lookup,
    *,
    branch: str,
    images: Images = HOST_IMAGES,
    most_documents: int = MOST_DOCUMENTS,
) -> PushVerdict:
    """Whether the push is taken, with the lines that the pusher reads: every error, then warnings, all at once.

    `images` are those that the settings map to a runtime. A check that cannot be done refuses the push, whatever the reason:
    it says so, and how to push all the same.
    """
    lines: list[str] = []
    verdict = PushVerdict()
    for update in request.updates:
        if update.ref != f"refs/heads/{branch}":
            lines.append(f"{update.ref}: not watched: only refs/heads/{branch} is")
        elif update.is_deletion:
            lines.append(f"warning: {update.ref} is deleted: nothing is removed and what was applied stays live; push it again")
        else:
            verdict = _try_update(repository, request, update, lookup, images, most_documents)
    return _judged(repository, request, verdict, lines)


def give_up(repository: Repository, request: PushRequest, *, branch: str, reason: str) -> PushVerdict:
    """The verdict on a push whose check was not waited for: refused, unless it is to be let through all the same."""
    heads = [u.new for u in request.updates if u.ref == f"refs/heads/{branch}" and not u.is_deletion]
    return _judged(repository, request, PushVerdict(unchecked=reason, head=heads[-1] if heads else ""), [])


def _judged(repository: Repository, request: PushRequest, verdict: PushVerdict, lines: list[str]) -> PushVerdict:
    """The verdict with what the pusher reads, after `lines`."""
    is_wrong = bool(verdict.errors or verdict.unchecked)
    is_lenient = is_wrong and _is_lenient(repository, request.options)
    lines += _describe(verdict, is_lenient=is_lenient)
    return replace(verdict, lines=tuple(lines), accepted=not is_wrong or is_lenient, receipt=_receipt(verdict))


def _try_update(
    repository: Repository, request: PushRequest, update: RefUpdate, lookup: Lookup, images: Images, most_documents: int
) -> PushVerdict:
    try:
        quarantined = repository.with_quarantine(request.quarantine)
        push = _read_push(quarantined, update)
        _refuse_too_many(push, most_documents)
        verdict = _check_update(quarantined, update, push, lookup, images)
    except (LineclearError, OSError) as error:
        verdict = PushVerdict(unchecked=str(error))
    except Exception as error:  # noqa: BLE001 - the boundary of a check: whatever it is, it is said, and refuses
        place = Place(path=update.new[:12], line=1, column=1)
        mistake = mistake_finding(error, place, rules.MISTAKE, "the check failed")
        log_mistakes([mistake])
        verdict = PushVerdict(unchecked=mistake.message)
    return replace(verdict, head=update.new)


def _is_lenient(repository: Repository, options: Sequence[str]) -> bool:
    if any(option in hook.WARN_OPTIONS for option in options):
        return True
    try:
        return repository.config("receive.lineclear") == "warn"
    except LineclearError:
        return False


def _receipt(verdict: PushVerdict) -> str:
    if verdict.unchecked:
        return f"not checked: {verdict.unchecked}; let through by receive.lineclear=warn"
    return f"{_count(verdict)} let through by receive.lineclear=warn" if verdict.errors else ""


def _count(verdict: PushVerdict) -> str:
    return f"{len(verdict.errors)} error{'s' if len(verdict.errors) != 1 else ''}"


def _describe(verdict: PushVerdict, *, is_lenient: bool) -> list[str]:
    found = [*verdict.errors, *verdict.warnings]
    lines = [str(finding) for finding in found[:SHOWN_LIMIT]]
    if len(found) > SHOWN_LIMIT:
        lines.append(f"and {len(found) - SHOWN_LIMIT} more")
    if verdict.unchecked and is_lenient:
        lines.append(f"{hook.NOT_CHECKED}: {verdict.unchecked}; let through by receive.lineclear=warn")
    elif verdict.unchecked:
        lines.append(f"refused: {hook.NOT_CHECKED}: {verdict.unchecked}; {hook.ANYWAY}")
    elif is_lenient:
        lines.append(f"{_count(verdict)}, let through by receive.lineclear=warn: what they concern is not applied")
    elif verdict.errors:
        lines.append(f"refused: the push brings {_count(verdict)}; mend them, or push with -o receive.lineclear=warn")
    return lines


def _refuse_too_many(push: _Push, most: int) -> None:
    """Raises Refused for more documents than one revision is to bring: it is applied in one transaction."""
    count = sum(len(file.documents) for file in push.changed)
    if count > most:
        raise Refused(f"it adds or changes {count} documents, and one push may {most} (the setting limits.documents); split it")


def _check_update(
    repository: Repository, update: RefUpdate, push: _Push, lookup: Lookup, images: Images
) -> PushVerdict:
    bad = {file.path for file in push.changed if file.is_bad}
    live = _Around(repository, update, lookup, hidden=push.touched - bad)
    around = repository.read_before(update.new, _paths_affected(push, lookup))
    others = _OtherLocks(live, lookup, push.touched - bad | {file.path for file in around})
    linted = lint_files([*push.changed, *around], live, images=images, others=others)
    log_mistakes(linted)
    before = set(lint_files([*push.before, *around], live, images=images, others=others)) if around else set()
    broken = [f for f in linted if f.place.path not in push.touched and f not in before]
    own = [finding for file in push.changed for finding in file.findings if finding.rule not in UNCHECKED]
    own += [f for f in linted if f.place.path in push.touched]
    found = [*push.notices, *own, *_taken(push, lookup), *(_blame(f) for f in broken)]
    standing = [
        Finding(place=f.place, rule=f.rule, severity=Severity.WARNING, message=f"(from before) {f.message}")
        for f in lookup.standing_errors()
        if f.place.path not in push.touched
    ]
    errors = [f for f in found if f.severity is Severity.ERROR]
    warnings = [f for f in found if f.severity is Severity.WARNING]
    return PushVerdict(errors=_sorted(errors), warnings=(*_sorted(warnings), *_sorted(standing)))


def _blame(finding: Finding) -> Finding:
    """What the push breaks elsewhere; a mistake of ours on what it leaves alone is nothing that it breaks."""
    if finding.rule in UNCHECKED:
        return replace(finding, severity=Severity.WARNING)
    return replace(finding, message=f"{finding.message} (this push breaks it)")


class _Around(Mapping[Identity, Document]):
    """The live definitions of files that the push leaves alone, read from Git one by one as lint asks for them.

    `hidden` paths are those whose documents lint has in hand. What a bad file held stays live, so it is read as it was.
    """

    def __init__(self, repository: Repository, update: RefUpdate, lookup: Lookup, *, hidden: frozenset[str]) -> None:
        self._repository = repository
        self._sha = update.new if update.is_creation else update.old
        self._lookup = lookup
        self._hidden = hidden
        self._found: dict[Identity, Document | None] = {}

    def __getitem__(self, identity: Identity) -> Document:
        if identity not in self._found:
            self._found[identity] = self._find(identity)
        found = self._found[identity]
        if found is None:
            raise KeyError(identity)
        return found

    def __iter__(self) -> Iterator[Identity]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def read(self, found: Sequence[tuple[Identity, Place]]) -> list[Document]:
        """Those definitions, in the order of their files."""
        wanted = {identity for identity, _ in found}
        files = self._repository.read_before(self._sha, list(dict.fromkeys(place.path for _, place in found)))
        documents = [d for file in files for d in file.documents if identity_of(d) in wanted]
        self._found.update({identity_of(d): d for d in documents})
        return documents

    def _find(self, identity: Identity) -> Document | None:
        place = self._lookup.owner(identity)
        if place is None or place.path in self._hidden:
            return None
        files = self._repository.read_before(self._sha, [place.path])
        return next((d for file in files for d in file.documents if identity_of(d) == identity), None)


class _OtherLocks:
    """The locks of the live definitions that lint has not in hand: those of other paths than `without`."""

    def __init__(self, live: _Around, lookup: Lookup, without: Collection[str]) -> None:
        self._live = live
        self._lookup = lookup
        self._without = without

    def counts(self) -> Mapping[str, int]:
        """How often each key is named."""
        return self._lookup.lock_counts(self._without)

    def naming(self, keys: Collection[str], most: int) -> Sequence[Document]:
        """Those that name one of the keys, also in a ClusterWorkflowTemplate, by path."""
        anywhere = {key[key.index("/") :] for key in keys}
        return self._live.read(self._lookup.lock_users({*keys, *anywhere}, self._without, most))


def _paths_affected(push: _Push, lookup: Lookup) -> list[str]:
    """The files left alone that refer to a template or a ConfigMap that the push changes or removes."""
    old = {identity_of(d): d.digest for file in push.before for d in file.documents}
    new = {identity_of(d): d.digest for file in push.changed for d in file.documents}
    bad = {file.path for file in push.changed if file.is_bad}
    kept = {identity_of(d) for file in push.before if file.path in bad for d in file.documents}
    paths: set[str] = set()
    for identity in old.keys() | new.keys():
        kind, namespace, name = identity
        if old.get(identity) == new.get(identity) or identity in kept:
            continue
        if kind in (Kind.WORKFLOW_TEMPLATE.value, Kind.CLUSTER_TEMPLATE.value):
            paths |= {place.path for _, place in lookup.referrers(namespace, name)}
        elif kind == Kind.CONFIG_MAP.value and identity in old:
            paths |= {place.path for _, place in lookup.semaphore_users(namespace, name)}
    return sorted(paths - push.touched)


def _read_push(repository: Repository, update: RefUpdate) -> _Push:
    old = None if update.is_creation else update.old
    revision = repository.read_revision(update.new, old, at=_UNKNOWN)
    touched = frozenset([f.path for f in revision.changed]) | frozenset(revision.removed)
    before = repository.read_before(old, sorted(touched)) if old is not None and not revision.is_whole else []
    held = frozenset(f.path for f in before if f.documents)
    if any(f.path in held and not f.documents and not f.is_bad for f in revision.changed):
        # what held ours and says nothing of ours now is only read rightly with that in mind
        revision = repository.read_revision(update.new, old, at=_UNKNOWN, standing=Standing(live_paths=held))
    return _Push(changed=revision.changed, before=tuple(before), touched=touched, notices=revision.notices)


def _taken(push: _Push, lookup: Lookup) -> list[Finding]:
    """One error for each document whose identity is in a file that the push leaves alone."""
    findings = []
    for document in (d for file in push.changed if not file.is_bad for d in file.documents):
        identity = identity_of(document)
        owner = lookup.owner(identity)
        if owner is not None and owner.path not in push.touched:
            kind, namespace, name = identity
            message = f'{kind} "{namespace}/{name}" is also defined at {owner}; rename one'
            findings.append(Finding(place=document.place, rule="LC401", severity=Severity.ERROR, message=message))
    return findings


def _sorted(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(dict.fromkeys(findings), key=lambda f: (f.place.path, f.place.line, f.place.column, f.rule)))


def semaphores_of(document: Document) -> Iterable[LockRef]:
    """The semaphore references of a document, workflow level and template level."""
    if document.spec is None:
        return
    levels = (document.spec.locks, *(template.locks for template in document.spec.templates.values()))
    yield from (lock for locks in levels for lock in locks if lock.kind is LockKind.SEMAPHORE)
