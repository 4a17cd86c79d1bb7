"""A read-only connection to a home's database, for commands and screens: standard library only, short transactions.

It opens the file with `mode=ro` and never writes, migrates or checkpoints. Rows are `_sqlite3.Row`: tuples with names. The
accelerator is used without its `sqlite3` wrapper, which would cost every command 2 ms. Every start pays for this module.
"""

from __future__ import annotations

import os
from _sqlite3 import DatabaseError, Row, connect

from reconciler.errors import Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _sqlite3 import Connection
    from typing import Any, Self

SCHEMA_VERSION = 2
_BUSY_TIMEOUT_S = 5.0


class Gone(Unreachable):
    """There is no database."""


class Newer(Unreachable):
    """A newer version of Lineclear wrote the database."""


class Older(Unreachable):
    """The database is of a version before this program's."""


class Busy(Unreachable):
    """Somebody keeps the database to himself at the moment: try again."""


class Reader:
    """An open database. As a context manager it is one transaction: everything read inside is of the same instant."""

    __slots__ = ("_connection", "path")

    def __init__(self, path: str, connection: Connection) -> None:
        self.path = path
        self._connection = connection

    def __enter__(self) -> Self:
        self._connection.execute("BEGIN")
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.execute("COMMIT")

    def rows(self, statement: str, **values: str | int | None) -> list[Row]:
        """All rows of a statement with named parameters."""
        return self._connection.execute(statement, values).fetchall()

    def tuples(self, statement: str, **values: str | int | None) -> list[tuple[Any, ...]]:
        """As `rows`, without names: made and compared in a third of the time."""
        cursor = self._connection.cursor()
        cursor.row_factory = None
        return cursor.execute(statement, values).fetchall()

    def exact(self, statement: str, **values: str | int | None) -> list[tuple[Any, ...]]:
        """As `tuples`, each text as a bytearray of its bytes: what is no text is told from one, and broken text can be read."""
        self._connection.text_factory = bytearray
        try:
            return self.tuples(statement, **values)
        finally:
            self._connection.text_factory = str

    def row(self, statement: str, **values: str | int | None) -> Row | None:
        """The first row, or None."""
        found: Row | None = self._connection.execute(statement, values).fetchone()
        return found

    def number(self, statement: str, **values: str | int | None) -> int:
        """The first column of the first row; 0 where that is NULL or there is no row."""
        found = self._connection.execute(statement, values).fetchone()
        return int(found[0] or 0) if found else 0

    def data_version(self) -> int:
        """A number that changes whenever another connection has committed; costs some microseconds."""
        return self.number("PRAGMA data_version")

    def close(self) -> None:
        """Ends the connection; harmless when repeated."""
        self._connection.close()


def open_read(path: str, *, is_shared: bool = False, kind: type[Reader] = Reader) -> Reader:
    """The database at `path`, which must be a home's state.db. With `is_shared` any thread may use it, one at a time.

    Raises Unreachable: Gone if there is none, Newer or Older if another version of Lineclear has written it, Busy if it is
    locked, itself if it cannot be read.
    """
    home = os.path.dirname(path)
    if not os.path.exists(path):
        advice = "run `lineclear up`" if os.path.isdir(home) else f"run `lineclear init --home {home}`, or name another home"
        raise Gone(f"could not read the state of {home}: there is no {os.path.basename(path)} in it; {advice}")
    try:
        connection = connect(
            f"file:{_quoted(path)}?mode=ro",
            uri=True,
            isolation_level=None,
            timeout=_BUSY_TIMEOUT_S,
            check_same_thread=not is_shared,
        )
        connection.row_factory = Row
        reader = kind(path, connection)
        version = reader.number("PRAGMA user_version")
    except (DatabaseError, UnicodeDecodeError) as error:
        raise unreadable(path, error) from error
    if version > SCHEMA_VERSION:
        connection.close()
        raise Newer(
            f"could not read {path}: its schema is version {version}, this program knows {SCHEMA_VERSION};"
            " use the version of lineclear that the daemon runs"
        )
    if 0 < version < SCHEMA_VERSION:
        connection.close()
        raise Older(
            f"could not read {path}: its schema is version {version}, this program needs {SCHEMA_VERSION};"
            " start the daemon anew, which brings it up to date: `lineclear down`, then `lineclear up`: steps go on"
        )
    return reader


def unreadable(path: str, error: Exception) -> Unreachable:
    """What SQLite said, as one of ours."""
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or "decode" in str(error):
        advice = "keep a copy of the home, then restore a backup; `lineclear fsck` says what is wrong"
        return Unreachable(f"could not read {path}: the database is damaged: {error}; {advice}")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return Busy(f"could not read {path}: somebody keeps it locked ({error}); it is tried again")
    return Unreachable(f"could not read {path}: {error}; check that it is a home and that this account may read it")


class Reading:
    """A transaction of a reader in which what SQLite raises becomes Unreachable; it is ended whatever happens inside."""

    __slots__ = ("_reader",)

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def __enter__(self) -> Reader:
        try:
            return self._reader.__enter__()
        except DatabaseError as error:
            raise unreadable(self._reader.path, error) from error

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            self._reader.__exit__()
        except DatabaseError as failed:
            raise unreadable(self._reader.path, failed) from failed
        if isinstance(error, DatabaseError):
            raise unreadable(self._reader.path, error) from error


def _quoted(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
