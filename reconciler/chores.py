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
        self._thread = threading.Thread(target=self._work, name="chores", daemon=True)

    def start(self) -> None:
        """Begins to work: first it lets git pack what pushes left."""
        self._queue.put(("", 0, "tidy"))
        self._thread.start()

    def stop(self) -> None:
        """Ends after the chore in hand."""
        self._queue.put(None)

    def want_tree(self, sha: str) -> None:
        """The tree of this commit is needed; a Look follows when it is there."""
        if sha not in self._wanted:
            self._wanted.add(sha)
            self._queue.put((sha, 0, ""))

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
            except Exception as error:  # the thread's boundary: Look asks for a tree again, the next revision for a note
                log.warning("a chore failed: %s", error, exc_info=not isinstance(error, LineclearError), extra={"commit": sha})
                again = threading.Timer(AGAIN_S, self._inbox.put, (Look(),))
                again.daemon = True
                again.start()
            finally:
                if not revision_id:
                    self._wanted.discard(sha)

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
