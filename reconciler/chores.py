"""Work for Git that nobody waits for in the control thread: a commit's tree for the steps, a note on an applied commit.

Level-triggered by the loop: what is asked for twice is done once, and what a crash cut off is asked for again.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
from pathlib import Path

from reconciler.errors import LineclearError
from reconciler.home import Home
from reconciler.loop.inbox import Inbox, Look, Noted
from reconciler.source.export import export_tree, remove_tree
from reconciler.source.repository import Repository
from reconciler.store.lookup import read_commits, read_forgotten_runs

AGAIN_S = 1.0
log = logging.getLogger(__name__)


class Chores:
    """A thread that makes trees and writes notes, one after the other."""

    def __init__(self, home: Home, repository: Repository, inbox: Inbox) -> None:
        self._home = home
        self._repository = repository
        self._inbox = inbox
        self._queue: queue.SimpleQueue[tuple[str, int, str] | None] = queue.SimpleQueue()
        self._wanted: set[str] = set()
        self._trouble: dict[str, str] = {}  # by commit, why the last chore for it failed
        self._thread = threading.Thread(target=self._work, name="chores", daemon=True)

    def start(self) -> None:
        """Begins to work: first it lets git pack what pushes left."""
        self._queue.put(("", 0, "tidy"))
        self._thread.start()

    def stop(self) -> None:
        """Ends after the chore in hand."""
        self._queue.put(None)

    def want_tree(self, sha: str) -> str:
        """The tree of this commit is needed; a Look follows when it is there. Why the last try failed; '' if none has."""
        if sha not in self._wanted:
            self._wanted.add(sha)
            self._queue.put((sha, 0, ""))
        return self._trouble.get(sha, "")

    def want_pruned(self) -> None:
        """Trees of commits, and folders of runs, that nothing refers to any more may go."""
        self._queue.put(("", 0, "prune"))

    def want_note(self, revision_id: int, sha: str, text: str) -> None:
        """This commit's outcome is to be noted; Noted follows."""
        self._queue.put((sha, revision_id, text))

    def _work(self) -> None:
        while (chore := self._queue.get()) is not None:
            sha, revision_id, text = chore
            try:
                if text == "tidy":
                    self._repository.tidy()
                elif not sha:
                    self._prune()
                elif revision_id:
                    self._repository.pin(sha)
                    self._repository.write_note(sha, text)
                    self._inbox.put(Noted(revision_id))
                else:
                    left_out = export_tree(self._repository, sha, Path(self._home.tree(sha)))
                    if left_out:
                        paths = {"commit": sha, "paths": left_out[:9]}
                        log.warning("%d paths are not in the tree for the steps", len(left_out), extra=paths)
                    self._inbox.put(Look())
                self._trouble.pop(sha, None)
            except Exception as error:  # noqa: BLE001 - the thread's boundary: what failed is asked for again
                self._note(sha, error)
            finally:
                if not revision_id:
                    self._wanted.discard(sha)

    def _note(self, sha: str, error: Exception) -> None:
        """Says once why a chore failed, and has it asked for again in a while."""
        told = str(error)
        if self._trouble.get(sha) != told:
            exc_info = not isinstance(error, LineclearError | OSError)
            log.warning("a chore failed, and is tried again: %s", told, exc_info=exc_info, extra={"commit": sha})
        self._trouble[sha] = told
        again = threading.Timer(AGAIN_S, self._inbox.put, (Look(),))
        again.daemon = True
        try:
            again.start()
        except RuntimeError:  # no thread is to be had: the sweep asks again
            log.warning("no thread could be had to try a chore again soon", extra={"commit": sha})

    def _prune(self) -> None:
        """Lists what is there first and asks the rows then: what came meanwhile is not on the list."""
        trees, folders = _names(self._home.path("trees")), _names(self._home.path("runs"))
        kept = read_commits(self._home.database) | self._wanted
        for name in trees:
            if name not in kept:
                remove_tree(Path(self._home.path("trees")) / name)
        for name in read_forgotten_runs(self._home.database, folders):
            remove_tree(Path(self._home.path("runs")) / name)


def _names(folder: str) -> list[str]:
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []
