"""What ending the holder of a lock would do: one plan for the command and the screen, so that they cannot differ.

It only looks. Whoever carries it out sends `request_values`, and the daemon compares the epoch again.
"""

from __future__ import annotations

from reconciler.errors import NotFound, Refused, UsageError
from reconciler.store import read_locks
from reconciler.views.clean import clean
from reconciler.views.doing import HEALTHY, HOLDING_FOR_FAILURE, MAINTENANCE, WINDING_UP
from reconciler.views.lock_state import OVERDUE, WAITS_FOR_PERSON, line_of
from reconciler.views.locks import Pace, lock_object
from reconciler.views.names import node_label

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row
    from typing import Any

    from reconciler.store.read import Reader

VERB = "terminate_stuck_holder"
_ALIVE = (HEALTHY, OVERDUE, WAITS_FOR_PERSON, WINDING_UP)


class Choice:
    """Which holder is meant, and how far it may go. `holder` is RUN or RUN/NODE, '' for the only one; `epoch` None for any."""

    __slots__ = ("epoch", "holder", "is_node_only", "is_not_stuck", "is_unproven")

    def __init__(self, holder: str = "", epoch: int | None = None) -> None:
        self.holder = holder
        self.epoch = epoch
        self.is_node_only = False
        self.is_not_stuck = False
        self.is_unproven = False


def plan_clearing(reader: Reader, row: Row, choice: Choice, now_s: float, boot_id: str) -> dict[str, Any]:
    """What would be done, to whom, and what follows; all of one instant. `refused` is '' if the daemon will do it.

    Raises Refused if the holder is another by now, NotFound or UsageError if it cannot be told which one is meant.
    """
    line = line_of(reader, row)
    found = lock_object(reader, line, now_s, boot_id, Pace(reader, line.holders, now_s))
    holder = _choose(found, choice)
    rows = read_locks.list_holders(reader, row["id"])
    claim = next(one for one in rows if one["claim_id"] == holder["claim"])
    held = read_locks.list_held_by(reader, claim["run_id"])
    live = read_locks.list_live_attempts(reader, claim["run_id"])
    also = sorted({one["key"] for one in held if one["key"] != row["key"] and not one["nested"]})
    queue = found["queue"]
    return {
        "lock": found["key"],
        "state": found["state"],
        "verdict": found["verdict"],
        "holder": holder,
        "steps": [_step(step) for step in live],
        "isUnproven": choice.is_unproven,
        "alsoReleased": [] if choice.is_node_only else also,
        "next": queue[0] if queue else None,
        "following": max(0, len(queue) - 1),
        "refused": _refusal(choice, holder, live),
    }


def _step(step: Row) -> dict[str, Any]:
    unknown = {"unknown": step["unknown"]} if step["unknown_at"] is not None else {}
    return {"node": node_label(step["node"], step["display"]), "pid": step["pid"], **unknown}


def _refusal(choice: Choice, holder: dict[str, Any], live: list[Row]) -> str:
    """Why the daemon will not do it as things are; '' if it will, or cannot tell before it has looked at the processes."""
    if holder["verdict"] == MAINTENANCE:
        return f"{holder['run']} is a maintenance hold, which is not stuck: `lineclear unhold` ends it early"
    if choice.is_unproven and choice.is_node_only:
        return "--node-only and --release-unproven exclude each other: the whole run is ended on your word"
    if choice.is_not_stuck or not live or holder["verdict"] not in _ALIVE:
        return ""
    return f"unless --not-stuck is given: {holder['run']} is not stuck, its steps are alive as far as is known"


def _choose(lock: dict[str, Any], choice: Choice) -> dict[str, Any]:
    """The holder that is meant; raises Refused if it no longer is one, UsageError if that cannot be told."""
    holders: list[dict[str, Any]] = lock["holders"]
    if not holders:
        raise Refused(f"could not end the holder of {lock['key']}: nobody holds it now; its state is {lock['state']}")
    if choice.holder:
        run, _, node = choice.holder.partition("/")
        holders = [one for one in holders if one["run"] == run and (not node or one["node"] == node)]
        if not holders:
            names = ", ".join(who(one) for one in lock["holders"])
            raise NotFound(f"{choice.holder!r} does not hold {lock['key']}; it is held by {names}")
    if choice.epoch is not None:
        matching = [one for one in holders if one["epoch"] == choice.epoch]
        if not matching:
            now = ", ".join(f"{who(one)} with {one['id']} since {one['since']} ({one['verdict']})" for one in lock["holders"])
            raise Refused(f"the state changed: {lock['key']}#{choice.epoch} is over; it is held by {now}")
        return matching[0]
    if len(holders) > 1:
        names = ", ".join(f"{who(one)} ({one['id']})" for one in holders)
        raise UsageError(f"{lock['key']} has {len(holders)} holders: say which with --holder RUN[/NODE]: {names}")
    return holders[0]


def who(party: dict[str, Any]) -> str:
    """RUN or RUN/NODE of a holder or waiter."""
    return f"{party['run']}/{party['node']}" if party["node"] else str(party["run"])


def plan_rows(plan: dict[str, Any]) -> list[tuple[str, str]]:
    """The plan as named lines; a name is '' where a line goes on."""
    holder = plan["holder"]
    rows = [
        ("Lock", plan["lock"]),
        ("State", f"{plan['state']}: {plan['verdict']}" if plan["verdict"] else plan["state"]),
        ("Holder", f"{who(holder)} ({holder['namespace']}), {holder['id']}, since {holder['since']}"),
        ("", f"it {holder['doing']}"),
        ("Evidence", f"{holder['verdict']}: {holder['evidence']}"),
        ("Will do", _what(plan)),
    ]
    if plan["refused"]:
        rows.append(("Refused", plan["refused"]))
    if plan["alsoReleased"]:
        rows.append(("Also released", ", ".join(plan["alsoReleased"])))
    following = f", then {plan['following']} more" if plan["following"] else ""
    after = plan["next"]
    rows.append(("Next", f"{who(after)}, waiting since {after['since']}{following}" if after else "nobody waits"))
    return rows


def plan_text(plan: dict[str, Any]) -> str:
    """The plan for people."""
    return "".join(clean(f"{name:<15}{value}".rstrip()) + "\n" for name, value in plan_rows(plan))


def _what(plan: dict[str, Any]) -> str:
    holder = plan["holder"]
    if holder["verdict"] == HOLDING_FOR_FAILURE:
        return f"release; {holder['run']} has ended and stays {holder['phase']}"
    unknown = ", ".join(step["node"] for step in plan["steps"] if "unknown" in step)
    if plan["isUnproven"]:
        whom = f"{unknown} unproven" if unknown else f"{holder['run']} unproven"
        return f"let go of {whom}, on your word: kill what can be found; the lock admits nobody until `lineclear unhold`"
    if unknown:
        rest = "nothing will prove its end, so the lock stays; once you have looked: --release-unproven"
        return f"ask what can be found of {unknown} to end; {rest}"
    steps = ", ".join(f"{step['node']} (pid {step['pid']})" if step["pid"] else step["node"] for step in plan["steps"])
    if steps:
        return f"end {steps}: ask, wait the grace time, kill, prove; then release"
    return f"end {holder['run']}, then release"


def check_choice(plan: dict[str, Any], choice: Choice) -> None:
    """Raises UsageError for a choice that does not fit what was found."""
    if choice.is_node_only and not plan["holder"]["node"]:
        raise UsageError(f"--node-only: {plan['lock']} is held by the whole run {plan['holder']['run']}, not by one of its steps")


def is_confirmed(plan: dict[str, Any], typed: str, word: str = "") -> bool:
    """True if LOCK#EPOCH was typed, with the lock's key or the word by which the person had named it."""
    given = typed.strip()
    return given == plan["holder"]["id"] or (bool(word) and given == f"{word}#{plan['holder']['epoch']}")


def request_values(plan: dict[str, Any], choice: Choice, reason: str) -> dict[str, Any]:
    """What the daemon is asked: the holder exactly as it was shown."""
    return {
        "lock": plan["lock"],
        "holder_claim": plan["holder"]["claim"],
        "epoch": plan["holder"]["epoch"],
        "reason": reason,
        "node_only": choice.is_node_only,
        "not_stuck": choice.is_not_stuck,
        "release_unproven": choice.is_unproven,
    }
