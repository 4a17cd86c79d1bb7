"""Descriptors the control thread waits on, gathered under one epoll descriptor. It must never block."""

from __future__ import annotations

import select
from collections.abc import Callable


class Poller:
    """Calls back for each descriptor that is ready; a callback must bear being called for nothing."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[], None]] = {}

    def fileno(self) -> int:
        return self._epoll.fileno()

    def register(self, fd: int, callback: Callable[[], None]) -> None:
        self._epoll.register(fd, select.EPOLLIN)
        self._callbacks[fd] = callback

    def want_writable(self, fd: int, *, wanted: bool) -> None:
        """Call back also when `fd` can be written to."""
        self._epoll.modify(fd, select.EPOLLIN | (select.EPOLLOUT if wanted else 0))

    def unregister(self, fd: int) -> None:
        if self._callbacks.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def dispatch(self) -> None:
        """Call back for all that is ready now."""
        for fd, _ in self._epoll.poll(0):
            callback = self._callbacks.get(fd)
            if callback is not None:
                callback()

    def close(self) -> None:
        self._callbacks.clear()
        self._epoll.close()


def wait_for_end(pidfd: int, timeout_ms: int) -> bool:
    """Whether the process behind a pidfd has ended in that time (it may still be unreaped)."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(timeout_ms))
