"""What a revision would do: it is carried out, by the code that does so in the daemon, on a private copy in memory.

So a plan cannot differ from the real thing but by what changes in between. Nothing here writes to the home, starts a process
or gives an answer to anybody; it only reads off the copy what came of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from functools import cache
from itertools import count, islice

from reconciler.clock import from_text, to_text
from reconciler.cron.timetable import Timetable, next_tick, read_timetable
from reconciler.gitops.plan import plan_revision
from reconciler.loop import concurrency
from reconciler.loop.context import Context, Options, Specs
from reconciler.loop.crons import pass_crons
from reconciler.loop.revision import apply_revision
from reconciler.loop.settle import settle
from reconciler.model.source import (
    AlreadyRan,
    ChangeKind,
    DefinitionChange,
    Revision,
    RevisionPlan,
    generate_prefix,
    identity_of,
)
from reconciler.model.spec import Document, Kind, ParsedFile, Severity
from reconciler.model.state import Phase
from reconciler.store import catalogue, read_plan
from reconciler.store.writer import Writer
from reconciler.views.plan import (
    ACTIVE,
    AHEAD_KEPT,
    ALREADY_RAN,
    BLOCKED,
    FORBIDDEN,
    REJECTED,
    SUPERSEDED,
    SUSPENDED,
    Admission,
    DisplacedRun,
    Party,
    Plan,
    PlannedChange,
    PlannedLimit,
    PlannedLock,
    PlannedRun,
    RemovedRun,
)

TICKS_SHOWN = 3
UNKNOWN_SUFFIX = "?????"
SPECS_KEPT = 20_000  # one process, one plan: every spec is needed twice


def foresee(copy: Writer, revision: Revision, *, at: datetime, options: Options, is_committed: bool = True) -> Plan:
    """The plan of a revision whose `previous` is what the copy says is live; the copy is used up by it.

    A revision that would be held is looked at as if it were approved, and `held` says why. With `is_committed` False the
    revision's commit is a stand-in, and so are names made from it.
    """
    serial = count(1)
    ctx = Context(
        writer=copy, specs=Specs(copy, SPECS_KEPT), options=options, new_uid=lambda: f"<uid {next(serial)}>", at=at
    )
    known = read_plan.contested_before(copy)
    with copy.write(to_text(at)):
        decided = plan_revision(revision, catalogue.catalogue_for(copy, revision))
        if decided.held:
            copy.set_meta("approved", revision.sha)
        apply_revision(ctx, revision)
        settle(ctx)
        pass_crons(ctx)
        settle(ctx)
    look = _Look(copy, options, is_committed=is_committed)
    unrun = (*look.refused(decided), *_in_bad_files(revision, decided, known), *map(_already, decided.already_ran))
    return Plan(
        changes=tuple(look.changes(decided)),
        runs=(*look.runs(), *unrun),
        removed_runs=tuple(
            RemovedRun(namespace=namespace, workflow=workflow, run=run, phase=phase, is_cancelled=ended)
            for namespace, workflow, run, phase, ended in read_plan.removed_runs(copy)
        ),
        limits=tuple(
            PlannedLimit(key=key, before=before, after=after, source=source)
            for key, before, after, source in read_plan.changed_limits(copy)
        ),
        admitted=tuple(
            Admission(namespace=namespace, run=run, node=node, key=key)
            for namespace, run, node, key in read_plan.admitted_others(copy)
        ),
        displaced=tuple(
            DisplacedRun(namespace=namespace, run=run, phase=phase, reason=reason)
            for namespace, run, phase, reason in read_plan.displaced_runs(copy)
        ),
        held=decided.held if is_committed else _without_commit(decided.held, revision.sha),
    )


def _without_commit(text: str, stand_in: str) -> str:
    return text.replace(stand_in, "COMMIT").replace(stand_in[:12], "the commit")


def _in_bad_files(revision: Revision, decided: RevisionPlan, known: Mapping[str, str]) -> Iterator[PlannedRun]:
    """The Workflows that cannot be submitted because their file is wrong, or because another file has their identity.

    `known` are the files (path -> blob) that were contested before: as they are, they are no matter of this revision.
    """
    contested = {(f.place.path, f.place.line): f.message for f in decided.findings if f.rule == "LC401"}
    for file in revision.changed:
        if known.get(file.path) == file.blob:
            continue
        for document in file.documents:
            if document.kind is not Kind.WORKFLOW:
                continue
            reason = _wrong_in(file) if file.is_bad else contested.get((file.path, document.place.line), "")
            if reason:
                yield _not_run(document, reason)


def _wrong_in(file: ParsedFile) -> str:
    return str(next(finding for finding in file.findings if finding.severity is Severity.ERROR))


def _already(already: AlreadyRan) -> PlannedRun:
    again = f"lineclear resubmit {already.run_name}"
    if already.document.namespace != "default":
        again += f" -n {already.document.namespace}"
    return replace(_not_run(already.document), state=ALREADY_RAN, earlier=already.run_name, resubmit=again)


def _not_run(document: Document, reason: str = "") -> PlannedRun:
    name = document.name or f"{document.generate_name}*"
    place = f"{document.place.path}:{document.place.line}"
    return PlannedRun(
        state=REJECTED, namespace=document.namespace, name=name, workflow=name, place=place, reason=reason
    )


class _Look:
    """Reads off a copy on which a revision was carried out."""

    def __init__(self, copy: Writer, options: Options, *, is_committed: bool) -> None:
        self._copy = copy
        self._options = options
        self._new = read_plan.new_runs(copy)
        self._shown = {} if is_committed else {row.claimant: name for row in self._new if (name := _stand_in(row))}
        self._holders = cache(lambda lock: tuple(self._party(row) for row in read_plan.holders(copy, lock)))
        self._queue = cache(lambda lock: tuple(read_plan.queue(copy, lock)))
        self._places = cache(lambda lock: {row.claim: place for place, row in enumerate(self._queue(lock))})

    def runs(self) -> Iterator[PlannedRun]:
        """The new runs in the order of their submission."""
        claims = read_plan.claims_of_new(self._copy)
        for row in self._new:
            yield self._run(row, claims.get(row.id, []))

    def _run(self, row: read_plan.NewRunRow, claims: list[read_plan.ClaimRow]) -> PlannedRun:
        phase = Phase(row.phase)
        waits = any(claim.level == "run" and claim.state == "waiting" for claim in claims)
        reason = row.message if phase in (Phase.ERROR, Phase.FAILED) else ""
        if row.ended_by in (concurrency.REPLACED, concurrency.SUPERSEDED):
            state = SUPERSEDED
        elif phase in (Phase.ERROR, Phase.FAILED) and not row.has_started:
            state = REJECTED
        elif row.waits_for:
            state = BLOCKED
            reason = f"waits until {row.waits_for} has ended: concurrency policy {row.policy} ({row.policy_place})"
        elif waits:
            state = BLOCKED
        else:
            state = SUSPENDED if row.suspended else ACTIVE
        return PlannedRun(
            state=state,
            namespace=row.namespace,
            name=self._shown.get(row.claimant, row.name),
            name_is_known=row.claimant not in self._shown,
            workflow=(row.definition.partition("|")[0] + "*") if "|" in row.definition else row.definition,
            place=row.place,
            phase=row.phase,
            reason=reason,
            priority=row.priority,
            waiting_steps=row.queued,
            locks=tuple(self._lock(claim) for claim in claims if not claim.is_nested and claim.state != "released"),
        )

    def _lock(self, claim: read_plan.ClaimRow) -> PlannedLock:
        waiting = claim.state == "waiting"
        place = self._places(claim.lock).get(claim.claim, 0) if waiting else 0
        return PlannedLock(
            key=claim.key,
            kind=claim.kind,
            template=claim.template,
            values=_values(claim.resolved_json),
            limit=claim.capacity,
            position=place + 1 if waiting else 0,
            holders=self._holders(claim.lock) if waiting else (),
            ahead=tuple(self._party(row) for row in self._queue(claim.lock)[: min(place, AHEAD_KEPT)]),
            reason=_closed(claim) if waiting else "",
            node=claim.node,
        )

    def _party(self, row: read_plan.WhoRow) -> Party:
        name = self._shown.get((row.namespace, row.run), row.run)
        return Party(run=name, namespace=row.namespace, phase=row.phase, node=row.node, is_new=bool(row.is_new))

    def refused(self, decided: RevisionPlan) -> Iterator[PlannedRun]:
        """What could not be submitted; also a Workflow of an unchanged file that a new template lets try again."""
        documents = {str(s.document.place): s.document for s in decided.submissions}
        for namespace, place, reason, is_forbidden in read_plan.refusals(self._copy):
            document = documents.get(place)
            if document is not None:
                yield replace(_not_run(document, reason), state=FORBIDDEN if is_forbidden else REJECTED)
                continue
            where = place.rpartition(":")[0]
            name = read_plan.workflow_at(self._copy, where)
            state = FORBIDDEN if is_forbidden else REJECTED
            yield PlannedRun(state=state, namespace=namespace, name=name, workflow=name, place=where, reason=reason)

    def changes(self, decided: RevisionPlan) -> Iterator[PlannedChange]:
        """The changes of definitions, less those of Workflows that are told with their runs."""
        told = {identity_of(s.document) for s in decided.submissions} | {identity_of(a.document) for a in decided.already_ran}
        for change in decided.changes:
            if change.identity in told:
                continue
            kind, namespace, name = change.identity
            prefix = generate_prefix(change.identity)
            place = f"{change.document.place.path}:{change.document.place.line}" if change.document is not None else ""
            ticks, notes = self._cron(change) if kind == Kind.CRON_WORKFLOW.value else ((), ())
            yield PlannedChange(
                change=change.kind.value,
                kind=kind,
                namespace=namespace,
                name=name if prefix is None else f"{prefix}*",
                place=place,
                reason=f"the last good version stays live: {change.reason}" if change.reason else "",
                ticks=ticks,
                notes=notes,
            )

    def _cron(self, change: DefinitionChange) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Its next ticks, and what else there is to know."""
        if change.kind is ChangeKind.RETIRE:
            return (), ("it schedules no more, its history stays",)
        if change.document is None or change.document.cron is None or change.kind not in (ChangeKind.ADD, ChangeKind.UPDATE):
            return (), ()
        spec = change.document.cron
        next_at, override, decided = read_plan.cron_state(self._copy, *change.identity[1:])
        notes = [f"{due[:19]}Z: {decision}{f': {reason}' if reason else ''}" for due, decision, reason in decided]
        if spec.suspend if override is None else override:
            notes.append("it is suspended" + (" by an operator: lineclear cron resume" if override else ""))
            return (), tuple(notes)
        if next_at is None:
            return (), (*notes, "it never fires again")
        table = read_timetable(spec, local_zone=self._options.local_zone)
        return tuple(_instant(tick) for tick in islice(_ticks(table, from_text(next_at)), TICKS_SHOWN)), tuple(notes)


def _ticks(table: Timetable, first: datetime) -> Iterator[datetime]:
    tick: datetime | None = first
    while tick is not None:
        yield tick
        tick = next_tick(table, tick)


def _instant(tick: datetime) -> str:
    return to_text(tick)[:19] + "Z"


def _stand_in(row: read_plan.NewRunRow) -> str:
    """The name of a run whose commit does not exist yet, where the name is made from it; else ''."""
    prefix, bar, _ = row.definition.partition("|")
    return prefix + UNKNOWN_SUFFIX if bar else ""


def _values(resolved_json: str) -> Mapping[str, str]:
    return {str(tag): str(value) for tag, value in json.loads(resolved_json)}


def _closed(claim: read_plan.ClaimRow) -> str:
    """Why the lock admits nobody, whoever holds it; '' if it does."""
    if claim.held_back:
        return f"held back until `lineclear unhold`: {claim.held_back}"
    if claim.frozen:
        return claim.frozen
    if claim.capacity is None:
        return f"its limit was never read: {claim.limit_source}"
    return "closed: its limit is 0" if claim.capacity == 0 else ""
