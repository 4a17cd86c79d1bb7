"""How a change goes: a dialog with a fresh plan, then the plan carried out on a thread, then a line in the session's log.

Nothing is shown as done before the daemon has said so, and one change of a target at a time. It never writes state itself: an
`Operator` does, in the program by way of `tui.core.actions`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

from textual.message import Message

from tui.core.actions import Outcome, OutcomeKind, Plan, Reach, RunVerb, TerminatePlan
from tui.core.model import CronRow, Failure, Holder, RunKey, RunRow
from tui.dialogs.plan import Confirmed, PlanDialog
from tui.dialogs.terminate import TerminateDialog
from tui.dialogs.text import TextDialog
from tui.show import plans
from tui.widgets.cmdlog import Done

if TYPE_CHECKING:
    from tui.app import LineclearApp


class Operator(Protocol):
    """Makes plans and carries them out; every call may block, and none raises."""

    def terminate(self, target: str | RunKey, epoch: int | None, reach: Reach) -> TerminatePlan | Failure: ...

    def run(self, verb: RunVerb, key: RunKey) -> Plan | Failure: ...

    def cron(self, verb: str, key: RunKey) -> Plan | Failure: ...

    def sync(self, sha: str) -> Plan | Failure: ...

    def carry_out(self, plan: Plan, reason: str, confirmation: str) -> Outcome: ...


class Went(Message):
    """A change was carried out, or was not. `number` is that of its line in the session's log."""

    def __init__(self, plan: Plan, outcome: Outcome, number: int) -> None:
        super().__init__()
        self.plan = plan
        self.outcome = outcome
        self.number = number


class Changes:
    """Opens the dialogs, and does what they confirm."""

    def __init__(self, app: LineclearApp, operator: Operator) -> None:
        self._app = app
        self._operator = operator
        self._busy: set[str] = set()
        self._number = 0

    def ask_terminate(self, key: str, name: str) -> None:
        """Ends a holder of the lock."""
        row = next((one for one in self._app.snapshot.locks if one.key == key), None) if self._app.snapshot else None
        self._terminate(key, row.holders if row is not None else (), name)

    def ask_terminate_of(self, row: RunRow) -> None:
        """Ends the holder of the lock that the run waits for; else the run itself as the holder of one."""
        if row.waits_for is not None:
            self.ask_terminate(row.waits_for.lock, row.waits_for.lock.rpartition("/")[2])
        else:
            self._terminate(row.key, (), row.name)

    def _terminate(self, target: str | RunKey, holders: tuple[Holder, ...], name: str) -> None:
        epochs = tuple(holder.epoch for holder in holders)
        self._open(TerminateDialog(partial(self._operator.terminate, target), epochs, name))

    def ask_stop(self, key: RunKey) -> None:
        """Stops a run."""
        self._open(PlanDialog(partial(self._operator.run, RunVerb.STOP, key), f"Stop {key.name}", "Stop run"))

    def ask_retry(self, key: RunKey) -> None:
        """Tries a run again."""
        self._open(PlanDialog(partial(self._operator.run, RunVerb.RETRY, key), f"Retry {key.name}", "Retry run"))

    def ask_suspend(self, row: CronRow) -> None:
        """Suspends a cron, or resumes it."""
        verb = "resume" if row.suspended else "suspend"
        title = f"{verb.capitalize()} {row.name}"
        self._open(PlanDialog(partial(self._operator.cron, verb, row.key), title, verb.capitalize()))

    def ask_sync(self) -> None:
        """Applies the branch's head."""
        self._open(PlanDialog(partial(self._operator.sync, ""), "Sync now", "Sync"))

    def ask_approve(self, sha: str) -> None:
        """Approves a held revision."""
        self._open(PlanDialog(partial(self._operator.sync, sha), "Approve a held revision", "Approve"))

    def _open(self, dialog: PlanDialog) -> None:
        self._app.push_screen(dialog, self._confirmed)

    def _confirmed(self, confirmed: Confirmed | None) -> None:
        if confirmed is None:
            return
        plan = confirmed.plan
        if plan.target in self._busy:
            self._app.say(f"a change of {plan.target} is under way", is_warning=True)
            return
        self._busy.add(plan.target)
        self._number += 1
        number, command = self._number, plan.command(confirmed.reason)
        self._app.record(Done(at=f"{self._app.now():%H:%M:%S}", ok=None, command=command, text="under way", number=number))

        def work() -> None:
            outcome = self._operator.carry_out(plan, confirmed.reason, confirmed.typed)
            self._app.post_message(Went(plan, outcome, number))

        self._app.run_worker(work, thread=True, group="changes", exit_on_error=False)

    def went(self, message: Went) -> None:
        """Tells how it went."""
        plan, outcome = message.plan, message.outcome
        self._busy.discard(plan.target)
        ok = {OutcomeKind.DONE: True, OutcomeKind.REFUSED: False, OutcomeKind.UNKNOWN: None}[outcome.kind]
        record = f"   journal #{outcome.journal}" if outcome.journal else ""
        text = f"by {outcome.actor}{record}: {outcome.text}"
        done = Done(at=f"{outcome.at:%H:%M:%S}", ok=ok, command=outcome.command, text=text, number=message.number)
        self._app.record(done)
        self._app.do_refresh()
        if outcome.kind is OutcomeKind.DONE:
            self._app.say(f"done: {outcome.text}{record}")
        else:
            title = "Refused" if outcome.kind is OutcomeKind.REFUSED else "No answer: it may have been done"
            self._app.push_screen(TextDialog(title, plans.outcome_lines(outcome, 86)))
