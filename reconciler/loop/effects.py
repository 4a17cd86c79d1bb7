"""Makes what runs agree with what is written: level-triggered, after the commit, from committed rows.

Starting is idempotent by attempt id; stopping is a request. An effect that fails is tried again at the next tick.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from reconciler.errors import LineclearError
from reconciler.loop.context import Context
from reconciler.loop.launch import Surroundings, build_launch, intent_of
from reconciler.loop.outputs import collect
from reconciler.model.attempt import AttemptId, Hindered, Intent, Launch, NotStarted, Observation
from reconciler.model.state import AttemptState, NodeState, Outputs, RunId
from reconciler.runtime.outputs import remove_folder
from reconciler.runtime.records import reserve_record
from reconciler.store import attempts

log = logging.getLogger(__name__)


class Runtime(Protocol):
    """What effects need of a runtime."""

    def launch(self, launch: Launch) -> None:
        """Start the attempt unless it was ever claimed."""

    def stop(self, attempt_id: AttemptId) -> None:
        """Ask it to end, with grace."""

    def kill(self, attempt_id: AttemptId) -> None:
        """Ask it to end at once."""

    def revoke(self, intent: Intent) -> bool:
        """Make sure that it never begins; False if it has begun."""

    def forget(self, attempt_ids: Iterable[AttemptId]) -> None:
        """The rows have ended these: nothing more is to be told of them."""


class Effects:
    """Starts and stops attempts, waits for a commit's tree, removes the files of removed runs."""

    def __init__(
        self, around: Surroundings, runtime: Runtime, want_tree: Callable[[str], str], boundary: Callable[[str], None]
    ) -> None:
        self._around = around
        self._runtime = runtime
        self._want_tree = want_tree
        self._boundary = boundary
        self._asked: dict[int, str] = {}  # attempt -> the stop that was passed on in this process
        self._launched: set[int] = set()
        self._failed: list[Observation] = []
        self.is_behind = False  # an effect failed: it is to be tried again soon

    def act(self, ctx: Context, removed: Iterable[RunId]) -> None:
        """One comparison of rows and world."""
        active = attempts.active_attempts(ctx.writer)
        known = {attempt.id for attempt in active}
        self._runtime.forget(AttemptId(gone) for gone in self._launched - known)
        self._launched &= known
        self.is_behind = False
        for attempt in active:
            try:
                self._agree(ctx, attempt)
            except (LineclearError, OSError):
                log.exception("an effect failed", extra={"action": "effect", "attempt": attempt.id})
                self.is_behind = True
        self._asked = {key: how for key, how in self._asked.items() if key in known}
        for run_id in removed:
            remove_folder(self._around.home.run(run_id))

    def _agree(self, ctx: Context, attempt: AttemptState) -> None:
        if attempt.id not in self._launched and not self._is_withdrawn(attempt):
            if not ctx.offline:
                self._start(ctx, attempt)
        elif attempt.stop and self._asked.get(attempt.id) != attempt.stop:
            self._stop(attempt)

    def prepare(self, commits: Iterable[str]) -> None:
        """Has the trees made that new runs will need: a commit may be gone from Git when a queued run's turn comes."""
        for sha in commits:
            if not os.path.isdir(self._around.home.tree(sha)):
                self._want_tree(sha)  # what is in its way is told when a step waits for it

    def stop_unwritten(self, stops: Mapping[int, str]) -> None:
        """Passes on what could not be committed for want of room: who fills the disk must not be kept alive by that."""
        for attempt, how in stops.items():
            try:
                (self._runtime.kill if how == "kill" else self._runtime.stop)(AttemptId(attempt))
            except (LineclearError, OSError):
                log.exception("an effect failed", extra={"action": "effect", "attempt": attempt})

    def take_failed(self) -> list[Observation]:
        """Attempts that could not even be described to the runtime: they never began."""
        failed, self._failed = self._failed, []
        return failed

    def has_failed(self) -> bool:
        """True while such attempts wait for the next tick: it is due at once."""
        return bool(self._failed)

    def collect(self, ctx: Context, attempt: AttemptState, node: NodeState) -> tuple[Outputs, str]:
        """What an ended attempt left behind, and what is missing of it."""
        return collect(ctx, self._around, attempt, node)

    def reserve(self, attempt: AttemptState) -> bool:
        """Makes the attempt's record before its row says that it is to start; False if the machine does not allow that now.

        It is the one thing done before the commit: only so does a record that is missing later tell that it was taken away.
        """
        try:
            reserve_record(self._around.home.attempt(attempt.run_id, attempt.id))
        except OSError:
            return False
        return True

    def knows(self, attempt_id: int) -> None:
        """The runtime has taken this attempt up again by itself."""
        self._launched.add(attempt_id)

    def add_seen(self, observations: Iterable[Observation]) -> None:
        """Ends that were found without the runtime's `collect`: the next tick takes them over."""
        self._failed += observations

    def _is_withdrawn(self, attempt: AttemptState) -> bool:
        """True for an attempt that is to end before it was handed over: it is seen to that it never begins."""
        if not attempt.stop:
            return False
        is_revoked = self._runtime.revoke(intent_of(self._around.home, attempt))
        self._launched.add(attempt.id)
        return is_revoked

    def _start(self, ctx: Context, attempt: AttemptState) -> None:
        try:
            launch = build_launch(ctx, self._around, attempt)
        except (LineclearError, LookupError, ValueError) as error:
            failed = NotStarted(attempt_id=AttemptId(attempt.id), exit_code=1, at=ctx.at, message=str(error))
            self._failed.append(failed)
            return
        tree = launch.env.get("LINECLEAR_REPO")
        if tree is not None and not os.path.isdir(tree):
            why = self._want_tree(launch.env["LINECLEAR_COMMIT"])
            if why:
                text = f"cannot make the tree of its commit: {why}"
                self._failed.append(Hindered(attempt_id=launch.attempt_id, at=ctx.at, began=False, message=text))
            return
        self._launched.add(attempt.id)
        self._boundary("launch")
        self._runtime.launch(launch)
        self._boundary("launched")

    def _stop(self, attempt: AttemptState) -> None:
        self._asked[attempt.id] = attempt.stop
        self._boundary("stop")
        if attempt.stop == "kill":
            self._runtime.kill(AttemptId(attempt.id))
        else:
            self._runtime.stop(AttemptId(attempt.id))
        self._boundary("stopped")
