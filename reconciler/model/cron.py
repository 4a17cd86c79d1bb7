"""Schedules, ticks and what was decided about each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class ConcurrencyPolicy(StrEnum):
    """What a due tick does while a run of the same cron is active (Argo: docs/cron-workflows.md)."""

    ALLOW = "Allow"
    FORBID = "Forbid"
    REPLACE = "Replace"


class TickDecision(StrEnum):
    """What was decided about one (cron, UTC instant), once and for ever."""

    RAN = "ran"
    FORBIDDEN = "forbidden"
    REPLACED = "replaced"
    SUSPENDED = "suspended"
    MISSED = "missed"
    CAUGHT_UP = "caught-up"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class CronSpec:
    """The schedule part of a CronWorkflow. `timezone` is an IANA name or None for the machine's local zone."""

    schedules: tuple[str, ...]
    timezone: str | None = None
    concurrency_policy: ConcurrencyPolicy = ConcurrencyPolicy.ALLOW
    starting_deadline: timedelta | None = None
    suspend: bool = False
    successful_history_limit: int = 3
    failed_history_limit: int = 1
