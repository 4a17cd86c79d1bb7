"""A reader inside the transaction of the connection that writes: what views tell, told of rows that are not committed yet."""

from __future__ import annotations

from sqlite3 import Row

from reconciler.store.read import Reader
from reconciler.store.writer import Writer


class ReaderWithin(Reader):
    """Reads as `Reader` does; it begins and ends nothing. Its rows have names, those of the writer have none."""

    __slots__ = ("_db",)

    def __init__(self, writer: Writer) -> None:
        super().__init__("", writer.db)
        self._db = writer.db

    def rows(self, statement: str, **values: str | int | None) -> list[Row]:
        """All rows of a statement with named parameters."""
        cursor = self._db.cursor()
        cursor.row_factory = Row
        return cursor.execute(statement, values).fetchall()

    def row(self, statement: str, **values: str | int | None) -> Row | None:
        """The first row, or None."""
        found = self.rows(statement, **values)
        return found[0] if found else None
