"""The only clock. Everything below the loop takes `now` as an argument; tests hand in their own."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, tzinfo
from typing import Protocol


class Clock(Protocol):
    """What the loop needs of time."""

    def now(self) -> datetime:
        """The wall clock as an aware UTC instant."""

    def monotonic(self) -> float:
        """Seconds that never go back; for measuring waits only."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """The wall clock as an aware UTC instant."""
        return datetime.now(UTC)  # the one place that may ask

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()


def to_text(instant: datetime) -> str:
    """An instant as RFC 3339 with microseconds and `Z`, which sorts as text in the order of time."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def from_text(text: str) -> datetime:
    """The instant that `to_text` wrote; raises ValueError for anything else."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


def local_zone() -> tzinfo:
    """The machine's own time zone with its rules, for schedules that name none; UTC where the machine has none."""
    from zoneinfo import ZoneInfo

    name = os.environ.get("TZ", "").lstrip(":")
    try:
        if name:
            return ZoneInfo(name)
        with open("/etc/localtime", "rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return UTC
