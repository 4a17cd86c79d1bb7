"""Applies a run's plan: each change one guarded statement and, where it matters to people, one line of the record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta

from reconciler.clock import from_text, to_text
from reconciler.errors import Conflict, InvariantViolated
from reconciler.model.plan import Keep, NewNode, NodeUpdate, RunPlan, RunUpdate
from reconciler.model.state import FINAL, NodeId, Phase, RunState
from reconciler.store import barriers, claims, notices, places, slices
from reconciler.store.attempts import outputs_json
from reconciler.store.writer import Writer

_NEW_NODE = (
    "INSERT INTO node (run_id, parent_id, name, display, type, template, phase, message, inputs_json, outputs_json,"
    " item_json, deadline_at, wake_at, created_at, started_at, finished_at, made)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_NODE_UPDATE = (
    "UPDATE node SET phase = :phase, message = :message, exit_code = ifnull(:exit_code, exit_code),"
    " outputs_json = ifnull(:outputs, outputs_json), wake_at = CASE WHEN :wake_at IS NULL THEN wake_at ELSE"
    " nullif(:wake_at, '') END, made = ifnull(:made, made), item_json = ifnull(:items, item_json),"
    " started_at = CASE WHEN :phase = 'Running' THEN ifnull(started_at, :now) ELSE started_at END,"
    " finished_at = :finished_at"
    " WHERE run_id = :run AND name = :name AND phase = :expected"
)
_STILL_RUNS = "SELECT 1 FROM attempt WHERE run_id = ? AND state IN ('intended', 'live') LIMIT 1"
_QUEUE = (
    "INSERT INTO attempt (run_id, node_id, state, priority, queue_order, queued_at) VALUES (?, ?, 'queued', ?, ?, ?)"
    " ON CONFLICT (node_id) DO NOTHING"
)


def apply_run_plan(writer: Writer, run: RunState, plan: RunPlan) -> None:
    """Writes the whole plan; raises Conflict, and the caller rolls back, if a row is not as the plan expected it."""
    ids: dict[str | None, NodeId] = {}
    _create_nodes(writer, run, plan, ids)
    for update in plan.node_updates:
        _update_node(writer, run, update)
    for name in plan.queue_attempts:
        node = _node_id(writer, run, name, ids)
        writer.db.execute(_QUEUE, (run.id, node, run.priority, run.queue_order, writer.now))
        writer.marks.slots = True
    for name in plan.revoke_attempts:
        _revoke(writer, _node_id(writer, run, name, ids))
    for name, how in plan.stop_attempts:
        request_stop(writer, _node_id(writer, run, name, ids), how)
    for end in plan.claim_ends:
        owner = None if end.node is None else _node_id(writer, run, end.node, ids)
        claims.end_claim_of(writer, run, owner, end.reason)
    for claim in plan.claims:
        owner = None if claim.node is None else _node_id(writer, run, claim.node, ids)
        made = claims.request(writer, run, owner, claim)
        places.take_place(writer, made, claim.wait_limit_s)
    if plan.run_outputs:
        _keep_run_outputs(writer, run, plan.run_outputs)
    _note_barriers(writer, run, plan, ids)
    if plan.run is not None:
        _update_run(writer, run, plan.run)


def _note_barriers(writer: Writer, run: RunState, plan: RunPlan, ids: dict[str | None, NodeId]) -> None:
    for news in plan.barriers:
        barriers.note(writer, run, news, None if news.node is None else _node_id(writer, run, news.node, ids))


def _node_id(writer: Writer, run: RunState, name: str, ids: dict[str | None, NodeId]) -> NodeId:
    if name not in ids:
        row = writer.db.execute("SELECT id FROM node WHERE run_id = ? AND name = ?", (run.id, name)).fetchone()
        if row is None:
            raise Conflict(f"{run.holder}: node {name!r} is gone")
        ids[name] = NodeId(row[0])
    return ids[name]


def _create_nodes(writer: Writer, run: RunState, plan: RunPlan, ids: dict[str | None, NodeId]) -> None:
    for new in plan.new_nodes:
        ids[new.name] = _create_node(writer, run, new, ids)
    if run.id in writer.node_counts:
        writer.node_counts[run.id] += len(plan.new_nodes)


def _create_node(writer: Writer, run: RunState, new: NewNode, ids: dict[str | None, NodeId]) -> NodeId:
    parent = None if new.parent is None else _node_id(writer, run, new.parent, ids)
    started = writer.now if new.phase is not Phase.PENDING else None
    finished = writer.now if new.phase in FINAL else None
    inputs = json.dumps(new.inputs) if new.inputs else "{}"
    values = (
        run.id, parent, new.name, new.display, new.type.value, new.template, new.phase.value, new.message, inputs,
        outputs_json(new.outputs), new.item_json, _from_now(writer, new.deadline_s), _from_now(writer, new.wake_s), writer.now,
        started, finished, new.made,
    )  # fmt: skip
    return NodeId(writer.db.execute(_NEW_NODE, values).lastrowid or 0)


def _update_node(writer: Writer, run: RunState, update: NodeUpdate) -> None:
    values = {
        "phase": update.phase.value,
        "message": update.message,
        "exit_code": update.exit_code,
        "outputs": None if update.outputs is None else outputs_json(update.outputs),
        "made": update.made,
        "items": update.item_json,
        "wake_at": "" if update.wake_s == 0 else _from_now(writer, update.wake_s),
        "now": writer.now,
        "finished_at": writer.now if update.phase in FINAL else None,
        "run": run.id,
        "name": update.name,
        "expected": update.expected.value,
    }
    if writer.db.execute(_NODE_UPDATE, values).rowcount != 1:
        raise Conflict(f"{run.holder}: node {update.name!r} is not {update.expected.value} any more")


def _keep_run_outputs(writer: Writer, run: RunState, outputs: Mapping[str, str]) -> None:
    writer.forget_run(run.id)
    sql = "UPDATE run SET outputs_json = json_patch(outputs_json, ?) WHERE id = ?"
    writer.db.execute(sql, (json.dumps(dict(outputs)), run.id))


def _revoke(writer: Writer, node: NodeId) -> None:
    sql = "UPDATE attempt SET state = 'revoked', finished_at = ? WHERE node_id = ? AND state = 'queued'"
    if writer.db.execute(sql, (writer.now, node)).rowcount != 1:
        raise Conflict(f"the attempt of node {node} is not queued any more")


def request_stop(writer: Writer, node: NodeId, how: str) -> None:
    """Writes down that a process is to end; the signal follows the commit, also one that finds no room."""
    sql = (
        "UPDATE attempt SET stop = ?, stop_at = ? WHERE node_id = ? AND state IN ('intended', 'live') AND stop <> 'kill'"
        " RETURNING id"
    )
    for (attempt,) in writer.db.execute(sql, (how, writer.now, node)).fetchall():
        writer.marks.stops[attempt] = how


def _update_run(writer: Writer, run: RunState, update: RunUpdate) -> None:
    final = update.phase in FINAL
    values = {
        "phase": update.phase.value,
        "message": update.message,
        "started_at": writer.now if update.phase is Phase.RUNNING else run.started_at,
        "finished_at": writer.now if final else None,
        "deadline_at": _after(writer.now, update.deadline_s) if update.deadline_s is not None else run.deadline_at,
        "ttl_at": _after(writer.now, update.ttl_s) if update.ttl_s is not None else None,
        "id": run.id,
        "expected": update.expected.value,
    }
    sql = (
        "UPDATE run SET phase = :phase, message = :message, started_at = :started_at, finished_at = :finished_at,"
        " deadline_at = :deadline_at, ttl_at = :ttl_at WHERE id = :id AND phase = :expected"
    )
    writer.forget_run(run.id)
    if final and writer.db.execute(_STILL_RUNS, (run.id,)).fetchone() is not None:
        raise InvariantViolated(f"{run.holder} cannot end while a process of it may run")
    if writer.db.execute(sql, values).rowcount != 1:
        raise Conflict(f"{run.holder} is not {update.expected.value} any more")
    kind = "run.finished" if final else "run.started"
    detail = {"phase": update.phase.value, "message": update.message} if final else None
    writer.journal(kind, namespace=run.namespace, run=run.name, detail=detail)
    if final:
        writer.marks.ended.append(run.id)
        slices.forget(writer, run.id)
        if run.pipeline is not None:
            barriers.run_ended(writer, run, update.phase)
        claims.run_ended(writer, run, update.phase, keep=update.keep)
        if update.keep is not Keep.NOTHING:
            notices.post_holds(writer, run, update.phase.value, update.message)


def _from_now(writer: Writer, seconds: float | None) -> str | None:
    return None if seconds is None else _after(writer.now, seconds)


def _after(now: str, seconds: float) -> str:
    return to_text(from_text(now) + timedelta(seconds=seconds))
