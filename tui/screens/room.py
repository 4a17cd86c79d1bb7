"""What all rooms have in common: head, banner, body, command log, filter, keys; actions found by the table of keys.

A room reads the app's snapshot and never waits. An action that cannot be done now says why instead of doing nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.screen import Screen

from tui import keymap
from tui.core.model import FreshnessKind, Snapshot
from tui.feed import Target
from tui.keymap import Action
from tui.show import frame
from tui.show.layout import BLANK, Line
from tui.widgets.cmdlog import CommandLog
from tui.widgets.filterbar import FilterBar
from tui.widgets.lines import Bar
from tui.widgets.statusbar import Banner, HeadBar, KeyBar

if TYPE_CHECKING:
    from tui.app import LineclearApp


def bindings_of(room: str) -> list[BindingType]:
    """Textual's bindings for a room's actions."""
    return [
        Binding(",".join(action.keys), f"do('{action.id}')", action.title, show=False, id=f"{room}.{action.id}")
        for action in keymap.actions_of(room)
    ]


class Room(Screen[None]):
    """One part of the screen. A subclass gives `body`, `refresh_rows`, and a method `do_ID` for each of its actions."""

    ROOM: ClassVar[str] = ""
    TAB: ClassVar[str] = ""
    HINT: ClassVar[str] = ""
    BODY_CLASSES: ClassVar[str] = ""

    @property
    def desk(self) -> LineclearApp:
        """The app, with its type."""
        return cast("LineclearApp", self.app)

    def compose(self) -> ComposeResult:
        yield HeadBar()
        yield Banner()
        with Container(id="body", classes=self.BODY_CLASSES):
            yield from self.body()
        yield CommandLog(classes="log")
        yield FilterBar(self.HINT)
        yield KeyBar()
        yield Bar(classes="too-small")

    def body(self) -> ComposeResult:
        """The widgets between head and foot."""
        yield from ()

    def on_mount(self) -> None:
        """Textual calls this of every class of an object; what subclasses add goes into `begin`."""
        self.begin()

    def on_screen_resume(self) -> None:
        """As `on_mount`: see `resume`."""
        self.resume()

    def begin(self) -> None:
        """The screen is there for the first time."""
        small = " lineclear: this terminal is too small; 60 x 15 is the least "
        self.query_one(".too-small", Bar).set_lines((((small, "banner"),),))
        self.show_all()

    def resume(self) -> None:
        """The screen is seen, again or for the first time."""
        self.show_all()

    def on_resize(self) -> None:
        self.call_after_refresh(self.show_all)

    # what is shown

    def show_all(self) -> None:
        """Draws everything from what is known now."""
        if not self.is_mounted or not self.query(KeyBar):
            return
        self.take_over()
        self.safely(lambda: self.query_one(CommandLog).show(self.desk.done))

    def take_over(self) -> None:
        """Shows what is known now, body and frame; what of it cannot be shown takes nothing else with it."""
        self.safely(self.refresh_rows)
        self.safely(self.show_frame)

    def safely(self, act: Callable[[], None]) -> None:
        """The boundary of a room: a bug in one part is told, and the rest of the screen goes on."""
        try:
            act()
        except Exception as error:  # noqa: BLE001 - a part that fails must not end the screen
            self.desk.tell_broken(error)

    def refresh_rows(self) -> None:
        """Takes the snapshot's rows over; called when there is a new one."""

    def tick(self) -> None:
        """A second has passed: ages have grown."""
        self.show_frame()

    def show_frame(self) -> None:
        """Draws head and foot."""
        if not self.is_mounted or not self.query(KeyBar):
            return
        desk, width = self.desk, self.size.width
        fresh, snapshot = desk.freshness(), desk.snapshot
        about = frame.Frame(
            room=self.TAB or self.ROOM, who=desk.who, read_only=desk.read_only, frozen_at=desk.frozen_at
        )
        counts = self.counts(snapshot, wide=width >= frame.WIDE) if snapshot is not None else BLANK
        top = frame.head(about, fresh, snapshot, width)
        self.query_one(HeadBar).set_lines((top, frame.crumbs(self.places(), counts, width)))
        self.query_one(Banner).say(frame.banner(fresh, snapshot, read_only=desk.read_only))
        self.show_keys()

    def show_keys(self) -> None:
        """Draws the foot: which keys work depends on the row under the cursor."""
        self.query_one(KeyBar).show(frame.keys(keymap.actions_of(self.ROOM), self.why_not, self.size.width))

    def places(self) -> tuple[str, ...]:
        """Where this is, from the room inwards."""
        return (dict(keymap.ROOMS).get(self.ROOM, self.ROOM),)

    def counts(self, snapshot: Snapshot, *, wide: bool) -> Line:
        """What there is, at the end of the second row."""
        del snapshot, wide
        return BLANK

    def detail_came(self, target: Target, *, is_first: bool) -> None:
        """A detail was read; `desk.details` has it. `is_first`: its logs begin anew."""

    def lines_came(self, target: Target, lines: tuple[tuple[str, str], ...]) -> None:
        """New lines of logs: (step, text)."""

    # actions

    def why_not(self, action: Action) -> str:
        """Why an action cannot be done now; '' if it can."""
        if not action.changes:
            return self.why_not_here(action)
        if self.desk.read_only:
            return "the screen was started with --read-only"
        if self.desk.freshness().kind is FreshnessKind.OFFLINE:
            return "the state cannot be read now: what is shown is old"
        return self.why_not_here(action)

    def why_not_here(self, action: Action) -> str:
        """What this room has against an action; '' if nothing."""
        del action
        return ""

    def action_do(self, name: str) -> None:
        """Does an action of the table, or says why not."""
        action = keymap.find_action(name)
        if action is None:
            return
        reason = self.why_not(action)
        if reason:
            self.desk.say(f"{action.shown} {action.title.rstrip('…')}: {reason}", is_warning=True)
            return
        if name.startswith("room-"):
            self.desk.show_room(name.removeprefix("room-"))
            return
        act: Callable[[], None] | None = getattr(self, f"do_{name}", None) or getattr(self.desk, f"do_{name}", None)
        if act is not None:
            self.safely(act)

    def on_head_bar_chosen(self, message: HeadBar.Chosen) -> None:
        """A room was clicked."""
        self.desk.show_room(keymap.ROOMS[message.number - 1][0])

    def do_quit(self) -> None:
        """Leaves a page; in a room, leaves the program."""
        if self.app.screen is not self:
            return  # left already
        if len(self.app.screen_stack) > 1:
            self.app.pop_screen()
        else:
            self.app.exit()

    def do_back(self) -> None:
        """Up, if there is an up."""
        if self.app.screen is self and len(self.app.screen_stack) > 1:
            self.app.pop_screen()

    def do_command(self) -> None:
        """Copies the command line that shows the same."""
        self.desk.copy(self.command())

    def command(self) -> str:
        """The command line that shows what this screen shows."""
        return "lineclear tui"

    def do_focus(self) -> None:
        """To the next pane."""
        self.focus_next()
