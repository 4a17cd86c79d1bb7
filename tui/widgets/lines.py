"""The one way in which widgets draw: lines of spans become strips. Markup is never read, control characters are shown.

`Drawn` knows the looks of the app's theme; `LinesView` is a list of lines that scrolls. Neither knows what the words mean.
"""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui.core.fmt import LINE_LIMIT, clean
from tui.show.layout import BLANK, Line, fit_line
from tui.show.palette import ANSI, DARK, LIGHT, MONO, Look

WHEEL_LINES = 3


def rich_style(look: Look) -> Style:
    """The look as Rich writes it."""
    return Style(
        color=look.color or None,
        bgcolor=look.background or None,
        bold=look.bold or None,
        reverse=look.reverse or None,
        underline=look.underline or None,
        dim=look.dim or None,
        italic=look.italic or None,
    )


_STYLES = {
    name: {key: rich_style(look) for key, look in table.items()}
    for name, table in (("dark", DARK), ("light", LIGHT), ("ansi", ANSI), ("mono", MONO))
}


class Drawn(Widget):
    """A widget that draws its lines itself, one strip each, in the looks of the theme."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, classes=classes)
        self._seen: dict[tuple[Line, str, int], Strip] = {}

    def looks(self) -> dict[str, Style]:
        """The styles of the present theme by their names."""
        app = self.app
        if app.no_color:
            return _STYLES["mono"]
        if app.native_ansi_color:
            return _STYLES["ansi"]
        return _STYLES["dark" if app.current_theme.dark else "light"]

    def draw(self, line: Line, width: int, under: str = "") -> Strip:
        """The line as a strip of exactly `width` cells, on the look `under`."""
        key = (line, under, width)
        found = self._seen.get(key)
        if found is not None:
            return found
        looks = self.looks()
        base = self.visual_style.rich_style
        ground = base + looks[under] if under else base
        flat = self.app.no_color or self.app.native_ansi_color
        segments = []
        for text, look in fit_line(tuple((self.safe(text), look) for text, look in line), width):
            style = base + looks[under] + Style(bold=looks[look].bold) if under and flat else ground + looks[look]
            segments.append(Segment(text, style))
        strip = Strip(segments, width)
        if len(self._seen) > 2000:
            self._seen.clear()
        self._seen[key] = strip
        return strip

    def render_lines(self, crop: Region) -> list[Strip]:
        """Textual's own; the boundary of a pane: one that cannot be drawn says so in its place."""
        try:
            return super().render_lines(crop)
        except Exception as error:  # noqa: BLE001 - a pane that fails must not end the screen
            words = fit_line(((f" this part cannot be shown: {type(error).__name__}: {self.safe(str(error))}", ""),), crop.width)
            told = Strip([Segment(text) for text, _ in words], crop.width)
            return [told, *[Strip.blank(crop.width)] * (crop.height - 1)][: crop.height]

    def safe(self, text: str) -> str:
        """The text without what could move a cursor; in ASCII where the terminal has no more than that."""
        if len(text) < LINE_LIMIT and text.isascii() and text.isprintable():
            return text
        shown = clean(text)
        if getattr(self.app, "ascii_only", False) and not shown.isascii():
            return shown.translate(ASCII).encode("ascii", "replace").decode()
        return shown

    def notify_style_update(self) -> None:
        """Forgets strips in the looks of another theme."""
        super().notify_style_update()
        self._seen.clear()

    def refresh_line(self, y: int) -> None:
        """Draws one line of the content again."""
        self.refresh(Region(0, y, self.size.width, 1))


ASCII = str.maketrans(
    {
        "■": "#", "▲": "^", "●": "*", "○": ".", "◐": "~", "✗": "x", "✓": "+", "✔": "+", "✖": "x", "⚠": "!", "◷": ".", "·": ".",
        "⊘": "o", "…": "~", "│": "|", "─": "-", "├": "|", "└": "`", "╭": "+", "╮": "+", "╯": "+", "╰": "+", "→": ">", "←": "<",
        "▐": "|", "▕": "|", "↑": "^", "↓": "v", "\u203a": ">", "—": "-", "▸": "+", "▾": "-", "‖": "=", "◆": "*", "◇": "o",
        "⟳": "@", "¶": "P", "█": "#", "▏": "|",
    }
)  # fmt: skip


class LinesView(Drawn, can_focus=False):
    """Lines of spans, from the top; more than fit are scrolled with the wheel, or with keys once it has the focus."""

    DEFAULT_CSS = "LinesView { height: 1fr; }"

    class Scrolled(Message):
        """It shows another part."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, classes=classes)
        self.lines: tuple[Line, ...] = ()
        self.top = 0

    def set_lines(self, lines: tuple[Line, ...]) -> None:
        """Shows these lines; where they are the same, nothing is drawn."""
        if lines == self.lines:
            return
        self.lines = lines
        self.top = min(self.top, self.last_top())
        self.refresh()

    def last_top(self) -> int:
        """The greatest first line that leaves no room empty."""
        return max(0, len(self.lines) - self.size.height)

    def scroll_lines(self, count: int) -> None:
        """Moves what is shown down by so many lines, or up."""
        top = max(0, min(self.last_top(), self.top + count))
        if top != self.top:
            self.top = top
            self.refresh()

    def render_line(self, y: int) -> Strip:
        index = self.top + y
        line = self.lines[index] if index < len(self.lines) else BLANK
        below = len(self.lines) - self.top - self.size.height
        if y == self.size.height - 1 and below > 0:
            line = ((f"… {below + 1} more lines", "muted"),)
        return self.draw(line, self.size.width)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.scroll_lines(WHEEL_LINES)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.scroll_lines(-WHEEL_LINES)


class Bar(LinesView):
    """Lines that keep their height and never scroll, such as the head and the foot of a screen."""

    DEFAULT_CSS = "Bar { height: 1; }"
    UNDER: ClassVar[str] = ""

    def render_line(self, y: int) -> Strip:
        line = self.lines[y] if y < len(self.lines) else BLANK
        return self.draw(line, self.size.width, self.UNDER)
