"""The process's standard output: what becomes of a command whose output nobody reads, or nobody can take.

A reader that leaves early ends the printing, not the command: its exit code is still to tell how it
went. It decides nothing else.
"""

from __future__ import annotations

import io
import os
import sys

from reconciler.errors import Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_FD = 1


class _Lasting(io.FileIO):
    """Standard output; once its reader has left, what is written goes nowhere."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            discard()
            return super().write(data)
        except OSError as error:
            discard()
            raise Unreachable(f"could not write to standard output: {error.strerror}") from error


class _Ending(_Lasting):
    """As _Lasting, but the reader's leaving is raised: it ends a command that only prints, maybe for ever."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return io.FileIO.write(self, data)
        except BrokenPipeError:
            raise
        except OSError:
            return super().write(data)


def open_streams() -> None:
    """Makes both streams safe to write to; raises Unreachable if standard output is closed."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
        raise Unreachable("could not write to standard output: it is closed; send it to /dev/null if it is not wanted")


def outlive_reader(*, is_endless: bool) -> None:
    """From here on a reader that leaves ends the printing, or with `is_endless` the command by BrokenPipeError."""
    given = sys.__stdout__
    if given is None or given is not sys.stdout:
        return  # a test, or somebody who calls this as a library, has put another stream there
    raw = (_Ending if is_endless else _Lasting)(_FD, "w", closefd=False)
    buffered = io.BufferedWriter(raw)
    sys.stdout = io.TextIOWrapper(
        buffered, encoding=given.encoding, errors=given.errors, newline="\n", line_buffering=given.line_buffering
    )


def discard() -> None:
    """Standard output goes nowhere from here on."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, _FD)
    os.close(nowhere)
