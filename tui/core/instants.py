"""The store's instants, which are texts in UTC, as aware datetimes."""

from __future__ import annotations

from datetime import datetime


def instant(text: str) -> datetime:
    """The instant of a text that the store wrote."""
    return datetime.fromisoformat(text)


def instant_or_none(text: str | None) -> datetime | None:
    """None for NULL and for ''."""
    return datetime.fromisoformat(text) if text else None
