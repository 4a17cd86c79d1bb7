"""What the LockPolicies say of each lock, copied into its row when the lock is first used and when a policy changes.

Of several policies that fit, the one with the most exact pattern counts: a name before a pattern, more letters before fewer.
"""

from __future__ import annotations

import json
from dataclasses import replace
from fnmatch import fnmatchcase

from reconciler.manifest import read_constraint, read_lock_policy
from reconciler.model.locks import LockKind
from reconciler.model.own_kinds import CONSTRAINT_POLICY, INFRASTRUCTURE_POLICY, LockPolicy
from reconciler.model.state import LockId
from reconciler.store.freezes import refresh, windows_json
from reconciler.store.writer import Writer

_POLICIES = (
    "SELECT name, path, line, body_json FROM definition WHERE kind = 'LockPolicy' AND namespace = ? AND retired_at IS NULL"
    " ORDER BY name"
)
_COLUMNS = (
    "policy, queue_limit, overflow, reserved, wait_limit_s, hold_limit_s, ends_hold, overtake, on_failure, hold_for_s,"
    " fails_youngest, freeze_json"
)
_OF_KIND = {LockKind.INFRASTRUCTURE: INFRASTRUCTURE_POLICY, LockKind.CONSTRAINT: CONSTRAINT_POLICY}
_NONE = LockPolicy()
_Named = tuple[str, LockPolicy]  # NAME (path:line), and what it says


def take_policy(writer: Writer, lock_id: LockId) -> None:
    """Copies what fits a lock into its row."""
    namespace = writer.db.execute("SELECT namespace FROM lock WHERE id = ?", (lock_id,)).fetchone()[0]
    _take(writer, lock_id, _policies(writer, namespace))


def take_policies_of(writer: Writer, namespace: str) -> None:
    """The same for every lock of a namespace: a policy of it came, changed or went."""
    policies = _policies(writer, namespace)
    sql = "SELECT id FROM lock WHERE namespace = ? AND kind <> 'Policy' ORDER BY id"
    for (lock_id,) in writer.db.execute(sql, (namespace,)).fetchall():
        _take(writer, LockId(lock_id), policies)


def _policies(writer: Writer, namespace: str) -> list[_Named]:
    rows = writer.db.execute(_POLICIES, (namespace,)).fetchall()
    return [(f"{name} ({path}:{line})", read_lock_policy(json.loads(body))) for name, path, line, body in rows]


def _take(writer: Writer, lock_id: LockId, policies: list[_Named]) -> None:
    sql = f"SELECT kind, name, key, namespace, {_COLUMNS} FROM lock WHERE id = ?"
    kind, name, key, namespace, *before = writer.db.execute(sql, (lock_id,)).fetchone()
    if kind == LockKind.POLICY:
        return
    named, policy = find_policy(policies, LockKind(kind), name)
    if not policy.overtake and kind == LockKind.CONSTRAINT:
        policy = replace(policy, overtake=_passes(writer, namespace, name))
    after = [
        named, policy.queue_limit, policy.overflow.value, policy.reserved, policy.wait_limit_s, policy.hold_limit_s,
        int(policy.ends_hold), policy.overtake, policy.on_failure.value if policy.on_failure else "", policy.hold_for_s,
        int(policy.fails_youngest), windows_json(policy.freeze),
    ]  # fmt: skip
    if after == before:
        return
    marks = ", ".join("?" * len(after))
    writer.db.execute(f"UPDATE lock SET ({_COLUMNS}) = ({marks}) WHERE id = ?", (*after, lock_id))
    writer.marks.lock(lock_id)
    refresh(writer, lock_id)
    if named or before[0]:
        detail = {"from": before[0], "to": named}
        writer.journal("lock.policy", namespace=namespace, subject=key, detail=detail)


def _passes(writer: Writer, namespace: str, name: str) -> int:
    """How often a waiter for a constraint may be passed, by the constraint's own strategy."""
    sql = (
        "SELECT body_json FROM definition WHERE kind = 'ResourceConstraint' AND namespace = ? AND name = ? AND retired_at IS NULL"
    )
    row = writer.db.execute(sql, (namespace, name.partition("/")[0])).fetchone()
    return 0 if row is None else read_constraint(json.loads(row[0])).passes


def find_policy(policies: list[_Named], kind: LockKind, name: str) -> _Named:
    """The policy with the most exact pattern that fits a lock, and its name; ('', what the kind does by itself) if none fits."""
    best: tuple[tuple[bool, int, bool], _Named] | None = None
    for named, policy in policies:
        for pattern in policy.locks:
            exactness = _fits(pattern, kind, name)
            if exactness is not None and (best is None or exactness > best[0]):
                best = exactness, (named, policy)
    own = _OF_KIND.get(kind, _NONE)
    if best is None:
        return "", own
    named, policy = best[1]
    return named, _over(policy, own)


def _fits(pattern: str, kind: LockKind, name: str) -> tuple[bool, int, bool] | None:
    """How exactly a pattern fits: no wildcard, the number of plain letters, the kind named; None if it does not."""
    wanted, slash, rest = pattern.partition("/")
    is_of_kind = bool(slash) and wanted in set(LockKind)
    if is_of_kind and wanted != kind.value:
        return None
    text = rest if is_of_kind else pattern
    if not fnmatchcase(name, text):
        return None
    plain = sum(letter not in "*?[]" for letter in text)
    return not set(text) & set("*?["), plain, is_of_kind


def _over(policy: LockPolicy, own: LockPolicy) -> LockPolicy:
    """A policy where what it leaves open is as the kind of lock has it."""
    return replace(
        policy,
        on_failure=policy.on_failure or own.on_failure,
        queue_limit=policy.queue_limit if policy.queue_limit is not None else own.queue_limit,
        wait_limit_s=policy.wait_limit_s if policy.wait_limit_s is not None else own.wait_limit_s,
    )
