"""What Git says, as immutable observations, and what is to be done about it, as a plan.

The source room makes the observations, the gitops room turns them into a plan, the loop applies the plan in one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from reconciler.model.spec import Document, Finding, ParsedFile

Identity = tuple[str, str, str]  # kind, namespace, name


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """The branch head, read whole, as a difference to `previous` (None: everything is in `changed`).

    `changed` holds every manifest file whose blob differs from the previous revision (also foreign-only ones that held ours
    before), `removed` the paths that are gone or no longer readable as manifests. `fast_forward` is False if `previous` is
    not an ancestor of `sha`. `notices` are findings about the tree itself (symlink, submodule, bad name).
    """

    sha: str
    previous: str | None
    at: datetime
    changed: tuple[ParsedFile, ...]
    removed: tuple[str, ...]
    fast_forward: bool = True
    author: str = ""
    subject: str = ""
    notices: tuple[Finding, ...] = ()
    total_files: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchMissing:
    """The branch is gone, unborn or unreadable: nothing is removed, the last applied revision stays live."""

    at: datetime
    reason: str


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
    revision's Workflows that have run before to that run's name; `names_taken` are run names in use.
    """

    by_identity: Mapping[Identity, LiveDefinition]
    total: int
    ran: Mapping[tuple[Identity, str], str] = field(default_factory=dict)
    approved: frozenset[str] = frozenset()


class ChangeKind(StrEnum):
    """What happens to one definition."""

    ADD = "added"
    UPDATE = "changed"
    MOVE = "moved"
    RETIRE = "removed"
    STALE = "stale"
    FRESH = "fresh"


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinitionChange:
    """One change to one definition; `document` is None for RETIRE and STALE, `reason` says why for STALE."""

    kind: ChangeKind
    identity: Identity
    document: Document | None = None
    reason: str = ""


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
    """What applying one revision does. With `held` not '' nothing else in it is applied until the SHA is approved."""

    sha: str
    changes: tuple[DefinitionChange, ...] = ()
    submissions: tuple[Submission, ...] = ()
    already_ran: tuple[AlreadyRan, ...] = ()
    findings: tuple[Finding, ...] = ()
    held: str = ""
