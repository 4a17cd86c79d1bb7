"""Applies one revision in the transaction in hand: files, definitions, removals, new runs, and what it is answered."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from reconciler.errors import Forbidden, LineclearError
from reconciler.gitops.describe import describe_plan
from reconciler.gitops.plan import plan_revision
from reconciler.lint import rules
from reconciler.loop.applying import apply_definitions, is_fault_of_host
from reconciler.loop.context import Context
from reconciler.loop.pipelines import join_named, pipeline_of
from reconciler.loop.submit import Order, Source, submit
from reconciler.loop.telling import tell_sync_failed
from reconciler.manifest.mistakes import mistake_finding
from reconciler.model.source import (
    BranchMissing,
    BranchRead,
    ChangeKind,
    DefinitionChange,
    Revision,
    Submission,
    generate_prefix,
    identity_of,
)
from reconciler.model.spec import Document, Kind, Severity
from reconciler.model.state import RunId, RunState
from reconciler.store import catalogue
from reconciler.store.writer import Writer

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What came of a revision. `lines` say it to the person who pushed; `runs` were submitted, in order."""

    sha: str
    state: str
    lines: tuple[str, ...] = ()
    runs: tuple[RunId, ...] = ()
    revision: Revision | None = field(default=None, repr=False)


def apply_revision(ctx: Context, revision: Revision) -> Applied:
    """Applies the revision, or holds it; one that is live already changes nothing."""
    writer = ctx.writer
    if catalogue.applied_sha(writer) != revision.previous:
        return Applied(sha=revision.sha, state="outdated")
    live = catalogue.catalogue_for(writer, revision)
    plan = plan_revision(revision, live)
    if plan.held:
        lines = [*_told_of_check(revision), *describe_plan(plan)]
        catalogue.record_revision(writer, revision, "held", plan.held, {"held": plan.held})
        tell_sync_failed(writer, revision.sha, "held", (plan.held,))
        return Applied(sha=revision.sha, state="held", lines=tuple(lines))
    plan, revision = apply_definitions(ctx, revision, plan, live)
    catalogue.write_files(writer, revision, plan)
    lines = [*_told_of_check(revision), *describe_plan(plan), *_told_of_foreign(revision)]
    ctx.boundary("apply")
    created, failures = _submit_all(ctx, revision.sha, plan.submissions)
    late, late_failures = _submit_late(ctx, revision.sha, plan.changes)
    created, failures = created + late, failures + late_failures
    outcome = {
        "subject": revision.subject,
        "previous": revision.previous,
        "fast_forward": revision.fast_forward,
        "unchecked": revision.unchecked,
        "lines": [*lines, *failures],
    }
    catalogue.record_revision(writer, revision, "applied", "", outcome)
    errors = tuple(str(finding) for finding in plan.findings if finding.severity is Severity.ERROR)
    if errors or failures:
        tell_sync_failed(writer, revision.sha, "applied in part", (*errors, *failures))
    return Applied(sha=revision.sha, state="applied", lines=(*lines, *failures), runs=tuple(created))


def _told_of_check(revision: Revision) -> list[str]:
    return [f"warning: {revision.sha[:12]}: {revision.unchecked}"] if revision.unchecked else []


def _told_of_foreign(revision: Revision) -> list[str]:
    counts = [file.foreign for file in revision.changed if file.foreign]
    if not counts:
        return []
    documents = f"{sum(counts)} foreign document{'s' if sum(counts) > 1 else ''}"
    return [f"skipped: {documents} in {len(counts)} file{'s' if len(counts) > 1 else ''}"]


def note_missing(ctx: Context, missing: BranchMissing) -> None:
    """The branch cannot be read: what was applied last stays live, and `sync` says so."""
    if ctx.writer.meta("source_state") != missing.reason:
        note_source(ctx.writer, missing.reason)
        ctx.writer.journal("source.missing", subject=missing.head, detail={"reason": missing.reason})
        if catalogue.applied_sha(ctx.writer) is not None:  # a new home waits for its first push: that is no failure
            tell_sync_failed(ctx.writer, missing.head, "not read", (missing.reason,))


def note_read(ctx: Context, read: BranchRead) -> None:
    """The branch can be read again, and is what is live."""
    reason = ctx.writer.meta("source_state")
    if reason:
        note_source(ctx.writer, "")
        ctx.writer.journal("source.read", subject=read.sha, detail={"was": reason})


def note_source(writer: Writer, state: str) -> None:
    """Keeps why the branch's head is not live, '' if it is, and since when."""
    writer.set_meta("source_state", state)
    writer.set_meta("source_since", writer.now if state else "")


def _submit_all(ctx: Context, sha: str, submissions: tuple[Submission, ...]) -> tuple[list[RunId], list[str]]:
    """Submits in order. One that cannot be submitted is told and holds nothing up."""
    created: list[RunState] = []
    failures: list[str] = []
    lost: dict[tuple[str, str], str] = {}
    for submission in submissions:
        document = submission.document
        try:
            with ctx.writer.savepoint():
                run = submit(ctx, pushed(document, sha), _order(document, sha))
                catalogue.record_ran(ctx.writer, identity_of(document), document.digest, run.name)
        except Forbidden as error:
            failures.append(f"forbidden: {document.place}: {error}")
            catalogue.record_forbidden(ctx.writer, identity_of(document), document.digest)
            why = {"why": str(error)}
            ctx.writer.journal("run.forbidden", namespace=document.namespace, subject=str(document.place), detail=why)
        except Exception as error:  # the boundary of a document: what follows it is submitted
            is_ours = not isinstance(error, LineclearError)
            if is_ours and (is_fault_of_host(error) or not ctx.writer.db.in_transaction):
                raise
            reason = _reason(error, document)
            failures.append(f"not run: {document.place}: {reason}")
            why = {"why": reason}
            ctx.writer.journal("run.refused", namespace=document.namespace, subject=str(document.place), detail=why)
            pipeline = pipeline_of(document)
            if pipeline is not None:
                lost[pipeline] = f"{document.place} of the same pipeline could not be run"
        else:
            created.append(run)
    join_named(ctx, created, lost)
    return [run.id for run in created], failures


def _reason(error: Exception, document: Document) -> str:
    if isinstance(error, LineclearError):
        return str(error)
    finding = mistake_finding(error, document.place, rules.NOT_APPLIED, "the run cannot be made")
    log.error("a mistake of ours, %s", finding.trace, extra={"action": "submit"})
    return finding.message


TEMPLATE_KINDS = (Kind.WORKFLOW_TEMPLATE.value, Kind.CLUSTER_TEMPLATE.value)


def _submit_late(ctx: Context, sha: str, changes: tuple[DefinitionChange, ...]) -> tuple[list[RunId], list[str]]:
    """Submits live Workflows that could not run before, because the template that came with this revision was missing."""
    created: list[RunId] = []
    failures: list[str] = []
    for change in changes:
        if change.identity[0] in TEMPLATE_KINDS and change.kind in (ChangeKind.ADD, ChangeKind.UPDATE):
            documents = catalogue.never_ran(ctx.writer, change.identity)
            made, told = _submit_all(ctx, sha, tuple(Submission(document=document) for document in documents))
            created, failures = created + made, failures + told
    return created, failures


def pushed(document: Document, sha: str, origin: str = "git") -> Source:
    """A document as the source of a run."""
    _, namespace, name = identity_of(document)
    if origin != "git":
        name = document.name or document.generate_name
    return Source(
        body=document.body,
        namespace=namespace,
        origin=origin,
        kind=document.kind.value,
        name=name,
        place=f"{document.place.path}:{document.place.line}",
        commit_sha=sha,
        labels=document.labels,
        annotations=document.annotations,
    )


def _order(document: Document, sha: str) -> Order:
    prefix = generate_prefix(identity_of(document))
    if prefix is None:
        return Order(name=document.name, seed=document.digest)
    return Order(generate_name=prefix, seed=f"{sha}/{document.place.path}/{document.index}/{document.digest}")
