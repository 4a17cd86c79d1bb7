"""Evidence of whether an attempt's processes live, for verdicts on locks. It must never change or signal anything.

What may not be seen is unknown, never dead.
"""

from __future__ import annotations

import fcntl
import os

from reconciler.model.attempt import Intent, Liveness
from reconciler.runtime import groups
from reconciler.runtime.processes import read_process
from reconciler.runtime.records import REVOKED, Record, find_record, is_unclaimed, read_record
from reconciler.runtime.recover import UNPROVEN
from reconciler.runtime.survivors import find_survivors


def find_liveness(intent: Intent, boot_id: str) -> Liveness:
    """What the attempt's record, its lock and /proc say now."""
    try:
        fd = find_record(intent.directory)
    except OSError as error:
        return _unknown(f"cannot read the record in {intent.directory}: {error.strerror}")
    if fd is None and is_unclaimed(None, intent):
        return _unknown("no worker has made a record yet; one still may")
    if fd is None:
        return _unknown(f"its record is gone from {intent.directory}; {UNPROVEN}")
    try:
        is_locked = not _can_lock(fd)
        record = read_record(fd)
    except OSError as error:
        return _unknown(f"cannot read the record in {intent.directory}: {error.strerror}")
    finally:
        os.close(fd)
    return _judge(record, intent, boot_id, is_locked=is_locked)


def _unknown(evidence: str, pids: tuple[int, ...] = ()) -> Liveness:
    return Liveness(state="unknown", pids=pids, evidence=evidence)


def _can_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _judge(record: Record, intent: Intent, boot_id: str, *, is_locked: bool) -> Liveness:
    if record.end is not None:
        return Liveness(state="dead", pids=(), evidence=f"the record tells the end: {record.end.get('kind', '')}")
    claim = record.claim
    if claim is None:
        may = "not claimed yet; a worker still may" if is_unclaimed(record, intent) else f"its record is damaged; {UNPROVEN}"
        return _unknown(may)
    if claim.by == REVOKED:
        return Liveness(state="dead", pids=(), evidence="revoked before it began")
    if claim.boot_id != boot_id:
        return Liveness(state="dead", pids=(), evidence="the host was restarted since it was claimed")
    pids = tuple(process.pid for process in find_survivors(record))
    if is_locked:
        worker = read_process(claim.worker)
        if worker is None or worker.ticks != claim.worker_ticks:
            return _unknown(f"its shim is gone, and somebody holds the lock of its record; {UNPROVEN}", pids)
        return Liveness(state="alive", pids=(worker.pid, *pids), evidence="its shim is alive: it holds the record's lock")
    if record.is_whole and not record.may_have_begun and not intent.began:
        return Liveness(state="dead", pids=(), evidence="its shim was lost before it made a process")
    match groups.look(claim.group, claim.group_id) if claim.group else groups.UNKNOWN:
        case groups.EMPTY:
            return Liveness(state="dead", pids=(), evidence="its shim was lost, and its control group is empty")
        case groups.POPULATED:
            return Liveness(state="alive", pids=pids, evidence="its shim was lost, and processes are in its control group")
        case _:
            return _unknown(f"its shim was lost and {UNPROVEN}", pids)
