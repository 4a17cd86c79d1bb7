"""The record for people: what one row of the journal says beyond its columns. Reads rows, changes nothing."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def detail_of(detail_json: str) -> dict[str, Any]:
    """What was written with a row; {} for nothing."""
    import json

    if detail_json == "{}":
        return {}
    found: dict[str, Any] = json.loads(detail_json)
    return found


def detail_text(detail: dict[str, Any]) -> str:
    """The same as `name=value, name=value`, without what is empty."""
    import json

    given = [(name, value) for name, value in detail.items() if value not in (None, "", [], {})]
    return ", ".join(f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in given)
