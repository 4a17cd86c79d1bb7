"""What Git says, as immutable observations, and what is to be done about it, as a plan.

The source room makes the observations, the gitops room turns them into a plan, the loop applies the plan in one transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from reconciler.model.spec import Document, Finding, ParsedFile

Identity = tuple[str, str, str]  # kind, namespace, name


def identity_of(document: Document) -> Identity:
    """The identity of a document from Git: its name, or for a generateName `PREFIX|PATH#INDEX` (no name can hold a `|`).

    Two documents with one prefix are two workflows. Everything that is keyed by identity in the store takes it from here.
    """
    name = document.name or f"{document.generate_name}|{document.place.path}#{document.index}"
    return (document.kind.value, document.namespace, name)


def generate_prefix(identity: Identity) -> str | None:
    """The generateName in an identity, None for one with a name of its own."""
    prefix, bar, _ = identity[2].partition("|")
    return prefix if bar else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """The branch head, read whole, as a difference to `previous`, the commit that was applied (None: none yet).

    `is_whole`: everything is in `changed`, since there is no `previous` or it is no longer in the repository.

    `changed` holds every manifest file whose blob differs from the previous revision (also foreign-only ones that held ours
    before) and every file that was refused before, `removed` the paths that are gone. A path that is no longer a file (a
    symlink, too large) is in `changed` with an error, so what it held goes stale and is not removed. Both are sorted by the
    bytes of the path. `fast_forward` is False if `previous` is not an ancestor of `sha`. `notices` are findings about the
    tree itself (submodule, bad name); like all findings they cover what was read. `unchecked` says that and why the commit came
    in without a whole check, '' if it was checked or nobody asked.
    """

    sha: str
    previous: str | None
    at: datetime
    changed: tuple[ParsedFile, ...]
    removed: tuple[str, ...]
    fast_forward: bool = True
    is_whole: bool = False
    author: str = ""
    subject: str = ""
    notices: tuple[Finding, ...] = ()
    total_files: int = 0
    unchecked: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchMissing:
    """The branch is gone, unborn or unreadable: nothing is removed, the last applied revision stays live.

    `head` is the commit that could not be read, '' if not even that is known.
    """

    at: datetime
    reason: str
    head: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchRead:
    """The branch can be read again after it could not, and its head is what was applied or handed over before."""

    sha: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveDefinition:
    """A definition as the store holds it: where it came from and what it was."""

    identity: Identity
    path: str
    index: int
    digest: str
    stale: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """The slice of live state that a revision is held against.

    `by_identity` has every live definition that the revision may touch: those whose path is in changed or removed, and those
    whose identity appears in a changed document. `total` counts all live definitions. `ran` maps (identity, digest) of the
    revision's Workflows that have run before to that run's name. Identities are those of `identity_of`. `approved` holds the
    SHAs whose removals a person has approved.
    """

    by_identity: Mapping[Identity, LiveDefinition]
    total: int
    ran: Mapping[tuple[Identity, str], str] = field(default_factory=dict)
    approved: frozenset[str] = frozenset()


class ChangeKind(StrEnum):
    """What happens to one definition.

    MOVE: only where it is written changed (and it is fresh again, had it been stale). STALE: its file is wrong, the last
    good version stays live. FRESH: unchanged and no longer stale.
    """

    ADD = "added"
    UPDATE = "changed"
    MOVE = "moved"
    RETIRE = "removed"
    STALE = "stale"
    FRESH = "fresh"


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinitionChange:
    """One change to one definition; `document` is None for RETIRE and STALE, `reason` says why for STALE.

    `former` is set where the identity itself changed with the place (generateName): the live row and the record of what has
    run take the new identity. `path` is set for a STALE whose own file no longer claims it while others contest it: the live
    row belongs to that path from now on, so that it goes when the claims go.
    """

    kind: ChangeKind
    identity: Identity
    document: Document | None = None
    reason: str = ""
    former: Identity | None = None
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A Workflow whose content is to run: in the order of the tuple that holds it."""

    document: Document


@dataclass(frozen=True, slots=True, kw_only=True)
class AlreadyRan:
    """A Workflow whose content has run before and is not run again by itself."""

    document: Document
    run_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionPlan:
    """What applying one revision does. With `held` not '' nothing else in it is applied until the SHA is approved.

    `changes` come in the order of applying: removals last. `refused` are the paths with a document that is not live because
    another file claims its identity: the store keeps them, and the source reads them again with the next revision.
    """

    sha: str
    changes: tuple[DefinitionChange, ...] = ()
    submissions: tuple[Submission, ...] = ()
    already_ran: tuple[AlreadyRan, ...] = ()
    findings: tuple[Finding, ...] = ()
    held: str = ""
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the store knows of paths: those that hold live definitions, and those that the last plan `refused`.

    `live_paths` is looked at only for a file that says nothing of ours and for a whole tree: it may be a lazy collection.
    """

    live_paths: Collection[str] = frozenset()
    refused: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class RefUpdate:
    """One line of what a push asks for; a SHA of zeros means: no commit."""

    old: str
    new: str
    ref: str

    @property
    def is_deletion(self) -> bool:
        return set(self.new) == {"0"}

    @property
    def is_creation(self) -> bool:
        return set(self.old) == {"0"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PushVerdict:
    """The answer to a push: lines for the person who pushes, and whether it is taken.

    `head` is the commit that the watched branch is to have, '' if the push does not concern it. `unchecked` says why it could
    not be checked. `receipt` is what a check that let it in says of it beside "checked", '' for nothing.
    """

    lines: tuple[str, ...] = ()
    accepted: bool = True
    errors: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()
    head: str = ""
    unchecked: str = ""
    receipt: str = ""
