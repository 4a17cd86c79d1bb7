"""What all dialogs have in common: a frame in the middle, lines, choices in a row with Cancel first and focused, esc cancels."""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.strip import Strip

from tui.core.fmt import clean
from tui.show.layout import Line
from tui.widgets.lines import Drawn, LinesView

T = TypeVar("T")


class Choice(Drawn, can_focus=True):
    """One word to choose. It is drawn in brackets, and reversed while it has the focus."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "choose", show=False)]

    class Chosen(Message):
        """It was chosen."""

        def __init__(self, choice: Choice) -> None:
            super().__init__()
            self.choice = choice

        @property
        def control(self) -> Choice:
            return self.choice

    def __init__(self, text: str, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.text = text
        self.styles.width = len(text) + 4
        self.styles.height = 1

    def render_line(self, y: int) -> Strip:
        del y
        look = "off" if self.disabled else "strong"
        left, right = (">", "<") if self.has_focus else ("[", "]")
        return self.draw(((f"{left} {self.text} {right}", look),), self.size.width, "cursor" if self.has_focus else "")

    def watch_disabled(self, disabled: bool) -> None:  # noqa: FBT001 - Textual's signature
        super().watch_disabled(disabled)
        self.refresh()

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def set_text(self, text: str) -> None:
        """Says another word."""
        self.text = text
        self.styles.width = len(text) + 4
        self.refresh()

    def action_choose(self) -> None:
        """It was chosen with a key."""
        self.post_message(self.Chosen(self))

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.action_choose()


class Dialog(ModalScreen[T], Generic[T]):
    """A frame with lines and choices. `enter` on Cancel cancels; nothing is ever chosen by default but that."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", show=False),
        # first of all: what is typed right after it belongs to the next field, however fast it comes
        Binding("tab", "next", show=False, priority=True),
        Binding("shift+tab", "app.focus_previous", show=False, priority=True),
        Binding("right", "next", show=False),
        Binding("left", "app.focus_previous", show=False),
        Binding("down", "scroll(1)", show=False),
        Binding("up", "scroll(-1)", show=False),
        Binding("pagedown", "scroll(10)", show=False),
        Binding("pageup", "scroll(-10)", show=False),
    ]

    def __init__(self, title: str, lines: tuple[Line, ...], *, cancel: str = "Cancel") -> None:
        super().__init__()
        self._title = title
        self._lines = lines
        self._cancel = cancel
        self._is_left = False

    def compose(self) -> ComposeResult:
        with Container(id="dialog"):
            self.view = LinesView()
            yield self.view
            yield from self.middle()
            with Horizontal(classes="buttons"):
                yield Choice(self._cancel, id="cancel")
                yield from self.choices()

    def middle(self) -> ComposeResult:
        """What stands between the lines and the choices."""
        yield from ()

    def choices(self) -> ComposeResult:
        """The choices beside Cancel."""
        yield from ()

    def on_mount(self) -> None:
        """Textual calls this of every class of an object; what subclasses add goes into `begin`."""
        self.begin()

    def begin(self) -> None:
        """The dialog is there; Cancel gets the focus."""
        frame = self.query_one("#dialog")
        frame.border_title = Content(clean(self._title))
        self.show_lines(self._lines)
        self.query_one("#cancel", Choice).focus()

    def show_lines(self, lines: tuple[Line, ...]) -> None:
        """Shows these lines."""
        self.view.styles.height = max(1, len(lines))
        self.view.set_lines(lines)

    def below(self, text: str) -> None:
        """Writes on the frame's lower edge."""
        self.query_one("#dialog").border_subtitle = Content(clean(text)) if text else None

    def line_width(self) -> int:
        """How wide lines may be."""
        return max(30, min(96, self.app.size.width) - 6)

    def action_scroll(self, count: int) -> None:
        """Moves the lines."""
        self.view.scroll_lines(count)

    def action_cancel(self) -> None:
        """Leaves, and nothing was done."""
        self.leave(None)

    def leave(self, result: T | None) -> None:
        """Leaves once: a key that was pressed twice in haste must not take the screen below away."""
        if not self._is_left:
            self._is_left = True
            self.dismiss(result)

    def action_next(self) -> None:
        """To the next field or choice."""
        self.focus_next()

    def on_choice_chosen(self, message: Choice.Chosen) -> None:
        """One was chosen."""
        message.stop()
        if message.choice.id == "cancel":
            self.action_cancel()
        else:
            self.chosen(message.choice.id or "")

    def chosen(self, name: str) -> None:
        """Another than Cancel was chosen."""
        del name
