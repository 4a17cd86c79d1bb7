"""Rows of attempts: one process of a node each, started at most once. A late result never revives an end."""

from __future__ import annotations

import json
from collections.abc import Iterable
from sqlite3 import Connection

from reconciler.errors import Conflict
from reconciler.model.state import NO_OUTPUTS, AttemptPhase, AttemptState, NodeId, Outputs, RunId
from reconciler.store.writer import Writer

_ATTEMPT = (
    "SELECT id, run_id, node_id, state, stop, exit_code, boot_id, outputs_json, problem, reserved, unknown_at IS NOT NULL"
    " FROM attempt"
)


def read_outputs(text: str) -> Outputs:
    """Outputs as a row holds them."""
    return NO_OUTPUTS if text == "{}" else Outputs(**json.loads(text))


def outputs_json(outputs: Outputs) -> str:
    """Outputs as the rows hold them."""
    if outputs == NO_OUTPUTS:
        return "{}"
    return json.dumps({"parameters": dict(outputs.parameters), "result": outputs.result})


def _attempt(row: tuple) -> AttemptState:  # type: ignore[type-arg]  # a row
    outputs = read_outputs(row[7])
    phase = AttemptPhase(row[3])
    return AttemptState(row[0], row[1], row[2], phase, row[4], row[5], row[6], outputs, row[8], bool(row[9]), bool(row[10]))


def active_attempts(writer: Writer) -> list[AttemptState]:
    """Every attempt that is to be running, by id."""
    return [_attempt(r) for r in writer.db.execute(_ATTEMPT + " WHERE state IN ('intended', 'live') ORDER BY id")]


def queued_attempts(writer: Writer, limit: int, without: Iterable[RunId]) -> list[AttemptState]:
    """The first attempts that wait for a slot, by priority, arrival of the run, then their own; none of the runs `without`."""
    sql = (
        _ATTEMPT + " WHERE state = 'queued' AND run_id NOT IN (SELECT value FROM json_each(?))"
        " ORDER BY priority DESC, queue_order, id LIMIT ?"
    )
    return [_attempt(r) for r in writer.db.execute(sql, (json.dumps([*without]), limit))]


def of_node(db: Connection, node_id: NodeId) -> AttemptState | None:
    """The attempt of a node, or None if none was queued."""
    row = db.execute(_ATTEMPT + " WHERE node_id = ?", (node_id,)).fetchone()
    return None if row is None else _attempt(row)


def get_attempt(writer: Writer, attempt_id: int) -> AttemptState | None:
    """The attempt, or None if its run was deleted."""
    row = writer.db.execute(_ATTEMPT + " WHERE id = ?", (attempt_id,)).fetchone()
    return None if row is None else _attempt(row)


def intend_attempt(
    writer: Writer, attempt: AttemptState, boot_id: str, deadline_at: str | None, *, is_reserved: bool
) -> None:
    """Gives the attempt its slot: from here on it is started, once, whatever crashes. `is_reserved`: it has its record."""
    cursor = writer.db.execute(
        "UPDATE attempt SET state = 'intended', boot_id = ?, intended_at = ?, reserved = ? WHERE id = ? AND state = 'queued'",
        (boot_id, writer.now, int(is_reserved), attempt.id),
    )
    if cursor.rowcount != 1:
        raise Conflict(f"attempt {attempt.id} is not queued any more")
    writer.db.execute(
        "UPDATE node SET phase = 'Running', started_at = ?1,"
        " deadline_at = CASE WHEN deadline_at IS NULL OR ?2 < deadline_at THEN ?2 ELSE deadline_at END"
        " WHERE id = ?3 AND phase = 'Pending'",
        (writer.now, deadline_at, attempt.node_id),
    )


def note_started(writer: Writer, attempt: AttemptState, pid: int) -> None:
    """Remembers the process for people to see; nothing depends on it."""
    sql = "UPDATE attempt SET state = 'live', pid = ? WHERE id = ? AND state = 'intended'"
    writer.db.execute(sql, (pid, attempt.id))


def set_deadline(writer: Writer, attempt: AttemptState, deadline_at: str | None) -> None:
    """When the step's process is to be ended; None: not before that is known."""
    writer.db.execute("UPDATE node SET deadline_at = ? WHERE id = ? AND finished_at IS NULL", (deadline_at, attempt.node_id))


def any_with_message(writer: Writer, start: str) -> bool:
    """True while the node of an attempt that is to be running has a message that begins so."""
    sql = (
        "SELECT EXISTS (SELECT 1 FROM attempt a JOIN node n ON n.id = a.node_id"
        " WHERE a.state IN ('intended', 'live') AND substr(n.message, 1, length(?1)) = ?1)"
    )
    return bool(writer.db.execute(sql, (start,)).fetchone()[0])


def note_unknown(writer: Writer, attempt: AttemptState, why: str) -> bool:
    """Writes down that nothing proves the attempt's end, or why that is so now; True if it is news, False after its end."""
    sql = (
        "UPDATE attempt SET unknown_at = ifnull(unknown_at, ?), unknown = ? WHERE id = ? AND state IN ('intended', 'live')"
        " AND (unknown_at IS NULL OR unknown <> ?)"
    )
    return writer.db.execute(sql, (writer.now, why, attempt.id, why)).rowcount == 1


def note_found(writer: Writer, attempt: AttemptState) -> bool:
    """The attempt has somebody who will tell its end; False if that was never in doubt."""
    sql = "UPDATE attempt SET unknown_at = NULL, unknown = '' WHERE id = ? AND unknown_at IS NOT NULL"
    return writer.db.execute(sql, (attempt.id,)).rowcount == 1


def end_attempt(writer: Writer, attempt: AttemptState, state: AttemptPhase, code: int | None, signal: int | None) -> bool:
    """Records an attempt's end; False if it had ended before (a late result never revives it)."""
    cursor = writer.db.execute(
        "UPDATE attempt SET state = ?, exit_code = ?, signal = ?, finished_at = ? WHERE id = ? AND state IN ('intended', 'live')",
        (state.value, code, signal, writer.now, attempt.id),
    )
    return cursor.rowcount == 1


def keep_usage(writer: Writer, attempt: AttemptState, cpu_ms: int | None, memory_kb: int | None) -> None:
    """What its processes have used, for people to see; nothing depends on it."""
    if cpu_ms is not None:
        writer.db.execute("UPDATE attempt SET cpu_ms = ?, memory_kb = ? WHERE id = ?", (cpu_ms, memory_kb, attempt.id))


def keep_outputs(writer: Writer, attempt: AttemptState, outputs: Outputs, problem: str) -> None:
    """What the step left behind, written down with its end."""
    sql = "UPDATE attempt SET outputs_json = ?, problem = ? WHERE id = ?"
    writer.db.execute(sql, (outputs_json(outputs), problem, attempt.id))


def withdraw_queued(writer: Writer, node_id: NodeId) -> bool:
    """Ends a process that waits for its slot before it begins; False if there is none."""
    sql = "UPDATE attempt SET state = 'revoked', stop = 'stop', finished_at = ? WHERE node_id = ? AND state = 'queued'"
    return writer.db.execute(sql, (writer.now, node_id)).rowcount == 1
