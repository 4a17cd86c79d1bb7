"""What people may be told of, and what the settings say about telling. Values only."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum


class NoticeKind(StrEnum):
    """An event that somebody may want to hear of without looking."""

    HELD_FOR_A_FAILURE = "held-for-a-failure"
    HOLDER_UNKNOWN = "holder-unknown"
    OVERDUE = "overdue"
    CYCLE = "cycle"
    QUEUE_FULL = "queue-full"
    SYNC_FAILED = "sync-failed"
    CRON_ERROR = "cron-error"
    DISK_LOW = "disk-low"
    MACHINE = "machine"


ALL_KINDS = tuple(kind.value for kind in NoticeKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """What is told and when it is given up. Without kinds nothing is: then no notice is even written.

    A hold is looked at for being overdue once it is `overdue_after_s` old. `disk_low_bytes` 0: the disk is not watched.
    """

    kinds: AbstractSet[str] = frozenset()
    overdue_after_s: float = 60.0
    give_up_s: float = 86_400.0
    disk_low_bytes: int = 0


NOTHING_TOLD = Telling()
