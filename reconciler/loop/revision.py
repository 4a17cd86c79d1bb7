"""Applies one revision, whole, in the transaction in hand: files, definitions, limits, crons, removals, new runs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from reconciler.errors import Forbidden, LineclearError
from reconciler.gitops.describe import describe_plan
from reconciler.gitops.plan import plan_revision
from reconciler.loop.context import Context
from reconciler.loop.pipelines import join_named, pipeline_of
from reconciler.loop.submit import Order, Source, submit
from reconciler.loop.telling import tell_sync_failed
from reconciler.model.source import (
    BranchMissing,
    ChangeKind,
    DefinitionChange,
    Revision,
    Submission,
    generate_prefix,
    identity_of,
)
from reconciler.model.spec import Document, Kind, Severity
from reconciler.model.state import Phase, RunId, RunState
from reconciler.store import catalogue, crons, limits, policies, runs


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
    plan = plan_revision(revision, catalogue.catalogue_for(writer, revision))
    lines = [*_told_of_check(revision), *describe_plan(plan)]
    if plan.held:
        catalogue.record_revision(writer, revision, "held", plan.held, {"held": plan.held})
        tell_sync_failed(writer, revision.sha, "held", (plan.held,))
        return Applied(sha=revision.sha, state="held", lines=tuple(lines))
    former = _former_crons(ctx, plan.changes)
    catalogue.apply_changes(writer, revision.sha, plan.changes)
    catalogue.write_files(writer, revision, plan)
    for change in plan.changes:
        _follow(ctx, change, former)
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
    return [f"warning: {revision.sha[:12]} was not checked as a whole: {revision.unchecked}"] if revision.unchecked else []


def note_missing(ctx: Context, missing: BranchMissing) -> None:
    """The branch cannot be read: what was applied last stays live, and `sync` says so."""
    if ctx.writer.meta("source_state") != missing.reason:
        ctx.writer.set_meta("source_state", missing.reason)
        ctx.writer.journal("source.missing", detail={"reason": missing.reason})
        if catalogue.applied_sha(ctx.writer) is not None:  # a new home waits for its first push: that is no failure
            tell_sync_failed(ctx.writer, "", "not read", (missing.reason,))


def _former_crons(ctx: Context, changes: tuple[DefinitionChange, ...]) -> dict[tuple[str, str, str], tuple[str, str]]:
    """The schedules of crons before the change: what decides whether a schedule is new."""
    found = {}
    for change in changes:
        if change.identity[0] == Kind.CRON_WORKFLOW.value and change.kind is ChangeKind.UPDATE:
            before = catalogue.find_definition(ctx.writer, Kind.CRON_WORKFLOW, *change.identity[1:])
            if before is not None:
                found[change.identity] = _schedule_texts(before.body)
    return found


def _schedule_texts(body: object) -> tuple[str, str]:
    """What decides when a cron is due, and what an operator may have overridden."""
    spec = body.get("spec") if isinstance(body, dict) else None
    spec = spec if isinstance(spec, dict) else {}
    times = json.dumps([spec.get("schedules"), spec.get("schedule"), spec.get("timezone")], default=str)
    return times, json.dumps(spec.get("suspend"), default=str)


def _follow(ctx: Context, change: DefinitionChange, former: dict[tuple[str, str, str], tuple[str, str]]) -> None:
    """What a change of a definition brings for limits, crons and runs."""
    kind, namespace, name = change.identity
    if kind == Kind.CONFIG_MAP.value:
        limits.read_limits_of(ctx.writer, namespace, name)
    elif kind == Kind.LOCK_POLICY.value:
        policies.take_policies_of(ctx.writer, namespace)
    elif kind == Kind.CONSTRAINT.value:
        limits.read_capacities_of(ctx.writer, namespace, name)
        policies.take_policies_of(ctx.writer, namespace)
    elif kind == Kind.CRON_WORKFLOW.value:
        if change.kind is ChangeKind.RETIRE:
            crons.set_next(ctx.writer, namespace, name, None)
        elif change.document is not None:
            if change.kind not in (ChangeKind.ADD, ChangeKind.UPDATE):
                return
            before, now = former.get(change.identity), _schedule_texts(change.document.body)
            is_new = before is None or before[0] != now[0]
            crons.see(ctx.writer, namespace, name, new_schedule=is_new, forget_override=before is None or before[1] != now[1])
    elif kind == Kind.WORKFLOW.value and change.kind is ChangeKind.RETIRE:
        _retire_runs(ctx, namespace, name)


def _retire_runs(ctx: Context, namespace: str, name: str) -> None:
    """Queued runs of a removed Workflow are cancelled; running ones go on and are marked. No lock is released by it."""
    for run_id in runs.open_runs_of(ctx.writer, namespace, Kind.WORKFLOW.value, name):
        run = runs.get_run(ctx.writer, run_id)
        if run.phase is Phase.PENDING:
            runs.set_shutdown(ctx.writer, run, "Terminate", "removed")
        runs.mark_removed(ctx.writer, run)


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
        except LineclearError as error:
            failures.append(f"not run: {document.place}: {error}")
            why = {"why": str(error)}
            ctx.writer.journal("run.refused", namespace=document.namespace, subject=str(document.place), detail=why)
            pipeline = pipeline_of(document)
            if pipeline is not None:
                lost[pipeline] = f"{document.place} of the same pipeline could not be run"
        else:
            created.append(run)
    join_named(ctx, created, lost)
    return [run.id for run in created], failures


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
