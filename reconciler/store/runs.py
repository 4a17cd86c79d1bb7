"""Rows of runs: reading them as values, making, ending, pausing and removing runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from reconciler.errors import Conflict, InvariantViolated
from reconciler.model.concurrency import ConcurrencyPolicy, PolicyRule
from reconciler.model.own_kinds import OVERRIDE_FREEZE
from reconciler.model.state import NodeId, NodeState, Outputs, Phase, RunId, RunState
from reconciler.store import barriers, slices
from reconciler.store.attempts import outputs_json
from reconciler.store.writer import Writer
from reconciler.workflow.bounds import AT_ONCE

_RUN = (
    "SELECT id, uid, namespace, name, phase, message, priority, queue_order, spec_digest, arguments_json, labels_json,"
    " annotations_json, commit_sha, cron, scheduled_at, successor_of, shutdown, ended_by, created_at, started_at, finished_at,"
    " deadline_at, suspended, outputs_json, policy, policy_group, policy_place, pipeline FROM run"
)


def _run(row: tuple) -> RunState:  # type: ignore[type-arg]  # a row
    parts = list(row[:24])
    policy, group, place, pipeline = row[24:]
    parts[4] = Phase(row[4])
    for index in (9, 10, 11, 23):
        parts[index] = json.loads(row[index]) if row[index] != "{}" else {}
    parts[22] = bool(row[22])
    parts.append(PolicyRule(policy=ConcurrencyPolicy(policy), group=group, place=place) if policy else None)
    parts.append(pipeline)
    return RunState(*parts)


def find_run_by_id(writer: Writer, run_id: RunId) -> RunState | None:
    """The run, or None if it was removed. It is read once, until somebody changes it."""
    found = writer.seen_runs.get(run_id)
    if found is None:
        row = writer.db.execute(_RUN + " WHERE id = ?", (run_id,)).fetchone()
        if row is None:
            return None
        found = writer.seen_runs[run_id] = _run(row)
    return found


def get_run(writer: Writer, run_id: RunId) -> RunState:
    """The run; raises InvariantViolated if there is none, for a caller has just seen its id."""
    run = find_run_by_id(writer, run_id)
    if run is None:
        raise InvariantViolated(f"run {run_id} is gone")
    return run


def find_run(writer: Writer, namespace: str, name: str) -> RunState | None:
    """The run of that name, or None."""
    row = writer.db.execute(_RUN + " WHERE namespace = ? AND name = ?", (namespace, name)).fetchone()
    return None if row is None else _run(row)


def open_runs(writer: Writer) -> list[RunState]:
    """Every run that has not ended, by arrival."""
    return [_run(row) for row in writer.db.execute(_RUN + " WHERE finished_at IS NULL ORDER BY id")]


def is_ending(writer: Writer, run_id: RunId) -> bool:
    """True while a run that was asked to end, or a process of it that was, has not ended and will: not where nothing tells its
    end.
    """
    sql = (
        "SELECT EXISTS (SELECT 1 FROM run WHERE id = :run AND shutdown <> '' AND finished_at IS NULL AND NOT EXISTS"
        " (SELECT 1 FROM attempt WHERE attempt.run_id = run.id AND state IN ('intended', 'live') AND unknown_at IS NOT NULL))"
        " OR EXISTS (SELECT 1 FROM attempt WHERE run_id = :run AND stop <> '' AND state IN ('intended', 'live')"
        " AND unknown_at IS NULL)"
    )
    return bool(writer.db.execute(sql, {"run": run_id}).fetchone()[0])


def open_runs_of(writer: Writer, namespace: str, kind: str, name: str) -> list[RunId]:
    """Runs of one definition that have not ended, by arrival."""
    sql = (
        "SELECT id FROM run WHERE namespace = ? AND origin_kind = ? AND origin_name = ? AND origin = 'git'"
        " AND finished_at IS NULL ORDER BY id"
    )
    return [RunId(r[0]) for r in writer.db.execute(sql, (namespace, kind, name))]


def mark_removed(writer: Writer, run: RunState) -> None:
    """Its manifest left Git; the run goes on."""
    writer.db.execute("UPDATE run SET removed = 1 WHERE id = ?", (run.id,))


def held_epochs(writer: Writer, run_id: RunId) -> dict[str, int]:
    """The locks that a run and its nodes hold, policies aside: key -> epoch of the grant."""
    sql = (
        "SELECT l.key, c.epoch FROM claim_lock cl JOIN claim c ON c.id = cl.claim_id JOIN lock l ON l.id = cl.lock_id"
        " WHERE cl.run_id = ? AND cl.state = 'held' AND cl.nested = 0 AND c.level <> 'policy' ORDER BY l.key"
    )
    return {row[0]: row[1] for row in writer.db.execute(sql, (run_id,))}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run to create. `spec_json` is the frozen spec, template merged in, and `spec_digest` its SHA-256."""

    uid: str
    namespace: str
    name: str
    priority: int
    spec_digest: str
    spec_json: str
    arguments: Mapping[str, str]
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    origin: str
    origin_kind: str = ""
    origin_name: str = ""
    origin_place: str = ""
    commit_sha: str = ""
    cron: str = ""
    scheduled_at: str | None = None
    successor_of: RunId | None = None
    queue_order: int | None = None
    suspended: bool = False
    rule: PolicyRule | None = None
    until_at: str | None = None


def create_run(writer: Writer, new: NewRun) -> RunId:
    """Adds a Pending run, marks it, and records it. Raises sqlite3.IntegrityError if the name is taken."""
    db, rule = writer.db, new.rule
    db.execute(
        "INSERT INTO spec (digest, spec_json) VALUES (?, ?) ON CONFLICT (digest) DO NOTHING", (new.spec_digest, new.spec_json)
    )
    cursor = db.execute(
        "INSERT INTO run (uid, namespace, name, phase, priority, queue_order, spec_digest, arguments_json, labels_json,"
        " annotations_json, origin, origin_kind, origin_name, origin_place, commit_sha, cron, scheduled_at, successor_of,"
        " suspended, until_at, created_at, policy, policy_group, policy_place) VALUES (?, ?, ?, 'Pending', ?,"
        " ifnull(?, 1 + ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'run'), 0)),"
        " ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            new.uid, new.namespace, new.name, new.priority, new.queue_order, new.spec_digest, json.dumps(new.arguments),
            json.dumps(new.labels), json.dumps(new.annotations), new.origin, new.origin_kind, new.origin_name, new.origin_place,
            new.commit_sha, new.cron, new.scheduled_at, new.successor_of, int(new.suspended), new.until_at, writer.now,
            *((rule.policy, rule.group, rule.place) if rule is not None else ("", "", "")),
        ),
    )  # fmt: skip
    run_id = RunId(cursor.lastrowid or 0)
    detail = {"origin": new.origin, "from": f"{new.origin_kind}/{new.origin_name}", "commit": new.commit_sha}
    if new.commit_sha:
        writer.marks.commits[new.commit_sha] = None
    writer.journal("run.created", namespace=new.namespace, run=new.name, detail=detail)
    writer.marks.run(run_id)
    return run_id


def spec_json(writer: Writer, digest: str) -> str:
    """The frozen spec's text."""
    return str(writer.db.execute("SELECT spec_json FROM spec WHERE digest = ?", (digest,)).fetchone()[0])


def set_shutdown(writer: Writer, run: RunState, strategy: str, ended_by: str, *, reason: str = "", message: str = "") -> None:
    """Writes down that the run is to end, before anything is signalled; Terminate outranks Stop, nothing outranks an end.

    Deletion of a run that is being ended already is written down too. `message` is what the run will say of its end.
    """
    is_deleted = ended_by == "delete" and run.ended_by != "delete"
    if run.is_final or (run.shutdown in ("Terminate", strategy) and not is_deleted):
        return
    writer.forget_run(run.id)
    cursor = writer.db.execute(
        "UPDATE run SET shutdown = ?, ended_by = ?, message = ifnull(nullif(?, ''), message)"
        " WHERE id = ? AND finished_at IS NULL AND shutdown = ?",
        (strategy, ended_by, message, run.id, run.shutdown),
    )
    if cursor.rowcount != 1:
        raise Conflict(f"{run.holder} changed meanwhile")
    detail = {"strategy": strategy, "by": ended_by, **({"reason": reason} if reason else {})}
    writer.journal("run.shutdown", namespace=run.namespace, run=run.name, detail=detail)
    writer.marks.slots = True  # what waited because the run was suspended waits no longer
    slices.look_at_all(writer, run.id, ends=True)


def give_up_nodes(writer: Writer, run: RunState, message: str, limit: int) -> tuple[bool, bool]:
    """Asks every process to end, or ends at most `limit` nodes if none runs: whether processes, and nodes, are left."""
    db = writer.db
    waiting = "SELECT id FROM attempt WHERE run_id = ? AND state = 'queued' LIMIT ?"
    sql = f"UPDATE attempt SET state = 'revoked', finished_at = ? WHERE id IN ({waiting})"
    queued = db.execute(sql, (writer.now, run.id, limit)).rowcount == limit
    active = "run_id = ? AND state IN ('intended', 'live')"
    db.execute(f"UPDATE attempt SET stop = 'stop', stop_at = ? WHERE {active} AND stop = ''", (writer.now, run.id))
    running = db.execute(f"SELECT 1 FROM attempt WHERE {active} LIMIT 1", (run.id,)).fetchone() is not None
    if running or queued:
        return running, True
    unfinished = "SELECT id FROM node WHERE run_id = ? AND finished_at IS NULL LIMIT ?"
    sql = f"UPDATE node SET phase = 'Error', message = ?, finished_at = ? WHERE id IN ({unfinished})"
    return False, db.execute(sql, (message, writer.now, run.id, limit)).rowcount == limit


def resubmission(
    writer: Writer, run: RunState, uid: str, arguments: Mapping[str, str], *, priority: int, queue_order: int | None
) -> NewRun:
    """A new run of an earlier one's frozen spec, to be created."""
    row = writer.db.execute(
        "SELECT origin_kind, origin_name, origin_place FROM run WHERE id = ?", (run.id,)
    ).fetchone()
    name = f"{run.name}-{sha256(uid.encode()).hexdigest()[:5]}"
    return NewRun(
        uid=uid,
        namespace=run.namespace,
        name=name,
        priority=priority,
        spec_digest=run.spec_digest,
        spec_json=spec_json(writer, run.spec_digest),
        arguments=arguments,
        labels={**run.labels, "workflows.argoproj.io/resubmitted-from-workflow": run.name},
        annotations={name: text for name, text in run.annotations.items() if name != OVERRIDE_FREEZE},  # one leave, one run
        origin="resubmit",
        origin_kind=row[0],
        origin_name=row[1],
        origin_place=row[2],
        commit_sha=run.commit_sha,
        queue_order=queue_order,
    )


def delete_run(writer: Writer, run: RunState, reason: str) -> None:
    """Removes an ended run that holds nothing, with its nodes, attempts and released claims; the record keeps its life."""
    held = writer.db.execute("SELECT 1 FROM claim WHERE run_id = ? AND state <> 'released' LIMIT 1", (run.id,)).fetchone()
    if not run.is_final or held is not None:
        raise Conflict(f"{run.holder} has not ended or still holds a lock")
    if run.pipeline is not None:
        barriers.forget(writer, run)
    writer.db.execute("DELETE FROM claim WHERE run_id = ?", (run.id,))
    writer.db.execute("UPDATE node SET parent_id = NULL WHERE run_id = ?", (run.id,))
    writer.forget_run(run.id)
    writer.node_counts.pop(run.id, None)
    writer.db.execute("DELETE FROM run WHERE id = ?", (run.id,))
    writer.journal("run.deleted", namespace=run.namespace, run=run.name, detail={"id": run.id, "reason": reason})


def set_node_message(writer: Writer, node_id: NodeId, message: str) -> None:
    """Says why a node will end, before it does."""
    writer.db.execute("UPDATE node SET message = ? WHERE id = ? AND finished_at IS NULL", (message, node_id))


# pauses ------------------------------------------------------------------------------------------------------------------


def set_suspended(writer: Writer, run: RunState, *, suspended: bool) -> None:
    """Nothing more of the run begins, or it goes on."""
    writer.forget_run(run.id)
    writer.db.execute("UPDATE run SET suspended = ? WHERE id = ?", (int(suspended), run.id))
    kind = "run.suspended" if suspended else "run.resumed"
    writer.journal(kind, namespace=run.namespace, run=run.name)
    slices.look_at_all(writer, run.id)
    writer.marks.slots = True


def wake_node(writer: Writer, run: RunState, node: NodeState, kind: str) -> None:
    """Ends the pause of a suspend node now."""
    sql = "UPDATE node SET wake_at = ? WHERE id = ? AND finished_at IS NULL"
    writer.db.execute(sql, (writer.now, node.id))
    writer.journal(kind, namespace=run.namespace, run=run.name, detail={"node": node.name})
    writer.marks.run(run.id, node.name)


def wake_nodes(writer: Writer, run: RunState, nodes: Sequence[NodeState], kind: str) -> None:
    """Ends the pauses of several suspend nodes now; where they are many, the record has one line for all."""
    if len(nodes) <= AT_ONCE:
        for node in nodes:
            wake_node(writer, run, node, kind)
        return
    sql = "UPDATE node SET wake_at = ? WHERE id = ? AND finished_at IS NULL"
    writer.db.executemany(sql, [(writer.now, node.id) for node in nodes])
    detail = {"nodes": len(nodes), "first": nodes[-1].name}
    writer.journal(kind, namespace=run.namespace, run=run.name, detail=detail)
    slices.look_at_all(writer, run.id)


def supply_outputs(writer: Writer, run: RunState, node: NodeState, outputs: Outputs, message: str) -> None:
    """What a person or script hands to a suspend node."""
    sql = "UPDATE node SET outputs_json = ?, message = ifnull(nullif(?, ''), message) WHERE id = ? AND finished_at IS NULL"
    writer.db.execute(sql, (outputs_json(outputs), message, node.id))
    detail = {"node": node.name, "outputs": sorted(outputs.parameters), "message": message}
    writer.journal("node.supplied", namespace=run.namespace, run=run.name, detail=detail)


def fail_node(writer: Writer, run: RunState, node: NodeState) -> None:
    """Ends a suspend node as Failed now."""
    sql = "UPDATE node SET deadline_at = ? WHERE id = ? AND finished_at IS NULL"
    writer.db.execute(sql, (writer.now, node.id))
    writer.journal("node.failed", namespace=run.namespace, run=run.name, detail={"node": node.name})
    writer.marks.run(run.id, node.name)
