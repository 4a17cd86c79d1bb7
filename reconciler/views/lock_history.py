"""Who held a lock and for how long, and who held what at an instant: claims and the record put together. Reads only.

The claims of deleted runs live on in the record alone. It does not say which node asked, nor whether a claim took a unit or only
a turn inside a holder: of a node's claim the latter is assumed where its own run held the lock at that time.
"""

from __future__ import annotations

import json

from reconciler.errors import NotFound, UsageError
from reconciler.store import read_history
from reconciler.views.instants import age, epoch_s, instant_of, parse_span, span, whole_seconds
from reconciler.views.locks import quantile
from reconciler.views.names import SEMAPHORES, node_label

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row
    from collections.abc import Iterable
    from typing import Any

    from reconciler.store.read import Reader

HEADER = ("EPOCH", "RUN", "NODE", "ASKED", "WAITED", "HELD-FROM", "HELD-TO", "HELD", "END")
AT_HEADER = ("LOCK", "LIMIT", "PLACE", "RUN", "LEVEL", "PRIORITY", "EPOCH", "SINCE")
_REASONS = (
    ("taken over by", "taken over"),
    ("released unproven", "let go unproven"),
    ("terminate", "terminated"),
    ("stop", "stopped"),
    ("delete", "deleted"),
    ("replace", "replaced"),
    ("removed", "removed from Git"),
    ("ttlStrategy", "expired"),
)


class Hold:
    """One claim for the lock in question; instants are texts, '' for what has not happened or is not known."""

    __slots__ = (
        "actor", "asked", "claim", "ended", "epoch", "event", "granted", "level", "namespace", "nested", "node", "priority",
        "reason", "run", "turns",
    )  # fmt: skip

    def __init__(self, claim: int, namespace: str, run: str) -> None:
        self.claim, self.namespace, self.run = claim, namespace, run
        self.level, self.node, self.reason, self.actor = "", "", "", ""
        self.asked, self.granted, self.ended = "", "", ""
        self.epoch: int | None = None
        self.priority: int | None = None
        self.nested: bool | None = None
        self.turns: list[str] | None = None  # the keys of which the record says that it took only a turn
        self.event: Row | None = None

    @property
    def waited_s(self) -> float | None:
        """From asking to the grant, or to the withdrawal; None if it waits, or if one of them is not known."""
        until = self.granted or self.ended
        return epoch_s(until) - epoch_s(self.asked) if self.asked and until else None

    @property
    def held_s(self) -> float | None:
        """From the grant to the end; None while it holds or if it never did."""
        return epoch_s(self.ended) - epoch_s(self.granted) if self.granted and self.ended else None

    def overlaps(self, other: Hold) -> bool:
        """True if the other held when this one was granted."""
        return bool(other.granted) and other.granted <= self.granted and (not other.ended or other.ended >= self.granted)


def list_holds(reader: Reader, key: str, since: str) -> list[Hold]:
    """Everybody who held or waited for the lock since an instant ('' for ever): waiters first, then the latest grants first."""
    found = {row["claim"]: _of_row(row) for row in read_history.list_claims_of_lock(reader, key)}
    gone: dict[int, Hold] = {}
    for event in read_history.list_claim_events(reader, key, json.dumps(key)):
        detail = json.loads(event["detail_json"])
        if key not in detail.get("locks", ()):
            continue
        claim = int(detail["claim"])
        hold = found.get(claim)
        if hold is None:
            hold = gone[claim] = gone.get(claim) or Hold(claim, event["namespace"], event["run"])
            _tell(hold, event, detail)
        elif event["kind"] in ("claim.released", "claim.withdrawn", "claim.refused"):
            hold.actor, hold.event, hold.reason = event["actor"], event, str(detail.get("reason", ""))
            hold.namespace, hold.run = hold.namespace or event["namespace"], hold.run or event["run"]
    holds = [*found.values(), *gone.values()]
    _guess_nested(holds, key)
    kept = [hold for hold in holds if not hold.nested and (not hold.ended or hold.ended >= since)]
    return sorted(kept, key=lambda hold: (bool(hold.granted or hold.ended), -(hold.epoch or 0), -hold.claim))


def _of_row(row: Row) -> Hold:
    hold = Hold(row["claim"], row["namespace"] or "", row["run"] or "")
    hold.level, hold.epoch, hold.priority, hold.nested = row["level"], row["epoch"], row["priority"], row["nested"] > 0
    hold.node = "" if row["node"] is None else node_label(row["node"], row["display"])
    hold.asked, hold.granted, hold.ended = row["requested_at"], row["granted_at"] or "", row["released_at"] or ""
    hold.reason = row["release_reason"]
    return hold


def _tell(hold: Hold, event: Row, detail: dict[str, Any]) -> None:
    """Adds to a hold what one row of the record says of it."""
    kind, at = event["kind"], event["at"]
    hold.level = str(detail.get("level", hold.level))
    if kind == "claim.requested":
        hold.asked, hold.priority, hold.turns = at, detail.get("priority"), detail.get("nested")
    elif kind == "claim.granted":
        hold.granted, hold.epoch = at, detail.get("epoch")
    else:
        hold.ended, hold.reason, hold.actor, hold.event = at, str(detail.get("reason", "")), event["actor"], event


def _guess_nested(holds: Iterable[Hold], key: str) -> None:
    """Whether claims took a unit, as the record says; where it does not: a node's took none while its own run held the lock."""
    by_run: dict[tuple[str, str], list[Hold]] = {}
    for hold in holds:
        by_run.setdefault((hold.namespace, hold.run), []).append(hold)
    is_mutex = _is_mutex(key)
    for own in by_run.values():
        for hold in own:
            if hold.nested is None and hold.turns is not None:
                hold.nested = key in hold.turns
            elif hold.nested is None:
                around = (o for o in own if o is not hold and o.claim < hold.claim and (is_mutex or o.level == "run"))
                hold.nested = hold.level == "node" and bool(hold.granted) and any(hold.overlaps(other) for other in around)


def _is_mutex(key: str) -> bool:
    return key.split("/")[1] not in (*SEMAPHORES, "Policy")


def end_of(reader: Reader, hold: Hold) -> tuple[str, str, str]:
    """How a claim ended, by whom ('' for by itself), and why: ('held', '', ''), ('released', '', 'run Succeeded')."""
    if not hold.ended:
        return ("held" if hold.granted else "waiting"), "", ""
    actor, reason = hold.actor, hold.reason
    how = next((word for start, word in _REASONS if reason.startswith(start)), "released" if hold.granted else "withdrawn")
    if actor or hold.event is None or reason.endswith("Succeeded"):
        return how, actor, reason
    order = read_history.find_ender(reader, hold.event, hold.granted or hold.asked)
    if order is None:
        return how, "", reason
    detail = json.loads(order["detail_json"])
    verb = str(detail.get("by") or "terminate")
    how = next((word for start, word in _REASONS if verb.startswith(start)), how)
    why = str(detail.get("reason") or "")
    return how, order["actor"], f"{why}; {reason}" if why and reason else why or reason


def history_object(reader: Reader, key: str, holds: list[Hold], limit: int, since: str) -> dict[str, Any]:
    """The latest `limit` holds (0: all) and a summary of all: counts, and half and 95 % of the times in seconds."""
    held = sorted(hold.held_s for hold in holds if hold.held_s is not None)
    waited = sorted(hold.waited_s for hold in holds if hold.granted and hold.waited_s is not None)
    first, begin = read_history.find_record_start(reader)
    return {
        "kind": "LockHistory",
        "key": key,
        "since": whole_seconds(since or None),
        "recordBegins": whole_seconds(begin or None) if first > 1 else None,
        "summary": {"grants": sum(1 for hold in holds if hold.granted), "held": _times(held), "waited": _times(waited)},
        "holds": [_hold_object(reader, hold) for hold in holds[: limit or len(holds)]],
    }


def _times(spans: list[float]) -> dict[str, Any]:
    if not spans:
        return {"count": 0, "p50Seconds": None, "p95Seconds": None}
    return {"count": len(spans), "p50Seconds": round(quantile(spans, 50), 3), "p95Seconds": round(quantile(spans, 95), 3)}


def _hold_object(reader: Reader, hold: Hold) -> dict[str, Any]:
    how, actor, reason = end_of(reader, hold)
    return {
        "claim": hold.claim,
        "epoch": hold.epoch,
        "namespace": hold.namespace,
        "run": hold.run,
        "node": hold.node or None,
        "level": hold.level or None,
        "askedAt": whole_seconds(hold.asked or None),
        "heldFrom": whole_seconds(hold.granted or None),
        "heldTo": whole_seconds(hold.ended or None) if hold.granted else None,
        "waitedSeconds": None if hold.waited_s is None else round(hold.waited_s, 3),
        "heldSeconds": None if hold.held_s is None else round(hold.held_s, 3),
        "end": how,
        "by": actor or None,
        "reason": reason or None,
    }


def history_row(hold: dict[str, Any], now_s: float) -> tuple[str, ...]:
    """The cells under HEADER."""
    waited, held = hold["waitedSeconds"], hold["heldSeconds"]
    if waited is None and hold["end"] == "waiting":
        waited = now_s - epoch_s(hold["askedAt"])
    if held is None and hold["end"] == "held":
        held = now_s - epoch_s(hold["heldFrom"])
    end = hold["end"] + (f" by {hold['by']}" if hold["by"] else "") + (f" ({hold['reason']})" if hold["reason"] else "")
    epoch = "-" if hold["epoch"] is None else str(hold["epoch"])
    node = hold["node"] or ("?" if hold["level"] == "node" else "-")
    times = (hold["askedAt"] or "?", _span(waited), hold["heldFrom"] or "-", hold["heldTo"] or "-", _span(held))
    return (epoch, hold["run"] or "(gone)", node, *times, end)


def _span(seconds: float | None) -> str:
    return "-" if seconds is None else span(seconds)


def summary_text(found: dict[str, Any]) -> str:
    """One line about all holds, and one about where the record begins if earlier rows of it were removed."""
    summary = found["summary"]
    parts = [f"{summary['grants']} grants"]
    for name in ("held", "waited"):
        times = summary[name]
        if times["count"]:
            parts.append(f"{name}: half {span(times['p50Seconds'])} or less, 95 % {span(times['p95Seconds'])} or less")
    text = "; ".join(parts) + (f"; since {found['since']}" if found["since"] else "") + "\n"
    if found["recordBegins"]:
        text += f"The record begins at {found['recordBegins']}; of deleted runs nothing earlier is known.\n"
    return text


# an instant of the past ----------------------------------------------------------------------------------------------------


def past_instant(word: str, now_s: float) -> str:
    """The instant that a word names, as the store's text: RFC 3339, or a span before now; raises UsageError."""
    try:
        seconds = now_s - parse_span(word) if "T" not in word.upper() else parse_instant(word)
    except ValueError as error:
        text = f"could not read the instant {word!r}: write 2026-03-01T12:00:00Z, or with an offset, or a span ago such as 2h"
        raise UsageError(text) from error
    if seconds > now_s:
        raise UsageError(f"could not tell who holds what at {word}: that is in the future; `lineclear locks` shows now")
    return instant_of(seconds)


def parse_instant(word: str) -> float:
    """Seconds since 1970 of an RFC 3339 text with its offset; raises ValueError for anything else."""
    from datetime import datetime

    instant = datetime.fromisoformat(word.strip().upper())
    if instant.tzinfo is None:
        raise ValueError(word)
    return instant.timestamp()


def state_at(reader: Reader, at: str, key: str = "") -> dict[str, Any]:
    """Who held what and who waited at an instant, from the record; of one lock, or with `key` '' of all that were asked for.

    Raises NotFound if the record does not reach that far back.
    """
    first, begin = read_history.find_record_start(reader)
    if not begin or at < begin:
        reach = f"the record begins at {whole_seconds(begin)}" if begin else "nothing is recorded yet"
        raise NotFound(f"could not tell who held what at {whole_seconds(at)}: {reach}; ask for a later instant")
    open_at = _open_at(reader, at, key)
    turns = read_history.find_turns(reader, sorted({hold.claim for claims in open_at.values() for hold, _ in claims}))
    return {
        "kind": "LocksThen",
        "at": whole_seconds(at),
        "recordBegins": whole_seconds(begin),
        "isWhole": first == 1,
        "locks": [_then(reader, one, open_at[one], turns, at) for one in sorted(open_at)],
    }


def _open_at(reader: Reader, at: str, key: str) -> dict[str, list[tuple[Hold, int]]]:
    """By lock, the claims that were open, each with the number of its first row in the record."""
    holds: dict[int, tuple[Hold, int, list[str]]] = {}
    for event in read_history.list_open_events(reader, key, json.dumps(key), at):
        detail = json.loads(event["detail_json"])
        claim = int(detail["claim"])
        if claim not in holds:
            holds[claim] = (Hold(claim, event["namespace"], event["run"]), event["seq"], json.loads(event["open_json"]))
        _tell(holds[claim][0], event, detail)
    found: dict[str, list[tuple[Hold, int]]] = {}
    for hold, seq, keys in holds.values():
        for one in keys:
            if key in ("", one):
                found.setdefault(one, []).append((hold, seq))
    return found


def _then(
    reader: Reader, key: str, claims: list[tuple[Hold, int]], turns: dict[tuple[int, str], bool], at: str
) -> dict[str, Any]:
    """One lock: holders by epoch, waiters by priority and arrival of the run, as far as the record tells."""
    holds = [hold for hold, _ in claims]
    for hold in holds:
        hold.nested = turns.get((hold.claim, key))
    _guess_nested(holds, key)
    arrival = {hold.claim: read_history.find_arrival(reader, hold.namespace, hold.run, seq) for hold, seq in claims}
    waiting = [hold for hold in holds if not hold.granted and not hold.nested]
    waiting.sort(key=lambda hold: (-(hold.priority or 0), arrival[hold.claim], hold.claim))
    held = sorted((hold for hold in holds if hold.granted and not hold.nested), key=lambda hold: hold.epoch or 0)
    return {
        "key": key,
        "limit": _limit_then(reader, key, at),
        "holders": [_party(hold) for hold in held],
        "queue": [{"position": place} | _party(hold) for place, hold in enumerate(waiting, 1)],
    }


def _limit_then(reader: Reader, key: str, at: str) -> int | None:
    if _is_mutex(key):
        return 1
    detail = read_history.find_limit_at(reader, key, at)
    return json.loads(detail).get("to") if detail else None


def _party(hold: Hold) -> dict[str, Any]:
    names = {"namespace": hold.namespace, "run": hold.run, "level": hold.level, "claim": hold.claim, "epoch": hold.epoch}
    return names | {"priority": hold.priority, "since": whole_seconds(hold.granted or hold.asked)}


def then_rows(found: dict[str, Any]) -> list[tuple[str, ...]]:
    """The cells under AT_HEADER; SINCE is how long it was by then."""
    at_s, rows = epoch_s(found["at"]), []
    for lock in found["locks"]:
        for party in [*lock["holders"], *lock["queue"]]:
            place = "held" if "position" not in party else f"waiting {party['position']}"
            limit = "-" if lock["limit"] is None else str(lock["limit"])
            numbers = ["-" if party[name] is None else str(party[name]) for name in ("priority", "epoch")]
            rows.append((lock["key"], limit, place, party["run"], party["level"], *numbers, age(party["since"], at_s)))
    return rows
