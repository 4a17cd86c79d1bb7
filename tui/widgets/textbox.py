"""A line to type into: every text that it is given is made harmless like any other from outside, pasted ones too."""

from __future__ import annotations

from textual.widgets import Input

from tui.core.fmt import clean

LIMIT = 1000


class TextBox(Input):
    """Textual's input that draws nothing but clean text. `limit` is how many characters it takes at most."""

    limit = LIMIT

    def validate_value(self, value: str) -> str:
        """The value without anything that could steer the terminal."""
        return clean(value, self.limit)

    def validate_placeholder(self, placeholder: str) -> str:
        """The same of what is shown while nothing is typed."""
        return clean(placeholder, self.limit)

    def validate__suggestion(self, suggestion: str) -> str:
        """The same of what is offered to go on with."""
        return clean(suggestion, self.limit)

    def replace(self, text: str, start: int, end: int) -> None:
        """Puts a text in, clean already: the cursor is to stand behind what is shown of it."""
        super().replace(clean(text, self.limit), start, end)
