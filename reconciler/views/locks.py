"""Locks as operators see them: how long holds take, holders, queue. Reads rows, decides nothing and changes nothing."""

from __future__ import annotations

from reconciler.errors import NotFound, UsageError
from reconciler.model.whole import shown_units
from reconciler.store import read_history, read_locks
from reconciler.views.doing import HEALTHY, MAINTENANCE, doing, hold_text, holder_verdict, owner_of, reason_of, release
from reconciler.views.instants import age, epoch_s, instant_of, span, whole_seconds
from reconciler.views.lock_state import CYCLE, OVERDUE, WAITS_FOR_PERSON, LockLine, held_of, limit_trouble, state_of
from reconciler.views.names import node_label, party
from reconciler.views.turns import FEWEST, expected_starts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row
    from typing import Any

    from reconciler.store.read import Reader
    from reconciler.views.guesses import Accuracy

HEADER = ("LOCK", "KIND", "HELD/LIMIT", "WAITING", "OLDEST-WAIT", "HOLDER", "STATE", "VERDICT")
_RANK = {"stuck": 0, "contended": 1, "held": 2, "free": 3}
_MOST = 100


class Pace:
    """What is known of earlier holds of some locks, of cycles and of who waits for a person: judges beyond `holder_verdict`.

    Of a lock at most its latest 100 ended holds count, those of deleted runs not; with fewer than 5 nothing is said of time.
    """

    __slots__ = ("_cycles", "_idle", "_now_s", "_reader", "_spans")

    def __init__(self, reader: Reader, holders: list[Row], now_s: float) -> None:
        spans = read_history.list_hold_spans(reader, sorted({holder["lock_id"] for holder in holders}), _MOST)
        self._spans = {lock: sorted(found) for lock, found in spans.items() if len(found) >= FEWEST}
        self._idle = read_history.find_idle(reader, sorted({holder["run_id"] for holder in holders}))
        self._reader, self._now_s = reader, now_s
        self._cycles = _claims_in_cycles(reader)

    def verdict(self, holder: Row, lost: dict[int, str]) -> tuple[str, str]:
        """As `holder_verdict`, and for a healthy holder also cycle, overdue, or waiting for a person."""
        verdict, evidence = holder_verdict(holder, lost)
        if verdict != HEALTHY:
            return verdict, evidence
        if holder["claim_id"] in self._cycles:
            return CYCLE, self._cycles[holder["claim_id"]]
        waits = self._person(holder)
        if waits:
            return WAITS_FOR_PERSON, waits
        spans = self._spans.get(holder["lock_id"])
        held_s = self._now_s - epoch_s(holder["granted_at"])
        if spans is None or held_s <= quantile(spans, 95):
            return verdict, evidence
        return OVERDUE, f"held for {span(held_s)}; {self.told(holder['lock_id'])}"

    def _person(self, holder: Row) -> str:
        """What a person is waited for with, '' if nobody is."""
        if holder["run_id"] not in self._idle:
            return ""
        if self._idle[holder["run_id"]]:
            return "its run is suspended, and nothing of it runs"
        for node in read_history.list_paused_nodes(self._reader, holder["run_id"]):
            if holder["node_id"] is None or read_history.is_below(self._reader, node["id"], holder["node_id"]):
                since = age(node["started_at"], self._now_s)
                return f"its step {node_label(node['name'], node['display'])} waits for `resume` since {since}"
        return ""

    def told(self, lock: int) -> str:
        """How long earlier holds took, as half a sentence; '' if too few are known."""
        spans = self._spans.get(lock)
        if spans is None:
            return ""
        half, most = span(quantile(spans, 50)), span(quantile(spans, 95))
        return f"of its last {len(spans)} holds half took {half} or less and 95 % took {most} or less"

    def times(self, lock: int) -> tuple[float, float] | None:
        """Half, and 95 %, of the earlier holds took at most so many seconds; None if too few are known."""
        spans = self._spans.get(lock)
        return None if spans is None else (quantile(spans, 50), quantile(spans, 95))


def _claims_in_cycles(reader: Reader) -> dict[int, str]:
    """The holding claims of every cycle, each with its cycle in one line; the graph is built only where a cycle was seen."""
    if not read_history.is_anybody_knotted(reader):
        return {}
    from reconciler.views.graph import Graph, sentences

    found: dict[int, str] = {}
    for cycle in Graph(reader).cycles():
        told = "; ".join(sentences(cycle))
        found |= {wait.holder.claim: told for wait in cycle}
    return found


def quantile(ordered: list[float], percent: int) -> float:
    """The smallest of the values, in rising order and not empty, that at least so many percent of them do not exceed."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def expected_start(reader: Reader, wait: Row, position: int, now_s: float, boot_id: str) -> tuple[str | None, str]:
    """When one waiter may expect the lock that its row names, or None, and how that was worked out or why it cannot be told."""
    if read_history.needs_more(reader, wait):
        return None, "it, or a waiter ahead, needs another lock as well"
    row = read_locks.list_locks(reader, [wait["lock_id"]])[0]
    line = LockLine(row, read_locks.list_holders(reader, row["id"]), (position, ""))
    lost = read_locks.find_lost_steps(reader, boot_id)
    starts, how = expected_starts(reader, line, Pace(reader, line.holders, now_s), lost, now_s)
    good = _accuracy(reader, row) if starts else None
    how += f"; {good.told()}" if good is not None else ""
    return (whole_seconds(instant_of(starts[-1])) if len(starts) == position else None), how


def _accuracy(reader: Reader, row: Row) -> Accuracy | None:
    """How good earlier guesses were; what it takes is imported only where something is guessed."""
    from reconciler.views.guesses import accuracy

    return accuracy(reader, row["id"], row["capacity"])


class LockList:
    """All locks of a namespace at one instant, those that need a person first; rows are read for those that are shown only."""

    __slots__ = ("_ids", "_lost", "_reader", "_waiting")

    def __init__(self, reader: Reader, namespace: str | None, boot_id: str) -> None:
        held, ended = read_locks.list_held_ids(reader)
        self._waiting = read_locks.count_waiting(reader)
        ranks = dict.fromkeys(held, 2) | dict.fromkeys(self._waiting, 1) | dict.fromkeys(ended, 0)
        self._ids = read_locks.list_lock_ids(reader, namespace)
        self._ids.sort(key=lambda lock: ranks.get(lock, 3))
        self._lost = read_locks.find_lost_steps(reader, boot_id)
        self._reader = reader

    def __len__(self) -> int:
        return len(self._ids)

    def lines(self, limit: int, now_s: float | None = None) -> list[tuple[LockLine, str, str]]:
        """The first locks, each with its state and verdict; `limit` 0 means all. With `now_s` holders are judged by time too."""
        ids = self._ids[:limit] if limit else self._ids
        holders = read_locks.list_holders_of(self._reader, ids)
        lines = [
            LockLine(row, holders.get(row["id"], []), self._waiting.get(row["id"], (0, "")))
            for row in read_locks.list_locks(self._reader, ids)
        ]
        pace = None if now_s is None else Pace(self._reader, [holder for line in lines for holder in line.holders], now_s)
        found = [(line, *state_of(self._reader, line, self._lost, pace)) for line in lines]
        found.sort(key=lambda entry: _RANK[entry[1]])
        return found


def table_row(line: LockLine, state: str, verdict: str, now_s: float) -> tuple[str, ...]:
    """The cells under HEADER."""
    row = line.row
    oldest = age(line.oldest, now_s) if line.waiting else "-"
    name = party(line.holders[0], row["namespace"]) if line.holders else "-"
    more = f" (+{line.held - 1})" if line.held > 1 and verdict != MAINTENANCE else ""
    told = hold_text(line.holders[0]) if verdict == MAINTENANCE else verdict
    return (row["key"], row["kind"], held_of(line), str(line.waiting), oldest, name + more, state, told or "-")


def lock_object(
    reader: Reader, line: LockLine, now_s: float, boot_id: str, pace: Pace | None = None
) -> dict[str, Any]:
    """Everything about one lock as plain data: holders with evidence, the queue with positions.

    With its pace, holders are judged by time too, and waiters have an expected start where it can be told.
    """
    row = line.row
    lost = read_locks.find_lost_steps(reader, boot_id)
    state, verdict = state_of(reader, line, lost, pace)
    queue = enumerate(read_locks.list_queue(reader, row["id"]), 1)
    found = {
        "kind": "Lock",
        "metadata": {"name": row["name"], "namespace": row["namespace"]},
        "key": row["key"],
        "type": row["kind"],
        "limit": row["capacity"],
        "limitSource": row["limit_source"],
        "limitTrouble": limit_trouble(row),
        "heldBack": row["held_back"],
        "frozenUntil": whole_seconds(row["frozen_until"]),
        "frozenBy": row["frozen_why"],
        "policy": _policy(row),
        "held": line.held,
        "waiting": line.waiting,
        "state": state,
        "verdict": verdict,
        "holders": [holder_object(reader, holder, row, now_s, lost, pace) for holder in line.holders],
        "queue": [waiter_object(reader, waiter, row, place, place + line.held) for place, waiter in queue],
    }
    if row["kind"] == "Policy":
        found["concurrencyPolicies"] = _policies(reader, line)
    return found if pace is None else found | _expected(reader, line, pace, lost, now_s, found["queue"])


def _policy(row: Row) -> dict[str, Any]:
    """What the lock's policy, or its kind, says beyond the ordinary; {} for nothing."""
    said = {
        "from": row["policy"] or None,
        "queueLimit": row["queue_limit"],
        "overflow": row["overflow"] if row["queue_limit"] is not None else None,
        "reservedPlaces": row["reserved"] or None,
        "waitLimitSeconds": row["wait_limit_s"],
        "holdLimitSeconds": row["hold_limit_s"],
        "holdLimitAction": None if row["hold_limit_s"] is None else "End" if row["ends_hold"] else "Alarm",
        "overtakeAtMost": row["overtake"] or None,
        "onFailure": row["on_failure"] or None,
        "holdForSeconds": row["hold_for_s"],
        "deadlock": "FailYoungest" if row["fails_youngest"] else None,
    }
    return {name: value for name, value in said.items() if value is not None}


def _policies(reader: Reader, line: LockLine) -> list[str]:
    """The policies that the runs of a group are under, and where each is written; one, unless they were told differently."""
    parties = [*line.holders, *read_locks.list_queue(reader, line.row["id"])]
    return list(dict.fromkeys(f"{one['policy']} ({one['policy_place']})" for one in parties if one["policy"]))


def _expected(
    reader: Reader, line: LockLine, pace: Pace, lost: dict[int, str], now_s: float, queue: list[dict[str, Any]]
) -> dict[str, Any]:
    """The lock's pace, how good its guesses were, and its queue with each waiter's expected start."""
    starts, how = expected_starts(reader, line, pace, lost, now_s)
    times = pace.times(line.row["id"])
    known = next((place for place, waiter in enumerate(queue) if waiter["alsoNeeds"]), len(queue))
    if starts and known < len(queue):
        how += f"; from place {known + 1} on it cannot be told: {queue[known]['run']} needs another lock as well"
    good = _accuracy(reader, line.row) if starts else None
    if good is not None:
        how += f"; {good.told()}"
    texts = [whole_seconds(instant_of(start)) for start in starts[:known]]
    texts += [None] * (len(queue) - len(texts))
    return {
        "pace": None if times is None else {"p50Seconds": round(times[0], 3), "p95Seconds": round(times[1], 3)},
        "expectedBy": how,
        "guesses": None if good is None else good.as_object(),
        "queue": [waiter | {"expectedStart": text} for waiter, text in zip(queue, texts, strict=True)],
    }


def holder_object(
    reader: Reader, holder: Row, lock: Row, now_s: float, lost: dict[int, str], pace: Pace | None = None
) -> dict[str, Any]:
    """One holder of a lock: who, since when, which epoch, what it does, and what is to be thought of it."""
    key = lock["key"]
    verdict, evidence = holder_verdict(holder, lost) if pace is None else pace.verdict(holder, lost)
    found = {
        "namespace": holder["namespace"],
        "run": holder["run"],
        "node": None if holder["node"] is None else node_label(holder["node"], holder["display"]),
        "level": holder["level"],
        "claim": holder["claim_id"],
        "epoch": holder["epoch"],
        "id": f"{key}#{holder['epoch']}",
        "since": whole_seconds(holder["granted_at"]),
        "phase": holder["phase"],
        "doing": doing(reader, holder, now_s),
        "verdict": verdict,
        "evidence": evidence,
        "units": shown_units(holder["units"], lock["capacity"]),
        **_maintenance(holder),
    }
    return found if pace is None else found | {"next": remedies(holder, key, verdict)}


def remedies(holder: Row, key: str, verdict: str) -> list[str]:
    """The commands that a person may use on a holder with this verdict, gentle ones first; [] for one that is healthy."""
    if verdict == HEALTHY or holder["run"] is None:
        return []
    run = holder["run"] if holder["namespace"] in ("default", None) else f"{holder['run']} -n {holder['namespace']}"
    if verdict == CYCLE:
        return [f"lineclear why {run}", "lineclear locks graph", f"lineclear stop {run}", f"lineclear terminate {run}"]
    if verdict == WAITS_FOR_PERSON:
        return [f"lineclear get {run}", f"lineclear resume {run}", f"lineclear stop {run}"]
    if verdict == OVERDUE:
        clear = f"lineclear terminate-stuck-holder {key} --not-stuck"
        return [f"lineclear logs {run}", f"lineclear stop {run}", f"{clear} --dry-run", clear]
    return release(holder, key, verdict)[1]


def _maintenance(party: Row) -> dict[str, Any]:
    """Whose maintenance hold a holder or waiter is, why, and until when as far as that is known; {} for any other."""
    if not party["hold_json"]:
        return {}
    told = {"owner": owner_of(party["hold_json"]), "reason": reason_of(party["hold_json"])}
    return {"maintenance": {**told, "until": whole_seconds(party["hold_until"])}}


def waiter_object(reader: Reader, waiter: Row, lock: Row, position: int, order: int) -> dict[str, Any]:
    """One waiter: position counts waiters from 1, order counts the holders too."""
    return {
        "position": position,
        "order": order,
        "namespace": waiter["namespace"],
        "run": waiter["run"],
        "node": None if waiter["node"] is None else node_label(waiter["node"], waiter["display"]),
        "priority": waiter["priority"],
        "units": shown_units(waiter["units"], lock["capacity"]),
        "since": whole_seconds(waiter["requested_at"]),
        "overtaken": waiter["overtaken"],
        "givesUpAt": whole_seconds(waiter["wait_until"]),
        "alsoNeeds": read_locks.list_other_locks(reader, waiter["claim_id"], lock["id"]),
        **_maintenance(waiter),
    }


def get_lock(reader: Reader, word: str, namespace: str) -> Row:
    """The lock that `word` names: its key, also as `lock/KEY`, or the end of one key; of several the one in `namespace`.

    Raises NotFound, or UsageError if it names several.
    """
    word = word.removeprefix("lock/")
    found = read_locks.find_lock(reader, word)
    if found is not None:
        return found
    keys = read_locks.find_lock_names(reader, word)
    keys = [key for key in keys if key.startswith(f"{namespace}/")] or keys
    if len(keys) > 1:
        raise UsageError(f"lock {word!r} is not one lock: it could be {', '.join(keys)}; give the whole key")
    if not keys:
        known = read_locks.list_some_keys(reader, 5)
        hint = f"known are {', '.join(known)}" if known else "no lock was ever asked for"
        raise NotFound(f"there is no lock {word!r}; {hint}; see `lineclear locks -A`")
    one = read_locks.find_lock(reader, keys[0])
    if one is None:
        raise NotFound(f"there is no lock {word!r} any more")
    return one
