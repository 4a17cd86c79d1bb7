"""What the loop tells people of besides runs: sync, crons, overdue holders, the disk; and what came of telling them.

Here it is decided whether something is worth a notice; `store.notices` writes it, and others send it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta

from reconciler.clock import from_text
from reconciler.loop.context import Context
from reconciler.loop.inbox import Told
from reconciler.model.notice import NoticeKind
from reconciler.model.state import RunState
from reconciler.store import crons, notices, read_locks
from reconciler.store.within import ReaderWithin
from reconciler.store.writer import Writer

log = logging.getLogger(__name__)
MESSAGES_TOLD = 20
ROOM_AGAIN = 1.1  # the disk is well again only with a tenth more than the limit free: at the limit itself it would flicker
_DISK = "disk_low"
_LOCKS = (
    "SELECT l.id, l.key FROM claim_lock cl JOIN lock l ON l.id = cl.lock_id"
    " WHERE cl.claim_id = ? AND cl.state = 'held' AND cl.nested = 0 ORDER BY l.key"
)
_WAITING = "SELECT count(*) FROM claim_lock WHERE lock_id = :lock AND state = 'waiting' AND nested = 0"
_SHORTEST_PAUSE = timedelta(seconds=1)


def take_told(writer: Writer, told: Told) -> None:
    """Writes down what came of sending a notice."""
    if told.problem:
        notices.set_failed(writer, told.notice_id, told.tries, told.problem)
    else:
        notices.set_sent(writer, told.notice_id, told.tries)


# sync and crons ----------------------------------------------------------------------------------------------------------------


def tell_sync_failed(writer: Writer, sha: str, state: str, messages: Sequence[str]) -> None:
    """Tells that a commit is not live as it was meant to be: once for each commit and state; '' for no commit, each time."""
    more = f" (and {len(messages) - 1} more)" if len(messages) > 1 else ""
    text = f"{f'commit {sha[:10]}' if sha else 'the branch'} is {state}: {messages[0]}{more}"
    detail = {"text": text, "commit": sha, "state": state, "messages": list(messages[:MESSAGES_TOLD])}
    notices.post(writer, NoticeKind.SYNC_FAILED, f"{sha or writer.now} {state}", detail)


def tell_cron_error(writer: Writer, row: crons.CronRow, due_at: str, reason: str) -> None:
    """Tells that a cron's tick could not be carried out, unless the tick before it failed for the same reason."""
    if notices.is_wanted(writer, NoticeKind.CRON_ERROR) and crons.last_decision(writer, row, due_at) != ("error", reason):
        text = f"cron {row.namespace}/{row.name} could not run at {due_at[:19]}Z: {reason}"
        detail = {"text": text, "namespace": row.namespace, "cron": row.name, "due": due_at, "reason": reason}
        notices.post(writer, NoticeKind.CRON_ERROR, f"{row.namespace}/{row.name} {due_at}", detail)


def tell_cron_set_aside(writer: Writer, row: crons.CronRow, reason: str) -> None:
    """Tells that a cron schedules nothing any more until its definition changes."""
    text = f"cron {row.namespace}/{row.name} is set aside until its definition changes: {reason}"
    detail = {"text": text, "namespace": row.namespace, "cron": row.name, "due": None, "reason": reason}
    notices.post(writer, NoticeKind.CRON_ERROR, f"{row.namespace}/{row.name} {writer.now}", detail)


def tell_cron_set_back(writer: Writer, row: crons.CronRow, why: str) -> None:
    """Tells that a cron was silent for a clock that was ahead, and comes back."""
    text = f"cron {row.namespace}/{row.name} comes back: {why}"
    detail = {"text": text, "namespace": row.namespace, "cron": row.name, "due": None, "reason": why}
    notices.post(writer, NoticeKind.CRON_ERROR, f"{row.namespace}/{row.name} {writer.now} reset", detail)


# overdue holders ---------------------------------------------------------------------------------------------------------------


def pass_overdue(ctx: Context) -> None:
    """Asks about each hold that is due whether it takes longer than others did, and when to ask again if it does not yet."""
    writer = ctx.writer
    if not notices.is_wanted(writer, NoticeKind.OVERDUE):
        return
    for claim, granted_at in notices.due_holds(writer):
        held = ctx.at - from_text(granted_at)
        found = [_judge(ctx, lock, key, claim) for lock, key in writer.db.execute(_LOCKS, (claim,)).fetchall()]
        if any(is_overdue for is_overdue, _ in found):
            notices.look_again(writer, claim, None)
            continue
        rises = [limit for _, limit in found if limit is not None and limit > held]
        pause = max(min(rises) - held + timedelta(milliseconds=1) if rises else held / 2, _SHORTEST_PAUSE)
        notices.look_again(writer, claim, ctx.at + pause)


def _judge(ctx: Context, lock: int, key: str, claim: int) -> tuple[bool, timedelta | None]:
    """Whether the claim's hold of a lock is overdue, which is then told; and what 95 % of the earlier holds took at most.

    A holder that waits for a person, say, is not overdue whatever it took: the verdict is the one that `locks` shows.
    """
    from reconciler.views.instants import epoch_s  # only a daemon that tells of something needs the views
    from reconciler.views.lock_state import OVERDUE
    from reconciler.views.locks import Pace

    reader, now_s = ReaderWithin(ctx.writer), epoch_s(ctx.writer.now)
    holder = next((row for row in read_locks.list_holders(reader, lock) if row["claim_id"] == claim), None)
    if holder is None:
        return False, None
    pace = Pace(reader, [holder], now_s)
    times = pace.times(lock)
    verdict, evidence = pace.verdict(holder, read_locks.find_lost_steps(reader, ctx.options.boot_id))
    if verdict == OVERDUE:
        waiting = reader.number(_WAITING, lock=lock)
        run = f"{holder['namespace']}/{holder['run']}"
        detail = {
            "text": f"{run} is overdue with {key}: {evidence}; {waiting} waiting",
            "namespace": holder["namespace"],
            "run": holder["run"],
            "lock": key,
            "epoch": holder["epoch"],
            "since": holder["granted_at"],
            "evidence": evidence,
            "waiting": waiting,
        }
        notices.post(ctx.writer, NoticeKind.OVERDUE, f"epoch {holder['epoch']}", detail)
    return verdict == OVERDUE, None if times is None else timedelta(seconds=times[1])


def tell_overheld(writer: Writer, run: RunState, key: str, claim: int, held: str) -> None:
    """Tells that a hold has passed the limit that the lock's policy sets."""
    text = f"{run.holder} has held {key} for {held}: longer than the lock's policy allows"
    detail = {"text": text, "namespace": run.namespace, "run": run.name, "lock": key, "evidence": f"held for {held}"}
    notices.post(writer, NoticeKind.OVERDUE, f"claim {claim} {key} holdLimit", detail)


def tell_cycle(writer: Writer, members: Sequence[RunState], waits: Sequence[str], policy: str) -> None:
    """Tells that runs wait for one another, which was just found; `policy` is the one by which one of them is ended, or ''."""
    then = f"LockPolicy {policy} ends the youngest" if policy else "nothing in it moves until one of them is stopped"
    text = f"{', '.join(run.holder for run in members)} wait for one another: {then}"
    detail = {"text": text, "runs": [run.holder for run in members], "waits": list(waits), "policy": policy}
    notices.post(writer, NoticeKind.CYCLE, f"{' '.join(str(run.id) for run in members)} {writer.now}", detail)


# the disk ----------------------------------------------------------------------------------------------------------------------


def look_around(writer: Writer, free_bytes: int | None) -> None:
    """What is looked at in every sweep: the disk, if its free space is known, and notices that were done with long ago."""
    notices.forget_old(writer)
    if free_bytes is not None:
        _watch_disk(writer, free_bytes)


def _watch_disk(writer: Writer, free_bytes: int) -> None:
    """Holds the free space against the limit: told when it falls below, and not again before it was well above."""
    limit = writer.telling.disk_low_bytes
    detail = {"free_bytes": free_bytes, "limit_bytes": limit}
    text = f"the home's disk has {_mb(free_bytes)} free, less than {_mb(limit)}; when it is full nothing is started, only ended"
    since = writer.meta(_DISK) or ""
    if not since and free_bytes < limit:
        since = writer.now
        writer.set_meta(_DISK, since)
        writer.journal("disk.low", detail=detail)
        log.warning("%s", text, extra={"action": "disk"})
    elif since and free_bytes >= limit * ROOM_AGAIN:
        writer.set_meta(_DISK, "")
        writer.journal("disk.recovered", detail={**detail, "since": since})
    if since and free_bytes < limit:  # also for a command that was not there when the space ran out
        notices.post(writer, NoticeKind.DISK_LOW, since, {"text": text, **detail})


def _mb(size: int) -> str:
    return f"{size // 1_000_000} MB"
