"""Whether the rows agree with each other and with the steps: every invariant once. It reads, tells, and never repairs."""

from __future__ import annotations

import json
import os
from typing import NamedTuple

from reconciler.errors import Unreachable
from reconciler.store import read_integrity, read_runs
from reconciler.store.read import Reading
from reconciler.views.chain import check_chain, noted_heads
from reconciler.views.graph import Graph
from reconciler.views.whole import check_home, has_been_home

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from reconciler.home import Home
    from reconciler.store.read import Reader
    from reconciler.views.chain import Witness

_COPY = "keep a copy of state.db and report it: no command makes such a row"
_CLEAR = "lineclear locks -A shows the lock as leaked; lineclear terminate-stuck-holder LOCK --dry-run, then without it"
_RESTART = "lineclear down, then lineclear up: the first sweep of a daemon works it out anew from the rows"
_RECORD = "keep a copy of state.db and of the Git notes; lineclear journal verify says how much of the record can be trusted"
_RESTORE = "lineclear down, keep the file aside, and put a copy of state.db from before in its place"


class Problem(NamedTuple):
    """One thing that must not be: what was checked, the sentence, the rows as TABLE:NUMBER, and what a person can do."""

    check: str
    text: str
    rows: tuple[str, ...]
    advice: str


class _Kind(NamedTuple):
    table: str
    text: str
    advice: str


_KINDS = {
    "copies": _Kind(
        "claim", "claim {0} says of {1} state/priority/order/run/node-level {3}, its copy in the queue says {2}", _RESTORE
    ),
    "empty-claim": _Kind("claim", "claim {0} of run {2} is {1} and names no lock", _COPY),
    "gone-run": _Kind("claim", "claim {0} is {1}, and its run {2} does not exist", _CLEAR),
    "held-after-end": _Kind("claim", "claim {0} ({4} level) is held by {1}, which has ended {2} and should hold none", _CLEAR),
    "waits-after-end": _Kind("claim", "claim {0} still waits, and its run {1} has ended {2}", _RESTART),
    "claim-of-ended-node": _Kind("claim", "claim {0} is {1} for node {2} {3}, which has ended or is another run's", _CLEAR),
    "turn-without-holder": _Kind("claim", "claim {0} has a turn with {1} inside claim {2}, which does not hold it", _COPY),
    "epoch-twice": _Kind("claim", "epoch {1} was given to more than one claim: {2}", _RESTORE),
    "epoch-beyond-counter": _Kind("claim", "claim {0} has epoch {1}, the counter of epochs is at {2}", _RESTORE),
    "attempt-without-running-node": _Kind(
        "attempt", "attempt {0} of run {2} is {1}, its node {3} is {4} and its run {5}", _RESTART
    ),
    "running-step-without-attempt": _Kind("node", "node {0} ({2}) of run {1} is Running without an attempt", _RESTART),
}


def check_all(reader: Reader, home: Home, *, is_served: bool) -> tuple[list[Problem], list[str]]:
    """Everything that is wrong, and what is to be known besides; both [] for a home that is as it should be.

    Each check is of one instant. `is_served` tells whether a daemon is there: without one nobody is admitted, which is no fault.
    """
    problems: list[Problem] = []
    witnesses, why = noted_heads(home)
    notes = [f"the journal was not compared with the Git notes: {why}"] if why else []
    checks: list[tuple[str, Callable[[], list[Problem]]]] = [("file", lambda: _file(reader))]
    checks += [(name, lambda name=name: _contradictions(reader, name)) for name in _KINDS]  # type: ignore[misc]
    checks += [
        ("over-limit", lambda: _crowded(reader)),
        ("lost-wake-up", lambda: _woken(reader, notes, is_served=is_served)),
        ("step-without-record", lambda: _records(reader, home)),
        ("journal", lambda: _journal(reader, witnesses)),
        ("repository", lambda: _repository(home)),
    ]
    checks.append(("holder-unknown", lambda: _unknown(reader, notes)))
    for name, check in checks:
        try:
            with Reading(reader):
                problems += check()
        except (Unreachable, ValueError) as error:  # ValueError: text or JSON that is none any more
            problems.append(Problem(name, f"could not be checked: {error}", (), _RESTORE))
    return problems, notes


def _file(reader: Reader) -> list[Problem]:
    found = [Problem("file", line, (), _RESTORE) for line in read_integrity.list_damage(reader)]
    for table, row, parent, *_ in read_integrity.list_dangling(reader):
        found.append(Problem("reference", f"row {row} of {table} refers to a row of {parent} that is not there",
                             (f"{table}:{row}",), _RESTORE))  # fmt: skip
    return found


def _contradictions(reader: Reader, name: str) -> list[Problem]:
    kind = _KINDS[name]
    return [
        Problem(name, kind.text.format(*values), (f"{kind.table}:{values[0]}",), kind.advice)
        for values in read_integrity.list_contradictions(reader, name)
    ]


def _crowded(reader: Reader) -> list[Problem]:
    """Locks with more holders than their limit was at the latest grant: one that was lowered since throws nobody out."""
    found = []
    for lock, key, kind, held, alone, claims, granted_at in read_integrity.list_crowded(reader):
        limit: int | None = 1
        if alone < 2 and not kind.endswith("Mutex"):
            limit = _limit_at(reader, key, granted_at)
            if kind == "Policy" or limit is None or held <= limit:
                continue
        text = f"{key} is held {held} times, the limit was {limit} at the latest grant: claims {claims}"
        rows = (f"lock:{lock}", *(f"claim:{claim}" for claim in claims.split(", ")))
        found.append(Problem("over-limit", text, rows, "stop all but one of them by hand first; then keep a copy and report it"))
    return found


def _limit_at(reader: Reader, key: str, at: str) -> int | None:
    """The highest limit that counted at an instant, for changes at that very instant have no order; None if none is known."""
    limits: list[int] = []
    for changed_at, detail in read_integrity.list_limits(reader, key, at):
        limit = json.loads(detail).get("to")
        limits = (limits if changed_at == at else []) + ([] if limit is None else [int(limit)])
    return max(limits, default=None)


def _woken(reader: Reader, notes: list[str], *, is_served: bool) -> list[Problem]:
    """First waiters that fit, yet wait: with a daemon they were forgotten, without one nobody is there to admit them."""
    graph = Graph(reader)
    found = []
    for claim, spots in sorted(graph.waits.items()):
        if not all(graph.has_room(spot) and graph.queues[spot][0] == claim for spot in spots):
            continue
        keys = ", ".join(str(graph.locks[lock]["key"]) for lock, _ in spots)
        text = f"claim {claim} of {graph.parties[claim].name} is first for {keys}, which has room, and still waits"
        if is_served:
            advice = f"{_RESTART}; a daemon that drains admits nobody before its end"
            found.append(Problem("lost-wake-up", text, (f"claim:{claim}",), advice))
        else:
            notes.append(f"{text}: no daemon is running; lineclear up")
    return found


def _unknown(reader: Reader, notes: list[str]) -> list[Problem]:
    """It is no contradiction, and a person has to know it."""
    notes += [
        f"holder unknown since {one['since']}: {one['run']}/{one['step']}: {one['why']}; see lineclear why {one['run']}"
        for one in read_runs.list_unknown(reader)
    ]
    return []


def _records(reader: Reader, home: Home) -> list[Problem]:
    found = []
    for attempt, run in read_integrity.list_live(reader):
        folder = home.attempt(run, attempt)
        missing = "folder" if not os.path.isdir(folder) else "" if os.path.isfile(os.path.join(folder, "record")) else "record"
        if missing:
            text = f"attempt {attempt} of run {run} is live, and its {missing} is not there: {folder}"
            advice = (
                "somebody removed it; put it back, or look whether its process runs, end it by hand, then"
                " lineclear terminate the run with --release-unproven"
            )
            found.append(Problem("step-without-record", text, (f"attempt:{attempt}",), advice))
    return found


def _journal(reader: Reader, witnesses: list[Witness]) -> list[Problem]:
    found = check_chain(reader, witnesses)
    return [Problem("journal", f"{misfit.kind}: {misfit.text}", (f"journal:{misfit.row}",), _RECORD) for misfit in found.misfits]


def _repository(home: Home) -> list[Problem]:
    """What lets pushes in unchecked, or lets nobody push; a home that `run` kept has no repository."""
    from reconciler.errors import LineclearError
    from reconciler.settings import load
    from reconciler.source.hosting import find_faults, hosting_of

    if not has_been_home(home):
        return []
    advice = "lineclear init --repair puts it right, and so does the next start of the daemon"
    try:
        check_home(home)
        faults = find_faults(hosting_of(home, load(home)))
    except (LineclearError, OSError) as error:
        return [Problem("repository", str(error), (), "no push is checked or taken before that is done")]
    return [Problem("repository", fault, (), advice) for fault in faults]


def integrity_object(problems: list[Problem], notes: list[str]) -> dict[str, Any]:
    """The outcome as plain data."""
    listed = [{"check": p.check, "text": p.text, "rows": list(p.rows), "advice": p.advice} for p in problems]
    return {"kind": "Integrity", "isClean": not problems, "problems": listed, "notes": notes}


def integrity_text(problems: list[Problem], notes: list[str]) -> str:
    """The outcome for people; problems of one kind together, with what can be done about them once."""
    lines = []
    for name in dict.fromkeys(problem.check for problem in problems):
        same = [problem for problem in problems if problem.check == name]
        lines.append(f"{name}: {len(same)}")
        lines += [f"  {problem.text}" + (f"  [{', '.join(problem.rows)}]" if problem.rows else "") for problem in same]
        lines += [f"  -> {advice}" for advice in dict.fromkeys(problem.advice for problem in same)]
    lines += [f"note: {note}" for note in notes]
    count = f"{len(problems)} problem{'' if len(problems) == 1 else 's'} found; nothing was changed"
    return "\n".join([*lines, count if problems else "clean: the rows agree with each other, and with the steps"]) + "\n"
