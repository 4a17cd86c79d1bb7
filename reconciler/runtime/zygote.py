"""The zygote: forks a worker for each link that the daemon passes to it, and nothing else.

Run as `python -I -S` with nothing but the modules of this room that a worker needs and as little of the standard library as
possible, because every worker is a fork of it. It must never serve an attempt itself.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys

from reconciler.runtime.membership import Membership, unpack_place
from reconciler.runtime.processes import become_subreaper, read_process
from reconciler.runtime.shim import Worker
from reconciler.runtime.wire import receive


def fork_workers(control: socket.socket) -> socket.socket | None:
    """Serve the daemon's requests: in a new worker its link, in the zygote None once the daemon has hung up."""

    def reap(_signum: int, _frame: object) -> None:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

    signal.signal(signal.SIGCHLD, reap)
    while True:
        data, descriptor = receive(control, 1)
        if not data:
            return None
        if descriptor is None:
            continue
        try:
            child = os.fork()
        except OSError:
            child = -1  # the daemon sees the link close and asks again
        if child == 0:
            os.closerange(3, descriptor)
            os.closerange(descriptor + 1, 65536)
            control.detach()
            return socket.socket(fileno=descriptor)
        os.close(descriptor)


def main() -> None:
    """Be the zygote, and in its forks a worker.

    The arguments are control descriptor, boot id, poke path, whether groups are required, and the places of the groups.
    """
    control, boot_id, poke_path, required, *places = sys.argv[2:]
    os.closerange(int(control) + 1, 65536)
    os.umask(0o077)
    os.chdir("/")
    link = fork_workers(socket.socket(fileno=int(control)))
    if link is not None:
        os.setsid()
        become_subreaper()
        own = read_process(os.getpid())
        name = f"worker-{os.getpid()}-{own.ticks if own is not None else 0}"
        membership = Membership(list(map(unpack_place, places)), name, is_required=bool(required))
        membership.enter()
        Worker(link, boot_id, poke_path, membership).serve()
