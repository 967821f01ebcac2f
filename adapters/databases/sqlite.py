"""SQLite by Python's own module. It has neither times nor booleans: they are ISO 8601 texts in UTC, and 0 or 1."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any

import pyarrow as pa

from adapters.databases.address import DatabaseAddress
from adapters.databases.connection import TableName, quoted
from domain.data.flatten import iso_times
from domain.errors import DatabaseBusyError, DatabaseError

__all__ = ["connect_sqlite", "translated"]

_LOCK_TIMEOUT_S = 600.0


class _Sqlite:
    """See Database."""

    types: Mapping[pa.DataType, str] = {
        pa.string(): "TEXT",
        pa.int32(): "INTEGER",
        pa.int64(): "INTEGER",
        pa.float64(): "REAL",
        pa.bool_(): "INTEGER",
        pa.timestamp("us", tz="UTC"): "TEXT",
        pa.binary(): "BLOB",
    }

    def __init__(self, address: DatabaseAddress, connection: sqlite3.Connection) -> None:
        self.address, self._connection = address, connection

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with translated(self.address):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                self._connection.rollback()
                raise

    def lock(self, name: str) -> None:
        """Do nothing: the transaction holds the only lock."""

    def columns(self, table: TableName) -> Mapping[str, str]:
        return dict(self.fetch("SELECT name, type FROM pragma_table_info(?)", [table.name]))

    def execute(self, statement: str, values: Sequence[Any] = ()) -> None:
        self._connection.execute(statement, list(values))

    def fetch(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._connection.execute(query, list(values)).fetchall()

    def insert(self, table: TableName, schema: pa.Schema, parts: Iterator[pa.RecordBatch]) -> int:
        names = ", ".join(quoted(name) for name in schema.names)
        places = ", ".join("?" * len(schema))
        statement = f"INSERT INTO {table.sql} ({names}) VALUES ({places})"  # noqa: S608 - names are quoted
        rows = 0
        for part in parts:
            columns = [_values(column).to_pylist() for column in part.columns]
            self._connection.executemany(statement, zip(*columns, strict=True))
            rows += part.num_rows
        return rows


@contextmanager
def connect_sqlite(address: DatabaseAddress) -> Iterator[_Sqlite]:
    """Open the file; it is made if it is missing."""
    with (
        translated(address),
        closing(sqlite3.connect(address.target, timeout=_LOCK_TIMEOUT_S, isolation_level=None)) as connection,
    ):
        yield _Sqlite(address, connection)


@contextmanager
def translated(address: DatabaseAddress) -> Iterator[None]:
    """Turn errors of SQLite into ours."""
    try:
        yield
    except sqlite3.Error as exc:
        is_locked = getattr(exc, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
        raise (DatabaseBusyError if is_locked else DatabaseError)(f"{address.shown}: {exc}") from None


def _values(column: pa.Array) -> pa.Array:
    return iso_times(column) if pa.types.is_timestamp(column.type) else column
