"""An explanation of `why` as text for people. It reads nothing; what is said was found by `views.why`."""

from __future__ import annotations

from reconciler.views.clean import clean
from reconciler.views.names import ordinal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MEANING = {
    "Allow": "runs of the group may overlap",
    "Forbid": "no second run may come while one is active",
    "Replace": "a newer run takes its place",
    "Latest": "one runs, and of those behind it only the newest is left",
}


def why_text(found: dict[str, Any]) -> str:
    """The explanation for people."""
    lines = [found["summary"] + "."]
    if found.get("policy"):
        rule = found["policy"]
        lines.append(f"Concurrency policy {rule['policy']} of {rule['group']} ({rule['place']}): {_MEANING[rule['policy']]}.")
    for lock in found.get("locks", []):
        lines += ["", *_lock_lines(lock, found["namespace"])]
    if found.get("locksLeftOut"):
        lines += ["", f"And {found['locksLeftOut']} more locks, which --all explains."]
    if found.get("cycle"):
        lines += ["", "These runs wait for one another; nothing moves until one of them is stopped:"]
        lines += [f"  {step}" for step in found["cycle"]]
    if found.get("next"):
        lines += ["", "What you can do:", *(f"  {command}" for command in found["next"])]
    return "".join(clean(line) + "\n" for line in lines)


def _lock_lines(lock: dict[str, Any], namespace: str) -> list[str]:
    limit = "limit unknown" if lock["limit"] is None else f"limit {lock['limit']}"
    where = f", wanted by step {lock['node']}" if lock["node"] else ""
    lines = [f"Lock {lock['lock']} ({limit}{where})"]
    if lock["limitTrouble"]:
        lines.append(f"  limit      {lock['limitTrouble']}")
    if lock["resolved"]:
        lines.append(f"  name       {lock['template']}")
        lines += [f"             {value['tag']} = {value['value']} ({value['from']})" for value in lock["resolved"]]
    for holder in lock["holders"]:
        who = _who(holder, namespace)
        since = f"epoch {holder['epoch']}, since {holder['since']}"
        lines.append(f"  held by    {who}, {since}: {holder['phase']}, {holder['verdict']}")
        lines.append(f"             it {holder['doing']}")
    if lock["holdersLeftOut"]:
        lines.append(f"             and {lock['holdersLeftOut']} more, which `lineclear locks show {lock['lock']}` lists")
    if not lock["holders"]:
        lines.append("  held by    nobody")
    place = f"{ordinal(lock['position'])} in the queue (order {lock['order']}, counting holders), priority {lock['priority']}"
    lines.append(f"  position   {place}, waits {lock['waited']}")
    for other in lock["ahead"]:
        why = f"priority {other['priority']}, {other['because']}"
        lines.append(f"  ahead      {_who(other, namespace)} ({why}, waits {other['waited']})")
    more = lock["position"] - 1 - len(lock["ahead"])
    if more > 0:
        lines.append(f"             and {more} more")
    if lock["expectedStart"]:
        lines.append(f"  expected   {lock['expectedStart']}: {lock['expectedBy']}")
    lines.append(f"  released   {lock['releasedWhen']}")
    lines += [f"             {command}" for command in lock["next"]]
    return lines


def _who(one: dict[str, Any], namespace: str) -> str:
    where = "" if one["namespace"] in (namespace, None) else f"{one['namespace']}/"
    return f"{where}{one['run']}" + (f"/{one['node']}" if one["node"] else "")
