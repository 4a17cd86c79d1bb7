"""A database of real rows for what reads it: the schema's own SQL, then plain INSERTs. Nothing of the write side is used."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

SCHEMA = Path(__file__).parents[2] / "reconciler" / "store" / "migrations"
NOON = "2026-03-01T12:00:00.000000Z"


def minute(number: int) -> str:
    """An instant `number` minutes after noon."""
    return f"2026-03-01T{12 + number // 60:02d}:{number % 60:02d}:00.000000Z"


class Rows:
    """Builds a home with a database; every method adds one thing and returns its id."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        self.db = sqlite3.connect(home / "state.db", isolation_level=None)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = OFF")
        for file in sorted(SCHEMA.glob("*.sql")):
            self.db.executescript(file.read_text(encoding="utf-8"))
            self.db.execute(f"PRAGMA user_version = {int(file.name[:4])}")
        self.epoch = 0
        self.add("spec", digest="d", spec_json=json.dumps({"entrypoint": "main"}))

    def add(self, table: str, **values) -> int:
        if table == "journal":
            values.setdefault("hash", bytes(32))  # what is read here asks nobody whether the chain holds
        columns, marks = ", ".join(values), ", ".join("?" * len(values))
        return self.db.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", list(values.values())).lastrowid

    def run(self, name: str, phase: str = "Pending", **values) -> int:
        ended = phase in ("Succeeded", "Failed", "Error")
        row = {
            "uid": f"uid-{values.get('namespace', 'default')}-{name}",
            "namespace": "default",
            "name": name,
            "phase": phase,
            "queue_order": self.db.execute("SELECT ifnull(max(id), 0) + 1 FROM run").fetchone()[0],
            "spec_digest": "d",
            "origin": "submit",
            "created_at": NOON,
            "started_at": None if phase == "Pending" else NOON,
            "finished_at": minute(5) if ended else None,
        }
        return self.add("run", **row | values)

    def node(self, run: int, name: str, phase: str = "Running", **values) -> int:
        ended = phase in ("Succeeded", "Failed", "Error", "Skipped", "Omitted")
        row = {
            "run_id": run,
            "name": name,
            "display": name.lstrip(".") or "root",
            "type": "Pod",
            "template": "main",
            "phase": phase,
            "created_at": NOON,
            "started_at": None if phase in ("Pending", "Skipped", "Omitted") else NOON,
            "finished_at": minute(4) if ended else None,
        }
        return self.add("node", **row | values)

    def attempt(self, run: int, node: int, state: str = "live", **values) -> int:
        ended = state in ("exited", "lost", "revoked")
        row = {"run_id": run, "node_id": node, "state": state, "queue_order": run, "queued_at": NOON}
        return self.add("attempt", **row | {"finished_at": minute(4) if ended else None} | values)

    def lock(self, name: str, *, kind: str = "Mutex", namespace: str = "default", capacity: int | None = 1, **values) -> int:
        key = f"{namespace}/{kind}/{name}"
        return self.add("lock", key=key, kind=kind, namespace=namespace, name=name, capacity=capacity, **values)

    def claim(self, run: int, state: str, locks: list[int], *, node: int | None = None, at: str = NOON, **values) -> int:
        """A claim; `values` may hold level, priority, queue_order, template and resolved."""
        template, resolved = values.pop("template", "as-written"), values.pop("resolved", [])
        order = {"priority": values.pop("priority", 0), "queue_order": values.pop("queue_order", run)}
        held = state == "held"
        self.epoch += held
        row = {
            "run_id": run,
            "node_id": node,
            "level": "run" if node is None else "node",
            "state": state,
            "epoch": self.epoch if held else None,
            "requested_at": at,
            "granted_at": at if held else None,
        }
        claim = self.add("claim", **row | order | values)
        for lock in locks:
            mutex = self.db.execute("SELECT kind = 'Mutex' FROM lock WHERE id = ?", (lock,)).fetchone()[0]
            self.add(
                "claim_lock",
                claim_id=claim,
                lock_id=lock,
                mutex=mutex,
                template=template,
                resolved_json=json.dumps(resolved),
                state=state,
                run_id=run,
                **order,
            )
        return claim

    def definition(self, kind: str, name: str, body: dict, **values) -> int:
        whole = {"apiVersion": "argoproj.io/v1alpha1", "kind": kind, "metadata": {"name": name}} | body
        row = {
            "kind": kind,
            "namespace": "default",
            "name": name,
            "path": f"{name}.yaml",
            "doc_index": 0,
            "line": 1,
            "digest": "x",
            "commit_sha": "c" * 40,
            "body_json": json.dumps(whole),
            "applied_at": NOON,
        }
        return self.add("definition", **row | values)
