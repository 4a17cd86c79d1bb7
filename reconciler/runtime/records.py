"""What an attempt's record file says, as values, and the entries only the daemon makes: 'reserved', 'revoked' and 'lost'.

Whoever writes holds the record's lock, but for the reservation, which comes before anybody knows of the attempt. It must never
make a decision from a record read without that lock.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime

from reconciler.model.attempt import AttemptId, End, Exited, Intent, Lost, NotStarted
from reconciler.runtime import wire

REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Who decided whether the attempt starts: a worker, or a decider that revoked it.

    `group` is the worker's own control group, '' if it had none, with its inode number.
    """

    by: str
    token: str
    boot_id: str
    worker: int
    worker_ticks: int
    group: str
    group_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The step's main process."""

    pid: int
    ticks: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """How the main process ended."""

    exit_code: int
    signal: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """All slots. `claim` None beside `is_claimed` means an entry that cannot be read: nothing may be concluded from it.

    `is_whole` False: it is shorter than it was made. `may_have_begun` False, of one that is whole: no process was ever made.
    """

    is_whole: bool
    is_reserved: bool
    is_claimed: bool
    may_have_begun: bool
    claim: Claim | None
    start: Start | None
    seen: Code | None
    end: dict[str, str] | None


def parse_record(page: bytes) -> Record:
    """The record in these bytes; torn or foreign entries count as absent, but for the claim."""
    claim = wire.unpack_slot(page, wire.CLAIM)
    start = wire.unpack_slot(page, wire.START)
    seen = wire.unpack_slot(page, wire.SEEN)
    return Record(
        is_whole=len(page) == wire.RECORD_BYTES,
        is_reserved=wire.unpack_slot(page, wire.RESERVED) is not None,
        is_claimed=any(page[: wire.SLOT.size]),
        may_have_begun=any(page[wire.SPAWN : wire.RESERVED]),
        claim=_parse_claim(claim) if claim else None,
        start=_parse_start(start) if start else None,
        seen=_parse_code(seen) if seen else None,
        end=wire.unpack_slot(page, wire.END),
    )


def _parse_claim(fields: dict[str, str]) -> Claim:
    return Claim(
        by=fields["by"],
        token=fields.get("token", ""),
        boot_id=fields.get("boot", ""),
        worker=int(fields.get("worker", "0")),
        worker_ticks=int(fields.get("ticks", "0")),
        group=fields.get("group", ""),
        group_id=int(fields.get("group_id", "0")),
    )


def _parse_start(fields: dict[str, str]) -> Start:
    return Start(pid=int(fields["pid"]), ticks=int(fields["ticks"]), at=_instant(fields["at"]))


def _parse_code(fields: dict[str, str]) -> Code:
    return Code(exit_code=int(fields["code"]), signal=int(fields["signal"]) or None)


def _instant(text: str) -> datetime:
    return datetime.fromtimestamp(float(text), UTC)


def find_record(directory: str) -> int | None:
    """A descriptor of the attempt's record, or None if no worker has made one yet."""
    try:
        return os.open(f"{directory}/record", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None


def read_record(fd: int) -> Record:
    return parse_record(os.pread(fd, wire.RECORD_BYTES, 0))


def find_outcome(record: Record, attempt_id: AttemptId) -> End | None:
    """The end that the record tells, or None if it tells none."""
    end = record.end
    if end is None:
        if record.claim is not None and record.claim.by == REVOKED:
            # a revoked attempt has no use for a token: the instant is kept in its place
            return Lost(attempt_id=attempt_id, at=_instant(record.claim.token), began=False, evidence="revoked before it began")
        return None
    at = _instant(end["at"])
    message = end.get("message", "")
    match end["kind"]:
        case "exited":
            code = _parse_code(end)
            return Exited(
                attempt_id=attempt_id,
                exit_code=code.exit_code,
                signal=code.signal,
                at=at,
                stopped=end["stopped"] == "1",
                message=message,
                cpu_ms=int(end["cpu_ms"]) if "cpu_ms" in end else None,
                memory_kb=int(end["memory_kb"]) if "memory_kb" in end else None,
            )
        case "not-started":
            return NotStarted(attempt_id=attempt_id, exit_code=int(end["code"]), at=at, message=message)
        case _:
            return Lost(attempt_id=attempt_id, at=at, began=end.get("began") == "1", evidence=message)


def reserve_record(directory: str) -> None:
    """Make the record of an attempt that nobody knows of yet: from now on a missing one was taken away. May raise OSError."""
    fd = wire.open_record(os.fsencode(directory))
    try:
        wire.write_slot(fd, wire.RESERVED, {})
    finally:
        os.close(fd)


def is_unclaimed(record: Record | None, intent: Intent) -> bool:
    """Whether it is sure that nobody has claimed the attempt, if the record's lock is free: not only that nothing says so.

    `record` None means that there is none.
    """
    if intent.began:
        return False
    if record is None or not record.is_reserved:
        return not intent.reserved and not (record and record.is_claimed)
    return record.is_whole and not record.is_claimed and not record.may_have_begun


def revoke_record(intent: Intent, *, boot_id: str, at: datetime) -> bool:
    """Claim the attempt so that no worker ever starts it; False if that is too late, or cannot be known. May raise OSError."""
    fd = find_record(intent.directory) if intent.reserved else wire.open_record(os.fsencode(intent.directory))
    if fd is None:
        return False
    try:
        if not wire.lock_record(fd, 0.0) or not is_unclaimed(read_record(fd), intent):
            return False
        fields: dict[str, object] = {"by": REVOKED, "attempt": intent.attempt_id, "token": at.timestamp(), "boot": boot_id}
        wire.write_slot(fd, wire.CLAIM, fields)
    finally:
        os.close(fd)
    return True


def write_exited(fd: int, outcome: Exited) -> None:
    """Keep an end that the daemon itself saw: its worker is gone."""
    fields: dict[str, object] = {"kind": "exited", "code": outcome.exit_code, "signal": outcome.signal or 0}
    fields |= {"stopped": int(outcome.stopped), "message": outcome.message, "at": outcome.at.timestamp()}
    wire.write_slot(fd, wire.END, fields)


def write_lost(fd: int, outcome: Lost) -> None:
    """Keep the decision that the attempt is lost: a later reader must come to the same."""
    fields: dict[str, object] = {"kind": "lost", "began": int(outcome.began), "message": outcome.evidence}
    wire.write_slot(fd, wire.END, {**fields, "at": outcome.at.timestamp()})
