"""What a step leaves for others: its standard output and the files that it was asked for, as text.

Called when the step's end is proven. What only the machine keeps from being read raises MachineFault: it may be read later, and
what the step did well stays well done. It must never follow a name out of the step's view of the file system, nor wait for
what is not a regular file.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat

from reconciler.errors import UsageError
from reconciler.runtime.faults import MachineFault, describe, is_of_host
from reconciler.runtime.view import find_place

LIMIT_BYTES = 256 * 1024


def read_result(directory: str) -> str | None:
    """The last 256 KiB of a step's standard output without one final newline; None if they were not kept whole.

    That is so if the launch did not ask for them, or if the worker ended before the step did. Argo: outputs.result. Raises
    MachineFault.
    """
    try:
        fd = os.open(f"{directory}/stdout", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if is_of_host(error):
            raise MachineFault(f"cannot read the step's standard output: {describe(error)}") from None
        return None
    try:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode):
            return None
        start = max(0, facts.st_size - LIMIT_BYTES)
        data = _read(fd, start)
    except OSError as error:
        raise MachineFault(f"cannot read the step's standard output: {describe(error)}") from None
    finally:
        os.close(fd)
    return _text(data, is_cut=len(data) == LIMIT_BYTES)


def read_parameter(directory: str, path: str, *, sandboxed: bool) -> str | None:
    """The text of the file that the step saw as `path`, without one final newline; None if there is none.

    A relative path is in the attempt's work/, in a sandbox below /. Raises UsageError for what is not a regular file, may not
    be read, is longer than 256 KiB or has a NUL byte in its name, and MachineFault.
    """
    if "\0" in path:
        raise UsageError(f"could not read the output {path!r}: its path has a NUL byte; remove it")
    try:
        place = find_place(directory, path) if sandboxed else os.path.join(directory, "work", path)
        if place is None:
            return None
        fd = os.open(place, os.O_PATH | os.O_CLOEXEC | (os.O_NOFOLLOW if sandboxed else 0))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unreadable(path, error, "write a regular file") from error
    try:
        return _read_file(fd, path)
    except OSError as error:
        raise _unreadable(path, error, "let its owner read it") from error
    finally:
        os.close(fd)


def remove_folder(path: str) -> None:
    """Remove what steps left, closed folders included; what others own and hold on to stays. It may be gone already."""
    shutil.rmtree(path, ignore_errors=True)
    if not os.path.lexists(path):
        return
    with contextlib.suppress(OSError):
        os.chmod(path, stat.S_IRWXU)
    for where, folders, _ in os.walk(path):
        for folder in folders:
            place = os.path.join(where, folder)
            if not os.path.islink(place):
                with contextlib.suppress(OSError):
                    os.chmod(place, stat.S_IRWXU)
    shutil.rmtree(path, ignore_errors=True)


def _read_file(found: int, path: str) -> str:
    """The text of an O_PATH descriptor: nothing is opened for reading before it is known to be a regular file. Raises OSError."""
    facts = os.fstat(found)
    if os.readlink(f"/proc/self/fd/{found}").startswith("/proc/"):
        raise UsageError(f"could not read the output {path}: what is in /proc is this process' own now; copy it to a file")
    if not stat.S_ISREG(facts.st_mode):
        raise UsageError(f"could not read the output {path}: it is a {_kind(facts.st_mode)}; write a regular file")
    if facts.st_size > LIMIT_BYTES:
        text = f"it has {facts.st_size} bytes, a parameter at most {LIMIT_BYTES}; write less, or hand on the file's name"
        raise UsageError(f"could not read the output {path}: {text}")
    fd = os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _text(_read(fd, 0), is_cut=False)
    finally:
        os.close(fd)


def _unreadable(path: str, error: OSError, remedy: str) -> Exception:
    if is_of_host(error):
        return MachineFault(f"cannot read the output {path}: {error.strerror}")
    return UsageError(f"could not read the output {path}: {error.strerror}; {remedy}")


def _read(fd: int, start: int) -> bytes:
    data = bytearray()
    while len(data) < LIMIT_BYTES and (more := os.pread(fd, LIMIT_BYTES - len(data), start + len(data))):
        data += more
    return bytes(data)


def _text(data: bytes, *, is_cut: bool) -> str:
    """`is_cut`: the first bytes may be the rest of a character."""
    start = 0
    while is_cut and start < min(3, len(data)) and data[start] & 0xC0 == 0x80:
        start += 1
    return data[start:].decode("utf-8", "replace").removesuffix("\n")


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket", stat.S_IFLNK: "symbolic link"}
    return kinds.get(stat.S_IFMT(mode), "device")
