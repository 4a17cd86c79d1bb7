"""The dialog that ends the holder of a lock: which of several, and how far it may go, are chosen in it; each makes a new plan."""

from __future__ import annotations

from collections.abc import Callable

from textual.app import ComposeResult

from tui.core.actions import Plan, Reach, TerminatePlan
from tui.core.model import Failure
from tui.dialogs.base import Choice
from tui.dialogs.plan import PlanDialog

Load = Callable[[int | None, Reach], TerminatePlan | Failure]
_REACHES = (Reach.STUCK, Reach.ALIVE, Reach.UNPROVEN)
_WORDS = {Reach.STUCK: "Only if stuck", Reach.ALIVE: "Although alive", Reach.UNPROVEN: "Without proof"}


class TerminateDialog(PlanDialog):
    """`load` makes the plan for a holder's epoch (None: the only one that can be meant) and a reach."""

    def __init__(self, load: Load, epochs: tuple[int, ...], name: str) -> None:
        self._load_for = load
        self._epochs = epochs
        self._epoch: int | None = None
        self._reach = Reach.STUCK
        super().__init__(self._make, f"Terminate the holder of {name}", "Terminate holder")

    def _make(self) -> Plan | Failure:
        found = self._load_for(self._epoch, self._reach)
        if isinstance(found, Failure) and self._epoch is None and len(self._epochs) > 1:
            self._epoch = self._epochs[0]
            found = self._load_for(self._epoch, self._reach)
        return found

    def choices(self) -> ComposeResult:
        yield from super().choices()
        if len(self._epochs) > 1:
            yield Choice("Other holder", id="other")
        yield Choice(_WORDS[Reach.ALIVE], id="reach")

    def take(self, plan: Plan | Failure) -> None:
        super().take(plan)
        if isinstance(plan, TerminatePlan):
            self._epoch = plan.epoch
            self._epochs = tuple(sorted({plan.epoch, *plan.others}))
        self._say_reach()

    def _say_reach(self) -> None:
        """The choice says how far the next plan would go."""
        choice = self.query_one("#reach", Choice)
        after = _REACHES[(_REACHES.index(self._reach) + 1) % len(_REACHES)]
        choice.set_text(_WORDS[after])

    def chosen(self, name: str) -> None:
        if name == "other" and self._epochs:
            place = self._epochs.index(self._epoch) if self._epoch in self._epochs else -1
            self._epoch = self._epochs[(place + 1) % len(self._epochs)]
            self.ask()
        elif name == "reach":
            self._reach = _REACHES[(_REACHES.index(self._reach) + 1) % len(_REACHES)]
            self.ask()
        else:
            super().chosen(name)
