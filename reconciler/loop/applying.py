"""The definitions of a revision, written in the transaction in hand: each in a part of its own if one of them fails.

Owns what a change of a definition brings for limits, policies, crons and runs, and the boundary around it: a document that
cannot be applied is left out with a finding, and what was live of it stays live. A fault of the store fails the whole revision.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Mapping
from dataclasses import replace

from reconciler.errors import Transient
from reconciler.lint import rules
from reconciler.loop.context import Context
from reconciler.manifest.mistakes import mistake_finding
from reconciler.model.source import Catalogue, ChangeKind, DefinitionChange, Identity, Revision, RevisionPlan, identity_of
from reconciler.model.spec import Finding, Kind, Place
from reconciler.model.state import Phase
from reconciler.store import catalogue, crons, limits, policies, runs

log = logging.getLogger(__name__)
_Schedules = Mapping[Identity, tuple[str, str]]


def is_fault_of_host(error: Exception) -> bool:
    """True for what the store or the machine does not do: no document is to blame for it."""
    if isinstance(error, sqlite3.DatabaseError):
        return not isinstance(error, sqlite3.IntegrityError | sqlite3.DataError | sqlite3.ProgrammingError)
    return isinstance(error, sqlite3.OperationalError | OSError | Transient)


def apply_definitions(ctx: Context, revision: Revision, plan: RevisionPlan, live: Catalogue) -> tuple[RevisionPlan, Revision]:
    """What was applied of the plan, and the revision with a finding on each file with a document that could not be."""
    former = _former_crons(ctx, plan.changes)
    try:
        with ctx.writer.savepoint():
            for change in plan.changes:
                _apply(ctx, revision.sha, change, former)
    except Exception as error:  # whatever it is, the next try tells whose it is
        if is_fault_of_host(error) or not ctx.writer.db.in_transaction:
            raise
        return _apply_each(ctx, revision, plan, live, former)
    return plan, revision


def _apply_each(
    ctx: Context, revision: Revision, plan: RevisionPlan, live: Catalogue, former: _Schedules
) -> tuple[RevisionPlan, Revision]:
    failed: dict[Identity, Finding] = {}
    changes = []
    for change in plan.changes:
        try:
            with ctx.writer.savepoint():
                _apply(ctx, revision.sha, change, former)
        except Exception as error:  # the boundary of a document: the others are applied
            if is_fault_of_host(error) or not ctx.writer.db.in_transaction:
                raise
            finding = _told(change, live, error)
            failed[change.identity] = finding
            log.exception("a mistake of ours, %s", finding.trace, extra={"action": "apply", "commit": revision.sha})
            changes += _left_stale(ctx, revision.sha, change, live, finding)
        else:
            changes.append(change)
    paths = {finding.place.path for finding in failed.values()}
    by_path = {path: tuple(f for f in failed.values() if f.place.path == path) for path in paths}
    files = [replace(f, findings=(*f.findings, *by_path[f.path])) if f.path in paths else f for f in revision.changed]
    applied = replace(
        plan,
        changes=tuple(changes),
        submissions=tuple(s for s in plan.submissions if identity_of(s.document) not in failed),
        findings=(*plan.findings, *failed.values()),
        refused=tuple(sorted({*plan.refused, *(paths & {file.path for file in files})})),
    )
    return applied, replace(revision, changed=tuple(files))


def _told(change: DefinitionChange, live: Catalogue, error: Exception) -> Finding:
    before = live.by_identity.get(change.former or change.identity)
    place = change.document.place if change.document is not None else Place(path=before.path if before else "", line=1, column=1)
    return mistake_finding(error, place, rules.NOT_APPLIED, "the document cannot be applied")


def _left_stale(ctx: Context, sha: str, change: DefinitionChange, live: Catalogue, finding: Finding) -> list[DefinitionChange]:
    """The change that marks what is live of the document as stale, applied; none if nothing is live, or that fails too."""
    identity = change.former or change.identity
    if identity not in live.by_identity:
        return []
    stale = DefinitionChange(kind=ChangeKind.STALE, identity=identity, reason=str(finding))
    try:
        with ctx.writer.savepoint():
            catalogue.apply_changes(ctx.writer, sha, (stale,))
    except Exception as error:  # it is told as a finding all the same
        if is_fault_of_host(error) or not ctx.writer.db.in_transaction:
            raise
        return []
    return [stale]


def _apply(ctx: Context, sha: str, change: DefinitionChange, former: _Schedules) -> None:
    catalogue.apply_changes(ctx.writer, sha, (change,))
    _follow(ctx, change, former)


def _former_crons(ctx: Context, changes: tuple[DefinitionChange, ...]) -> _Schedules:
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


def _follow(ctx: Context, change: DefinitionChange, former: _Schedules) -> None:
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
