"""The loop and the store of a home in this process, without threads and with a runtime that only remembers what it was asked."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable

from reconciler.clock import SystemClock, local_zone
from reconciler.home import Home
from reconciler.instance import read_boot_id
from reconciler.loop.context import Options
from reconciler.loop.effects import Effects
from reconciler.loop.inbox import Inbox, Request
from reconciler.loop.launch import Surroundings
from reconciler.loop.outside import Outside
from reconciler.loop.tick import Loop
from reconciler.model.attempt import AttemptId, Exited, Launch, Observation
from reconciler.settings import load
from reconciler.source.repository import Repository
from reconciler.store import catalogue
from reconciler.store.lookup import read_standing
from reconciler.store.writer import open_writer


class StillRuntime:
    """Starts nothing: a launched attempt runs until `end` says how it ended."""

    def __init__(self) -> None:
        self.running: list[AttemptId] = []
        self._seen: list[Observation] = []

    def launch(self, launch: Launch) -> None:
        self.running.append(launch.attempt_id)

    def stop(self, attempt_id: AttemptId) -> None:
        self.end(attempt_id)

    def kill(self, attempt_id: AttemptId) -> None:
        self.end(attempt_id)

    def end(self, attempt_id: AttemptId) -> None:
        """The next `collect` reports the attempt's end."""
        self.running.remove(attempt_id)
        self._seen.append(Exited(attempt_id=attempt_id, exit_code=0, signal=None, at=SystemClock().now()))

    def collect(self) -> list[Observation]:
        seen, self._seen = self._seen, []
        return seen

    def acknowledge(self, attempt_ids: Iterable[AttemptId]) -> None:
        del attempt_ids


class Desk:
    """What a daemon decides with, for a home that has none; `close` it before another opens."""

    def __init__(self, root: str) -> None:
        home = Home(root)
        self._home, settings = home, load(home)
        self._clock = SystemClock()
        self.inbox = Inbox()
        self.writer = open_writer(home.database)
        self.runtime = StillRuntime()
        around = Surroundings(home=home, settings=settings, user="bench", account_home="/")
        self._effects = Effects(around, self.runtime, lambda _sha: None, _pass)
        options = Options(parallelism=settings.parallelism, boot_id=read_boot_id(), local_zone=local_zone())
        outside = Outside(applied=_pass, offer_again=lambda: None, look_at_git=lambda: None, boundary=_pass)
        self._loop = Loop(self.writer, self._clock, options, new_uid=lambda: str(uuid.uuid4()), inbox=self.inbox, outside=outside)

    def tick(self) -> None:
        self._loop.tick(self.runtime, self._effects)

    def ask(self, verb: str, args: dict[str, object]) -> dict:
        """One request in a tick of its own. Raises RuntimeError if it is refused."""
        answers: list[dict] = []
        self.inbox.put(Request(verb, args, "bench", lambda answer: answers.append(dict(answer))))
        self.tick()
        if "error" in answers[0]:
            raise RuntimeError(answers[0]["error"]["message"])
        return answers[0]["ok"]

    def reconcile(self) -> None:
        """Makes the branch's head live if it is not, as the watching thread and the loop do together; then a tick."""
        repository = Repository(self._home.repository)
        head = repository.resolve("main")
        assert head is not None
        applied = catalogue.applied_sha(self.writer)
        if head != applied:
            standing = read_standing(self._home.database)
            self.inbox.put(repository.read_revision(head, applied, at=self._clock.now(), standing=standing))
        self.tick()
        os.makedirs(self._home.tree(head), exist_ok=True)  # steps wait for it

    def close(self) -> None:
        self.writer.close()
        self.inbox.close()


def _pass(_: str) -> None:
    """Nobody is told."""
