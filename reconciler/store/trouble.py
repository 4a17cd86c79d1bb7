"""What SQLite's errors mean for people: which part of the machine failed, and what to do. Nothing is decided here."""

from __future__ import annotations

import sqlite3

_WORDS = {
    sqlite3.SQLITE_FULL: "the home's disk is full; free some room: what is to be ended is ended all the same",
    sqlite3.SQLITE_IOERR: "the home's disk failed to read or write; look at `dmesg` and `df`",
    sqlite3.SQLITE_READONLY: "the database may not be written; look at the mount and at who owns the home",
    sqlite3.SQLITE_CORRUPT: "the database is damaged; `lineclear fsck` says more; keep a copy, then restore a backup",
    sqlite3.SQLITE_NOTADB: "the database is damaged, or is none; keep a copy, then restore a backup",
    sqlite3.SQLITE_NOMEM: "the machine has no memory left; it is tried again",
    sqlite3.SQLITE_BUSY: "another program keeps the database locked; end that program: only the daemon may write",
    sqlite3.SQLITE_LOCKED: "another program keeps the database locked; end that program: only the daemon may write",
    sqlite3.SQLITE_CANTOPEN: "the database cannot be opened; look at its folder, and whether descriptors or inodes are used up",
}
_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)


def primary_code(error: BaseException) -> int:
    """SQLite's primary result code; 0 if it has none. Text that is no text counts as damage."""
    if isinstance(error, UnicodeDecodeError):
        return sqlite3.SQLITE_CORRUPT
    code = getattr(error, "sqlite_errorcode", None)
    if code is None and isinstance(error, sqlite3.OperationalError) and "decode" in str(error):
        return sqlite3.SQLITE_CORRUPT
    return int(code or 0) & 0xFF


def may_be_room(error: BaseException) -> bool:
    """True if more room on the disk may mend it: SQLite calls some of that an error of reading and writing."""
    return primary_code(error) in _ROOM


def words(error: BaseException) -> str:
    """The error with what it means: `database or disk is full: the home's disk is full; free some room ...`."""
    meaning = _WORDS.get(primary_code(error))
    name = getattr(error, "sqlite_errorname", "")
    told = f"{error}" + (f" ({name})" if name and primary_code(error) == sqlite3.SQLITE_IOERR else "")
    return f"{told}: {meaning}" if meaning else told
