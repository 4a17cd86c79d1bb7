"""What a run waits for at a barrier: who has come, who has not, and until when; as data and as sentences."""

from __future__ import annotations

from reconciler.store import read_barriers
from reconciler.views.doing import until_text
from reconciler.views.instants import age, whole_seconds
from reconciler.views.names import node_label

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row
    from typing import Any

    from reconciler.store.read import Reader

_COME = ("arrived", "reached", "passed")


def barrier_message(reader: Reader, wait: Row) -> str:
    """One line for lists and objects: `Waiting at barrier "NAME" for RUN, RUN`."""
    return f'Waiting at barrier "{wait["barrier"]}" for {", ".join(_names(reader, wait)) or "the next tick"}'


def first_barrier(reader: Reader, row: Row) -> str:
    """The same of a run of a list; '' if it waits at none."""
    waits = read_barriers.list_barrier_waits(reader, row["id"]) if row["is_paused"] and row["finished_at"] is None else []
    return barrier_message(reader, waits[0]) if waits else ""


def _names(reader: Reader, wait: Row) -> list[str]:
    return [str(member["run"]) for member in read_barriers.list_members(reader, wait) if member["state"] not in _COME]


def explain_barrier(reader: Reader, row: Row, wait: Row, now_s: float) -> dict[str, Any]:
    """The explanation of a run that waits at a barrier, as `why` gives it."""
    step, until = node_label(wait["node"], wait["display"]), wait["wake_at"]
    members = read_barriers.list_members(reader, wait)
    absent = [member for member in members if member["state"] not in _COME]
    waits_for = ", ".join(_told(member) for member in absent) or "nobody any more: it goes on at the next tick"
    text = f'{row["name"]} waits at barrier "{wait["barrier"]}" since {age(wait["started_at"], now_s)} for {waits_for}'
    come = [member["run"] for member in members if member["state"] in _COME and member["run_id"] != row["id"]]
    text += f"; {', '.join(come)} {'is' if len(come) == 1 else 'are'} there" if come else ""
    text += f"; the barrier fails for all {until_text(until, now_s)}" if until else ""
    where = "" if row["namespace"] == "default" else f" -n {row['namespace']}"
    select = f"--node-field-selector displayName={wait['display']}"
    return {
        "state": "waiting-at-barrier",
        "summary": text,
        "step": step,
        "barrier": wait["barrier"],
        "since": whole_seconds(wait["started_at"]),
        "until": whole_seconds(until) if until else None,
        "members": [{name: one[name] for name in ("run", "namespace", "state", "phase")} for one in members],
        "next": [
            *(f"lineclear why {one['run']}{where}" for one in absent),
            f"lineclear node set {row['name']}{where} {select} --phase Succeeded --message REASON",
        ],
    }


def _told(member: Row) -> str:
    return f"{member['run']} ({'ended ' if member['finished_at'] else ''}{member['phase']})"
