"""The screen's composition root: rooms, themes, the feed that reads, the one snapshot that all rooms show, the session's log.

It never writes state: changes go through `tui.core.actions`, asked for by dialogs. It never waits: reading is the feed's.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import ClassVar

from textual.app import App
from textual.binding import BindingType
from textual.command import Provider
from textual.message import Message
from textual.screen import Screen

from tui import themes
from tui.changes import Changes, Operator, Went
from tui.commands import GoTo
from tui.core.fmt import clean
from tui.core.model import Freshness, RunKey, Snapshot, Unchanged
from tui.feed import Arrived, Detail, Feed, Reader, Target
from tui.screens.crons import CronsRoom
from tui.screens.git import GitRoom
from tui.screens.journal import JournalRoom
from tui.screens.lock import LockPage
from tui.screens.locks import LocksRoom
from tui.screens.queues import QueuesRoom
from tui.screens.room import Room
from tui.screens.run import RunPage
from tui.screens.runs import RunsRoom
from tui.widgets.cmdlog import Done

FLASH_S = 2.0
TICK_S = 1.0


class Fed(Message):
    """The feed has delivered something."""

    def __init__(self, arrived: Arrived) -> None:
        super().__init__()
        self.arrived = arrived


class LineclearApp(App[None]):
    """The operator's screen of one home. `open_reader` is called on the feed's thread."""

    TITLE = "lineclear"
    CSS_PATH = "app.tcss"
    MODES: ClassVar[dict[str, str | Callable[[], Screen[None]]]] = {
        "locks": LocksRoom,
        "runs": RunsRoom,
        "queues": QueuesRoom,
        "crons": CronsRoom,
        "git": GitRoom,
        "journal": JournalRoom,
    }
    DEFAULT_MODE = "locks"
    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (60, "-narrow"), (100, "-wide"), (160, "-huge")]  # noqa: RUF012 - Textual's
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (15, "-short"), (30, "-tall")]  # noqa: RUF012 - Textual's
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {GoTo}
    BINDINGS: ClassVar[list[BindingType]] = []
    COMMAND_PALETTE_BINDING = "f1"
    NOTIFICATION_TIMEOUT = 6

    def __init__(  # noqa: PLR0913 - the composition root fills it once
        self,
        open_reader: Callable[[], Reader],
        operator: Operator,
        *,
        home: str = "",
        who: str = "",
        read_only: bool = False,
        ascii_only: bool = False,
        theme: str = "",
    ) -> None:
        no_color = "NO_COLOR" in os.environ
        super().__init__(ansi_color=True if no_color else None)
        self.open_reader = open_reader
        self._broken: set[str] = set()
        self.home = home
        self.who = who
        self.read_only = read_only
        self.ascii_only = ascii_only
        self.snapshot: Snapshot | None = None
        self.details: dict[Target, Detail] = {}
        self.done: list[Done] = []
        self.changes = Changes(self, operator)
        self.changed: frozenset[str] = frozenset()
        self.frozen_at = ""
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self._held_back: Snapshot | None = None
        self._mouse = True
        self._feed = Feed(self._open, self._deliver, self.now)
        self._theme_wanted = theme

    def _open(self) -> Reader:
        return self.open_reader()

    def _deliver(self, arrived: Arrived) -> None:
        """Called on the feed's thread."""
        self.post_message(Fed(arrived))

    def on_load(self) -> None:
        """Takes our themes before the first frame."""
        for theme in themes.THEMES:
            self.register_theme(theme)
        wanted = self._theme_wanted or themes.first_theme(os.environ)
        self.theme = themes.ANSI if self.no_color else wanted

    def on_mount(self) -> None:
        """Begins to read."""
        self.animation_level = "none"
        self.set_interval(TICK_S, self._tick)
        self._feed.start()

    def on_unmount(self) -> None:
        """Ends the reading."""
        self._feed.stop()

    # what is known

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        return self.clock()

    def freshness(self) -> Freshness:
        """How current the snapshot is."""
        return self._feed.pace.freshness(self.now())

    def room(self) -> Room | None:
        """The room or page that is seen, beneath a dialog too."""
        return next((screen for screen in reversed(self.screen_stack) if isinstance(screen, Room)), None)

    def _tick(self) -> None:
        room = self.room()
        if room is not None:
            room.safely(room.tick)

    def on_fed(self, message: Fed) -> None:
        """Takes what the feed has found."""
        arrived = message.arrived
        room = self.room()
        if arrived.poll is not None:
            self._take(arrived)
        if arrived.target is not None and arrived.detail is not None:
            if len(self.details) > 200:
                self.details.clear()
            self.details[arrived.target] = arrived.detail
            if room is not None:
                target, is_first = arrived.target, arrived.is_first
                room.safely(lambda: room.detail_came(target, is_first=is_first))
        if arrived.lines and arrived.target is not None and room is not None:
            room.safely(lambda: room.lines_came(arrived.target or ("", ""), arrived.lines))

    def _take(self, arrived: Arrived) -> None:
        answer = arrived.poll
        room = self.room()
        if isinstance(answer, Unchanged) and self.snapshot is not None and answer.daemon != self.snapshot.daemon:
            self.snapshot = replace(self.snapshot, daemon=answer.daemon)
        if isinstance(answer, Snapshot):
            self._held_back = answer
            if not self.frozen_at:
                self._show(answer, is_back=arrived.is_back)
        elif room is not None:
            room.safely(room.show_frame)

    def _show(self, snapshot: Snapshot, *, is_back: bool) -> None:
        before, self.snapshot = self.snapshot, snapshot
        if before is not None and before.instance != snapshot.instance:
            self.details.clear()
        if is_back and before is not None:
            self._flash(before, snapshot)
        room = self.room()
        if room is not None:
            room.take_over()

    def _flash(self, before: Snapshot, after: Snapshot) -> None:
        """Underlines what changed while nothing could be read."""
        old = {row.key: row for row in before.locks}
        locks = {row.key for row in after.locks if old.get(row.key) != row}
        old_runs = {row.id: row for row in before.runs}
        runs = {str(row.key) for row in after.runs if old_runs.get(row.id) != row}
        self.changed = frozenset(locks | runs)
        self.say(f"reconnected, {len(self.changed)} changes")
        self.set_timer(FLASH_S, self._end_flash)

    def _end_flash(self) -> None:
        self.changed = frozenset()
        room = self.room()
        if room is not None:
            room.safely(room.refresh_rows)

    # what rooms ask for

    def tell_broken(self, error: Exception) -> None:
        """A part of the screen could not be shown: each such bug is told once, and the rest goes on."""
        text = f"{type(error).__name__}: {error}"
        if text not in self._broken:
            self._broken.add(text)
            self.say(f"a part of the screen cannot be shown ({text}); the rest goes on", is_warning=True)

    def say(self, text: str, *, is_warning: bool = False) -> None:
        """A word to the operator, in passing."""
        self.notify(clean(text), severity="warning" if is_warning else "information", markup=False)

    def want(self, target: Target | None, *, logs: bool = False) -> None:
        """The detail that the seen room wants."""
        self._feed.want(target, logs=logs)

    def copy(self, text: str) -> None:
        """Puts the text onto the terminal's clipboard."""
        self.copy_to_clipboard(clean(text))
        self.say(f"copied: {text}")

    def show_room(self, name: str) -> None:
        """Goes to a room, at its list."""
        if self.current_mode != name:
            self.switch_mode(name)
            return
        while len(self.screen_stack) > 1:
            self.pop_screen()

    def open_lock(self, key: str) -> None:
        """One lock's page."""
        self.push_screen(LockPage(key))

    def open_run(self, key: RunKey, *, focus: str = "") -> None:
        """One run's page; `focus` is 'logs' or 'why' or ''."""
        self.push_screen(RunPage(key, focus=focus))

    def show_runs_of(self, filter_text: str) -> None:
        """The runs that a filter lets through."""
        self.show_room("runs")

        def narrow() -> None:
            room = self.room()
            if isinstance(room, RunsRoom):
                room.filter = filter_text
                room.refresh_rows()

        self.call_after_refresh(narrow)

    def on_went(self, message: Went) -> None:
        """A change was carried out, or was not."""
        self.changes.went(message)

    def record(self, done: Done) -> None:
        """Adds a change to the session's log, or says how it ended."""
        place = next((index for index, one in enumerate(self.done) if one.number == done.number), None)
        if place is None:
            self.done.insert(0, done)
        else:
            self.done[place] = done
        room = self.room()
        if room is not None:
            room.show_all()

    # actions of every room

    def do_refresh(self) -> None:
        """Reads again at once."""
        self._feed.refresh()

    def do_freeze(self) -> None:
        """Holds the view still, or lets it go."""
        if self.frozen_at:
            self.frozen_at = ""
            if self._held_back is not None:
                self._show(self._held_back, is_back=False)
        else:
            self.frozen_at = f"{self.now():%H:%M:%S}"
        room = self.room()
        if room is not None:
            room.show_frame()

    def do_mouse(self) -> None:
        """Gives the mouse to the terminal, or takes it."""
        self._mouse = not self._mouse
        driver = self._driver
        if driver is not None:
            name = "_enable_mouse_support" if self._mouse else "_disable_mouse_support"
            getattr(driver, name, lambda: None)()
        self.say("the mouse is ours" if self._mouse else "the mouse is the terminal's: select and copy with it; % takes it back")

    def do_theme(self) -> None:
        """The next theme."""
        if self.no_color:
            self.say("NO_COLOR is set: there is one theme", is_warning=True)
            return
        order = themes.ORDER
        self.theme = order[(order.index(self.theme) + 1) % len(order)] if self.theme in order else order[0]

    def do_palette(self) -> None:
        """Opens the palette."""
        self.action_command_palette()

    def do_help(self) -> None:
        """The keys of what is seen."""
        from tui.dialogs.text import TextDialog
        from tui.show.keys import help_lines

        room = self.room()
        if room is not None:
            self.push_screen(TextDialog("Keys", help_lines(room.ROOM, room.why_not)))
