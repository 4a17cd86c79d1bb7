"""An ended run that is to go on: what did not go well is forgotten, from the root down, and will be made again.

What lies below a node that went well stays as it is, whatever it was: somebody has already gone on from there.
"""

from __future__ import annotations

import json
from collections.abc import Container
from datetime import timedelta

from reconciler.clock import from_text, to_text
from reconciler.model.state import NodeType, RunState
from reconciler.store import barriers, slices
from reconciler.store.writer import Writer
from reconciler.workflow.outcome import is_hook
from reconciler.workflow.values import ACQUIRE, PRE_DEPLOYMENT

_MADE_ANEW = (NodeType.POD.value, NodeType.RETRY.value, NodeType.SKIPPED.value, NodeType.SUSPEND.value)
_BAD = (
    "SELECT id, parent_id, name, type, created_at, deadline_at FROM node"
    " WHERE run_id = ? AND phase NOT IN ('Succeeded', 'Skipped') ORDER BY id"
)
_HOOKS = "SELECT id, name FROM node WHERE run_id = ? AND (name LIKE '%.onExit' OR name LIKE '%.hooks.%')"
_BEFORE_MAIN = (  # infrastructure was let go at the end and is asked for again; a pre-deployment that went well stays
    "SELECT id FROM node WHERE run_id = ? AND (name = ? OR (name = ? AND phase NOT IN ('Succeeded', 'Skipped')))"
)
_DELETE = (
    "WITH RECURSIVE gone (id) AS (SELECT value FROM json_each(?)"
    " UNION SELECT n.id FROM gone JOIN node n ON n.parent_id = gone.id)"
    " DELETE FROM node WHERE id IN (SELECT id FROM gone)"
)
_PENDING = (
    "UPDATE node SET phase = 'Pending', message = '', started_at = NULL, finished_at = NULL, wake_at = NULL,"
    " outputs_json = '{}', made = 0, created_at = ifnull(:created, created_at), deadline_at = :deadline WHERE id = :id"
)


def reopen(writer: Writer, run: RunState, deadline_s: int | None, *, keeps_running: bool) -> None:
    """Makes an ended run go on; its locks stay with it. Timeouts count anew, exit handlers and hooks run again."""
    db = writer.db
    again = _to_do_again(writer, run)
    hooks = _hooks_of(writer, run, {"", *(name for _, name, _, _, _ in again)})
    gone = [node_id for node_id, _, kind, _, _ in again if kind in _MADE_ANEW]
    gone += [row[0] for row in db.execute(_BEFORE_MAIN, (run.id, ACQUIRE, PRE_DEPLOYMENT)).fetchall()]
    db.execute(_DELETE, (json.dumps(gone + hooks),))
    for node_id, _, kind, created_at, deadline_at in again:
        if kind not in _MADE_ANEW:
            created, deadline = None, None
            if deadline_at is not None:
                created = writer.now
                deadline = to_text(from_text(created) + (from_text(deadline_at) - from_text(created_at)))
            db.execute(_PENDING, {"id": node_id, "created": created, "deadline": deadline})
    ends_at = None if deadline_s is None else to_text(from_text(writer.now) + timedelta(seconds=deadline_s))
    writer.forget_run(run.id)
    db.execute(
        "UPDATE run SET phase = ?, message = '', finished_at = NULL, shutdown = '', ended_by = '', ttl_at = NULL, deadline_at = ?"
        " WHERE id = ? AND phase = ?",
        ("Running" if keeps_running else "Pending", ends_at, run.id, run.phase.value),
    )
    if run.pipeline is not None:
        barriers.rejoin(writer, run)
    writer.journal("run.retried", namespace=run.namespace, run=run.name, detail={"was": run.phase.value})
    writer.node_counts.pop(run.id, None)
    slices.look_at_all(writer, run.id)


def _to_do_again(writer: Writer, run: RunState) -> list[tuple[int, str, str, str, str | None]]:
    """(id, name, type, created_at, deadline_at) of the nodes that did not go well and stand below none that did."""
    below: dict[int | None, list[tuple[int, str, str, str, str | None]]] = {}
    for node_id, parent, name, kind, created_at, deadline_at in writer.db.execute(_BAD, (run.id,)).fetchall():
        if not is_hook(name):
            below.setdefault(parent, []).append((node_id, name, kind, created_at, deadline_at))
    found = []
    waiting = [node for node in below.get(None, ()) if node[1] == ""]
    while waiting:
        node = waiting.pop()
        found.append(node)
        if node[2] not in _MADE_ANEW:
            waiting += below.get(node[0], ())
    return found


def _hooks_of(writer: Writer, run: RunState, names: Container[str]) -> list[int]:
    """The nodes of hooks that belong to nodes of these names: one read, however many they are."""
    rows = writer.db.execute(_HOOKS, (run.id,)).fetchall()
    return [node_id for node_id, name in rows if is_hook(name) and name.rpartition(_mark_of(name))[0] in names]


def _mark_of(name: str) -> str:
    return ".onExit" if name.endswith(".onExit") else ".hooks."
