"""Rows of crons and ticks: watermarks, overrides, decisions, and the runs that its history limits count."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.clock import to_text
from reconciler.model.cron import TickDecision, TickRecord
from reconciler.store import moves
from reconciler.store.writer import Writer


@dataclass(frozen=True, slots=True)
class CronRow:
    """What outlives a CronWorkflow's definition. `suspended` None: as the definition says."""

    namespace: str
    name: str
    since: str
    watermark: str | None
    suspended: bool | None
    resumed_at: str | None


_ROW = "SELECT namespace, name, since, watermark, suspended, resumed_at FROM cron"


def _row(row: tuple) -> CronRow:  # type: ignore[type-arg]  # a row
    return CronRow(row[0], row[1], row[2], row[3], None if row[4] is None else bool(row[4]), row[5])


def due(writer: Writer) -> list[CronRow]:
    """Crons to look at now, by the instant that was waited for."""
    return [_row(r) for r in writer.db.execute(_ROW + " WHERE next_at <= ? ORDER BY next_at, namespace, name", (writer.now,))]


def find(writer: Writer, namespace: str, name: str) -> CronRow | None:
    """The cron's row, or None."""
    row = writer.db.execute(_ROW + " WHERE namespace = ? AND name = ?", (namespace, name)).fetchone()
    return None if row is None else _row(row)


def see(writer: Writer, namespace: str, name: str, *, new_schedule: bool, forget_override: bool) -> None:
    """A definition came or changed: look at it now. A new schedule counts from now; a push that sets `suspend` rules."""
    writer.db.execute(
        "INSERT INTO cron (namespace, name, since, next_at) VALUES (:ns, :name, :now, :now)"
        " ON CONFLICT (namespace, name) DO UPDATE SET next_at = :now,"
        " since = CASE WHEN :new THEN :now ELSE since END, suspended = CASE WHEN :forget THEN NULL ELSE suspended END",
        {"ns": namespace, "name": name, "now": writer.now, "new": new_schedule, "forget": forget_override},
    )


def look_at_all(writer: Writer) -> None:
    """Has every cron that waits for an instant looked at now: the clock it was computed by may have been wrong."""
    writer.db.execute("UPDATE cron SET next_at = :now WHERE next_at > :now", {"now": writer.now})


def set_next(writer: Writer, namespace: str, name: str, next_at: str | None) -> None:
    """When to look again; None: never."""
    writer.db.execute("UPDATE cron SET next_at = ? WHERE namespace = ? AND name = ?", (next_at, namespace, name))


def set_decided(writer: Writer, namespace: str, name: str, watermark: str | None, next_at: str | None) -> None:
    """Everything up to the watermark is decided, for ever."""
    sql = "UPDATE cron SET watermark = ?, next_at = ? WHERE namespace = ? AND name = ?"
    writer.db.execute(sql, (watermark, next_at, namespace, name))


def begin_anew(writer: Writer, row: CronRow, why: str) -> CronRow:
    """The cron counts from now on: watermark, beginning and the end of a suspension lie no later. The new row."""
    resumed_at = None if row.resumed_at is None else min(row.resumed_at, writer.now)
    sql = (
        "UPDATE cron SET watermark = ?1, since = min(since, ?1), resumed_at = ?2, next_at = ?1"
        " WHERE namespace = ?3 AND name = ?4"
    )
    writer.db.execute(sql, (writer.now, resumed_at, row.namespace, row.name))
    detail = {"why": why, "from": row.watermark, "to": writer.now}
    writer.journal("cron.reset", namespace=row.namespace, subject=f"CronWorkflow/{row.name}", detail=detail)
    return CronRow(row.namespace, row.name, min(row.since, writer.now), writer.now, row.suspended, resumed_at)


def is_decided(writer: Writer, row: CronRow, due_at: str) -> bool:
    """True if a row says what became of that instant."""
    sql = "SELECT 1 FROM tick WHERE namespace = ? AND cron = ? AND due_at = ?"
    return writer.db.execute(sql, (row.namespace, row.name, due_at)).fetchone() is not None


def set_suspended(writer: Writer, namespace: str, name: str, *, suspended: bool) -> None:
    """An operator's override; look at the cron at once."""
    sql = (
        "UPDATE cron SET suspended = ?, next_at = ?, resumed_at = CASE WHEN ? THEN resumed_at ELSE ? END"
        " WHERE namespace = ? AND name = ?"
    )
    writer.db.execute(sql, (int(suspended), writer.now, int(suspended), writer.now, namespace, name))
    kind = "cron.suspended" if suspended else "cron.resumed"
    writer.journal(kind, namespace=namespace, subject=f"CronWorkflow/{name}")


def record_tick(
    writer: Writer, row: CronRow, record: TickRecord, *, decision: TickDecision, reason: str, run_name: str
) -> None:
    """One decision, with its reason."""
    due_at = to_text(record.last_at)
    writer.db.execute(
        "INSERT INTO tick (namespace, cron, due_at, decision, reason, run_name, count, decided_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (row.namespace, row.name, due_at, decision.value, reason, run_name, record.count, writer.now),
    )
    if run_name:
        sql = "UPDATE cron SET last_run_at = ? WHERE namespace = ? AND name = ?"
        writer.db.execute(sql, (due_at, row.namespace, row.name))
    detail = {"due": due_at, "decision": decision.value, "reason": reason, "count": record.count}
    subject = f"CronWorkflow/{row.name}"
    writer.journal("cron.tick", namespace=row.namespace, run=run_name, subject=subject, detail=detail)
    moves.note_tick(writer, decision.value, record.count)


def last_decision(writer: Writer, row: CronRow, before: str) -> tuple[str, str]:
    """How the latest instant before this one was decided, and why; empty if there was none."""
    sql = "SELECT decision, reason FROM tick WHERE namespace = ? AND cron = ? AND due_at < ? ORDER BY due_at DESC LIMIT 1"
    found = writer.db.execute(sql, (row.namespace, row.name, before)).fetchone()
    return ("", "") if found is None else (found[0], found[1])


_HOLDS = "EXISTS (SELECT 1 FROM claim c WHERE c.run_id = run.id AND c.state <> 'released')"


def finished(writer: Writer, namespace: str, cron: str) -> list[tuple[int, str, str, str, int]]:
    """Ended runs of the cron: (id, name, phase, finished_at, whether it still holds something)."""
    sql = (
        f"SELECT id, name, phase, finished_at, {_HOLDS} FROM run"
        " WHERE namespace = ? AND cron = ? AND cron <> '' AND finished_at IS NOT NULL"
    )
    return [(r[0], r[1], r[2], r[3], r[4]) for r in writer.db.execute(sql, (namespace, cron))]
