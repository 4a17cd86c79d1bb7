"""A revision's plan as lines for the person who pushed: what changes, what runs, what does not and why.

Words only; nothing is decided here.
"""

from __future__ import annotations

from reconciler.gitops.plan import describe_identity
from reconciler.model.source import AlreadyRan, ChangeKind, DefinitionChange, RevisionPlan, Submission, identity_of
from reconciler.model.spec import Kind


def describe_plan(plan: RevisionPlan) -> list[str]:
    """One line for each thing that applying the plan does, findings first, runs last; 'nothing changes' if there is none."""
    lines = [str(finding) for finding in plan.findings]
    if plan.held:
        return [*lines, f"held: {plan.held}"]
    running = {identity_of(s.document) for s in plan.submissions} | {identity_of(a.document) for a in plan.already_ran}
    changes = [_describe_change(change) for change in plan.changes if change.identity not in running]
    runs = [_describe_submission(s) for s in plan.submissions] + [_describe_already(a) for a in plan.already_ran]
    return [*lines, *changes, *runs] or ["nothing changes"]


def _describe_change(change: DefinitionChange) -> str:
    what = describe_identity(change.identity)
    match change.kind:
        case ChangeKind.RETIRE:
            return f"{change.kind.value}: {what}{_consequence(change)}"
        case ChangeKind.STALE:
            return f"{change.kind.value}: {what}: the last good version stays live: {change.reason}"
        case ChangeKind.MOVE if change.document is not None:
            return f"{change.kind.value}: {what} to {change.document.place.path}"
        case _:
            return f"{change.kind.value}: {what}"


def _consequence(change: DefinitionChange) -> str:
    if change.identity[0] == Kind.WORKFLOW.value:
        return ": queued runs are cancelled, running ones go on"
    if change.identity[0] == Kind.CRON_WORKFLOW.value:
        return ": it schedules no more, its history stays"
    return ""


def _describe_submission(submission: Submission) -> str:
    document = submission.document
    return f"run: {describe_identity(identity_of(document))} ({document.place})"


def _describe_already(already: AlreadyRan) -> str:
    what = describe_identity(identity_of(already.document))
    namespace = already.document.namespace
    again = f"lineclear resubmit {already.run_name}" + ("" if namespace == "default" else f" -n {namespace}")
    return f"not run: {what} ({already.document.place}): this content ran as {already.run_name}; to run it again: {again}"
