"""What an operator may do, as plans: what would happen, to what exactly, why it is refused, what the command line would say.

A plan changes nothing. It is made of one instant of the store and keeps what must still be true when it is carried out.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from reconciler.errors import NotFound
from reconciler.store import read_locks, read_rest, read_runs, read_screen
from reconciler.store.read import Reader
from reconciler.views import clearing, waiting
from reconciler.views.doing import STUCK, hold_text, holder_verdict, read_boot_id
from reconciler.views.names import party
from tui.core.model import CronRow, Failure, RunKey
from tui.core.record import CronList
from tui.core.source import Source

REASON = "TEXT"


class Reach(StrEnum):
    """How far ending a holder may go: only a stuck one, also one that is alive, or letting go without proof of its end."""

    STUCK = "stuck"
    ALIVE = "alive"
    UNPROVEN = "unproven"


class RunVerb(StrEnum):
    """What can be done to a run."""

    STOP = "stop"
    TERMINATE = "terminate"
    RETRY = "retry"
    RESUBMIT = "resubmit"
    TAKE_OVER = "take-over"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One change. `lines` are (name, value) for the dialog, a name is '' where a line goes on.

    `refused` is why it would not be done ('' if it would). `confirmation` is what must be typed ('' for nothing). `verb` and
    `values` are the request, `argv` the same as words of the command line, in which TEXT stands for the reason.
    `run_id` and `phase` are of the run as it was shown (0 and '' where the request itself carries what must be true).
    """

    title: str
    target: str
    lines: tuple[tuple[str, str], ...]
    verb: str
    values: Mapping[str, Any]
    argv: tuple[str, ...]
    refused: str = ""
    confirmation: str = ""
    needs_reason: bool = False
    reason_field: str = ""
    run: RunKey | None = None
    run_id: int = 0
    phase: str = ""
    lock: str = ""
    works_offline: bool = False

    def words(self, reason: str = "") -> tuple[str, ...]:
        """`argv` with the reason in its place; without one, an option that could hold it is left out."""
        if not reason and not self.needs_reason and self.argv[-1:] == (REASON,):
            return self.argv[:-2]
        return tuple(reason if word == REASON and reason else word for word in self.argv)

    def command(self, reason: str = "", home: str = "") -> str:
        """What would be typed in a shell for the same; `home` is '' for the default one, see `Source.named_home`."""
        where = ("--home", home) if home else ()
        return shlex.join(("lineclear", *self.words(reason), *where))


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminatePlan(Plan):
    """The end of one holder of a lock. `epoch` is compared again by the daemon; `others` are epochs of its other holders."""

    epoch: int
    reach: Reach
    is_node_only: bool = False
    others: tuple[int, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


def plan_terminate(
    source: Source, target: str | RunKey, epoch: int | None = None, reach: Reach = Reach.STUCK, *, is_node_only: bool = False
) -> TerminatePlan | Failure:
    """The plan to end a holder: of the lock with that key; or of the lock that the run waits for, or else holds.

    Of several holders it is that with `epoch`, else the only stuck one; a Failure `choose` where that leaves a choice.
    """

    def question(reader: Reader) -> TerminatePlan:
        key, wanted = (target, epoch) if isinstance(target, str) else _lock_of(reader, target, epoch)
        row = read_locks.find_lock(reader, key)
        if row is None:
            raise NotFound(f"there is no lock {key} any more")
        holders = read_locks.list_holders(reader, row["id"])
        choice = clearing.Choice(epoch=wanted if wanted is not None else _only_stuck(reader, holders))
        choice.is_node_only = is_node_only
        choice.is_not_stuck, choice.is_unproven = reach is Reach.ALIVE, reach is Reach.UNPROVEN
        facts = clearing.plan_clearing(reader, row, choice, source.now().timestamp(), read_boot_id())
        clearing.check_choice(facts, choice)
        others = tuple(one["epoch"] for one in holders if one["epoch"] != facts["holder"]["epoch"])
        return _terminate_plan(facts, choice, reach, others)

    return source.read(question)


def _terminate_plan(
    facts: dict[str, Any], choice: clearing.Choice, reach: Reach, others: tuple[int, ...]
) -> TerminatePlan:
    holder, key = facts["holder"], facts["lock"]
    flags = {Reach.STUCK: (), Reach.ALIVE: ("--not-stuck",), Reach.UNPROVEN: ("--release-unproven",)}[reach]
    node_only = ("--node-only",) if choice.is_node_only else ()
    epoch = holder["epoch"]
    argv = ("terminate-stuck-holder", key, "--epoch", str(epoch), "--reason", REASON, "--yes", *flags, *node_only)
    return TerminatePlan(
        title="Terminate the holder",
        target=f"{key}, held by {clearing.who(holder)}",
        lines=tuple(clearing.plan_rows(facts)),
        verb=clearing.VERB,
        values=clearing.request_values(facts, choice, ""),
        argv=argv,
        refused=facts["refused"],
        confirmation=holder["id"],
        needs_reason=True,
        reason_field="reason",
        run=RunKey(holder["namespace"] or "", holder["run"] or ""),
        lock=key,
        works_offline=True,
        epoch=epoch,
        reach=reach,
        is_node_only=choice.is_node_only,
        others=others,
        facts=facts,
    )


def _only_stuck(reader: Reader, holders: list[Any]) -> int | None:
    lost = read_locks.find_lost_steps(reader, read_boot_id())
    stuck = [one["epoch"] for one in holders if holder_verdict(one, lost)[0] in STUCK]
    return stuck[0] if len(stuck) == 1 else None


def _lock_of(reader: Reader, key: RunKey, epoch: int | None) -> tuple[str, int | None]:
    """The lock that a run is about: the one that stops it, else the first that it holds, and then its own claim."""
    row = _run(reader, key)
    waits = [wait for wait in read_locks.list_waited_by(reader, row["id"]) if not wait["nested"]]
    if waits:
        return str(waiting.blocking(waiting.Room(reader), waits)["key"]), epoch
    held = [hold for hold in read_locks.list_held_by(reader, row["id"]) if not hold["nested"]]
    held.sort(key=lambda hold: (hold["level"] == "policy", hold["epoch"]))
    if held:
        return str(held[0]["key"]), int(held[0]["epoch"]) if epoch is None else epoch
    raise NotFound(f"{key.name} neither waits for a lock nor holds one")


def _run(reader: Reader, key: RunKey) -> Any:
    row = read_runs.find_run(reader, key.namespace, key.name)
    if row is None:
        raise NotFound(f"there is no run {key.name} in namespace {key.namespace} any more")
    return row


_WILL = {
    RunVerb.STOP: "ask its steps to end, run its exit handlers, then let its locks go",
    RunVerb.TERMINATE: "end its steps without exit handlers, then let its locks go",
    RunVerb.RETRY: "run again what did not succeed, with the locks that it still holds",
    RunVerb.RESUBMIT: "make a new run of the same spec, at the end of its queues",
    RunVerb.TAKE_OVER: "make a new run of the same spec, which takes the locks over, ahead of the queue",
    RunVerb.DELETE: "remove the run with its nodes and logs; the journal keeps what it did",
}
_FAILED = ("Failed", "Error")


def plan_run(source: Source, verb: RunVerb, key: RunKey) -> Plan | Failure:
    """The plan to do something to a run; `refused` says why it does not fit the run's state."""

    def question(reader: Reader) -> Plan:
        row = _run(reader, key)
        held = [hold for hold in read_locks.list_held_by(reader, row["id"]) if not hold["nested"]]
        return _run_plan(reader, verb, row, held)

    return source.read(question)


def _run_plan(reader: Reader, verb: RunVerb, row: Any, held: list[Any]) -> Plan:
    name, namespace = row["name"], row["namespace"]
    where = () if namespace == "default" else ("-n", namespace)
    values: dict[str, Any] = {"namespace": namespace, "run": name}
    lines = [("Run", f"{name} ({namespace}), {row['phase']}")]
    lines.append(("Will do", _WILL[verb]))
    lets_go = verb in (RunVerb.STOP, RunVerb.TERMINATE, RunVerb.DELETE)
    lines += [("Lets go", _heir(reader, hold, namespace)) for hold in held] if lets_go else []
    argv: tuple[str, ...] = (verb.value, name, *where)
    reason_field, needs_reason = "", False
    if verb in (RunVerb.STOP, RunVerb.TERMINATE):
        argv, reason_field = (*argv, "--message", REASON), "message"
    if verb is RunVerb.TAKE_OVER:
        argv = ("resubmit", name, *where, "--take-over", name, "--reason", REASON)
        values["take_over"], reason_field, needs_reason = name, "reason", True
    return Plan(
        title=f"{verb.value.replace('-', ' ').capitalize()} {name}",
        target=f"{namespace}/{name}",
        lines=tuple(lines),
        verb="resubmit" if verb is RunVerb.TAKE_OVER else verb.value,
        values=values,
        argv=argv,
        refused=_run_refusal(verb, row, held),
        needs_reason=needs_reason,
        reason_field=reason_field,
        run=RunKey(namespace, name),
        run_id=row["id"],
        phase=row["phase"],
        works_offline=verb is RunVerb.TERMINATE,
    )


def _heir(reader: Reader, hold: Any, namespace: str) -> str:
    following = read_locks.list_queue(reader, hold["lock_id"], 1)
    return f"{hold['key']}, next is {party(following[0], namespace) if following else 'nobody'}"


def _run_refusal(verb: RunVerb, row: Any, held: list[Any]) -> str:
    is_over = row["finished_at"] is not None
    if verb in (RunVerb.STOP, RunVerb.TERMINATE) and is_over and not held:
        return f"{row['name']} has ended ({row['phase']}) and holds no lock: there is nothing to {verb}"
    if verb is RunVerb.RETRY and row["phase"] not in _FAILED:
        return f"{row['name']} is {row['phase']}: only a Failed or Error run can be retried; resubmit makes a new one"
    if verb is RunVerb.TAKE_OVER and not (is_over and held):
        return f"{row['name']} is {row['phase']} and holds {len(held)} locks: only an ended run's locks can be taken over"
    if verb is RunVerb.DELETE and not is_over:
        return f"{row['name']} is {row['phase']}: stop or terminate it first"
    return ""


def plan_cron(source: Source, verb: str, key: RunKey) -> Plan | Failure:
    """The plan to `suspend`, `resume` or `trigger` a cron."""

    def question(reader: Reader) -> Plan:
        rows = CronList().rows(reader, ())
        row = next((row for row in rows if row.key == key), None)
        if row is None:
            raise NotFound(f"there is no CronWorkflow {key.name} in namespace {key.namespace} any more")
        return _cron_plan(verb, row)

    return source.read(question)


def _cron_plan(verb: str, row: CronRow) -> Plan:
    will = {
        "suspend": "start no runs of it until it is resumed, or until a push changes its schedule",
        "resume": "start runs of it again, from the next instant on",
        "trigger": "start a run of it now, under its own concurrency policy",
    }[verb]
    no = "" if verb == "trigger" or row.suspended != (verb == "suspend") else f"{row.name} is {verb.removesuffix('e')}ed already"
    where = () if row.namespace == "default" else ("-n", row.namespace)
    schedules = f"{', '.join(row.schedules)} {row.timezone}".rstrip()
    return Plan(
        title=f"{verb.capitalize()} {row.name}",
        target=f"{row.namespace}/{row.name}",
        lines=(("Cron", f"{row.name} ({row.namespace}), {schedules}, {row.policy}"), ("Will do", will)),
        verb=f"cron_{verb}",
        values={"namespace": row.namespace, "name": row.name},
        argv=("cron", verb, row.name, *where),
        refused=no,
    )


def plan_sync(source: Source, sha: str = "") -> Plan | Failure:
    """The plan to apply the branch's head now; with `sha` to approve that held revision."""

    def question(reader: Reader) -> Plan:
        rows = read_rest.list_revisions(reader, 50)
        held = next((row for row in rows if row["state"] == "held"), None)
        if not sha:
            lines = (("Will do", "look at the branch and apply its head"),)
            return Plan(title="Sync now", target="git", lines=lines, verb="sync_now", values={"wait": True}, argv=("sync", "now"))
        refused = "" if held is not None and held["sha"] == sha else f"{sha[:10]} is not held any more"
        why = held["message"] if held is not None else ""
        return Plan(
            title=f"Approve {sha[:10]}",
            target=sha,
            lines=(("Revision", sha), ("Held", why), ("Will do", "let it remove what it removes, and apply it")),
            verb="sync_approve",
            values={"sha": sha},
            argv=("sync", "approve", sha),
            refused=refused,
            confirmation=sha[:7],
        )

    return source.read(question)


def plan_unhold(source: Source, key: str) -> Plan | Failure:
    """The plan to end a lock's maintenance hold, or to open a lock again that was let go without proof."""

    def question(reader: Reader) -> Plan:
        row = read_locks.find_lock(reader, key)
        if row is None:
            raise NotFound(f"there is no lock {key} any more")
        head = read_screen.list_queue_page(reader, row["id"], 1)
        following = party(head[0], row["namespace"]) if head else "nobody waits"
        holds = [hold_text(one) for one in read_locks.list_holders(reader, row["id"], 1) if one["hold_json"]]
        closed = ("Held", holds[0]) if holds else ("Held back", row["held_back"])
        return Plan(
            title="Open the lock again",
            target=key,
            lines=(("Lock", key), closed, ("Next", following)),
            verb="unhold",
            values={"lock": key},
            argv=("unhold", key, "--reason", REASON),
            refused="" if holds or row["held_back"] else f"{key} is neither held for maintenance nor held back",
            needs_reason=True,
            reason_field="reason",
            lock=key,
        )

    return source.read(question)
