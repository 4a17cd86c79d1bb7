"""The bytes that outlive a process: the slots of an attempt's record file and the frames between daemon and worker.

Standard library only and little of it: the zygote imports this file. It must never decide anything about an attempt.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
import time
import zlib

RECORD_BYTES = 4096
CLAIM, SPAWN, START, SEEN, END = 0, 448, 512, 768, 1024  # offsets of the record's slots
RESERVED = 4064  # a slot too: the record was made ahead, so one without it, or a missing one, is damaged
MAGIC = b"LCR1"  # the last byte is the version of the layout
SLOT = struct.Struct("<4sHHI")  # magic, offset, length and CRC-32 of the text that follows

DESCRIPTOR = struct.Struct("@i")
FRAME = struct.Struct("<IBQ")  # length of the body, kind, attempt id
LAUNCH, STOP, KILL, ACKNOWLEDGE = 1, 2, 3, 4  # from the daemon
HELLO, STARTED, ENDED, SETTLED, REFUSED = 5, 6, 7, 8, 9  # from the worker
PUT_OFF, HINDERED = 10, 11  # from it too: nothing was claimed, try again; the end waits for the machine

TOKEN = "LINECLEAR_ATTEMPT_TOKEN"  # in a step's environment  # noqa: S105
SHIM_MARK = "LINECLEAR_SHIM"  # in the zygote's and its workers' environment, never in a step's
NOT_STARTED_CODE = 64  # what Argo's emissary returns for a command it cannot run
MESSAGE_LIMIT = 1500


def pack_slot(offset: int, fields: dict[str, object]) -> bytes:
    """The bytes of one slot: header and `key=value` lines; newlines in values become spaces."""
    lines = [f"{key}={str(value).replace(chr(10), ' ')[:MESSAGE_LIMIT]}\n" for key, value in fields.items()]
    text = "".join(lines).encode("utf-8", "backslashreplace")
    return SLOT.pack(MAGIC, offset, len(text), zlib.crc32(text)) + text


def unpack_slot(page: bytes, offset: int) -> dict[str, str] | None:
    """The fields of one slot, or None if it is empty, torn or of another version."""
    if len(page) < offset + SLOT.size:
        return None
    magic, at, length, crc = SLOT.unpack_from(page, offset)
    text = page[offset + SLOT.size : offset + SLOT.size + length]
    if magic != MAGIC or at != offset or len(text) != length or zlib.crc32(text) != crc:
        return None
    return dict(line.split("=", 1) for line in text.decode("utf-8", "replace").splitlines() if "=" in line)


def write_slot(fd: int, offset: int, fields: dict[str, object]) -> None:
    """Write one slot in place; the block is allocated, so a full disk cannot refuse it."""
    os.pwrite(fd, pack_slot(offset, fields), offset)


def clear_claim(fd: int) -> None:
    """Take the claim back, for no process was made: in one write, so that nobody ever sees a part of it."""
    os.pwrite(fd, bytes(START), 0)


def open_record(directory: bytes) -> int:
    """A descriptor of the attempt's record, made and allocated if need be, with the directories above it."""
    path = directory + b"/record"
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        fd = os.open(path, flags, 0o600)
    except FileNotFoundError:
        os.makedirs(directory, 0o700, exist_ok=True)
        fd = os.open(path, flags, 0o600)
    try:
        if os.fstat(fd).st_size < RECORD_BYTES:
            os.posix_fallocate(fd, 0, RECORD_BYTES)
    except OSError:
        os.close(fd)
        raise
    return fd


def lock_record(fd: int, within_s: float) -> bool:
    """Take the lock that means 'alive'; False if another process kept it all that time."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.002)
        else:
            return True


def pack_frame(kind: int, attempt: int, body: bytes = b"") -> bytes:
    """One message of the socket between daemon and worker."""
    return FRAME.pack(len(body), kind, attempt) + body


def split_frames(buffer: bytearray) -> list[tuple[int, int, bytes]]:
    """Take the whole frames off the front of `buffer`: kind, attempt id, body."""
    frames = []
    start = 0
    while len(buffer) - start >= FRAME.size:
        length, kind, attempt = FRAME.unpack_from(buffer, start)
        if len(buffer) - start - FRAME.size < length:
            break
        start += FRAME.size + length
        frames.append((kind, attempt, bytes(buffer[start - length : start])))
    del buffer[:start]
    return frames


def receive(link: socket.socket, limit: int) -> tuple[bytes, int | None]:
    """What came in and the descriptor passed with it, if any.

    `socket.recv_fds` drops its flags on Python 3.11, so that what it receives would leak into every step.
    """
    data, ancillary, _, _ = link.recvmsg(limit, socket.CMSG_SPACE(DESCRIPTOR.size), socket.MSG_CMSG_CLOEXEC)
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            return data, int(DESCRIPTOR.unpack_from(content)[0])
    return data, None


def poke(path: str) -> None:
    """Tell a daemon that may have started meanwhile to look again; best effort, through the directory for its length."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as link:
        where = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        link.settimeout(1.0)
        link.connect(f"/proc/self/fd/{where}/{os.path.basename(path)}")
        link.sendall(b'{"verb":"poke"}\n')


def sync_file(path: bytes) -> None:
    """Make a file durable, if it is there."""
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
