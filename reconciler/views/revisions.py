"""What a revision of the branch did, in a few words. Reads rows, changes nothing."""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row


def outcome_text(row: Row) -> str:
    """`2 run, 1 definition`: its outcome counted; for a held one why it is held."""
    if row["state"] == "held":
        return row["message"] or "held"
    counts: dict[str, int] = {}
    for line in outcome_lines(row):
        word = line.partition(":")[0]
        counts[word] = counts.get(word, 0) + 1
    return ", ".join(f"{count} {word}" for word, count in counts.items())


def outcome_lines(row: Row) -> list[str]:
    """What its push was answered, line by line."""
    return [str(line) for line in json.loads(row["outcome_json"]).get("lines", ())]
