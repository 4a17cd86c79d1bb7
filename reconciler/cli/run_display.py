"""What `run` shows of a run while it goes on: a tree on a terminal, lines elsewhere, or JSON at its end.

It writes to the standard streams and decides nothing of the run.
"""

from __future__ import annotations

import os
import sys
import time

from reconciler.cli.context import now_s, say
from reconciler.views.clean import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Row

    from reconciler.cli.follow import LogPrinter
    from reconciler.cli.options import Args
    from reconciler.home import Home
    from reconciler.store.read import Reader

LOOK_EVERY_S = 5.0  # nothing but the clock can bring something then
DRAW_EVERY_S = 0.1
LOG_EVERY_S = 0.05


class Display:
    """What a person or a program sees of the run. This one shows the finished run as JSON, and nothing before."""

    pause_s = LOOK_EVERY_S

    def say(self, text: str) -> None:
        """A word beside the progress."""
        say(text)

    def show(self, reader: Reader, row: Row, nodes: list[Row]) -> None:
        """Something changed."""

    def tick(self, reader: Reader) -> None:
        """Time passed, or something changed."""

    def close(self, reader: Reader, row: Row) -> None:
        """The run has ended."""
        from reconciler.cli.output import print_object
        from reconciler.views.run import run_object
        from reconciler.views.waiting import Room

        with reader:
            print_object("json", run_object(reader, row, now_s(), Room(reader)), "")


class _Lines(Display):
    """One line for each change, with --log the steps' own lines between them."""

    def __init__(self, printer: LogPrinter | None) -> None:
        self._printer = printer
        self._told: dict[int, str] = {}
        self.pause_s = LOOK_EVERY_S if printer is None else LOG_EVERY_S

    def show(self, reader: Reader, row: Row, nodes: list[Row]) -> None:
        self.tick(reader)  # what a step wrote comes before the line that it has ended
        from reconciler.views.progress import change_lines

        for line in change_lines(row, nodes, self._told, now_s()):
            print(line, flush=True)

    def tick(self, reader: Reader) -> None:
        if self._printer is not None:
            self._printer.print_new(reader, whole=False)

    def close(self, reader: Reader, row: Row) -> None:
        from reconciler.cli.follow import tell_end

        if self._printer is not None:
            self._printer.print_new(reader, whole=True)
        print(clean(tell_end(row)), flush=True)


class _Tree(Display):
    """The nodes as a tree, drawn again in place; the last one stays."""

    pause_s = DRAW_EVERY_S

    def __init__(self) -> None:
        self._drawn = 0
        self._shown: tuple[Row, list[Row]] | None = None
        self._dirty = False
        self._drawn_at = 0.0
        self._colour = "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        self._ascii = "utf" not in (sys.stdout.encoding or "ascii").lower()

    def say(self, text: str) -> None:
        self._draw([])
        say(text)
        self._dirty = True

    def show(self, _reader: Reader, row: Row, nodes: list[Row]) -> None:
        self._shown, self._dirty = (row, nodes), True

    def tick(self, _reader: Reader) -> None:
        past_s = time.monotonic() - self._drawn_at
        if self._shown is None or past_s < (DRAW_EVERY_S if self._dirty else 1.0):
            return
        from reconciler.views.progress import frame, tree_lines

        row, nodes = self._shown
        width, height = _size()
        lines = tree_lines(row, nodes, now_s(), ascii_only=self._ascii)
        self._draw(frame(lines, width, height - 1, colour=self._colour))

    def _draw(self, lines: list[str]) -> None:
        """Puts these lines where the last ones were."""
        up = f"\x1b[{self._drawn}A\r" if self._drawn else ""
        sys.stdout.write(f"{up}\x1b[J" + "".join(f"{line}\n" for line in lines))
        sys.stdout.flush()
        self._drawn, self._dirty, self._drawn_at = len(lines), False, time.monotonic()

    def close(self, _reader: Reader, row: Row) -> None:
        from reconciler.cli.follow import tell_end
        from reconciler.views.progress import failure_lines, frame, tree_lines

        width, _ = _size()
        nodes: list[Row] = []
        if self._shown is not None:
            nodes = self._shown[1]
            lines = tree_lines(*self._shown, now_s(), ascii_only=self._ascii)
            self._draw(frame(lines, width, len(lines), colour=self._colour))
        print(clean(tell_end(row)), *failure_lines(row, nodes, width), sep="\n", flush=True)


def _size() -> tuple[int, int]:
    """The terminal's columns and lines; the usual ones if it does not know, or has hung up."""
    try:
        size = os.get_terminal_size(1)
    except OSError:
        return 80, 24
    return size.columns or 80, size.lines or 24


def display_of(args: Args, home: Home, run_id: int) -> Display:
    """What the options and the output ask for: JSON at the end, lines, or on a terminal a tree."""
    if args.given("output"):
        return Display()
    if args.flag("log"):
        from reconciler.cli.follow import LogChoice, LogPrinter

        return _Lines(LogPrinter(home, run_id, LogChoice()))
    return _Tree() if sys.stdout.isatty() else _Lines(None)
