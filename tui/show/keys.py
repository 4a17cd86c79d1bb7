"""The page of keys: all actions of a room, with the reason beside those that cannot be done now."""

from __future__ import annotations

from collections.abc import Callable

from tui.core import states
from tui.core.model import LockState, RunState
from tui.keymap import ROOMS, Action, actions_of
from tui.show.layout import BLANK, Line, Span
from tui.show.words import heading

KEY_CELLS = 8


def help_lines(room: str, why_not: Callable[[Action], str]) -> tuple[Line, ...]:
    """Keys by what they are for: changes first named as such, then all others."""
    actions = actions_of(room)
    found: list[Line] = [((" " + "   ".join(f"{number} {title}" for number, (_, title) in enumerate(ROOMS, 1)), "muted"),), BLANK]
    changes = [action for action in actions if action.changes]
    if changes:
        found += [heading("CHANGES", "each opens a dialog first"), *(_line(action, why_not(action)) for action in changes), BLANK]
    found.append(heading("KEYS"))
    found += [_line(action, why_not(action)) for action in actions if not action.changes and not action.id.startswith("room-")]
    return (*found, BLANK, heading("FILTER"), *_FILTER, BLANK, heading("STATES"), *_states())


def _line(action: Action, reason: str) -> Line:
    look = "off" if reason else "key"
    line: Line = ((f"  {action.shown:<{KEY_CELLS}}", look), (action.text, "muted" if reason else ""))
    return (*line, (f"   not now: {reason}", "blocked")) if reason else line


_FILTER: tuple[Line, ...] = (
    (("  word    ", "key"), ("anywhere in the row; all words must be found; ! before a word turns it round", "")),
    (("  a:b,c   ", "key"), ("the column a has b or c: state: kind: name: ns: lock: holder: by: from:", "")),
    (("  a>1h    ", "key"), ("a number or a span is more (or less, <): age waits held position priority", "")),
)


def _states() -> tuple[Line, ...]:
    locks: list[Span] = [("  locks   ", "muted")]
    for state in LockState:
        shown = states.of(state)
        locks.append((f"{shown.glyph} {shown.word}   ", shown.style))
    runs: list[Span] = [("  runs    ", "muted")]
    for run_state in RunState:
        shown = states.of(run_state)
        runs.append((f"{shown.glyph} {shown.word.lower()}  ", shown.style))
    return (tuple(locks), tuple(runs[:6]), (("          ", ""), *runs[6:]))
