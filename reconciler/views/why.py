"""Why a run is not going on: one explanation as plain data, and the same as text. Answers 'it is not waiting' too.

It names each lock, how its name came about, who holds it and what that holder does, who is ahead, and what will release it.
"""

from __future__ import annotations

import json

from reconciler.model.whole import WHOLE, lacking
from reconciler.store import read_barriers, read_locks, read_runs
from reconciler.store.unknown import HOLDER_UNKNOWN
from reconciler.views.barriers import explain_barrier
from reconciler.views.doing import FAILED, doing, frozen_text, owner_of, reason_of, release, until_text
from reconciler.views.graph import find_cycle
from reconciler.views.instants import age, whole_seconds
from reconciler.views.lock_state import limit_trouble
from reconciler.views.locks import Pace, expected_start, remedies
from reconciler.views.names import node_label, party
from reconciler.views.waiting import first_hindered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row
    from typing import Any

    from reconciler.store.read import Reader

_SHOWN = 5
LOCKS_SHOWN = 20
_HOLDERS_SHOWN = 10
_GIVERS = {"submit": "whoever submitted it", "cron": "the cron", "git": "the push", "resubmit": "whoever resubmitted it"}


def explain(reader: Reader, row: Row, now_s: float, boot_id: str, most: int = LOCKS_SHOWN) -> dict[str, Any]:
    """The explanation of one run; `summary` is a sentence, `next` are commands a person may use. Of the locks that it waits
    for `most` are explained, all with -1, and `locksLeftOut` says how many are not.

    `state` is one of waiting-for-lock, waiting-for-slot, waiting-for-predecessor, waiting-at-barrier, waiting-for-person,
    waiting-for-retry, waiting-for-machine, suspended, keeps-locks, holding-for-maintenance, not-started, running, being-ended,
    finished.
    """
    waits = read_locks.list_first_waited_by(reader, row["id"], most)
    found: dict[str, Any] = {"namespace": row["namespace"], "run": row["name"], "phase": row["phase"]}
    if row["policy"]:
        found["policy"] = {"policy": row["policy"], "group": row["policy_group"], "place": row["policy_place"]}
    if waits and waits[0]["kind"] == "Policy":
        return found | _behind(reader, row, waits[0], now_s)
    if waits:
        described = [_wait(reader, row, wait, now_s, boot_id) for wait in waits]
        count = read_locks.count_waited_by(reader, row["id"])
        together = ", all or none" if len({wait["claim_id"] for wait in waits}) == 1 else ""
        who = f"{count} locks{together}" if count > 1 else "1 lock"
        summary = f"{row['name']} waits for {who}, since {age(waits[0]['requested_at'], now_s)}"
        found |= {"state": "waiting-for-lock", "summary": summary, "locks": described}
        if count > len(described):
            found |= {"locksLeftOut": count - len(described), "next": [_command("why", row, " --all")]}
        cycle = find_cycle(reader, row)
        if cycle:
            found["cycle"] = cycle
        return found
    live = read_locks.list_live_attempts(reader, row["id"])
    unknown = next((step for step in live if step["unknown_at"] is not None), None)
    return found | (_without_lock(reader, row, now_s) if unknown is None else _unknown(reader, row, unknown))


def _behind(reader: Reader, row: Row, wait: Row, now_s: float) -> dict[str, Any]:
    """What a run waits for that its concurrency policy lets come, but not begin yet."""
    holders = read_locks.list_holders(reader, wait["lock_id"])
    who = [
        {
            "run": holder["run"],
            "namespace": holder["namespace"],
            "phase": holder["phase"],
            "doing": doing(reader, holder, now_s),
        }
        for holder in holders
    ]
    since = age(wait["requested_at"], now_s)
    if not holders:
        text = f"{row['name']} has its turn in its concurrency group; the daemon takes it up at its next tick"
        return {"state": "not-started", "summary": text, "next": ["lineclear up"]}
    first = who[0]
    being = " is being terminated" if holders[0]["shutdown"] else f" {first['doing']}"
    more = f", and {len(who) - 1} more" if len(who) > 1 else ""
    text = f"{row['name']} waits, since {since}, until {first['run']} has ended{more}; {first['run']}{being}"
    commands = [f"lineclear why {first['run']}" + ("" if row["namespace"] == "default" else f" -n {row['namespace']}")]
    return {"state": "waiting-for-predecessor", "summary": text, "predecessor": first["run"], "behind": who, "next": commands}


def _paused(reader: Reader, row: Row, now_s: float) -> dict[str, Any]:
    """What a run waits for that is neither a lock nor a process: a person, or an instant. {} if nothing."""
    name = row["name"]
    if row["suspended"]:
        text = f"{name} is suspended: nothing more of it begins until it is resumed; it keeps its locks and places"
        return {"state": "suspended", "summary": text, "next": [_command("resume", row)]}
    pauses = read_runs.list_pauses(reader, row["id"])
    people = [node for node in pauses if node["type"] == "Suspend"]
    barriers = read_barriers.list_barrier_waits(reader, row["id"]) if people else []
    people = [node for node in people if node["name"] not in {wait["node"] for wait in barriers}]
    if barriers and not people:
        found = explain_barrier(reader, row, barriers[0], now_s)
        return found | ({"cycle": cycle} if (cycle := find_cycle(reader, row)) else {})
    if people:
        node = people[0]
        step, since = node_label(node["name"], node["display"]), age(node["started_at"], now_s)
        until = f", or for {whole_seconds(node['wake_at'])}" if node["wake_at"] else ""
        more = f", and at {len(people) - 1} more" if len(people) > 1 else ""
        text = f"{name} waits for a person at its step {step} since {since}{until}{more}"
        owed = [one for one in _owed(reader, row, node) if one not in json.loads(node["outputs_json"]).get("parameters", {})]
        supply = [_command("node set", row, f" --output-parameter {one}=VALUE") for one in owed]
        found = {"state": "waiting-for-person", "summary": text, "step": step, "since": since}
        return {**found, "next": [*supply, _command("resume", row)]}
    if pauses:
        node = pauses[0]
        step, at = node_label(node["name"], node["display"]), whole_seconds(node["wake_at"])
        return {"state": "waiting-for-retry", "summary": f"{name} waits until {at} with the next try of {step}", "step": step}
    return {}


def _holding(reader: Reader, row: Row) -> dict[str, Any]:
    """A maintenance hold that was granted: what it keeps, for whom, and how it ends."""
    held = read_locks.list_held_by(reader, row["id"])
    until = row["until_at"] or next((pause["wake_at"] for pause in read_runs.list_pauses(reader, row["id"])), None)
    keys = ", ".join(hold["key"] for hold in held)
    end = f" until {whole_seconds(until)}" if until else ""
    who, reason = owner_of(row["annotations_json"]), reason_of(row["annotations_json"])
    text = f"{row['name']} is not waiting: it keeps {keys} for maintenance{end}, for {who}: {reason}"
    unhold = [f"lineclear unhold {hold['key']} --reason TEXT" for hold in held[:1]]
    return {"state": "holding-for-maintenance", "summary": text, "until": whole_seconds(until), "next": unhold}


def _owed(reader: Reader, row: Row, node: Row) -> list[str]:
    """The outputs of a suspend node that somebody has to supply before it can be resumed."""
    spec = json.loads(read_runs.read_spec(reader, row["spec_digest"]))
    for template in spec.get("templates") or []:
        if template.get("name") == node["template"]:
            outputs = (template.get("outputs") or {}).get("parameters") or []
            return [str(one["name"]) for one in outputs if "supplied" in (one.get("valueFrom") or {}) and not _has_default(one)]
    return []


def _has_default(parameter: dict[str, Any]) -> bool:
    return parameter.get("default") is not None or (parameter.get("valueFrom") or {}).get("default") is not None


def _without_lock(reader: Reader, row: Row, now_s: float) -> dict[str, Any]:
    name = row["name"]
    if row["finished_at"] is not None:
        return _finished(reader, row, now_s)
    if row["successor_of"] is not None:
        before = read_runs.find_run_by_id(reader, row["successor_of"])
        if before is not None and before["finished_at"] is None:
            text = f"{name} replaces {before['name']}, which is being terminated; it starts when {before['name']} is proven gone"
            return {"state": "waiting-for-predecessor", "summary": text, "predecessor": before["name"]}
    queued = read_runs.list_queued_attempts(reader, row["id"])
    live = read_locks.list_live_attempts(reader, row["id"])
    if queued and not live:
        ahead, used = read_runs.count_queued_before(reader, queued[0]["id"]), read_runs.count_running_attempts(reader)
        step = node_label(queued[0]["name"], queued[0]["display"])
        since = age(queued[0]["queued_at"], now_s)
        text = (
            f"{name} has all its locks; its step {step} waits for a parallelism slot since {since}:"
            f" {used} steps run, {ahead} are ahead; the setting `parallelism` is the limit"
        )
        counts = {"step": step, "since": since, "running": used, "ahead": ahead}
        return {"state": "waiting-for-slot", "summary": text, **counts, "next": ["lineclear settings"]}
    if row["shutdown"]:
        text = f"{name} was told to {row['shutdown'].lower()} and is not waiting; its steps are being ended"
        return {"state": "being-ended", "summary": text}
    if row["origin"] == "hold" and row["phase"] == "Running":
        return _holding(reader, row)
    paused = _paused(reader, row, now_s)
    if paused and not live:
        return paused
    if live:
        return _running(reader, row, live)
    if row["phase"] == "Pending":
        text = f"{name} waits for no lock; the daemon takes it up at its next tick"
        return {"state": "not-started", "summary": text, "next": ["lineclear up"]}
    return {"state": "running", "summary": f"{name} is not waiting: it is {row['phase']}"}


def _unknown(reader: Reader, row: Row, step: Row) -> dict[str, Any]:
    """Nothing tells whether a process of it lives: whatever was asked of it waits for a person, or for proof."""
    told = f"; it was told to {row['shutdown'].lower()}, which releases nothing" if row["shutdown"] else ""
    text = (
        f"{row['name']} is not waiting: {step['message']} (step {node_label(step['node'], step['display'])}){told};"
        " nothing of it begins, is retried or released until a person who has looked says so, or there is proof"
    )
    held = [one["key"] for one in read_locks.list_held_by(reader, row["id"]) if not one["nested"]]
    clear = f"lineclear terminate-stuck-holder {held[0]} --release-unproven" if held else ""
    ways = [_command("logs", row, ""), clear or _command("terminate", row, " --release-unproven --message TEXT")]
    return {"state": HOLDER_UNKNOWN.replace(" ", "-"), "summary": text, "next": ways}


def _running(reader: Reader, row: Row, live: list[Row]) -> dict[str, Any]:
    hindered = first_hindered(reader, row)
    if hindered:
        text = f"{row['name']} has all its locks and {hindered}; nothing fails for that: it goes on once the machine is mended"
        return {"state": "waiting-for-machine", "summary": text}
    names = ", ".join(node_label(step["node"], step["display"]) for step in live[:_SHOWN])
    text = f"{row['name']} is not waiting: it runs {names}"
    return {"state": "running", "summary": text, "next": [_command("logs", row, " -f")]}


def blame_daemon(found: dict[str, Any], limit: int, *, is_running: bool) -> dict[str, Any]:
    """An explanation `waiting-for-slot` with the daemon in `parallelism`'s place, where fewer than `limit` steps run."""
    if found["state"] != "waiting-for-slot" or (is_running and found["running"] >= limit):
        return found
    why = "no daemon is running, and nothing else starts steps"
    if is_running:
        why = "the daemon starts it in a moment, or was told to end and starts no more (`lineclear down --drain`)"
    taken = f"{found['running']} of {limit} slots are taken"
    waits = f"its step {found['step']} waits to be started since {found['since']}"
    text = f"{found['run']} has all its locks; {waits}: {why}; {taken}"
    return found | {"state": "waiting-for-daemon", "summary": text, "next": ["lineclear up"]}


def _finished(reader: Reader, row: Row, now_s: float) -> dict[str, Any]:
    ended = f"{row['name']} is not waiting: it ended {row['phase']} {age(row['finished_at'], now_s)} ago"
    message = f" ({row['message']})" if row["message"] else ""
    held = [hold for hold in read_locks.list_held_by(reader, row["id"]) if hold["level"] != "policy" and not hold["nested"]]
    if not held or row["phase"] not in FAILED:
        return {"state": "finished", "summary": ended + message}
    keys = [hold["key"] for hold in held]
    until = "until it is terminated"
    if row["ttl_at"]:
        until += f" or its ttlStrategy ends it {until_text(row['ttl_at'], now_s)}"
    take_over = f" --take-over {row['name']} --reason TEXT"
    return {
        "state": "keeps-locks",
        "summary": f"{ended}{message} and keeps {', '.join(keys)} {until}",
        "holds": [f"{hold['key']}#{hold['epoch']}" for hold in held],
        "next": [_command("logs", row), _command("retry", row), _command("resubmit", row, take_over), _command("terminate", row)],
    }


def _command(verb: str, row: Row, more: str = "") -> str:
    where = "" if row["namespace"] == "default" else f" -n {row['namespace']}"
    return f"lineclear {verb} {row['name']}{where}{more}"


def _wait(reader: Reader, row: Row, wait: Row, now_s: float, boot_id: str) -> dict[str, Any]:
    holders = read_locks.list_holders(reader, wait["lock_id"], _HOLDERS_SHOWN)
    count, units = read_locks.sum_held(reader, wait["lock_id"])
    ahead = read_locks.count_ahead(reader, wait)
    first = read_locks.list_ahead(reader, wait, _SHOWN)
    lost = read_locks.find_lost_steps(reader, boot_id)
    described = []
    until, commands = _gate(row, wait, holders, first, units)
    pace = Pace(reader, holders, now_s)
    start, how = expected_start(reader, wait, ahead + 1, now_s, boot_id)
    for holder in holders:
        verdict, evidence = pace.verdict(holder, lost)
        described.append(
            {
                "run": holder["run"],
                "namespace": holder["namespace"],
                "node": None if holder["node"] is None else node_label(holder["node"], holder["display"]),
                "epoch": holder["epoch"],
                "since": whole_seconds(holder["granted_at"]),
                "phase": holder["phase"],
                "doing": doing(reader, holder, now_s),
                "verdict": verdict,
                "evidence": evidence,
            }
        )
        if not until:
            until, commands = release(holder, wait["key"], verdict)
            commands = remedies(holder, wait["key"], verdict) or commands
    return {
        "lock": wait["key"],
        "limit": wait["capacity"],
        "limitTrouble": limit_trouble(wait),
        "node": None if wait["node"] is None else node_label(wait["node"], wait["display"]),
        "template": wait["template"],
        "resolved": _resolved(reader, row, wait),
        "since": whole_seconds(wait["requested_at"]),
        "waited": age(wait["requested_at"], now_s),
        "priority": wait["priority"],
        "position": ahead + 1,
        "order": ahead + 1 + count,
        "holders": described,
        "holdersLeftOut": count - len(described),
        "ahead": [_ahead(other, row, now_s) for other in first],
        "expectedStart": start,
        "expectedBy": how,
        "releasedWhen": until,
        "next": commands,
    }


def _gate(row: Row, wait: Row, holders: list[Row], first: list[Row], units: int) -> tuple[str, list[str]]:
    """What opens a lock that no holder's end would open; ('', []) where a holder's end does."""
    if wait["held_back"]:
        return f"when a person opens it again: {wait['held_back']}", [f"lineclear unhold {wait['key']}"]
    if wait["frozen_until"]:
        again = "lineclear submit FILE --override-freeze --reason TEXT"
        return f"at {whole_seconds(wait['frozen_until'])} at the earliest: it is {frozen_text(wait)}", [again]
    if holders and holders[0]["hold_json"]:
        return "", []
    if wait["capacity"] is None and wait["units"] < WHOLE:
        reason = f": {wait['limit_source']}" if wait["limit_source"] else ""
        return f"when its limit can be read from the ConfigMap{reason}", ["lineclear get configmap", "lineclear sync"]
    if wait["capacity"] == 0 and wait["units"] < WHOLE:
        return "when its limit is raised from 0: push the ConfigMap with a higher value", ["lineclear get configmap"]
    if lacking(wait["units"], wait["capacity"] or 0, units) <= 0:
        if first:
            before = party(first[0], row["namespace"])
            return f"it has room; {before} is ahead and needs another lock as well", [f"lineclear why {first[0]['run']}"]
        return "it has room; this run takes it as soon as it can have all its locks at once", []
    return "", []


def _ahead(other: Row, row: Row, now_s: float) -> dict[str, Any]:
    earlier = "a higher priority" if other["priority"] > row["priority"] else "arrived earlier"
    return {
        "run": other["run"],
        "namespace": other["namespace"],
        "node": None if other["node"] is None else node_label(other["node"], other["display"]),
        "priority": other["priority"],
        "waited": age(other["requested_at"], now_s),
        "because": earlier,
    }


def _resolved(reader: Reader, row: Row, wait: Row) -> list[dict[str, str]]:
    """The values that made the lock's name, and where each came from."""
    pairs = json.loads(wait["resolved_json"])
    if not pairs:
        return []
    spec = json.loads(read_runs.read_spec(reader, row["spec_digest"]))
    parameters = (spec.get("arguments") or {}).get("parameters") or []
    declared: dict[str, Any] = {str(p.get("name")): p for p in parameters if isinstance(p, dict)}
    return [{"tag": str(tag), "value": str(value), "from": _source(str(tag), str(value), declared, row)} for tag, value in pairs]


def _source(tag: str, value: str, declared: dict[str, Any], row: Row) -> str:
    bare = tag.strip("{} ")
    if not bare.startswith("workflow.parameters."):
        return {"inputs": "the step's inputs", "item": "the loop"}.get(bare.split(".")[0], "the run")
    parameter = declared.get(bare.removeprefix("workflow.parameters."), {})
    written = parameter.get("value", parameter.get("default"))
    place = f"{row['origin_kind']}/{row['origin_name']}" if row["origin_kind"] else "the manifest"
    if row["origin_place"]:
        place += f" ({row['origin_place']})"
    return place if written is not None and str(written) == value else f"given by {_GIVERS.get(row['origin'], row['origin'])}"
