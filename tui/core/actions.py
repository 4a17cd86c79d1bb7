"""Carries a plan out over the control socket and says how it went, as a value: done, refused with the new state, or unknown.

Nothing is changed here by itself: the daemon compares what was shown with what is. Nothing is shown as done before it is.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from reconciler.control import client
from reconciler.errors import LineclearError, Unreachable
from reconciler.store import read_rest, read_runs, read_screen
from reconciler.store.read import Reader
from tui.core.model import Failure
from tui.core.plans import (
    Plan,
    Reach,
    RunVerb,
    TerminatePlan,
    plan_cron,
    plan_run,
    plan_sync,
    plan_terminate,
    plan_unhold,
)
from tui.core.source import Source

__all__ = [
    "Outcome",
    "OutcomeKind",
    "Plan",
    "Reach",
    "RunVerb",
    "TerminatePlan",
    "carry_out",
    "plan_cron",
    "plan_run",
    "plan_sync",
    "plan_terminate",
    "plan_unhold",
]
TIMEOUT_S = 30.0
_OFFLINE_TIMEOUT_S = 90.0


class OutcomeKind(StrEnum):
    """DONE: the daemon says so. REFUSED: nothing was changed. UNKNOWN: no answer came, it may have been done."""

    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a plan went. `text` is a sentence, `command` the same as a command line, `journal` the record's number (0: none)."""

    kind: OutcomeKind
    text: str
    target: str
    command: str
    actor: str
    at: datetime
    journal: int = 0


def carry_out(
    source: Source, plan: Plan, reason: str = "", confirmation: str = "", timeout_s: float = TIMEOUT_S
) -> Outcome:
    """Does what the plan says; blocks until the daemon has answered or `timeout_s` have passed. Never raises."""
    no = _objection(source, plan, reason.strip(), confirmation)
    if no:
        return _outcome(source, plan, reason, OutcomeKind.REFUSED, no)
    before = source.read(lambda reader: read_rest.find_journal_tail(reader, read_rest.JournalFilter(), 1))
    values = dict(plan.values)
    if plan.reason_field:
        values[plan.reason_field] = reason.strip()
    try:
        answer = client.request(source.home.root, plan.verb, values, timeout_s)
    except client.NoDaemon as error:
        if plan.works_offline:
            return _offline(source, plan, reason)
        return _outcome(source, plan, reason, OutcomeKind.REFUSED, str(error))
    except Unreachable as error:
        return _outcome(source, plan, reason, OutcomeKind.UNKNOWN, str(error))
    except LineclearError as error:
        return _outcome(source, plan, reason, OutcomeKind.REFUSED, str(error))
    record = 0 if isinstance(before, Failure) else _record(source, plan, before)
    return _outcome(source, plan, reason, OutcomeKind.DONE, _told(plan, answer), record)


def _objection(source: Source, plan: Plan, reason: str, confirmation: str) -> str:
    """Why nothing is asked of the daemon; '' if nothing speaks against it."""
    if plan.confirmation and confirmation.strip() != plan.confirmation:
        return f"nothing was done: {plan.confirmation} was not typed"
    if plan.needs_reason and not reason:
        return "nothing was done: a reason is needed, it goes to the journal"
    if not plan.run_id or plan.run is None:
        return ""
    key = plan.run
    row = source.read(lambda reader: read_runs.find_run(reader, key.namespace, key.name))
    if isinstance(row, Failure):
        return ""
    if row is None or row["id"] != plan.run_id:
        return f"the state changed: {key.name} as it was shown is gone"
    if row["phase"] != plan.phase:
        return f"the state changed: {key.name} was {plan.phase} and is {row['phase']}; look again"
    return ""


def _told(plan: Plan, answer: dict[str, Any]) -> str:
    if plan.verb == "sync_now":
        head, live = str(answer.get("head"))[:10], str(answer.get("applied") or "nothing")[:10]
        return f"head {head}, live {live}: {answer.get('state') or ''}"
    if plan.verb == "sync_approve":
        return f"{answer.get('sha')} is approved and will be applied"
    made = [str(run.get("name")) for run in answer.get("runs") or () if isinstance(run, dict)]
    if made:
        return f"made {', '.join(made)}"
    after = f"; next: {answer['next']}" if answer.get("next") else ""
    return f"{answer.get('message') or 'done'}{after}"


def _record(source: Source, plan: Plan, before: int) -> int:
    """The number of the first row that a person wrote since, about the same run or lock; 0 if there is none."""
    run = plan.run
    wanted = read_rest.JournalFilter(run.namespace if run else "", run.name if run else None, None if run else plan.lock or None)

    def question(reader: Reader) -> int:
        page = read_screen.JournalPage(wanted, before=None, after=before + 1, by_people=True, limit=1)
        rows = read_screen.list_journal_page(reader, page)
        return int(rows[0]["seq"]) if rows else 0

    found = source.read(question)
    return 0 if isinstance(found, Failure) else found


def _offline(source: Source, plan: Plan, reason: str) -> Outcome:
    """No daemon runs: the command takes the home's lock and does it itself, as it would in a shell."""
    argv = [sys.executable, "-m", "reconciler", *plan.words(reason.strip()), "--home", source.home.root]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_OFFLINE_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        text = f"could not do it without a daemon: {error}; see `lineclear journal`"
        return _outcome(source, plan, reason, OutcomeKind.UNKNOWN, text)
    told = done.stdout.decode("utf-8", "replace").strip().splitlines()
    if done.returncode == 0:
        return _outcome(source, plan, reason, OutcomeKind.DONE, f"{told[-1] if told else 'done'} (without a daemon)")
    why = done.stderr.decode("utf-8", "replace").strip().splitlines()
    text = why[-1].removeprefix("lineclear: ") if why else f"exit code {done.returncode}"
    return _outcome(source, plan, reason, OutcomeKind.REFUSED, text)


def _outcome(source: Source, plan: Plan, reason: str, kind: OutcomeKind, text: str, journal: int = 0) -> Outcome:
    return Outcome(
        kind=kind,
        text=text,
        target=plan.target,
        command=plan.command(reason.strip(), source.named_home),
        actor=client.actor(),
        at=source.now(),
        journal=journal,
    )
