"""Limits of semaphores: from ConfigMaps in Git, or set by a person for database semaphores.

A limit that cannot be read keeps its last value and says so; one that was never read admits nobody.
"""

from __future__ import annotations

import json

from reconciler.manifest import read_constraint
from reconciler.model.state import LockId
from reconciler.store.writer import Writer


def read_limit(writer: Writer, lock_id: LockId, namespace: str, name: str) -> None:
    """Takes a semaphore's limit from its live ConfigMap; one that cannot be read keeps the last and says so."""
    configmap, _, key = name.partition("/")
    sql = (
        "SELECT body_json, path, line, commit_sha FROM definition"
        " WHERE kind = 'ConfigMap' AND namespace = ? AND name = ? AND retired_at IS NULL"
    )
    row = writer.db.execute(sql, (namespace, configmap)).fetchone()
    before = writer.db.execute("SELECT capacity, limit_source FROM lock WHERE id = ?", (lock_id,)).fetchone()
    if row is None:
        capacity, source = before[0], f"ConfigMap {namespace}/{configmap} is not in the repository"
    else:
        capacity, source = _limit_of(json.loads(row[0]), key, f"{row[1]}:{row[2]}", before[0])
    if (capacity, source) != tuple(before):
        writer.db.execute("UPDATE lock SET capacity = ?, limit_source = ? WHERE id = ?", (capacity, source, lock_id))
        detail = {"from": before[0], "to": capacity, "source": source, **({} if row is None else {"commit": row[3]})}
        writer.journal("lock.limit", namespace=namespace, subject=f"{namespace}/ConfigMap/{name}", detail=detail)
        writer.marks.lock(lock_id)


def _limit_of(body: dict, key: str, place: str, last: int | None) -> tuple[int | None, str]:  # type: ignore[type-arg]
    raw = (body.get("data") or {}).get(key)
    if raw is None:
        return last, f"{place}: there is no key {key!r}"
    text = str(raw).strip()
    if not text.isdecimal() or len(text) > 9:
        return last, f"{place}: key {key!r} is {raw!r}, not a whole number"
    return int(text), place


def read_limits_of(writer: Writer, namespace: str, configmap: str) -> None:
    """Reads again every semaphore limit that comes from one ConfigMap."""
    sql = "SELECT id, name FROM lock WHERE kind = 'ConfigMap' AND namespace = ? AND name >= ? AND name < ?"
    for lock_id, name in writer.db.execute(sql, (namespace, f"{configmap}/", f"{configmap}0")).fetchall():
        read_limit(writer, lock_id, namespace, name)


def read_capacities_of(writer: Writer, namespace: str, constraint: str) -> None:
    """Reads again the units of every queue of one ResourceConstraint."""
    sql = "SELECT id, name FROM lock WHERE kind = 'Constraint' AND namespace = ? AND (name = ? OR (name >= ? AND name < ?))"
    rows = writer.db.execute(sql, (namespace, constraint, f"{constraint}/", f"{constraint}0")).fetchall()
    for lock_id, name in rows:
        read_capacity(writer, lock_id, namespace, name)


def read_capacity(writer: Writer, lock_id: LockId, namespace: str, name: str) -> None:
    """Takes the units of a constraint from its live ResourceConstraint; one that is gone keeps the last and says so."""
    constraint = name.partition("/")[0]
    sql = (
        "SELECT body_json, path, line, commit_sha FROM definition"
        " WHERE kind = 'ResourceConstraint' AND namespace = ? AND name = ? AND retired_at IS NULL"
    )
    row = writer.db.execute(sql, (namespace, constraint)).fetchone()
    before = writer.db.execute("SELECT capacity, limit_source FROM lock WHERE id = ?", (lock_id,)).fetchone()
    capacity, source = before[0], f"ResourceConstraint {namespace}/{constraint} is not in the repository"
    if row is not None:
        capacity, source = read_constraint(json.loads(row[0])).capacity, f"{row[1]}:{row[2]}"
    if (capacity, source) != tuple(before):
        writer.db.execute("UPDATE lock SET capacity = ?, limit_source = ? WHERE id = ?", (capacity, source, lock_id))
        detail = {"from": before[0], "to": capacity, "source": source, **({} if row is None else {"commit": row[3]})}
        writer.journal("lock.limit", namespace=namespace, subject=f"{namespace}/Constraint/{name}", detail=detail)
        writer.marks.lock(lock_id)


def take_limit(writer: Writer, lock_id: LockId, namespace: str, key: str) -> None:
    """Takes a database semaphore's limit from what was set; without one it keeps the last and says so."""
    sql = "SELECT capacity, source FROM semaphore_limit WHERE namespace = ? AND key = ?"
    row = writer.db.execute(sql, (namespace, key)).fetchone()
    before = writer.db.execute("SELECT capacity, limit_source FROM lock WHERE id = ?", (lock_id,)).fetchone()
    missing = f"no limit is set: `lineclear limit set {key} N` sets one"
    capacity, source = row if row is not None else (before[0], missing)
    if (capacity, source) != tuple(before):
        writer.db.execute("UPDATE lock SET capacity = ?, limit_source = ? WHERE id = ?", (capacity, source, lock_id))
        writer.marks.lock(lock_id)


def set_limit(writer: Writer, namespace: str, key: str, capacity: int) -> int | None:
    """Sets a database semaphore's limit: raised, waiters go at once; lowered, nobody is put out. Returns the former one."""
    before = writer.db.execute(
        "SELECT capacity FROM semaphore_limit WHERE namespace = ? AND key = ?", (namespace, key)
    ).fetchone()
    who = writer.actor or "somebody"
    writer.db.execute(
        "INSERT INTO semaphore_limit (namespace, key, capacity, source) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET capacity = excluded.capacity, source = excluded.source",
        (namespace, key, capacity, f"limit set by {who} at {writer.now[:19]}Z"),
    )
    _changed(writer, namespace, key, before[0] if before else None, capacity)
    return before[0] if before else None


def delete_limit(writer: Writer, namespace: str, key: str) -> bool:
    """Forgets a database semaphore's limit; a lock in use keeps the last one. False if there was none."""
    before = writer.db.execute(
        "SELECT capacity FROM semaphore_limit WHERE namespace = ? AND key = ?", (namespace, key)
    ).fetchone()
    if before is None:
        return False
    writer.db.execute("DELETE FROM semaphore_limit WHERE namespace = ? AND key = ?", (namespace, key))
    _changed(writer, namespace, key, before[0], None)
    return True


def _changed(writer: Writer, namespace: str, key: str, before: int | None, after: int | None) -> None:
    lock = f"{namespace}/Database/{key}"
    writer.journal("lock.limit", namespace=namespace, subject=lock, detail={"from": before, "to": after})
    row = writer.db.execute("SELECT id FROM lock WHERE key = ?", (lock,)).fetchone()
    if row is not None:
        take_limit(writer, LockId(row[0]), namespace, key)
