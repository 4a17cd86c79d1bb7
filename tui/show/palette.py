"""The colours, and what each kind of word looks like with and without them. Shape and word come first, colour last.

The three state colours stay apart for colour-blind readers, and keep a contrast of 4.5 and more against their background.
No Textual here: a style is a colour, a background and attributes, and widgets make of it what they draw with.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One style. Colours are `#rrggbb`, an ANSI name, or '' for what is there already."""

    color: str = ""
    background: str = ""
    bold: bool = False
    reverse: bool = False
    underline: bool = False
    dim: bool = False
    italic: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a theme lays under the words."""

    background: str
    panel: str
    text: str
    muted: str
    border: str
    focus: str


DARK_GROUND = Ground(
    background="#1b1d21", panel="#22252a", text="#d8dbe0", muted="#8f97a3", border="#3b4149", focus="#6f8fb3"
)
LIGHT_GROUND = Ground(
    background="#f5f5f5", panel="#eaecee", text="#1f2328", muted="#59616b", border="#c3c8ce", focus="#4a76a8"
)


def _looks(ground: Ground, states: tuple[str, str, str, str], *, cursor: str, match: str) -> dict[str, Look]:
    """`states` are the colours of stuck, blocked, active and ok."""
    stuck, blocked, active, ok = states
    return {
        "": Look(),
        "muted": Look(color=ground.muted),
        "strong": Look(bold=True),
        "title": Look(color=ground.focus, bold=True),
        "head": Look(color=ground.muted, bold=True),
        "rule": Look(color=ground.border),
        "key": Look(color=active, bold=True),
        "off": Look(color=ground.border),
        "stuck": Look(color=stuck, bold=True),
        "alarm": Look(color=stuck, bold=True),
        "blocked": Look(color=blocked),
        "active": Look(color=active),
        "idle": Look(color=ground.muted),
        "ok": Look(color=ok),
        "failed": Look(color=stuck),
        "tab": Look(color=ground.muted),
        "tab-on": Look(color=ground.text, background=cursor, bold=True),
        "cursor": Look(background=cursor),
        "cursor-blurred": Look(background=ground.panel),
        "match": Look(color="#1b1d21", background=match),
        "changed": Look(underline=True),
        "banner": Look(color=blocked, background=ground.panel, bold=True),
        "bar": Look(background=ground.panel),
        "thumb": Look(color=ground.focus),
        "brand": Look(color=ground.focus, bold=True),
    }


DARK = _looks(
    DARK_GROUND, ("#ff4d6d", "#ffc440", "#5cb8ff", "#86c48d"), cursor="#303a48", match="#ffc440"
)
LIGHT = _looks(
    LIGHT_GROUND, ("#8e0038", "#946200", "#0060c8", "#1c6a34"), cursor="#d3dfee", match="#ffd970"
)
ANSI = _looks(
    Ground(background="", panel="", text="", muted="bright_black", border="bright_black", focus="cyan"),
    ("red", "yellow", "bright_blue", "green"), cursor="", match="yellow",
) | {
    "cursor": Look(reverse=True),
    "cursor-blurred": Look(bold=True),
    "tab-on": Look(reverse=True, bold=True),
    "match": Look(reverse=True),
    "banner": Look(reverse=True, bold=True),
}  # fmt: skip
MONO = dict.fromkeys(DARK, Look()) | {
    "strong": Look(bold=True),
    "title": Look(bold=True),
    "head": Look(bold=True),
    "off": Look(dim=True),
    "key": Look(bold=True),
    "brand": Look(bold=True),
    "stuck": Look(bold=True, reverse=True),
    "alarm": Look(bold=True),
    "failed": Look(bold=True),
    "blocked": Look(bold=True),
    "cursor": Look(reverse=True),
    "cursor-blurred": Look(underline=True),
    "tab-on": Look(reverse=True, bold=True),
    "match": Look(reverse=True),
    "changed": Look(underline=True),
    "banner": Look(reverse=True, bold=True),
}
