"""A run as an object in Argo's shape: metadata, spec, and status with nodes and synchronization. Reads rows, changes nothing."""

from __future__ import annotations

import json

from reconciler.store import read_barriers, read_locks, read_runs
from reconciler.views.barriers import barrier_message
from reconciler.views.instants import whole_seconds
from reconciler.views.names import MUTEXES, SEMAPHORES, SYNC_ID, holder_key, node_id
from reconciler.views.waiting import Room, node_message, placed_message, sync_id, waits_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row
    from typing import Any

    from reconciler.store.read import Reader

_GROUP = "workflows.argoproj.io/"
_BOUNDARIES = ("Steps", "DAG")


def labels_of(row: Row, waits: list[Row], room: Room) -> dict[str, str]:
    """The run's labels with those that follow from its state, as Argo's controller keeps them."""
    labels: dict[str, str] = dict(json.loads(row["labels_json"]))
    labels[_GROUP + "phase"] = row["phase"]
    if row["finished_at"] is not None:
        labels[_GROUP + "completed"] = "true"
    elif row["phase"] == "Running":
        labels[_GROUP + "completed"] = "false"
    if row["cron"]:
        labels[_GROUP + "cron-workflow"] = row["cron"]
    if row["origin_kind"] == "WorkflowTemplate":
        labels[_GROUP + "workflow-template"] = row["origin_name"]
    if waits:
        labels[SYNC_ID] = sync_id(room, waits)
    return labels


def run_object(reader: Reader, row: Row, now_s: float, room: Room) -> dict[str, Any]:
    """The run as `kubectl get workflow -o json` would show it. `row` is a whole run as `read_runs.find_run` gives it."""
    waits = [wait for wait in read_locks.list_waited_by(reader, row["id"]) if not wait["nested"]]
    metadata: dict[str, Any] = {
        "name": row["name"],
        "namespace": row["namespace"],
        "uid": row["uid"],
        "creationTimestamp": whole_seconds(row["created_at"]),
        "labels": labels_of(row, waits, room),
    }
    annotations = json.loads(row["annotations_json"])
    if row["scheduled_at"]:
        annotations[_GROUP + "scheduled-time"] = whole_seconds(row["scheduled_at"])
    if row["commit_sha"]:
        annotations["lineclear.dev/commit"] = row["commit_sha"]
    if row["origin_place"]:
        annotations["lineclear.dev/place"] = row["origin_place"]
    if row["policy"]:
        annotations["lineclear.dev/concurrency-policy"] = row["policy"]
        annotations["lineclear.dev/concurrency-group"] = row["policy_group"]
        annotations["lineclear.dev/concurrency-policy-place"] = row["policy_place"]
    if annotations:
        metadata["annotations"] = annotations
    if row["cron"]:
        owner = {"apiVersion": "argoproj.io/v1alpha1", "kind": "CronWorkflow", "name": row["cron"], "controller": True}
        metadata["ownerReferences"] = [owner]
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": metadata,
        "spec": _spec(reader, row),
        "status": _status(reader, row, waits, now_s, room),
    }


def _spec(reader: Reader, row: Row) -> dict[str, Any]:
    spec: dict[str, Any] = json.loads(read_runs.read_spec(reader, row["spec_digest"]))
    spec.pop("storedTemplates", None)
    spec.pop("suspend", None)
    if row["suspended"]:
        spec["suspend"] = True
    arguments = json.loads(row["arguments_json"])
    if arguments:
        spec["arguments"] = {"parameters": [{"name": name, "value": value} for name, value in arguments.items()]}
    if row["priority"]:
        spec["priority"] = row["priority"]
    if row["shutdown"]:
        spec["shutdown"] = row["shutdown"]
    return spec


def _status(reader: Reader, row: Row, waits: list[Row], now_s: float, room: Room) -> dict[str, Any]:
    done, pods = read_runs.count_pods(reader, row["id"])
    held = [hold for hold in read_locks.list_held_by(reader, row["id"]) if not hold["nested"]]
    message = row["message"]
    at_run_level = [wait for wait in waits if wait["node"] is None]
    if at_run_level:
        message = placed_message(room, at_run_level, row["namespace"], now_s)
    status: dict[str, Any] = {"phase": row["phase"]}
    if message:
        status["message"] = message
    for key, column in (("startedAt", "started_at"), ("finishedAt", "finished_at")):
        if row[column] is not None:
            status[key] = whole_seconds(row[column])
    if pods:
        status["progress"] = f"{done}/{pods}"
    conditions = _conditions(room, row, waits, held, now_s)
    if conditions:
        status["conditions"] = conditions
    nodes = node_objects(reader, row, waits, now_s, room)
    if nodes:
        status["nodes"] = nodes
    status |= _kept(reader, row)
    synchronization = synchronization_of(held, waits, room)
    if synchronization:
        status["synchronization"] = synchronization
    return status


def _kept(reader: Reader, row: Row) -> dict[str, Any]:
    """What the run carries with it: its global outputs, and the templates of other documents that were frozen with it."""
    found: dict[str, Any] = {}
    outputs = json.loads(row["outputs_json"])
    if outputs:
        found["outputs"] = {"parameters": _named(outputs)}
    stored = json.loads(read_runs.read_spec(reader, row["spec_digest"])).get("storedTemplates") or {}
    templates = {f"{scope}/{one.get('name', '')}": one for scope, body in stored.items() for one in body.get("templates") or []}
    return {**found, "storedTemplates": templates} if templates else found


def _conditions(room: Room, row: Row, waits: list[Row], held: list[Row], now_s: float) -> list[dict[str, str]]:
    found = []
    if waits:
        message = placed_message(room, waits, row["namespace"], now_s)
        found.append({"type": "WaitingForLock", "status": "True", "message": message})
    kept = [hold["key"] for hold in held if hold["level"] == "run"]
    if row["finished_at"] is not None and kept:
        ttl = " or its ttlStrategy ends it" if row["ttl_at"] is not None else ""
        message = f"keeps {', '.join(kept)} until it is terminated{ttl}"
        found.append({"type": "HoldingForFailure", "status": "True", "message": message})
    if row["removed"]:
        found.append({"type": "RemovedFromGit", "status": "True", "message": "its manifest left Git while it ran"})
    if row["finished_at"] is not None:
        found.append({"type": "Completed", "status": "True"})
    return found


def synchronization_of(held: list[Row], waits: list[Row], room: Room) -> dict[str, Any]:
    """`status.synchronization` as Argo fills it: in `waiting`, the holders are those who block. {} where nothing is wanted."""
    found: dict[str, Any] = {}
    for hold in held:
        mine = _own_key(room, hold)
        if hold["kind"] in MUTEXES:
            _put(found, "mutex", "holding", {"mutex": hold["key"], "holder": mine})
        elif hold["kind"] in SEMAPHORES:
            _put(found, "semaphore", "holding", {"semaphore": hold["key"], "holders": [mine]})
    for wait in waits:
        blockers = [holder_key(holder) for holder in room.holders(wait["lock_id"])]
        if wait["kind"] in MUTEXES:
            _put(found, "mutex", "waiting", {"mutex": wait["key"], "holder": blockers[0] if blockers else ""})
        elif wait["kind"] in SEMAPHORES:
            _put(found, "semaphore", "waiting", {"semaphore": wait["key"], "holders": blockers})
    return found


def _own_key(room: Room, hold: Row) -> str:
    for holder in room.holders(hold["lock_id"]):
        if holder["claim_id"] == hold["claim_id"]:
            return holder_key(holder)
    return ""


def _put(found: dict[str, Any], kind: str, state: str, entry: dict[str, Any]) -> None:
    found.setdefault(kind, {}).setdefault(state, []).append(entry)


def node_objects(reader: Reader, row: Row, waits: list[Row], now_s: float, room: Room) -> dict[str, Any]:
    """`status.nodes`: a map from Argo's node id to the node, with children and boundaries."""
    rows = read_runs.list_nodes(reader, row["id"])
    by_id = {node["id"]: node for node in rows}
    waiting: dict[int, list[Row]] = {}
    for wait in waits:
        waiting.setdefault(wait["node_id"] or 0, []).append(wait)
    is_paused = any(node["type"] == "Suspend" and node["finished_at"] is None for node in rows)
    barriers = {wait["node_id"]: wait for wait in read_barriers.list_barrier_waits(reader, row["id"])} if is_paused else {}
    found: dict[str, Any] = {}
    for node in rows:
        shown = _node(row["name"], node)
        boundary = _boundary(node, by_id)
        if boundary is not None:
            shown["boundaryID"] = node_id(row["name"], boundary["name"])
        if node["id"] in barriers:
            shown.setdefault("message", barrier_message(reader, barriers[node["id"]]))
        mine = waits_at(waiting, node)
        if mine:
            shown["message"] = node_message(room, mine, node, row["namespace"], now_s)
            shown["synchronizationStatus"] = {"waiting": mine[0]["key"]}
        found[shown["id"]] = shown
        parent = by_id.get(node["parent_id"])
        if parent is not None:
            found[node_id(row["name"], parent["name"])].setdefault("children", []).append(shown["id"])
    return found


def _node(run: str, node: Row) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": node_id(run, node["name"]),
        "name": run + node["name"],
        "displayName": node["display"] or run,
        "type": node["type"],
        "phase": node["phase"],
    }
    shown |= _template(node["template"])
    if node["message"]:
        shown["message"] = node["message"]
    elif node["attempt_state"] == "queued":
        shown["message"] = "Waiting for a parallelism slot"
    for key, column in (("startedAt", "started_at"), ("finishedAt", "finished_at")):
        if node[column] is not None:
            shown[key] = whole_seconds(node[column])
    inputs = json.loads(node["inputs_json"])
    if inputs:
        shown["inputs"] = {"parameters": _named(inputs)}
    outputs = _outputs(node)
    if outputs:
        shown["outputs"] = outputs
    if node["cpu_ms"] is not None:
        memory = {"memoryMB": round(node["memory_kb"] * 1.024 / 1000, 1)} if node["memory_kb"] is not None else {}
        shown["usage"] = {"cpuSeconds": node["cpu_ms"] / 1000, **memory}
    return shown


def _template(key: str) -> dict[str, Any]:
    """How Argo names a node's template: by name, or by a reference to another document; an inline one has no name."""
    scope, _, name = key.rpartition(":")
    if "/" in name or not name:
        return {}
    if not scope:
        return {"templateName": name}
    kind, _, document = scope.partition("/")
    reference: dict[str, Any] = {"name": document, "template": name}
    return {"templateRef": {**reference, "clusterScope": True} if kind == "cluster" else reference}


def _outputs(node: Row) -> dict[str, Any]:
    found: dict[str, Any] = {}
    kept = json.loads(node["outputs_json"])
    if kept.get("parameters"):
        found["parameters"] = _named(kept["parameters"])
    if kept.get("result") is not None:
        found["result"] = kept["result"]
    if node["exit_code"] is not None:
        found["exitCode"] = str(node["exit_code"])
    return found


def _named(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in values.items()]


def _boundary(node: Row, by_id: dict[int, Row]) -> Row | None:
    above = by_id.get(node["parent_id"])
    while above is not None and above["type"] not in _BOUNDARIES:
        above = by_id.get(above["parent_id"])
    return above
