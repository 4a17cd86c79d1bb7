"""Rows of nodes, as a decision reads them: each question one indexed statement, whatever the run's size."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from reconciler.model.barrier import Standing
from reconciler.model.state import AttemptState, ClaimPhase, NodeId, NodeState, NodeType, Phase, RunId
from reconciler.store import attempts, barriers
from reconciler.store.attempts import read_outputs
from reconciler.store.writer import Writer
from reconciler.workflow.tree import BadChild

_NODE = (
    "SELECT id, parent_id, name, display, type, template, phase, message, inputs_json, exit_code, started_at, finished_at,"
    " deadline_at, created_at, outputs_json, item_json, wake_at, made FROM node"
)


def _node(row: tuple) -> NodeState:  # type: ignore[type-arg]  # a row
    parts = list(row)
    parts[4], parts[6] = NodeType(row[4]), Phase(row[6])
    parts[8] = json.loads(row[8]) if row[8] != "{}" else {}
    parts[14] = read_outputs(row[14])
    return NodeState(*parts)


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

    def count(self) -> int:
        known = self._writer.node_counts.get(self._run)
        if known is None:
            sql = "SELECT count(*) FROM node WHERE run_id = ?"
            known = self._writer.node_counts[self._run] = int(self._db.execute(sql, (self._run,)).fetchone()[0])
        return known

    def last_child(self, node_id: NodeId) -> str | None:
        row = self._db.execute("SELECT name FROM node WHERE parent_id = ? ORDER BY id DESC LIMIT 1", (node_id,)).fetchone()
        return None if row is None else str(row[0])

    def open_children(self, node_id: NodeId, after: NodeId, limit: int) -> Sequence[tuple[NodeId, str]]:
        sql = (
            "SELECT id, name FROM node WHERE run_id = ? AND parent_id = ? AND id > ? AND finished_at IS NULL ORDER BY id LIMIT ?"
        )
        return self._db.execute(sql, (self._run, node_id, after, limit)).fetchall()

    def count_open(self, node_id: NodeId) -> int:
        sql = "SELECT count(*) FROM node WHERE run_id = ? AND parent_id = ? AND finished_at IS NULL"
        return int(self._db.execute(sql, (self._run, node_id)).fetchone()[0])

    def bad_children(self, node_id: NodeId) -> Iterator[BadChild]:
        sql = (
            "SELECT id, name, display, type, phase, message, EXISTS (SELECT 1 FROM attempt a WHERE a.node_id = node.id) FROM node"
            " WHERE run_id = ? AND parent_id = ? AND phase IN ('Failed', 'Error') ORDER BY id"
        )
        for row in self._db.execute(sql, (self._run, node_id)):
            yield BadChild(row[0], row[1], row[2], NodeType(row[3]), Phase(row[4]), row[5], bool(row[6]))

    def child_phases(self, node_id: NodeId) -> Sequence[tuple[str, NodeType, Phase]]:
        rows = self._db.execute("SELECT name, type, phase FROM node WHERE parent_id = ?", (node_id,))
        return [(name, NodeType(kind), Phase(phase)) for name, kind, phase in rows]

    def unfinished(self, limit: int = -1) -> Sequence[str]:
        sql = "SELECT name FROM node WHERE run_id = ? AND finished_at IS NULL ORDER BY id DESC LIMIT ?"
        return [row[0] for row in self._db.execute(sql, (self._run, limit))]

    def unfinished_below(self, name: str, limit: int) -> Sequence[str]:
        """At most `limit` nodes that have not ended, whose names sort before `name`: the last of them first."""
        sql = (
            "SELECT name FROM node INDEXED BY node_name WHERE run_id = ? AND name < ? AND finished_at IS NULL"
            " ORDER BY name DESC LIMIT ?"
        )
        return [row[0] for row in self._db.execute(sql, (self._run, name, limit))]

    def unfinished_nodes(self) -> Iterator[NodeState]:
        sql = _NODE + " WHERE run_id = ? AND finished_at IS NULL"
        return map(_node, self._db.execute(sql, (self._run,)))

    def suspended(self) -> Sequence[NodeState]:
        """The suspend nodes that have not ended, the newest first."""
        sql = _NODE + " WHERE run_id = ? AND finished_at IS NULL AND type = 'Suspend' ORDER BY id DESC"
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
            " WHERE c.run_id = ? AND c.level = ? AND ifnull(c.node_id, 0) = ? AND c.state <> 'released' AND c.state = 'held'"
        )
        return [row[0] for row in self._db.execute(sql, (self._run, level, node))]
