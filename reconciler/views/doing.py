"""What the holder of a lock is doing, and what will make it let go: the sentences that every view of a lock uses."""

from __future__ import annotations

from reconciler.model.hindered import WAITS_FOR_MACHINE
from reconciler.store import read_barriers, read_locks, read_runs
from reconciler.store.unknown import HOLDER_UNKNOWN
from reconciler.views.instants import age, epoch_s, span, whole_seconds
from reconciler.views.names import node_label

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row

    from reconciler.store.read import Reader

FAILED = ("Failed", "Error")
HOLDING_FOR_FAILURE = "holding for a failure"
LEAKED = "leaked"
HOLDER_LOST = "holder lost"
WINDING_UP = "being ended"
HEALTHY = "healthy"
MAINTENANCE = "held for maintenance"
STUCK = frozenset({HOLDING_FOR_FAILURE, LEAKED, HOLDER_LOST, HOLDER_UNKNOWN})
LET_GO_AT_ANY_END = ("Infrastructure", "Constraint")


def read_boot_id() -> str:
    """This boot's id; '' where the system has none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def holder_verdict(holder: Row, lost: dict[int, str]) -> tuple[str, str]:
    """What is to be thought of a holder, and the evidence for it. Only rows count: the unseen is never called dead.

    `lost` are the steps that were started before the last boot, as `read_locks.find_lost_steps` gives them.
    """
    if holder["run"] is None:
        return LEAKED, f"its run {holder['run_id']} does not exist any more"
    if holder["level"] == "node" and holder["node_finished_at"] is not None:
        return LEAKED, f"its step has ended {holder['node_phase']}"
    if holder["finished_at"] is not None and holder["level"] != "node":
        if holder["phase"] in FAILED and not holder["ended_by"]:
            return HOLDING_FOR_FAILURE, f"its run ended {holder['phase']} by itself and was not terminated since"
        return LEAKED, f"its run has ended {holder['phase']}" + (f" ({holder['ended_by']})" if holder["ended_by"] else "")
    if holder["run_id"] in lost:
        return HOLDER_LOST, f"its step {lost[holder['run_id']]} was started before the machine's last boot"
    told = f"it was told to {holder['shutdown'].lower()}" if holder["shutdown"] else ""
    if holder["unknown"]:
        return HOLDER_UNKNOWN, f"{told}, and this {holder['unknown']}" if told else str(holder["unknown"])
    if told:
        return WINDING_UP, told
    if holder["hold_json"]:
        return MAINTENANCE, _hold_terms(holder)
    return HEALTHY, "its run has not ended"


def hold_text(row: Row) -> str:
    """`held for maintenance by WHO until INSTANT: REASON`, of a holder or waiter that is a maintenance hold."""
    return f"{MAINTENANCE} {_hold_terms(row)}"


def _hold_terms(row: Row) -> str:
    until = f" until {whole_seconds(row['hold_until'])}" if row["hold_until"] else ""
    return f"by {owner_of(row['hold_json'])}{until}: {reason_of(row['hold_json'])}"


def frozen_text(row: Row) -> str:
    """`frozen until INSTANT by LockPolicy NAME (PLACE): REASON`, of a lock whose freeze window is open."""
    return f"frozen until {whole_seconds(row['frozen_until'])} by {row['frozen_why']}"


def owner_of(annotations_json: str) -> str:
    """Who asked for a maintenance hold."""
    return _said(annotations_json, "owner") or "somebody"


def reason_of(annotations_json: str) -> str:
    """Why it was asked for."""
    return _said(annotations_json, "reason")


def _said(annotations_json: str, what: str) -> str:
    from json import loads

    return str(loads(annotations_json).get(f"lineclear.dev/hold-{what}", ""))


def doing(reader: Reader, holder: Row, now_s: float) -> str:
    """What the holder is doing now, completing the sentence 'RUN ...'."""
    if holder["run"] is None:
        return "is gone"
    if holder["finished_at"] is not None:
        return _ended(reader, holder, now_s)
    if holder["hold_json"]:
        left = f" {until_text(holder['hold_until'], now_s)}" if holder["hold_until"] else " when `lineclear unhold` says so"
        return f"is a maintenance hold by {owner_of(holder['hold_json'])}, over{left}: {reason_of(holder['hold_json'])}"
    live = read_locks.list_live_attempts(reader, holder["run_id"])
    if live:
        return _running(holder, live, now_s)
    waits = read_locks.list_first_waited_by(reader, holder["run_id"], 1)
    if waits:
        return f"waits itself for {waits[0]['key']} since {age(waits[0]['requested_at'], now_s)}"
    if read_runs.list_queued_attempts(reader, holder["run_id"]):
        return "waits for a parallelism slot"
    pauses = read_runs.list_pauses(reader, holder["run_id"])
    barriers = read_barriers.list_barrier_waits(reader, holder["run_id"]) if pauses else []
    if barriers:
        return f'waits at barrier "{barriers[0]["barrier"]}" since {age(barriers[0]["started_at"], now_s)}'
    if pauses:
        step = node_label(pauses[0]["name"], pauses[0]["display"])
        return f"waits for a person at {step}" if pauses[0]["type"] == "Suspend" else f"pauses before the next try of {step}"
    return "is being ended" if holder["shutdown"] else f"is {holder['phase']}"


def _running(holder: Row, live: list[Row], now_s: float) -> str:
    if holder["unknown"]:
        return f"may still run: {HOLDER_UNKNOWN} {holder['unknown']}"
    hindered = next((row["message"] for row in live if row["message"].startswith(WAITS_FOR_MACHINE)), None)
    if hindered is not None:
        return str(hindered)
    names = ", ".join(node_label(row["node"], row["display"]) for row in live[:3])
    more = f" and {len(live) - 3} more" if len(live) > 3 else ""
    since = live[0]["started_at"]
    return f"runs {names}{more}" + (f" since {age(since, now_s)}" if since else "")


def _ended(reader: Reader, holder: Row, now_s: float) -> str:
    ended = f"{age(holder['finished_at'], now_s)} ago"
    if holder["phase"] not in FAILED:
        return f"ended {holder['phase']} {ended}"
    failed = read_runs.find_failed_pod(reader, holder["run_id"])
    place = ""
    if failed is not None:
        code = f" with exit code {failed['exit_code']}" if failed["exit_code"] is not None else ""
        place = f" at {node_label(failed['name'], failed['display'])}{code}"
    return f"failed{place} {ended} and keeps the lock until it is terminated{_ttl(holder, now_s)}"


def _ttl(holder: Row, now_s: float) -> str:
    if holder["ttl_at"] is None:
        return "; it has no ttlStrategy that would end it"
    return f" or its ttlStrategy ends it {until_text(holder['ttl_at'], now_s)}"


def until_text(instant: str, now_s: float) -> str:
    """`at INSTANT (in SPAN)`, or `at INSTANT (due)` once it has passed."""
    left = epoch_s(instant) - now_s
    return f"at {whole_seconds(instant)} ({'in ' + span(left) if left > 0 else 'due'})"


def release(holder: Row, key: str, verdict: str) -> tuple[str, list[str]]:
    """What will release this holder's lock, and the commands that a person may use, gentle ones first."""
    run = f"{holder['run']}" if holder["namespace"] in ("default", None) else f"{holder['run']} -n {holder['namespace']}"
    clear = f"lineclear terminate-stuck-holder {key}"
    if verdict == HOLDING_FOR_FAILURE:
        ways = f"when {holder['run']} is terminated, retried to a good end, or replaced by a fixed run that takes over its locks"
        take_over = f"lineclear resubmit {run} --take-over {holder['run']} --reason TEXT"
        return ways, [f"lineclear logs {run}", f"lineclear retry {run}", take_over, clear]
    if verdict == HOLDER_UNKNOWN:
        ways = "when a person who has looked says so, or its control group, an exit record or another boot proves the end"
        return ways, [f"lineclear logs {run}", f"{clear} --dry-run", f"{clear} --release-unproven"]
    if verdict in STUCK:
        return "when the daemon has proof that the holder is gone, or a person clears it", [f"{clear} --dry-run", clear]
    if verdict == MAINTENANCE:
        until = f"at {whole_seconds(holder['hold_until'])}" if holder["hold_until"] else "when somebody ends it"
        return f"{until}, when the maintenance is over, or before that by `unhold`", [f"lineclear unhold {key} --reason TEXT"]
    if verdict == WINDING_UP:
        return f"when the processes of {holder['run']} are proved gone", [f"lineclear get {run}"]
    is_let_go = holder["level"] == "run" and key.split("/")[1] in LET_GO_AT_ANY_END
    if is_let_go or holder["node"] == ".acquireResourceLock":
        return f"when {holder['run']} ends, however it ends", [f"lineclear logs {run} -f", f"lineclear stop {run}"]
    if holder["level"] == "node":
        step = node_label(holder["node"], holder["display"])
        return f"when step {step} of {holder['run']} ends", [f"lineclear logs {run} -f"]
    until = f"when {holder['run']} ends well; should it fail, when it is terminated"
    return until, [f"lineclear logs {run} -f", f"lineclear stop {run}"]
