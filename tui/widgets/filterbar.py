"""One line to type a filter into. It says what it was given at every key, and remembers the last one that was used."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input

from tui.widgets.lines import Bar
from tui.widgets.textbox import TextBox


class FilterBar(Horizontal):
    """Hidden until it is opened. enter keeps the filter, esc clears it."""

    DEFAULT_CSS = """
    FilterBar { height: 1; display: none; }
    FilterBar.-shown { display: block; }
    FilterBar > .label { width: 10; }
    FilterBar > .hint { width: 1fr; }
    FilterBar > Input { width: 48; height: 1; border: none; padding: 0 1; }
    """

    class Typed(Message):
        """The text is another."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Closed(Message):
        """Typing is over; the filter stays as it is."""

    def __init__(self, hint: str) -> None:
        super().__init__()
        self._hint = hint
        self.last = ""

    def compose(self) -> ComposeResult:
        yield Bar(classes="label")
        yield TextBox(compact=True)
        yield Bar(classes="hint")

    def on_mount(self) -> None:
        self.query_one(".label", Bar).set_lines((((" filter / ", "key"),),))
        self.query_one(".hint", Bar).set_lines((((f"  {self._hint}", "muted"),),))

    @property
    def box(self) -> Input:
        """Where the text is typed."""
        return self.query_one(Input)

    @property
    def is_open(self) -> bool:
        """True while text is being typed."""
        return self.has_class("-shown")

    def open(self, text: str) -> None:
        """Begins to type, with a text to go on from."""
        self.add_class("-shown")
        self.box.value = text
        self.box.cursor_position = len(text)
        self.box.focus()

    def close(self) -> None:
        """Ends typing."""
        self.remove_class("-shown")
        self.post_message(self.Closed())

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self.is_open:
            self.post_message(self.Typed(event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.last = event.value or self.last
        self.close()

    def on_key(self, event: events.Key) -> None:
        if event.key == "escape":
            event.stop()
            event.prevent_default()
            self.box.value = ""
            self.post_message(self.Typed(""))
            self.close()
