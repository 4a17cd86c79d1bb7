"""Maintenance holds: a lock is kept for a person, for a time, and stands in its queue like anybody else's claim until then.

A hold is a run without steps that takes its locks whole; what is true of runs is true of it: it is granted in its turn, survives
the daemon, is told by every view, and its end lets the next one in. Its length counts from the grant, or it ends at an instant.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from reconciler.clock import to_text
from reconciler.errors import ManifestError, NotFound, Refused, UsageError
from reconciler.loop.claim_size import check_hold
from reconciler.loop.context import Context
from reconciler.loop.waiting import OWNER, REASON
from reconciler.manifest import content_digest, read_lock_key
from reconciler.model.locks import LockKind, WholeLock
from reconciler.model.state import LockId, Rule, RunId, RunState
from reconciler.store import claims, holds, queue, runs
from reconciler.store.nodes import StoredNodes
from reconciler.store.refusals import end_by_rule

Args = Mapping[str, Any]
Answer = dict[str, Any]
LONGEST = timedelta(days=366)
_TEMPLATE = "hold"
_NAME_LENGTH = 40
_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")


def hold(ctx: Context, args: Args) -> Answer:
    """Queues a hold of one lock or several, all or none; with `now` before everybody who waits, never before who holds."""
    reason = str(args.get("reason") or "").strip()
    if not reason:
        raise UsageError("a hold wants a reason: everybody who waits behind it is told")
    locks = _locks_of(args)
    check_hold(len(locks), ctx.options.most_locks)
    length_s, until = _length(ctx, args)
    wanted = args.get("priority")
    priority, order = int(wanted or 0), None
    if args.get("now"):
        front = queue.front(ctx.writer, holds.known_locks(ctx.writer, [lock.key for lock in locks]))
        if front is not None and front[0] >= priority:
            priority, order = front
    suspend = {} if length_s is None else {"duration": f"{length_s}s"}
    body = {
        "entrypoint": _TEMPLATE,
        "templates": [{"name": _TEMPLATE, "suspend": suspend}],
        "hold": [lock.key for lock in locks],
    }
    uid = ctx.new_uid()
    new = runs.NewRun(
        uid=uid,
        namespace=locks[0].namespace,
        name=_name(locks[0], uid),
        priority=priority,
        spec_digest=content_digest(body),
        spec_json=json.dumps(body, separators=(",", ":")),
        arguments={},
        annotations={OWNER: ctx.writer.actor, REASON: reason},
        origin="hold",
        queue_order=order,
        until_at=until,
    )
    run = runs.get_run(ctx.writer, runs.create_run(ctx.writer, new))
    detail = {"locks": [lock.key for lock in locks], "reason": reason, "now": bool(args.get("now"))}
    detail |= {"until": until} if length_s is None else {"seconds": length_s}
    ctx.writer.journal("hold.requested", namespace=run.namespace, run=run.name, subject=locks[0].key, detail=detail)
    return {"runs": [run.id]}


def _locks_of(args: Args) -> list[WholeLock]:
    keys = list(dict.fromkeys(str(key) for key in args.get("locks") or ()))
    if not keys:
        raise UsageError("which lock? name one or several")
    try:
        locks = [read_lock_key(key) for key in keys]
    except ManifestError as error:
        raise UsageError(str(error)) from None
    for lock in locks:
        if lock.kind is LockKind.POLICY:
            raise UsageError(f"{lock.key} is a cron's own policy: `lineclear cron suspend {lock.name}` stops its ticks")
    return locks


def _length(ctx: Context, args: Args) -> tuple[int | None, str | None]:
    """Seconds from the grant, or the instant of the end."""
    length, until = args.get("for_s"), str(args.get("until") or "")
    if (length is None) == (not until):
        raise UsageError("a hold ends by itself: say for how long (--for 2h), or until when (--until INSTANT)")
    if until:
        try:
            end = datetime.fromisoformat(until)
        except ValueError:
            end = None
        if end is None or end.tzinfo is None:
            raise UsageError(f"--until {until!r} is not an instant such as 2026-03-01T14:00:00Z")
        if not ctx.at < end <= ctx.at + LONGEST:
            raise UsageError(f"--until {until}: it is {'past' if end <= ctx.at else f'more than {LONGEST.days} days away'}")
        return None, to_text(end.astimezone(UTC))
    if not isinstance(length, int) or isinstance(length, bool) or not 0 < length <= LONGEST.total_seconds():
        raise UsageError(f"--for: a hold lasts from 1 s to {LONGEST.days} days, not {length!r} s")
    return length, None


def _name(lock: WholeLock, uid: str) -> str:
    plain = _NOT_IN_NAMES.sub("-", lock.name.lower()).strip("-")[:_NAME_LENGTH].strip("-") or "lock"
    return f"hold-{plain}-{sha256(uid.encode()).hexdigest()[:8]}"


def refuse_hold(ctx: Context, run: RunState, verb: str) -> None:
    """Raises Refused for a verb that means nothing for a hold."""
    if ctx.specs.get(run.spec_digest).hold:
        raise Refused(f"{run.name} is a maintenance hold, which cannot be {verb}: `lineclear unhold` ends it, `hold` asks anew")


def unhold(ctx: Context, args: Args) -> Answer:
    """Ends a lock's hold, or opens a lock that was let go unproven; with neither, withdraws the hold that waits for it."""
    key, reason = str(args.get("lock") or ""), str(args.get("reason") or "").strip()
    row = ctx.writer.db.execute("SELECT id, held_back FROM lock WHERE key = ?", (key,)).fetchone()
    if row is None:
        raise NotFound(f"lock {key!r} does not exist; `lineclear locks` lists them")
    lock_id, held_back = LockId(row[0]), str(row[1])
    granted, waiting = holds.holds_of(ctx.writer, lock_id)
    named = str(args.get("hold") or "")
    if named or not held_back or granted:
        return _end_one(ctx, key, _choose(ctx, key, named, granted or waiting, [*granted, *waiting]), reason)
    claims.hold_back(ctx.writer, lock_id, "")
    ctx.writer.journal("lock.unhold", subject=key, detail={"reason": reason, "was": held_back})
    names = ", ".join(_run(ctx, one).name for one in waiting)
    return {"message": f"{key} admits again" + (f"; still in its queue: {names}" if names else "")}


def _choose(ctx: Context, key: str, named: str, likely: Sequence[RunId], every: Sequence[RunId]) -> RunState:
    if not every:
        raise Refused(f"{key} is not held back, and no maintenance hold has it or waits for it")
    found = [_run(ctx, one) for one in (every if named else likely)]
    names = ", ".join(run.name for run in found)
    if named:
        found = [run for run in found if run.name == named]
        if not found:
            raise NotFound(f"{named!r} is no maintenance hold of {key}; there is {names}")
    if len(found) > 1:
        raise UsageError(f"{len(found)} holds wait for {key}: say which with --hold: {names}")
    return found[0]


def _run(ctx: Context, run_id: RunId) -> RunState:
    return runs.get_run(ctx.writer, run_id)


def _end_one(ctx: Context, key: str, run: RunState, reason: str) -> Answer:
    was_granted = run.started_at is not None
    detail = {"reason": reason, "granted": was_granted}
    ctx.writer.journal("hold.ended", namespace=run.namespace, run=run.name, subject=key, detail=detail)
    who = ctx.writer.actor or "somebody"
    _end(ctx, run, f"withdrawn by {who}{f': {reason}' if reason else ''}")
    every = ctx.specs.get(run.spec_digest).hold
    others = ", ".join(lock.key for lock in every if lock.key != key)
    what = "is over" if was_granted else "is withdrawn; it had not been granted"
    return {"message": f"{run.name} {what}" + (f"; so for {others}" if others else "")}


def _end(ctx: Context, run: RunState, why: str) -> None:
    """A granted hold ends well; one that still waits is taken out of its queues."""
    if run.started_at is None:
        end_by_rule(ctx.writer, run, Rule.HOLD_OVER, why)
        return
    for node in StoredNodes(ctx.writer, run.id).suspended():
        runs.wake_node(ctx.writer, run, node, "node.resumed")


_OVER = "SELECT id FROM run WHERE until_at <= ? AND finished_at IS NULL AND shutdown = '' ORDER BY until_at, id"


def pass_holds_until(ctx: Context) -> None:
    """Ends the holds whose instant has come, granted or not: an instant is wall time, whatever the clock did meanwhile."""
    for (run_id,) in ctx.writer.db.execute(_OVER, (ctx.writer.now,)).fetchall():
        run = _run(ctx, RunId(run_id))
        _end(ctx, run, f"its time was over before it was granted: it had waited since {run.created_at[:19]}Z")
