"""Plans and outcomes as lines: what would happen to what, what must be typed, how it went."""

from __future__ import annotations

from datetime import datetime

from reconciler.views.clean import clean as visible
from tui.core.actions import Outcome, OutcomeKind, Plan, TerminatePlan
from tui.core.fmt import clean, clock
from tui.show.layout import BLANK, Line
from tui.show.words import fields

PAD = 14
_LOUD = {"Refused": "blocked", "Will do": "strong", "Held": "blocked", "Lets go": "active", "Also released": "active"}


def plan_lines(plan: Plan, read_at: datetime, now: datetime, width: int) -> tuple[Line, ...]:
    """The plan with its names at the left; what is refused comes last and loud."""
    found: list[Line] = [BLANK]
    for name, value in plan.lines:
        if name != "Refused":
            found += fields(name, value, width, _LOUD.get(name, ""), pad=PAD)
    if plan.refused:
        found += [BLANK, *fields("Refused", plan.refused, width, "blocked", pad=PAD)]
    old = f"As it was at {clock(read_at, now)} UTC. If it is otherwise when you confirm, nothing is done."
    return (*found, BLANK, ((f" {old}", "muted"),))


def short_confirmation(plan: Plan) -> str:
    """What is typed to confirm: the lock by its last word, with the epoch of the holder that was shown.

    Harmless, and in characters that a keyboard has: a line end or an ESC in a name is typed as the escape that is shown.
    """
    return visible(_short(plan)).strip()


def _short(plan: Plan) -> str:
    if isinstance(plan, TerminatePlan):
        return f"{plan.lock.rpartition('/')[2]}#{plan.epoch}"
    return plan.confirmation


def typed_fits(plan: Plan, typed: str) -> bool:
    """True for exactly what is asked for, short or whole; `typed` is clean, so the name may also have been pasted."""
    wanted = (plan.confirmation, _short(plan))
    shown = {form.strip() for text in wanted for form in (visible(text), clean(text, len(text)))}
    return not plan.confirmation or typed.strip() in shown


def outcome_lines(outcome: Outcome, width: int) -> tuple[Line, ...]:
    """How a change went, whole."""
    look = "blocked" if outcome.kind is OutcomeKind.REFUSED else "strong"
    head = "Nothing was changed." if outcome.kind is OutcomeKind.REFUSED else "The journal (6) will tell whether it was done."
    return (
        BLANK,
        *fields("", outcome.text, width, look, pad=0),
        BLANK,
        ((f" {head}", "muted"),),
        *fields("same as", outcome.command, width, "key"),
    )
