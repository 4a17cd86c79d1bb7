"""Our two themes for Textual: what lies under the words. The looks of words are drawn from the palette itself."""

from __future__ import annotations

import os

from textual.theme import Theme

from tui.show.palette import DARK_GROUND, LIGHT_GROUND, Ground

DARK, LIGHT, ANSI = "lineclear-dark", "lineclear-light", "ansi-dark"
ORDER = (DARK, LIGHT, ANSI)
NAMES = {"dark": DARK, "light": LIGHT, "terminal": ANSI}


def _theme(name: str, ground: Ground, *, dark: bool) -> Theme:
    return Theme(
        name=name,
        primary=ground.focus,
        secondary=ground.focus,
        accent=ground.focus,
        foreground=ground.text,
        background=ground.background,
        surface=ground.panel,
        panel=ground.panel,
        warning="#ffc440" if dark else "#946200",
        error="#ff4d6d" if dark else "#8e0038",
        success="#86c48d" if dark else "#1c6a34",
        dark=dark,
        variables={"border": ground.border, "text-muted": ground.muted, "input-cursor-text-style": "reverse"},
    )


THEMES = (_theme(DARK, DARK_GROUND, dark=True), _theme(LIGHT, LIGHT_GROUND, dark=False))


def first_theme(environ: dict[str, str] | os._Environ[str]) -> str:
    """The theme to begin with: light where the terminal says through COLORFGBG that its ground is light, else dark."""
    ground = environ.get("COLORFGBG", "").rpartition(";")[2]
    return LIGHT if ground in ("7", "15") else DARK
