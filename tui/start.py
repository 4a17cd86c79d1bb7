"""Starts the screen of a home: the one place that knows both the source of the data and the app that shows it."""

from __future__ import annotations

import locale
import os
from dataclasses import dataclass

from reconciler.control.client import actor
from reconciler.home import Home
from tui import themes
from tui.app import LineclearApp
from tui.core import actions
from tui.core.model import Failure, RunKey
from tui.core.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the command line asks for. `theme` is one of `themes.NAMES`, or '' for what the terminal suggests."""

    home: str
    read_only: bool = False
    ascii_only: bool = False
    theme: str = ""


class HomeOperator:
    """Plans and carries out over a home of its own, since every call may come from another thread."""

    def __init__(self, home: Home) -> None:
        self._source = Source(home)

    def terminate(
        self, target: str | RunKey, epoch: int | None, reach: actions.Reach
    ) -> actions.TerminatePlan | Failure:
        """The end of one holder."""
        return actions.plan_terminate(self._source, target, epoch, reach)

    def run(self, verb: actions.RunVerb, key: RunKey) -> actions.Plan | Failure:
        """Something done to a run."""
        return actions.plan_run(self._source, verb, key)

    def cron(self, verb: str, key: RunKey) -> actions.Plan | Failure:
        """Something done to a cron."""
        return actions.plan_cron(self._source, verb, key)

    def sync(self, sha: str) -> actions.Plan | Failure:
        """The head applied, or a held revision approved."""
        return actions.plan_sync(self._source, sha)

    def carry_out(self, plan: actions.Plan, reason: str, confirmation: str) -> actions.Outcome:
        """Does it, and says how it went."""
        return actions.carry_out(self._source, plan, reason, confirmation)


def make_app(wish: Wish) -> LineclearApp:
    """The app for a home; it reads nothing yet."""
    home = Home(wish.home)
    return LineclearApp(
        lambda: Source(home),
        HomeOperator(home),
        home=home.root,
        who=actor(),
        read_only=wish.read_only,
        ascii_only=wish.ascii_only or not is_utf8(),
        theme=themes.NAMES.get(wish.theme, ""),
    )


def is_utf8() -> bool:
    """Whether the locale can write more than ASCII."""
    given = os.environ.get("LC_ALL") or os.environ.get("LC_CTYPE") or os.environ.get("LANG") or ""
    if given:
        return "utf-8" in given.lower() or "utf8" in given.lower()
    return locale.getpreferredencoding(do_setlocale=False).lower().replace("-", "") == "utf8"


def run_screen(wish: Wish) -> int:
    """Runs until it is left; the exit code."""
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)  # a shell may have exported an old size; the terminal itself knows the present one
    app = make_app(wish)
    app.run()
    return app.return_code or 0
