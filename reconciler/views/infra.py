"""Infrastructure and constraints as operators see them: places, queues with ACTIVE and BLOCKED, units. Reads rows only."""

from __future__ import annotations

import json

from reconciler.store import read_infra, read_locks
from reconciler.views.instants import age, duration, whole_seconds
from reconciler.views.lock_state import line_of
from reconciler.views.names import party

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row
    from typing import Any

    from reconciler.store.read import Reader

HEADER = ("INFRASTRUCTURE", "SERVICE", "PLACE", "ACTIVE", "BLOCKED", "DEPLOYMENTS", "LAST")
QUEUE_HEADER = ("ORDER", "STATUS", "RUN", "SINCE", "EPOCH")
DEPLOYMENT_HEADER = ("RUN", "PHASE", "EPOCH", "LOCKED", "FOR")
CONSTRAINT_HEADER = ("CONSTRAINT", "STRATEGY", "CAPACITY", "USED", "BLOCKED")
_SHOWN = 10


def place_text(fields: dict[str, str]) -> str:
    """The resolved fields of a place: `cluster=prod, namespace=target`."""
    return ", ".join(f"{name}={value}" for name, value in fields.items())


def infrastructure_object(reader: Reader, definition: Row | None, name: str, namespace: str) -> dict[str, Any]:
    """A definition with every place that it was resolved to; `definition` None: it is not in Git any more."""
    body = json.loads(definition["body_json"]) if definition is not None else {}
    return {
        "kind": "InfrastructureDefinition",
        "apiVersion": "lineclear.dev/v1alpha1",
        "metadata": {"name": name, "namespace": namespace},
        "place": None if definition is None else f"{definition['path']}:{definition['line']}",
        "spec": body.get("spec") or {},
        "mappings": [_mapping(reader, row) for row in read_infra.list_mappings(reader, namespace, name)],
    }


def _mapping(reader: Reader, row: Row) -> dict[str, Any]:
    deployments = read_infra.list_deployments(reader, row["lock_id"], _SHOWN)
    return {
        "service": row["service"],
        "fields": json.loads(row["fields_json"]),
        "lock": row["key"],
        "queueLimit": row["queue_limit"],
        "firstSeen": whole_seconds(row["first_at"]),
        "lastSeen": whole_seconds(row["last_at"]),
        "asked": row["deployments"],
        "queue": queue_entries(reader, row["lock_id"]),
        "deployments": [
            {
                "namespace": one["namespace"],
                "run": one["run"],
                "phase": one["phase"],
                "epoch": one["epoch"],
                "lockedAt": whole_seconds(one["granted_at"]),
                "releasedAt": whole_seconds(one["released_at"]),
            }
            for one in deployments
        ],
    }


def queue_entries(reader: Reader, lock_id: int) -> list[dict[str, Any]]:
    """Holders, then waiters, each with its order, which counts from 1 with the holders, and its status in Harness' words."""
    found: list[dict[str, Any]] = []
    parts = {"ACTIVE": read_locks.list_holders(reader, lock_id), "BLOCKED": read_locks.list_queue(reader, lock_id)}
    for status, rows in parts.items():
        for row in rows:
            since = row["granted_at"] if status == "ACTIVE" else row["requested_at"]
            found.append(
                {
                    "order": len(found) + 1,
                    "status": status,
                    "namespace": row["namespace"],
                    "run": row["run"],
                    "units": row["units"],
                    "since": whole_seconds(since),
                    "epoch": row["epoch"],
                }
            )
    return found


def list_row(reader: Reader, row: Row, now_s: float) -> tuple[str, ...]:
    """The cells under HEADER."""
    holders = read_locks.list_holders(reader, row["lock_id"], 1)
    active = party(holders[0], row["namespace"]) if holders else "-"
    place = place_text(json.loads(row["fields_json"]))
    counts = (str(row["waiting"]), str(row["deployments"]))
    return (row["definition"], row["service"], place, active, *counts, age(row["last_at"], now_s))


def queue_row(entry: dict[str, Any], now_s: float) -> tuple[str, ...]:
    """The cells under QUEUE_HEADER."""
    epoch = "-" if entry["epoch"] is None else str(entry["epoch"])
    return (str(entry["order"]), entry["status"], entry["run"] or "(gone)", age(entry["since"], now_s), epoch)


def deployment_row(one: dict[str, Any], now_s: float) -> tuple[str, ...]:
    """The cells under DEPLOYMENT_HEADER."""
    return (one["run"], one["phase"], str(one["epoch"]), one["lockedAt"], duration(one["lockedAt"], one["releasedAt"], now_s))


def constraint_objects(reader: Reader, rows: list[Row]) -> list[dict[str, Any]]:
    """ResourceConstraints, each with its queues: capacity, units in use, ACTIVE and BLOCKED."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        spec = json.loads(row["body_json"])["spec"]
        one = found.setdefault(
            (row["namespace"], row["name"]),
            {
                "kind": "ResourceConstraint",
                "apiVersion": "lineclear.dev/v1alpha1",
                "metadata": {"name": row["name"], "namespace": row["namespace"]},
                "place": f"{row['path']}:{row['line']}",
                "spec": {"capacity": spec["capacity"], "strategy": spec.get("strategy") or "FIFO"},
                "queues": [],
            },
        )
        if row["key"] is not None:
            lock = read_locks.find_lock(reader, row["key"])
            assert lock is not None
            queue = {"lock": row["key"], "used": line_of(reader, lock).held, "queue": queue_entries(reader, lock["id"])}
            one["queues"].append({"name": row["queue"].partition("/")[2], **queue})
    return list(found.values())


def constraint_rows(one: dict[str, Any]) -> list[tuple[str, ...]]:
    """The cells under CONSTRAINT_HEADER: one line for each queue, one for a constraint that was never used."""
    spec, name = one["spec"], one["metadata"]["name"]
    queues = one["queues"] or [{"name": "", "used": 0, "queue": []}]
    return [
        (
            f"{name}/{queue['name']}" if queue["name"] else name,
            spec["strategy"],
            str(spec["capacity"]),
            str(queue["used"]),
            str(sum(entry["status"] == "BLOCKED" for entry in queue["queue"])),
        )
        for queue in queues
    ]
