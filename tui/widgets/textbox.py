"""A line to type into: what is pasted is made harmless like any other text from outside."""

from __future__ import annotations

from textual.widgets import Input

from tui.core.fmt import clean

LIMIT = 1000


class TextBox(Input):
    """Textual's input with a cleaned value."""

    def validate_value(self, value: str) -> str:
        """The value without anything that could steer the terminal."""
        return clean(value, LIMIT)
