"""What to do with an attempt whose worker is not known to live: read from its record, under the record's lock.

The order is fixed: first take the lock, then look. Two separate looks are a race. It must never signal a process, and
never let an attempt start again whose claim is taken.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime

from reconciler.model.attempt import AttemptId, Exited, Lost, NotStarted
from reconciler.runtime import wire
from reconciler.runtime.processes import Process, read_process
from reconciler.runtime.records import Record, find_outcome, find_record, read_record, write_lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy:
    """Somebody holds the lock without having said who: look again in a moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopt:
    """A worker lives; `pidfd` is the caller's to close."""

    worker: Process
    pidfd: int
    record: Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Over:
    """The end is known."""

    outcome: Exited | NotStarted | Lost
    record: Record | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unclaimed:
    """Nothing was started and, unless somebody claims it now, nothing ever will be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """Claimed in a way that cannot be read: nothing may be concluded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """A process may have been made and its worker is gone. `record_fd` holds the lock and is the caller's to close."""

    record_fd: int
    record: Record


Finding = Busy | Adopt | Over | Unclaimed | Unreadable | Keep


def examine(attempt_id: AttemptId, directory: str, *, row_boot_id: str, boot_id: str, at: datetime) -> Finding:
    """Take the lock, then decide; what is decided as lost is written down before the lock is given back."""
    record_fd = find_record(directory)
    if record_fd is None:
        if row_boot_id == boot_id:
            return Unclaimed()
        return Over(outcome=_lost_by_restart(attempt_id, at), record=None)
    finding: Finding | None = None
    try:
        if not wire.lock_record(record_fd, 0.0):
            finding = _find_worker(read_record(record_fd))
        else:
            finding = _decide(record_fd, attempt_id, same_boot=row_boot_id == boot_id, boot_id=boot_id, at=at)
    finally:
        if not isinstance(finding, Keep):
            os.close(record_fd)
    return finding


def _find_worker(record: Record) -> Finding:
    """Whom the lock belongs to: the pidfd is opened first, the start ticks compared after."""
    claim = record.claim
    if claim is None or claim.worker == 0:
        return Busy()
    try:
        pidfd = os.pidfd_open(claim.worker)
    except ProcessLookupError:
        return Busy()
    worker = read_process(claim.worker)
    if worker is None or worker.ticks != claim.worker_ticks:
        os.close(pidfd)
        return Busy()
    return Adopt(worker=worker, pidfd=pidfd, record=record)


def _decide(record_fd: int, attempt_id: AttemptId, *, same_boot: bool, boot_id: str, at: datetime) -> Finding:
    record = read_record(record_fd)
    outcome = find_outcome(record, attempt_id)
    if outcome is not None:
        return Over(outcome=outcome, record=record)
    claim = record.claim
    if not same_boot or (claim is not None and claim.boot_id != boot_id):
        lost = _lost_by_restart(attempt_id, at)
    elif not record.is_claimed:
        return Unclaimed()
    elif claim is None:
        return Unreadable()
    elif record.is_spawning or record.start is not None:
        return Keep(record_fd=record_fd, record=record)
    else:
        evidence = "the worker ended after its claim and before it made the step's process"
        lost = Lost(attempt_id=attempt_id, at=at, began=False, evidence=evidence)
    write_lost(record_fd, lost)
    return Over(outcome=lost, record=record)


def _lost_by_restart(attempt_id: AttemptId, at: datetime) -> Lost:
    evidence = "outcome unknown: the host was restarted and there is no exit record"
    return Lost(attempt_id=attempt_id, at=at, began=True, evidence=evidence)
