"""The screen on a stage: the real app without a terminal, a reader and an operator that the test sets, a clock at rest."""

from __future__ import annotations

import asyncio
import importlib.util
import time
from pathlib import Path

import pytest
from textual import events
from textual.widgets import Input

_SPEC = importlib.util.spec_from_file_location("lineclear_tui_scenes", Path(__file__).with_name("scenes.py"))
_SCENES = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_SCENES)
DEADLINE_S = 60.0


class Stage:
    """One app that runs, with what is behind it."""

    def __init__(self, app, pilot, script, desk):
        self.app = app
        self.pilot = pilot
        self.script = script
        self.desk = desk

    async def until(self, condition, what=""):
        """Lets the app work until the condition is true."""
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, f"not seen within {DEADLINE_S} s: {what}\n{self.text()}"
            await self.pilot.pause(0.01)
        await self.pilot.pause()

    async def press(self, *keys):
        """Presses keys, each taken before the next."""
        for key in keys:
            await self.pilot.press(key)
        await self.rest()

    def send(self, name, character):
        """One key, as the terminal would send it."""
        key = events.Key(name, character)
        key.set_sender(self.app)
        self.app._driver.send_message(key)

    async def type(self, text):
        """Types a text."""
        names = {" ": "space", "#": "number_sign", "/": "slash", "-": "minus", ":": "colon", "!": "exclamation_mark"}
        box, before = self.app.focused, getattr(self.app.focused, "value", "")
        for character in text:
            self.send(names.get(character, character), character)
        if isinstance(box, Input):
            await self.until(lambda: box.value in (before + text, text), f"{text} typed")
        await self.rest()

    async def rest(self):
        """Waits until the cursor has rested, and what follows from that is drawn."""
        await self.pilot.pause(0.06)
        await self.pilot.pause()

    async def show(self, **changes):
        """The reader's next snapshot differs so; read at once."""
        self.script.show(**changes)
        await self.refresh()

    async def refresh(self):
        """Reads at once, and waits until that is shown."""
        polls = self.script.polls
        self.app.do_refresh()
        await self.until(lambda: self.script.polls > polls, "a poll")
        await self.rest()

    def lines(self):
        """What is seen."""
        strips = self.app.screen._compositor.render_strips()
        return [strip.text.rstrip() for strip in strips]

    def text(self):
        return "\n".join(self.lines())

    def has(self, *words):
        """True if every word is seen."""
        seen = self.text()
        return all(word in seen for word in words)

    async def sees(self, *words):
        """Waits until every word is seen."""
        await self.until(lambda: self.has(*words), words)


@pytest.fixture
def scenes():
    """The module of values."""
    return _SCENES


@pytest.fixture
def play(monkeypatch):
    """Runs a scene: `play(act, size=..., script=..., read_only=...)` with `async def act(stage)`."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("COLORFGBG", raising=False)

    def run(act, *, size=(120, 36), script=None, desk=None, is_read=True, **options):
        from tui.app import LineclearApp

        script, desk = script or _SCENES.Script(), desk or _SCENES.Desk()

        async def main():
            app = LineclearApp(lambda: script, desk, who="alice", **options)
            app.clock = lambda: _SCENES.NOW
            async with app.run_test(size=size, notifications=True) as pilot:
                stage = Stage(app, pilot, script, desk)
                if is_read:
                    await stage.until(lambda: app.snapshot is not None, "the first snapshot")
                    await stage.rest()
                await act(stage)
            assert script.closed.wait(5), "the reader was not closed"

        asyncio.run(main())

    return run
