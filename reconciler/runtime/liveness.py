"""Evidence of whether an attempt's processes live, for verdicts on locks. It must never change or signal anything.

What may not be seen is unknown, never dead.
"""

from __future__ import annotations

import fcntl
import os

from reconciler.model.attempt import Liveness
from reconciler.runtime.processes import read_process
from reconciler.runtime.records import REVOKED, Record, find_record, read_record
from reconciler.runtime.survivors import Marks, find_survivors


def find_liveness(directory: str, boot_id: str) -> Liveness:
    """What the record, its lock and /proc say now of the attempt in `directory`."""
    try:
        fd = find_record(directory)
    except OSError as error:
        return Liveness(state="unknown", pids=(), evidence=f"cannot read the record in {directory}: {error.strerror}")
    if fd is None:
        return Liveness(state="unknown", pids=(), evidence="no worker has made a record yet; one still may")
    try:
        is_locked = not _can_lock(fd)
        record = read_record(fd)
    finally:
        os.close(fd)
    if record.end is not None:
        return Liveness(state="dead", pids=(), evidence=f"the record tells the end: {record.end.get('kind', '')}")
    claim = record.claim
    if claim is None:
        what = "claimed by an entry that cannot be read" if record.is_claimed else "not claimed yet; a worker still may"
        return Liveness(state="unknown", pids=(), evidence=what)
    if claim.by == REVOKED:
        return Liveness(state="dead", pids=(), evidence="revoked before it began")
    if claim.boot_id != boot_id:
        return Liveness(state="dead", pids=(), evidence="the host was restarted since it was claimed")
    return _judge_processes(record, is_locked=is_locked)


def _can_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _judge_processes(record: Record, *, is_locked: bool) -> Liveness:
    assert record.claim is not None
    left = find_survivors(Marks(token=record.claim.token, start=record.start))
    pids = tuple(process.pid for process in left.sure)
    if is_locked:
        worker = read_process(record.claim.worker)
        if worker is not None and worker.ticks == record.claim.worker_ticks:
            pids = (worker.pid, *pids)
        return Liveness(state="alive", pids=pids, evidence="the record's lock is held")
    if pids:
        return Liveness(state="alive", pids=pids, evidence="the lock is free, but processes carry the attempt's token")
    if left.doubtful:
        doubtful = tuple(process.pid for process in left.doubtful)
        return Liveness(state="unknown", pids=doubtful, evidence="processes in the session of the ended main process")
    return Liveness(state="dead", pids=(), evidence="the lock is free and no process carries the attempt's token")
