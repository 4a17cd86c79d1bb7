"""The process's standard streams: that all three are open, and what becomes of output that nobody reads or can take.

A reader that leaves early, or a terminal that hangs up, ends the printing, not the command: its exit code is still to tell how
it went. It decides nothing else.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import sys

from reconciler.errors import Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_OUT, _ERR = 1, 2


class _Lasting(io.FileIO):
    """A stream; once its reader has left, what is written goes nowhere."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            is_unread = isinstance(error, BrokenPipeError) or self._has_hung_up(error)
            discard(self.fileno())
            if self.fileno() == _OUT and not is_unread:
                raise Unreachable(f"could not write to standard output: {error.strerror}") from error
            return super().write(data)

    def _has_hung_up(self, error: OSError) -> bool:
        """True if the error is that of a terminal that is gone, and not of a broken disk."""
        return error.errno == errno.EIO and stat.S_ISCHR(os.fstat(self.fileno()).st_mode)


class ReaderLeft(BrokenPipeError):
    """Nobody reads standard output any more; no other pipe that breaks is this."""


class _Ending(_Lasting):
    """As _Lasting, but the reader's leaving is raised: it ends a command that only prints, maybe for ever."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return io.FileIO.write(self, data)
        except BrokenPipeError as error:
            raise ReaderLeft(*error.args) from error
        except OSError:
            return super().write(data)


def open_streams() -> None:
    """Has all three descriptors open, so that no other file is taken for one; raises Unreachable if standard output was not."""
    for fd in (0, _OUT, _ERR):
        try:
            os.stat(fd)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), fd)  # the lowest that is free: it is this one
            os.set_inheritable(fd, True)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for as long as the process lives
    if sys.stderr is None:
        sys.stderr = open(_ERR, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - as above
    if sys.stdout is None:
        sys.stdout = open(_OUT, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - as above
        raise Unreachable("could not write to standard output: it is closed; send it to /dev/null if it is not wanted")


def outlive_reader(*, is_endless: bool) -> None:
    """From here on a reader that leaves ends the printing, or with `is_endless` the command by BrokenPipeError.

    Of standard error it never ends more than the printing.
    """
    if sys.__stderr__ is not None and sys.__stderr__ is sys.stderr:
        sys.stderr = _text(_Lasting(_ERR, "w", closefd=False), sys.__stderr__)
    given = sys.__stdout__
    if given is None or given is not sys.stdout:
        return  # a test, or somebody who calls this as a library, has put another stream there
    sys.stdout = _text((_Ending if is_endless else _Lasting)(_OUT, "w", closefd=False), given)


def _text(raw: io.FileIO, given: io.TextIOWrapper) -> io.TextIOWrapper:
    """A text stream over `raw` in the manner of the given one."""
    buffered = io.BufferedWriter(raw)
    by_line = given.line_buffering or given.write_through  # standard error, and PYTHONUNBUFFERED
    return io.TextIOWrapper(buffered, encoding=given.encoding, errors=given.errors, newline="\n", line_buffering=by_line)


def discard(fd: int = _OUT) -> None:
    """The stream, standard output unless another is named, goes nowhere from here on."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, fd)
    os.close(nowhere)
