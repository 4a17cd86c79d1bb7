"""The palette: rooms, locks and runs by name, and the actions that the seen room has now. All of it from the table of keys."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from tui import keymap
from tui.core.fmt import clean

if TYPE_CHECKING:
    from tui.app import LineclearApp

MOST = 40
Entry = tuple[str, str, Callable[[], None]]


class GoTo(Provider):
    """Finds by letters in order, as the palette of Textual does."""

    @property
    def _app(self) -> LineclearApp:
        return cast("LineclearApp", self.app)

    def _actions(self) -> list[Entry]:
        room = self._app.room()
        if room is None:
            return []
        found: list[Entry] = []
        for action in keymap.actions_of(room.ROOM):
            if action.id in ("palette", "down", "up", "left", "right") or room.why_not(action):
                continue
            found.append((action.title.rstrip("…"), f"{action.shown}: {action.text}", partial(room.action_do, action.id)))
        return found

    def _things(self) -> list[Entry]:
        app, snapshot = self._app, self._app.snapshot
        if snapshot is None:
            return []
        locks: list[Entry] = [
            (f"lock {row.name}", f"{row.key}: {row.state}", partial(app.open_lock, row.key)) for row in snapshot.locks
        ]
        runs: list[Entry] = [
            (f"run {row.name}", f"{row.key}: {row.state}", partial(app.open_run, row.key)) for row in snapshot.runs
        ]
        return locks + runs

    async def discover(self) -> Hits:
        """What is shown before anything is typed."""
        for title, text, act in self._actions():
            yield DiscoveryHit(Content(clean(title)), act, text=clean(title), help=clean(text))

    async def search(self, query: str) -> Hits:
        """What fits the letters."""
        matcher = self.matcher(query)
        shown = 0
        for title, text, act in self._actions() + self._things():
            score = matcher.match(clean(title))
            if score > 0 and shown < MOST:
                shown += 1
                yield Hit(score, Content(clean(title)), act, text=clean(title), help=clean(text))
