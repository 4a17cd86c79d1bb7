"""The record of this session's changes, as the command line would say them. Hidden until there is one."""

from __future__ import annotations

from dataclasses import dataclass

from tui.core.fmt import clean
from tui.show.layout import Line, fit
from tui.widgets.lines import LinesView

KEPT = 200
COMMAND_CELLS = 56


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """One change that was tried: `ok` is None while it is not known how it went. `number` is its own in this session."""

    at: str
    ok: bool | None
    command: str
    text: str
    number: int

    def line(self) -> Line:
        """As the log shows it."""
        word, look = {True: ("ok", "ok"), False: ("FAIL", "failed"), None: ("…", "muted")}[self.ok]
        command = fit(clean(self.command), COMMAND_CELLS, middle=True)
        return ((f" {self.at}  ", "muted"), (f"{word:<5} ", look), (command, ""), (f"   {self.text}", "muted"))


class CommandLog(LinesView):
    """The last few changes; the wheel shows earlier ones."""

    DEFAULT_CSS = "CommandLog { height: 5; display: none; } CommandLog.-shown { display: block; }"

    def show(self, entries: list[Done]) -> None:
        """Shows the newest first."""
        self.set_class(bool(entries), "-shown")
        self.set_lines(tuple(done.line() for done in entries[:KEPT]))
