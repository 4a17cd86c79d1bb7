"""Rows of runs, nodes and attempts: reading them as values, making runs, moving attempts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from reconciler.errors import Conflict, InvariantViolated
from reconciler.model.barrier import Standing
from reconciler.model.concurrency import ConcurrencyPolicy, PolicyRule
from reconciler.model.own_kinds import OVERRIDE_FREEZE
from reconciler.model.state import (
    AttemptState,
    ClaimPhase,
    NodeId,
    NodeState,
    NodeType,
    Outputs,
    Phase,
    RunId,
    RunState,
)
from reconciler.store import attempts, barriers
from reconciler.store.attempts import outputs_json, read_outputs
from reconciler.store.writer import Writer

_RUN = (
    "SELECT id, uid, namespace, name, phase, message, priority, queue_order, spec_digest, arguments_json, labels_json,"
    " annotations_json, commit_sha, cron, scheduled_at, successor_of, shutdown, ended_by, created_at, started_at, finished_at,"
    " deadline_at, suspended, outputs_json, policy, policy_group, policy_place, pipeline FROM run"
)
_NODE = (
    "SELECT id, parent_id, name, display, type, template, phase, message, inputs_json, exit_code, started_at, finished_at,"
    " deadline_at, created_at, outputs_json, item_json, wake_at FROM node"
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


def _node(row: tuple) -> NodeState:  # type: ignore[type-arg]  # a row
    parts = list(row)
    parts[4], parts[6] = NodeType(row[4]), Phase(row[6])
    parts[8] = json.loads(row[8]) if row[8] != "{}" else {}
    parts[14] = read_outputs(row[14])
    return NodeState(*parts)


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


def any_ending(writer: Writer) -> bool:
    """True while a run that was asked to end, or a process that was, has not ended and will: not where nothing tells its end."""
    sql = (
        "SELECT EXISTS (SELECT 1 FROM run WHERE shutdown <> '' AND finished_at IS NULL AND NOT EXISTS (SELECT 1 FROM attempt"
        " WHERE attempt.run_id = run.id AND state IN ('intended', 'live') AND unknown_at IS NOT NULL))"
        " OR EXISTS (SELECT 1 FROM attempt WHERE stop <> '' AND state IN ('intended', 'live') AND unknown_at IS NULL)"
    )
    return bool(writer.db.execute(sql).fetchone()[0])


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


class StoredNodes:
    """One run's nodes, attempts and claims, read as they are asked for (the engine's `Stored`)."""

    def __init__(self, writer: Writer, run_id: RunId) -> None:
        self._writer, self._db = writer, writer.db
        self._run = run_id

    def node(self, name: str) -> NodeState | None:
        row = self._db.execute(_NODE + " WHERE run_id = ? AND name = ?", (self._run, name)).fetchone()
        return None if row is None else _node(row)

    def node_by_id(self, node_id: NodeId) -> NodeState:
        return _node(self._db.execute(_NODE + " WHERE id = ?", (node_id,)).fetchone())

    def children(self, node_id: NodeId) -> Sequence[NodeState]:
        return [_node(row) for row in self._db.execute(_NODE + " WHERE parent_id = ? ORDER BY id", (node_id,))]

    def unfinished_children(self, node_id: NodeId, limit: int) -> Sequence[str]:
        sql = "SELECT name FROM node WHERE run_id = ? AND parent_id = ? AND finished_at IS NULL LIMIT ?"
        return [row[0] for row in self._db.execute(sql, (self._run, node_id, limit))]

    def child_phases(self, node_id: NodeId) -> Sequence[tuple[str, NodeType, Phase]]:
        rows = self._db.execute("SELECT name, type, phase FROM node WHERE parent_id = ?", (node_id,))
        return [(name, NodeType(kind), Phase(phase)) for name, kind, phase in rows]

    def unfinished(self) -> Sequence[NodeState]:
        sql = _NODE + " WHERE run_id = ? AND finished_at IS NULL ORDER BY id DESC"
        return [_node(row) for row in self._db.execute(sql, (self._run,))]

    def failed_pods(self) -> Sequence[NodeState]:
        sql = _NODE + " WHERE run_id = ? AND type = 'Pod' AND phase IN ('Failed', 'Error') ORDER BY id"
        return [_node(row) for row in self._db.execute(sql, (self._run,))]

    def attempt(self, node_id: NodeId) -> AttemptState | None:
        return attempts.of_node(self._db, node_id)

    def expanded(self, parent_id: NodeId, name: str) -> Sequence[NodeState]:
        sql = _NODE + " WHERE parent_id = ? AND name >= ? AND name < ? ORDER BY id"  # '(' and the character after it
        return [_node(row) for row in self._db.execute(sql, (parent_id, f"{name}(", f"{name})"))]

    def barriers(self) -> Mapping[str, Standing]:
        return barriers.standings(self._writer, self._run)

    def awaited_at(self, barrier: str) -> Sequence[str]:
        return barriers.awaited_at(self._writer, self._run, barrier)

    def config_value(self, namespace: str, name: str, key: str) -> str | None:
        sql = "SELECT body_json FROM definition WHERE kind = 'ConfigMap' AND namespace = ? AND name = ? AND retired_at IS NULL"
        row = self._db.execute(sql, (namespace, name)).fetchone()
        value = None if row is None else (json.loads(row[0]).get("data") or {}).get(key)
        return None if value is None else str(value)

    def claim(self, node_id: NodeId | None) -> ClaimPhase | None:
        level, node = ("run", 0) if node_id is None else ("node", node_id)
        sql = "SELECT state FROM claim WHERE run_id = ? AND level = ? AND ifnull(node_id, 0) = ? AND state <> 'released'"
        row = self._db.execute(sql, (self._run, level, node)).fetchone()
        return None if row is None else ClaimPhase(row[0])

    def held_keys(self, node_id: NodeId | None) -> Sequence[str]:
        level, node = ("run", 0) if node_id is None else ("node", node_id)
        sql = (
            "SELECT l.key FROM claim c JOIN claim_lock cl ON cl.claim_id = c.id JOIN lock l ON l.id = cl.lock_id"
            " WHERE c.run_id = ? AND c.level = ? AND ifnull(c.node_id, 0) = ? AND c.state = 'held'"
        )
        return [row[0] for row in self._db.execute(sql, (self._run, level, node))]


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
    writer.marks.run(run.id, *(node.name for node in StoredNodes(writer, run.id).unfinished()))


def give_up_nodes(writer: Writer, run: RunState, message: str) -> int:
    """Ends every node that has no process and asks every process to end; returns how many still run."""
    db = writer.db
    sql = "UPDATE attempt SET state = 'revoked', finished_at = ? WHERE run_id = ? AND state = 'queued'"
    db.execute(sql, (writer.now, run.id))
    active = "run_id = ? AND state IN ('intended', 'live')"
    db.execute(f"UPDATE attempt SET stop = 'stop', stop_at = ? WHERE {active} AND stop = ''", (writer.now, run.id))
    running = int(db.execute(f"SELECT count(*) FROM attempt WHERE {active}", (run.id,)).fetchone()[0])
    if not running:
        sql = "UPDATE node SET phase = 'Error', message = ?, finished_at = ? WHERE run_id = ? AND finished_at IS NULL"
        db.execute(sql, (message, writer.now, run.id))
    return running


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
    writer.marks.run(run.id, *(node.name for node in StoredNodes(writer, run.id).unfinished()))
    writer.marks.slots = True


def wake_node(writer: Writer, run: RunState, node: NodeState, kind: str) -> None:
    """Ends the pause of a suspend node now."""
    sql = "UPDATE node SET wake_at = ? WHERE id = ? AND finished_at IS NULL"
    writer.db.execute(sql, (writer.now, node.id))
    writer.journal(kind, namespace=run.namespace, run=run.name, detail={"node": node.name})
    writer.marks.run(run.id, node.name)


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
