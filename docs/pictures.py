# ruff: noqa: INP001  # a script beside the pictures that it draws
"""Draws the pictures of the screen: `python docs/pictures.py`, or `make pictures`.

The real app runs without a terminal over the scene of its own tests, at a clock that stands still: the same code draws the
same picture, so a test can tell when one is stale.
"""

from __future__ import annotations

import asyncio
import importlib.util
import re
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PICTURES = Path(__file__).parent / "pictures"
SIZE = (120, 36)
SCENES: dict[str, tuple[tuple[str, ...], str, str]] = {  # name: keys, what must be seen, theme
    "locks": ((), "holding for a failure", "lineclear-dark"),
    "locks-light": ((), "holding for a failure", "lineclear-light"),
    "lock": (("enter",), "usually", "lineclear-dark"),
    "terminate": (("T",), "a reason is needed", "lineclear-dark"),
    "run": (("2", "enter"), "line 8", "lineclear-dark"),
    "journal": (("6",), "holder terminated", "lineclear-dark"),
}
PATIENCE_S = 20.0
_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
_FAMILY = "'DejaVu Sans Mono', Menlo, Consolas, monospace"


def draw(name: str) -> str:
    """One picture as SVG."""
    return asyncio.run(_draw(*SCENES[name]))


async def _draw(keys: tuple[str, ...], wanted: str, theme: str) -> str:
    from tui.app import LineclearApp

    scenes = _scenes()
    script = scenes.Script()
    app = LineclearApp(lambda: script, scenes.Desk(), who="alice", theme=theme)
    app.clock = lambda: scenes.NOW
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await _until(pilot, lambda: app.snapshot is not None)
        for key in keys:
            await pilot.press(key)
        await _until(pilot, lambda: wanted in _text(app))
        await pilot.pause(0.1)
        drawn = app.export_screenshot(title="lineclear tui")
    return _without_fetching(drawn)


async def _until(pilot: Any, condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the screen never showed what the picture is of")
        await pilot.pause(0.02)
    await pilot.pause()


def _text(app: Any) -> str:
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())  # noqa: SLF001  # as the tests read it


def _without_fetching(svg: str) -> str:
    """The picture without the fonts that it would fetch from elsewhere, and with an id that does not depend on them."""
    svg = _FONT.sub("", svg).replace("Fira Code, monospace", _FAMILY)
    found = re.search(r"terminal-(\d+)", svg)
    return svg.replace(f"terminal-{found[1]}", "screen") if found else svg


def _scenes() -> Any:
    spec = importlib.util.spec_from_file_location("lineclear_tui_scenes", ROOT / "tests" / "tui" / "scenes.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError("the scene of the screen's tests is not here; run this from a clone")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> int:
    """Draws them all; 0."""
    PICTURES.mkdir(exist_ok=True)
    for name in SCENES:
        (PICTURES / f"{name}.svg").write_text(draw(name) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
