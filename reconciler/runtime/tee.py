"""Standard output on its way to the log, with its end kept in memory and stored as `stdout` when the step has ended.

Standard library only and little of it: the zygote imports this file. It must never keep a step waiting for long, nor wait
for what holds the pipe open after the step.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import time

KEPT_BYTES = 256 * 1024  # what Argo keeps of a result
PIPE_BYTES = 1 << 20  # so that a step need not wait for a busy worker
READ_BYTES = 1 << 16
READS_AT_ONCE = 16  # then the worker looks at what else has come
DRAIN_S = 0.1
FILE = b"/stdout"
PARTIAL = b"/stdout.part"


def trim_log(directory: bytes, most: int) -> None:
    """Drop what the log has beyond so many bytes, with a line that says so; 0: nothing. The step is not told: it writes on."""
    said = b"\n[lineclear: the log keeps %d bytes (limits.log_mb); what came after was dropped]\n" % most
    with contextlib.suppress(OSError):
        if not most or os.stat(directory + b"/log").st_size <= most + len(said):
            return
        fd = os.open(directory + b"/log", os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            os.ftruncate(fd, most)
            os.write(fd, said)
        finally:
            os.close(fd)


class Tee:
    """The worker's end of one step's standard output. `fd` is for its poll; `writing` is the step's end until `begin`."""

    def __init__(self, directory: bytes) -> None:
        self.directory = directory
        self.tail = bytearray()
        self.is_open = True
        self.log = os.open(directory + b"/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            self.fd, self.writing = os.pipe2(os.O_CLOEXEC)
        except OSError:
            os.close(self.log)
            raise
        os.set_blocking(self.fd, False)
        with contextlib.suppress(OSError):  # the user's share of pipe memory is used up: the usual size will do
            fcntl.fcntl(self.fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def begin(self) -> None:
        """The step has its end: let go of it, so that the last writer's death is seen."""
        os.close(self.writing)
        self.writing = -1

    def take(self) -> None:
        """Copy what has come; `is_open` turns False when nobody can write any more."""
        for _ in range(READS_AT_ONCE):
            try:
                data = os.read(self.fd, READ_BYTES)
            except BlockingIOError:
                return
            if not data:
                self.is_open = False
                return
            self.tail += data
            if len(self.tail) > 2 * KEPT_BYTES:
                del self.tail[:-KEPT_BYTES]
            view = memoryview(data)
            with contextlib.suppress(OSError):  # no room: a step is not told by its own writes either
                while view:
                    view = view[os.write(self.log, view) :]

    def drain(self) -> None:
        """Take what the main process wrote, and what those beside it write in the next moment."""
        deadline = time.monotonic() + DRAIN_S
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        while self.is_open and (left_s := deadline - time.monotonic()) > 0 and poll.poll(left_s * 1000):
            self.take()

    def store(self) -> None:
        """Make the file `stdout`, whole or not at all: without it the result is not known. Raises OSError."""
        if self.is_open:
            for _ in range(PIPE_BYTES // READ_BYTES):
                self.take()
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(self.directory + PARTIAL, flags, 0o600)
        try:
            view = memoryview(self.tail[-KEPT_BYTES:])
            while view:
                view = view[os.write(fd, view) :]
        finally:
            os.close(fd)
        os.rename(self.directory + PARTIAL, self.directory + FILE)

    def close(self) -> None:
        for fd in (self.fd, self.writing, self.log):
            if fd >= 0:
                os.close(fd)
