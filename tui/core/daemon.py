"""Asks whether the daemon works, beside the polling: one that hangs takes two seconds to show it, and lists must not wait."""

from __future__ import annotations

import threading

from reconciler.home import Home
from reconciler.views.daemon import HUNG, NONE, look_at
from tui.core.model import DaemonKind, DaemonState

_PATIENCE_S = 0.25
_KINDS = {NONE: DaemonKind.NONE, HUNG: DaemonKind.HUNG}


class DaemonWatch:
    """The daemon's state as it was seen last. Each `look` begins a new one, unless one is under way."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._last: DaemonState | None = None
        self._asking: threading.Thread | None = None
        self._lock = threading.Lock()

    def look(self) -> DaemonState:
        """The newest answer; waits a quarter of a second for one, the first time until there is one."""
        with self._lock:
            asking = self._asking
            if asking is None or not asking.is_alive():
                asking = self._asking = threading.Thread(target=self._ask, name="daemon-watch", daemon=True)
                asking.start()
        asking.join(_PATIENCE_S if self._last is not None else None)
        return self._last or DaemonState(kind=DaemonKind.HUNG, text="the daemon was not asked yet")

    def close(self) -> None:
        """Waits for what is under way: at most as long as a ping may take."""
        if self._asking is not None:
            self._asking.join()

    def _ask(self) -> None:
        seen = look_at(self._home)
        kind = _KINDS.get(seen.kind, DaemonKind.RUNS)
        self._last = DaemonState(kind=kind, text=seen.text, pid=seen.pid, version=seen.version)
