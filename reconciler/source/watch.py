"""The thread that notices that the branch moved and reads what it says.

Level-triggered: every trigger (a poke, a file event, the poll) only says "look"; looking compares the resolved head with the
commit that the loop says it applied. Events may be lost and the watcher may die: the poll still finds the head. It holds
nothing that matters: started again, it looks again. It never decides and never writes to the repository.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from reconciler.clock import Clock
from reconciler.errors import LineclearError, ManifestError
from reconciler.model.source import BranchMissing, BranchRead, Revision, Standing
from reconciler.source.repository import Repository

log = logging.getLogger(__name__)
Observation = Revision | BranchMissing | BranchRead
TOLD_AFTER = 3  # failures in a row of reading one head: what passes sooner is not worth a word
BACKOFF_FIRST_S = 0.2
BACKOFF_LIMIT_S = 30.0
STOP_WAIT_S = 5.0
RESOLVE_ANYWAY_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSettings:
    """How the watching is done. `events` False leaves the poll and the pokes."""

    branch: str = "main"
    poll_s: float = 2.0
    events: bool = True
    debounce_ms: int = 100
    step_ms: int = 250  # the watching thread wakes this often: pushes poke by themselves, events are the second way


class SourceThread:
    """Watches one branch until `stop`; hands each new Revision or BranchMissing to `inbox` once, from its own thread.

    `standing` is asked in that thread, before each reading, for what the store knows of paths, and `why_unchecked` after it for
    what is known of the commit's check.
    """

    def __init__(
        self,
        repository: Repository,
        inbox: Callable[[Observation], None],
        *,
        clock: Clock,
        settings: WatchSettings | None = None,
        standing: Callable[[], Standing] = Standing,
        why_unchecked: Callable[[Revision], str] = lambda _revision: "",
    ) -> None:
        self._repository = repository
        self._inbox = inbox
        self._clock = clock
        self._settings = settings or WatchSettings()
        self._standing = standing
        self._why_unchecked = why_unchecked
        self._look = threading.Event()  # the queue, of depth one
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._applied: str | None = None
        self._offered: tuple[str | None, str] | None = None  # (applied then, head or reason): not to be told twice
        self._resolved: tuple[object, str | None] | None = None
        self._resolved_at = 0.0
        self._failures = 0
        self._failed_at = 0.0
        self._failed_head: str | None = None
        self._is_told = False
        self._thread = threading.Thread(target=self._run, name="source", daemon=True)
        self._watcher = _Watcher(repository.path, self._settings, self.poke)

    def start(self, applied: str | None, *, is_told: bool = False) -> None:
        """Begin to watch; `applied` is the commit that the store has, None for none. Watching begins before looking.

        `is_told`: the store has it that the branch could not be read, so that it must be told when it can.
        """
        self._applied = applied
        self._is_told = is_told
        if self._settings.events:
            self._watcher.start()
        self._look.set()
        self._thread.start()

    def poke(self) -> None:
        """Look now; cheap, from any thread, any number of times."""
        self._look.set()

    def applied(self, sha: str) -> None:
        """The loop applied this commit: later revisions are differences to it."""
        with self._lock:
            self._applied = sha
        self._look.set()

    def offer_again(self) -> None:
        """Hand the head over once more though it was before: it was approved, or what was handed over was lost."""
        with self._lock:
            self._offered = None
        self._look.set()

    def stop(self) -> None:
        """End the thread and its watcher; a reading that is under way is given five seconds."""
        self._stopping.set()
        self._look.set()
        self._watcher.stop()
        if self._thread.is_alive():
            self._thread.join(STOP_WAIT_S)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._look.wait(self._pause_s())
            self._look.clear()
            if self._stopping.is_set():
                return
            self._watcher.check()
            self._look_once()

    def _pause_s(self) -> float:
        if not self._failures:
            return self._settings.poll_s
        return float(min(BACKOFF_FIRST_S * 2 ** (self._failures - 1), BACKOFF_LIMIT_S))

    def _look_once(self) -> None:
        with self._lock:
            applied, offered = self._applied, self._offered
        head: str | None = None
        try:
            head = self._head()
            if self._is_too_early(head):
                return
            found, mark = self._read(head, applied, offered)
        except Exception as error:  # the thread's boundary: whatever it was, it looks again
            if not isinstance(error, LineclearError):
                log.exception("looking at Git failed", extra={"action": "look"})
            self._fail(head)
            if head is None or isinstance(error, ManifestError) or self._failures >= TOLD_AFTER:
                reason = _reason(error, head)
                self._hand_over(BranchMissing(at=self._clock.now(), reason=reason, head=head or ""), (applied, reason), offered)
            return
        self._failures, self._failed_head = 0, None
        if found is not None:
            self._hand_over(found, mark, offered)
        elif self._is_told and head is not None:
            self._is_told = False
            self._inbox(BranchRead(sha=head))

    def _head(self) -> str | None:
        """The resolved head; not asked of git again while nothing that names refs has changed, for a minute at most."""
        signature = _ref_signature(self._repository.path, self._settings.branch)
        now = self._clock.monotonic()
        if self._resolved is None or self._resolved[0] != signature or now - self._resolved_at > RESOLVE_ANYWAY_S:
            self._resolved = (signature, self._repository.resolve(self._settings.branch))
            self._resolved_at = now
        return self._resolved[1]

    def _is_too_early(self, head: str | None) -> bool:
        """True while backing off from this same head; another head is tried at once."""
        if not self._failures or head is None or head != self._failed_head:
            return False
        return self._clock.monotonic() - self._failed_at < self._pause_s() * 0.9

    def _read(
        self, head: str | None, applied: str | None, offered: tuple[str | None, str] | None
    ) -> tuple[Observation | None, tuple[str | None, str]]:
        if head is None:
            reason = f"branch {self._settings.branch} is not there: nothing is removed; push it again"
            return BranchMissing(at=self._clock.now(), reason=reason), (applied, reason)
        mark = (applied, head)
        if head == applied or mark == offered:
            return None, mark
        revision = self._repository.read_revision(head, applied, at=self._clock.now(), standing=self._standing())
        return replace(revision, unchecked=self._why_unchecked(revision)), mark

    def _hand_over(self, found: Observation, mark: tuple[str | None, str], offered: tuple[str | None, str] | None) -> None:
        if mark == offered:
            return
        with self._lock:
            self._offered = mark
        self._is_told = isinstance(found, BranchMissing)
        self._inbox(found)

    def _fail(self, head: str | None) -> None:
        self._failures += 1
        self._failed_at = self._clock.monotonic()
        self._failed_head = head


class _Watcher:
    """File events of the repository's top folder, as pokes. It may die: it is started again at the next look."""

    def __init__(self, path: str, settings: WatchSettings, poke: Callable[[], None]) -> None:
        self._path = path
        self._settings = settings
        self._poke = poke
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._watched: tuple[int, int] | None = None
        self._wanted = False

    def start(self) -> None:
        """Begin to watch the folder as it is now."""
        self._wanted = True
        self._watched = _folder_id(self._path)
        self._stop = threading.Event()
        if self._watched is None:
            return
        self._thread = threading.Thread(target=self._run, args=(self._stop,), name="source-watch", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Start again if the folder is another one than was watched, or the watching ended."""
        if not self._wanted:
            return
        is_alive = self._thread is not None and self._thread.is_alive()
        if not is_alive or _folder_id(self._path) != self._watched:
            self._end()
            self.start()

    def stop(self) -> None:
        """End the watching."""
        self._wanted = False
        self._end()

    def _end(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(STOP_WAIT_S)
        self._thread = None

    def _run(self, stop: threading.Event) -> None:
        import watchfiles

        prefix = len(self._path) + 1

        def is_ref(_change: watchfiles.Change, path: str) -> bool:
            name = path[prefix:]
            return name in ("HEAD", "packed-refs") or name.startswith(("refs/", "reftable/"))

        is_up = False
        try:
            for changes in watchfiles.watch(
                self._path,
                watch_filter=is_ref,
                debounce=self._settings.debounce_ms,
                step=self._settings.step_ms,
                stop_event=stop,
                rust_timeout=1000,
                yield_on_timeout=True,
                raise_interrupt=False,
            ):
                if changes or not is_up:
                    is_up = True
                    self._poke()
        except (OSError, RuntimeError):
            self._poke()


def _reason(error: Exception, head: str | None) -> str:
    if isinstance(error, LineclearError):
        return str(error)
    what = head[:12] if head else "the branch"
    return f"{what} could not be read: {type(error).__name__}: {error}; see the daemon's log; it is tried again"


def _ref_signature(path: str, branch: str) -> tuple[object, ...]:
    """What changes when the branch does: read before the head is resolved, so that a later change is seen the next time."""
    names = ("HEAD", "packed-refs", "refs/heads/" + branch, "reftable/tables.list")
    return tuple(_file_id(os.path.join(path, name)) for name in names)


def _file_id(path: str) -> tuple[int, int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)


def _folder_id(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return (status.st_dev, status.st_ino)
