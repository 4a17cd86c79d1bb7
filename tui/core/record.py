"""The record, the source and the crons as values, each read inside the transaction that is given."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.store import read_rest, read_screen
from reconciler.store.read import Reader
from reconciler.views.definitions import policy_of, schedules_of
from reconciler.views.journal import detail_of, detail_text
from reconciler.views.revisions import outcome_text
from tui.core.instants import instant, instant_or_none
from tui.core.model import CommitRow, CronRow, Finding, GitDetail, JournalRow, RunKey, RunRow, SyncState

COMMITS = 200
_SYNC_LOOK = 20
_TICKS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalWish:
    """Which part of the record: of a run, of a lock or other subject, of people only; below `before` or above `after`."""

    run: RunKey | None = None
    lock: str | None = None
    by_people: bool = False
    before: int | None = None
    after: int | None = None
    limit: int = 500


def journal_rows(reader: Reader, wish: JournalWish) -> tuple[JournalRow, ...]:
    """The rows, newest first."""
    run = wish.run
    wanted = read_rest.JournalFilter(run.namespace if run else "", run.name if run else None, wish.lock)
    page = read_screen.JournalPage(
        wanted, before=wish.before, after=wish.after, by_people=wish.by_people, limit=wish.limit
    )
    return tuple(_journal_row(row) for row in read_screen.list_journal_page(reader, page))


def _journal_row(row: Any) -> JournalRow:
    detail = detail_of(row["detail_json"])
    return JournalRow(
        seq=row["seq"],
        at=instant(row["at"]),
        kind=row["kind"],
        actor=row["actor"],
        namespace=row["namespace"],
        run=row["run"],
        subject=row["subject"],
        text=detail_text(detail),
        detail=detail,
    )


def sync_state(reader: Reader) -> SyncState:
    """The source at a glance."""
    rows = read_rest.list_revisions(reader, _SYNC_LOOK)
    bad = read_screen.count_bad_files(reader)
    return SyncState(
        head=_commit(rows[0]) if rows else None,
        applied=_first(rows, "applied"),
        held=_first(rows, "held"),
        bad_files=bad,
    )


def _first(rows: Sequence[Any], state: str) -> CommitRow | None:
    return next((_commit(row) for row in rows if row["state"] == state), None)


def _commit(row: Any) -> CommitRow:
    return CommitRow(
        id=row["id"],
        sha=row["sha"],
        author=row["author"],
        subject=row["subject"],
        state=row["state"],
        seen_at=instant(row["seen_at"]),
        applied_at=instant_or_none(row["applied_at"]),
        message=row["message"],
        outcome=outcome_text(row),
    )


def git_detail(reader: Reader) -> GitDetail:
    """The source's page."""
    findings = []
    for path, found in read_screen.list_findings(reader):
        for line, column, rule, severity, message in json.loads(found):
            findings.append(
                Finding(path=path, line=line, column=column, rule=rule, severity=severity, message=message)
            )
    live = read_screen.list_live_definitions(reader)
    return GitDetail(
        sync=sync_state(reader),
        commits=tuple(_commit(row) for row in read_rest.list_revisions(reader, COMMITS)),
        findings=tuple(findings),
        definitions=tuple((path, kind, f"{namespace}/{name.partition('|')[0]}") for path, kind, namespace, name in live),
    )


class CronList:
    """Rows of crons; remembers the definitions that it has read, by their text."""

    def __init__(self) -> None:
        self._bodies: dict[str, Mapping[str, Any]] = {}

    def rows(self, reader: Reader, runs: Sequence[RunRow]) -> tuple[CronRow, ...]:
        """All crons by namespace and name; `runs` are those of the same instant."""
        active: dict[tuple[str, str], int] = {}
        for run in runs:
            if run.cron and (run.finished_at is None or run.holds):
                active[run.namespace, run.cron] = active.get((run.namespace, run.cron), 0) + 1
        rows = read_rest.list_crons(reader, None)
        self._bodies = {text: self._bodies.get(text) or json.loads(text) for text in {row["body_json"] for row in rows}}
        return tuple(cron_row(reader, row, self._bodies[row["body_json"]], active) for row in rows)


def cron_row(reader: Reader, row: Any, body: Mapping[str, Any], active: Mapping[tuple[str, str], int]) -> CronRow:
    """One cron of a row of `read_rest.list_crons`."""
    spec: dict[str, Any] = dict(body.get("spec") or {})
    namespace = row["namespace"] or (body.get("metadata") or {}).get("namespace") or "default"
    name = str((body.get("metadata") or {}).get("name") or row["name"] or "")
    written = bool(spec.get("suspend"))
    suspended = written if row["suspended"] is None else bool(row["suspended"])
    ticks = read_rest.list_ticks(reader, namespace, name, _TICKS)
    return CronRow(
        namespace=namespace,
        name=name,
        schedules=tuple(schedules_of(spec)),
        timezone=str(spec.get("timezone") or ""),
        policy=policy_of(body),
        suspended=suspended,
        is_override=suspended != written,
        next_at=instant_or_none(row["next_at"]),
        last_at=instant_or_none(row["last_run_at"]),
        last_decision=ticks[0]["decision"] if ticks else "",
        active=active.get((namespace, name), 0),
        ticks=tuple(tick["decision"] for tick in ticks),
        stale=row["stale"],
    )
