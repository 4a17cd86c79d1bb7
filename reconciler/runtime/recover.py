"""What to do with an attempt whose worker is not known to live: read from its record, under the record's lock.

The order is fixed: first take the lock, then look. Two separate looks are a race. Only what is there counts: a record that is
missing, cut short or not to be read proves nothing. It must never signal a process, and never let an attempt start again whose
claim is, or may be, taken.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime

from reconciler.model.attempt import AttemptId, End, Intent, Lost
from reconciler.runtime import wire
from reconciler.runtime.faults import is_of_host
from reconciler.runtime.processes import Process, read_process
from reconciler.runtime.records import Record, find_outcome, find_record, is_unclaimed, read_record, write_lost

UNPROVEN = "nothing proves that its processes ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy:
    """Somebody holds the lock without having said who: look again in a moment."""

    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopt:
    """A worker lives; `pidfd` is the caller's to close."""

    worker: Process
    pidfd: int
    record: Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Over:
    """The end is known."""

    outcome: End
    record: Record | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unclaimed:
    """Nothing was started and, unless somebody claims it now, nothing ever will be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unproven:
    """The record proves nothing; it may be mended or put back."""

    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """A process may have been made and its worker is gone. `record_fd` holds the lock and is the caller's to close."""

    record_fd: int
    record: Record


Finding = Busy | Adopt | Over | Unclaimed | Unproven | Keep


def examine(intent: Intent, *, boot_id: str, at: datetime) -> Finding:
    """Take the lock, then decide; what is decided as lost is written down before the lock is given back.

    Raises OSError if the machine is short of something: that says nothing of the attempt.
    """
    try:
        record_fd = find_record(intent.directory)
    except OSError as error:
        return _unreadable(intent, error)
    if record_fd is None:
        return _missing(intent, boot_id=boot_id, at=at)
    finding: Finding | None = None
    try:
        if not wire.lock_record(record_fd, 0.0):
            finding = _find_worker(read_record(record_fd))
        else:
            finding = _decide(record_fd, intent, boot_id=boot_id, at=at)
    except OSError as error:
        return _unreadable(intent, error)
    finally:
        if not isinstance(finding, Keep):
            os.close(record_fd)
    return finding


def _unreadable(intent: Intent, error: OSError) -> Finding:
    if is_of_host(error):
        raise error
    return Unproven(evidence=f"its record in {intent.directory} cannot be read: {error.strerror}; {UNPROVEN}")


def _missing(intent: Intent, *, boot_id: str, at: datetime) -> Finding:
    if intent.boot_id != boot_id:
        return Over(outcome=_lost_by_restart(intent.attempt_id, at), record=None)
    if is_unclaimed(None, intent):
        return Unclaimed()
    return Unproven(evidence=f"its record is gone from {intent.directory}; {UNPROVEN}")


def _find_worker(record: Record) -> Finding:
    """Whom the lock belongs to: the pidfd is opened first, the start ticks compared after."""
    claim = record.claim
    if claim is None or claim.worker == 0:
        return Busy(evidence="somebody holds the lock of its record and has not said who")
    gone = Busy(evidence=f"its shim (pid {claim.worker}) is gone, and somebody holds the lock of its record")
    try:
        pidfd = os.pidfd_open(claim.worker)
    except ProcessLookupError:
        return gone
    worker = read_process(claim.worker)
    if worker is None or worker.ticks != claim.worker_ticks:
        os.close(pidfd)
        return gone
    return Adopt(worker=worker, pidfd=pidfd, record=record)


def _decide(record_fd: int, intent: Intent, *, boot_id: str, at: datetime) -> Finding:
    record = read_record(record_fd)
    outcome = find_outcome(record, intent.attempt_id)
    if outcome is not None:
        return Over(outcome=outcome, record=record)
    claim = record.claim
    if (claim.boot_id if claim is not None else intent.boot_id) != boot_id:
        lost = _lost_by_restart(intent.attempt_id, at)
    elif is_unclaimed(record, intent):
        return Unclaimed()
    elif claim is None:
        return Unproven(evidence=f"its record in {intent.directory} is damaged; {UNPROVEN}")
    elif record.may_have_begun or intent.began or not record.is_whole:
        return Keep(record_fd=record_fd, record=record)
    else:
        evidence = "the worker ended after its claim and before it made the step's process"
        lost = Lost(attempt_id=intent.attempt_id, at=at, began=False, evidence=evidence)
    write_lost(record_fd, lost)
    return Over(outcome=lost, record=record)


def _lost_by_restart(attempt_id: AttemptId, at: datetime) -> Lost:
    evidence = "outcome unknown: the host was restarted and there is no exit record"
    return Lost(attempt_id=attempt_id, at=at, began=True, evidence=evidence)
