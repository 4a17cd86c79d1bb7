"""What the loop answers after a commit: requests with the runs that came of them, pushes with what became of their commit.

It reads rows that are committed, and decides nothing.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from reconciler.loop.inbox import Pushed, Request
from reconciler.loop.outside import Outside
from reconciler.loop.revision import Applied
from reconciler.loop.waiting import waiting_text
from reconciler.model.state import RULES, RunId
from reconciler.store import catalogue, runs
from reconciler.store.writer import Writer

log = logging.getLogger(__name__)
PUSH_WAIT = timedelta(seconds=30)


class Answers:
    """Answers, and the pushes that still wait for theirs."""

    def __init__(self, writer: Writer, outside: Outside) -> None:
        self._writer = writer
        self._outside = outside
        self._last: tuple[str, Mapping[str, Any]] = ("", {})  # what came of the last revision: a push may ask later
        self.pushes: list[tuple[datetime, Pushed]] = []
        self.draining = False

    def are_stale(self, now: datetime) -> bool:
        """True if the first push has waited long enough."""
        return bool(self.pushes) and now - self.pushes[0][0] > PUSH_WAIT

    def move(self, drift: timedelta) -> None:
        """The clock was set."""
        self.pushes = [(at + drift, push) for at, push in self.pushes]

    def forget_last(self) -> None:
        """What came of the last revision counts no more."""
        self._last = ("", {})

    def give(self, answers: Iterable[Callable[[], None]]) -> None:
        """Gives each answer; one that cannot be made keeps the others from nobody."""
        for answer in answers:
            self._outside.boundary("answer")
            try:
                answer()
            except (sqlite3.Error, OSError):
                log.exception("an answer could not be given", extra={"action": "answer"})

    def answer(self, request: Request, result: dict[str, Any], *, offer_again: bool) -> None:
        """What came of a request."""
        if offer_again:
            self._outside.offer_again()
        if "runs" in result:
            result["runs"] = [self._describe(run_id) for run_id in result["runs"]]
        if "run" in result:
            result |= self._describe(result.pop("run"), message=result.get("message"))
        request.answer({"ok": result})

    def _describe(self, run_id: RunId, message: object = None) -> dict[str, Any]:
        run = runs.find_run_by_id(self._writer, run_id)
        if run is None:
            return {"namespace": "", "name": "", "run": "", "phase": "", "message": "it has ended and was removed"}
        text = waiting_text(self._writer, run_id) if message is None else message
        if self.draining and not text and not run.is_final:
            text = "waits until a daemon runs again: this one is ending"
        told = {"namespace": run.namespace, "name": run.name, "run": run.name, "phase": run.phase.value}
        if run.ended_by in RULES:
            return {**told, "message": run.message, "refused": run.ended_by}
        return {**told, "message": text}

    def tell(self, now: datetime, applied: Iterable[Applied]) -> None:
        """Tells the source what is live, and every push that reached it what came of it."""
        for result in applied:
            if result.state == "applied":
                self._outside.boundary("before-note")
                self._outside.applied(result.sha)
            elif result.state == "outdated":
                self._outside.offer_again()
                continue
            self._last = (result.sha, {"lines": [*result.lines, *self._run_lines(result)], "state": result.state})
        if not self.pushes:
            return
        live = catalogue.applied_sha(self._writer)
        waiting, self.pushes = self.pushes, []
        for at, push in waiting:
            if push.sha == self._last[0]:
                push.answer({**self._last[1], "live": live})
            elif push.sha == live:
                push.answer({"lines": ["this commit is live already"], "state": "applied", "live": live})
            elif now - at > PUSH_WAIT:
                push.answer({"lines": ["accepted; see lineclear sync"], "state": "waiting", "live": live})
            else:
                self.pushes.append((at, push))

    def _run_lines(self, result: Applied) -> list[str]:
        lines = []
        for run_id in result.runs:
            told = self._describe(run_id)
            word = "refused" if "refused" in told else "submitted"
            lines.append(f"{word}: {told['name']}: {told['message'] or told['phase']}")
        return lines
