"""One table: what each state is called, which shape it has, and how it is styled. Words and shapes come first, colour last.

Reasons are never made here: they come with the rows. An unknown word, such as a newer phase, gets a shape of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from tui.core.model import DaemonKind, FreshnessKind, LockState, RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """How a state looks. `rank` orders by urgency, 0 first; `style` is the name of a look."""

    word: str
    glyph: str
    ascii: str
    style: str
    rank: int

    def mark(self, *, ascii_only: bool = False) -> str:
        """The shape in the character set that the terminal has."""
        return self.ascii if ascii_only else self.glyph


_TABLE: dict[str, tuple[str, str, str, str]] = {
    LockState.STUCK: ("STUCK", "■", "#", "stuck"),
    LockState.CONTENDED: ("CONTENDED", "▲", "^", "blocked"),
    LockState.HELD: ("HELD", "●", "*", "active"),
    LockState.FREE: ("FREE", "○", ".", "idle"),
    RunState.HOLDING: ("HOLDING", "■", "#", "stuck"),
    RunState.WAITING: ("WAITING", "▲", "^", "blocked"),
    RunState.STOPPING: ("STOPPING", "◇", "~", "blocked"),
    RunState.SUSPENDED: ("SUSPENDED", "‖", "=", "blocked"),
    RunState.RUNNING: ("RUNNING", "●", "*", "active"),
    RunState.PENDING: ("PENDING", "·", ".", "idle"),
    RunState.FAILED: ("FAILED", "✗", "x", "failed"),
    RunState.ERROR: ("ERROR", "!", "!", "failed"),
    RunState.SUCCEEDED: ("SUCCEEDED", "✓", "+", "ok"),
    "skipped": ("SKIPPED", "⊘", "o", "idle"),
    "omitted": ("OMITTED", "⊘", "o", "idle"),
    "not started": ("NOT STARTED", "·", ".", "idle"),
    FreshnessKind.LIVE: ("live", "●", "*", "active"),
    FreshnessKind.STALE: ("stale", "◐", "~", "blocked"),
    FreshnessKind.OFFLINE: ("offline", "✗", "x", "stuck"),
    DaemonKind.RUNS: ("daemon runs", "●", "*", "active"),
    DaemonKind.HUNG: ("daemon hangs", "■", "#", "stuck"),
    DaemonKind.NONE: ("no daemon", "✗", "x", "stuck"),
    "applied": ("applied", "✓", "+", "ok"),
    "held back": ("held", "▲", "^", "blocked"),
    "superseded": ("superseded", "·", ".", "idle"),
}
_SHOWN = {
    str(key): Shown(word=word, glyph=glyph, ascii=plain, style=style, rank=rank)
    for rank, (key, (word, glyph, plain, style)) in enumerate(_TABLE.items())
}


def of(state: str) -> Shown:
    """How a state is shown: a LockState, RunState, FreshnessKind, DaemonKind, or a node's phase in any case."""
    found = _SHOWN.get(state) or _SHOWN.get(state.lower())
    if found is not None:
        return found
    return Shown(word=state.upper() or "?", glyph="?", ascii="?", style="idle", rank=len(_SHOWN))


def of_revision(state: str) -> Shown:
    """How the state of a revision is shown; its `held` is not a lock's."""
    return of("held back" if state == "held" else state)
