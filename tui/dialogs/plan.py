"""The one dialog for changes: a fresh plan, a reason where one is kept, words to type where that is asked, Cancel focused.

The plan is made on a thread; until it is there nothing can be confirmed. What comes out is the plan exactly as it was shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input

from tui.core.actions import Plan
from tui.core.fmt import clean, width
from tui.core.model import Failure
from tui.dialogs.base import Choice, Dialog
from tui.show.layout import BLANK
from tui.show.plans import plan_lines, short_confirmation, typed_fits
from tui.show.words import fields
from tui.widgets.lines import Bar
from tui.widgets.textbox import LIMIT, TextBox

if TYPE_CHECKING:
    from tui.app import LineclearApp

PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """What was confirmed: the plan that was shown, and what was typed."""

    plan: Plan
    reason: str
    typed: str


class Planned(Message):
    """The plan was made, or could not be. `number` tells which asking it answers."""

    def __init__(self, number: int, plan: Plan | Failure) -> None:
        super().__init__()
        self.number = number
        self.plan = plan


class PlanDialog(Dialog[Confirmed]):
    """`load` makes the plan; `word` is what the confirming choice says."""

    def __init__(self, load: Callable[[], Plan | Failure], title: str, word: str) -> None:
        super().__init__(title, (BLANK, ((" Making the plan…", "muted"),)))
        self._load = load
        self._word = word
        self._asked = 0
        self.plan: Plan | None = None
        self.read_at = datetime.now(UTC)

    # parts

    def middle(self) -> ComposeResult:
        with Horizontal(classes="row", id="reason-row"):
            yield Bar(classes="label")
            yield TextBox(id="reason", compact=True, placeholder="why; it goes to the journal")
        with Horizontal(classes="row", id="typed-row"):
            yield Bar(classes="label")
            yield TextBox(id="typed", compact=True)

    def choices(self) -> ComposeResult:
        yield Choice(self._word, id="confirm")

    def begin(self) -> None:
        super().begin()
        self.query_one("#reason-row").display = False
        self.query_one("#typed-row").display = False
        self.query_one("#confirm").disabled = True
        self.ask()

    # the plan

    def ask(self) -> None:
        """Makes the plan anew."""
        self._asked += 1
        number, load = self._asked, self._load
        self.plan = None
        self._enable()

        def work() -> None:
            self.post_message(Planned(number, load()))

        self.run_worker(work, thread=True, group="plan", exit_on_error=False)
        self.set_timer(PATIENCE_S, lambda: self._late(number))

    def _late(self, number: int) -> None:
        if number == self._asked and self.plan is None and not self.query("#cancel.-told"):
            text = f"No plan could be made within {PATIENCE_S:g} s, so nothing can be confirmed. Cancel, and try again."
            self.show_lines((BLANK, *fields("", text, self.line_width(), "blocked", pad=0)))

    def on_planned(self, message: Planned) -> None:
        """Shows the plan, unless it answers an earlier asking."""
        if message.number == self._asked:
            self.take(message.plan)

    def take(self, plan: Plan | Failure) -> None:
        """Shows a plan, or why there is none."""
        self.read_at = cast("LineclearApp", self.app).now()
        if isinstance(plan, Failure):
            self.query_one("#cancel").add_class("-told")
            self.show_lines((BLANK, *fields("", plan.text, self.line_width(), "blocked", pad=0)))
            self._enable()
            return
        self.plan = plan
        self.show_lines(plan_lines(plan, self.read_at, self.read_at, self.line_width()))
        self._label("reason", "reason" if plan.needs_reason else "reason (optional)", is_shown=bool(plan.reason_field))
        wanted = short_confirmation(plan)
        self._label("typed", f"type {wanted}", is_shown=bool(plan.confirmation))
        box = self.query_one("#typed", TextBox)
        box.limit = max(LIMIT, len(clean(plan.confirmation, len(plan.confirmation))))
        box.placeholder = wanted
        self._enable()

    def _label(self, name: str, text: str, *, is_shown: bool) -> None:
        row = self.query_one(f"#{name}-row")
        label = row.query_one(".label", Bar)
        row.display = is_shown and self.plan is not None and not self.plan.refused
        label.styles.width = min(40, width(text) + 3)
        label.set_lines((((f" {text}", "muted"),),))

    # confirming

    @property
    def reason(self) -> str:
        """What was typed as the reason."""
        return self.query_one("#reason", Input).value.strip()

    @property
    def typed(self) -> str:
        """What was typed to confirm."""
        return self.query_one("#typed", Input).value.strip()

    def missing(self) -> str:
        """What stands against confirming; '' if nothing does."""
        plan = self.plan
        if plan is None:
            return "there is no plan yet"
        if plan.refused:
            return "it would be refused"
        if plan.needs_reason and not self.reason:
            return "a reason is needed"
        if not typed_fits(plan, self.typed):
            return f"{short_confirmation(plan)} is to be typed"
        return ""

    def _enable(self) -> None:
        no = self.missing()
        self.query_one("#confirm").disabled = bool(no)
        same = self.plan.command(self.reason) if self.plan is not None else ""
        self.below(f"same as: {same}" if same and not no else no)

    def on_input_changed(self) -> None:
        """Something was typed."""
        self._enable()

    def action_next(self) -> None:
        """To the next; from Cancel to what is still to be typed."""
        wanted = next((name for name in ("reason", "typed") if self.query_one(f"#{name}-row").display), "")
        if wanted and self.focused is self.query_one("#cancel") and self.missing():
            self.set_focus(self.query_one(f"#{wanted}"))
        else:
            self.focus_next()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Goes on to what is missing; enter in a field never confirms."""
        event.stop()
        self.focus_next()

    def chosen(self, name: str) -> None:
        if name == "confirm" and self.plan is not None and not self.missing():
            self.leave(Confirmed(plan=self.plan, reason=self.reason, typed=self.plan.confirmation))
