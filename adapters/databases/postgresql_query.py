"""Read PostgreSQL by COPY: Arrow batches as they come, in one read-only snapshot."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import adbc_driver_postgresql.dbapi as adbc
import pyarrow as pa

from adapters.databases.address import DatabaseAddress
from adapters.databases.connection import quoted
from adapters.databases.postgresql import translated
from adapters.databases.query import Watermark, native_cell
from domain.errors import DatabaseError

__all__ = ["read_postgresql"]

_DIRECT = frozenset({"int2", "int4", "int8", "float4", "float8", "bool", "text", "varchar"})
_TIMES = frozenset({"timestamptz", "timestamp", "date"})
_TEXTUAL = "BDEINSV"
"""Categories of types whose text is their value: booleans, times of day, enums, addresses, numbers, strings, bits."""
_NUMBERS = frozenset({"int2", "int4", "int8", "numeric"})
_ORDERED = frozenset({"text", "varchar"})


class _PostgreSqlReader:
    """See QueryReader."""

    def __init__(self, address: DatabaseAddress, cursor: adbc.Cursor) -> None:
        self.address, self._cursor = address, cursor

    def columns(self, query: str) -> Mapping[str, str]:
        with translated(self.address):
            self._cursor.execute(f"SELECT * FROM {query} LIMIT 0")  # noqa: S608 - the user's own query
            schema = self._cursor.fetch_arrow_table().schema
        repeated = [name for name in schema.names if schema.names.count(name) > 1]
        if repeated:
            raise DatabaseError(f"{self.address.shown}: the query has column {repeated[0]} twice; rename one with AS")
        return {field.name: field.metadata[b"POSTGRESQL:type"].decode() for field in schema}

    def cell(self, name: str, type_: str) -> str | None:
        column = quoted(name)
        if native := native_cell(column, type_, _DIRECT, _TIMES):
            return native
        if type_ == "money":  # Its text depends on the language of the server.
            return f"{column}::numeric::text"
        if type_ == "uuid" or self._category(type_) in _TEXTUAL:
            return f"{column}::text"
        return None

    def watermark(self, query: str, name: str, type_: str) -> Watermark | None:
        if type_ not in _NUMBERS | _TIMES | _ORDERED:
            return None
        collation = ' COLLATE "C"' if type_ in _ORDERED else ""
        # As a subquery, a bound is computed once, not once per row.
        first, second = (f"(SELECT current_setting('myriad.bound_{number}')::{type_})" for number in (1, 2))
        return Watermark(f"{quoted(name)}{collation}", "({0})::text", (first, second), type_ in _NUMBERS)

    def fetch(self, query: str, bounds: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        with translated(self.address):
            self._bind(bounds)
            self._cursor.execute(query)
            return list(self._cursor.fetchall())

    def batches(self, query: str, bounds: Sequence[str] = ()) -> pa.RecordBatchReader:
        with translated(self.address):
            self._bind(bounds)
            self._cursor.execute(query)
            reader = self._cursor.fetch_record_batch()
        return pa.RecordBatchReader.from_batches(reader.schema, self._taken(reader))

    def _taken(self, reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        with translated(self.address):
            yield from reader

    def _bind(self, bounds: Sequence[str]) -> None:
        """Hand over bounds as settings of the transaction: COPY, by which rows come as a stream, has no parameters."""
        for number, value in enumerate(bounds, start=1):
            self._cursor.execute("SELECT set_config($1, $2, true)", [f"myriad.bound_{number}", value])
            self._cursor.fetchall()

    def _category(self, type_: str) -> str:
        with translated(self.address):
            self._cursor.execute("SELECT typcategory::text FROM pg_type WHERE typname = $1 LIMIT 1", [type_])
            rows = self._cursor.fetchall()
        return str(rows[0][0]) if rows else "X"


@contextmanager
def read_postgresql(address: DatabaseAddress, timeout_s: float) -> Iterator[_PostgreSqlReader]:
    """Open a connection with one read-only snapshot. timeout_s : that a single statement may take."""
    with translated(address):
        connection = adbc.connect(address.target)
        try:
            cursor = connection.cursor()
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            for setting in (f"statement_timeout = {round(timeout_s * 1000)}", "timezone = 'UTC'", "datestyle = 'ISO'"):
                cursor.execute(f"SET LOCAL {setting}")
            yield _PostgreSqlReader(address, cursor)
            cursor.close()
        finally:
            connection.close()
