"""Read DuckDB, if it is installed, in one read-only snapshot."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from adapters.databases.address import DatabaseAddress
from adapters.databases.connection import quoted
from adapters.databases.duckdb import duckdb_module, opened, translated
from adapters.databases.query import Watermark, native_cell
from domain.errors import DatabaseError

__all__ = ["read_duckdb"]

_BATCH_ROWS = 122_880
_DIRECT = frozenset(
    {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "FLOAT", "DOUBLE", "BOOLEAN"}
    | {"VARCHAR"}
)
_TIMES = frozenset({"TIMESTAMP WITH TIME ZONE", "TIMESTAMP", "DATE"})
_NUMBERS = frozenset(
    {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT"}
)
_TEXTUAL = ("DECIMAL", "HUGEINT", "UHUGEINT", "UBIGINT", "UUID", "ENUM", "TIMESTAMP_", "TIME", "BIT")


class _DuckDbReader:
    """See QueryReader."""

    def __init__(self, address: DatabaseAddress, connection: Any, timeout_s: float) -> None:
        self.address, self._connection, self._timeout_s = address, connection, timeout_s

    def columns(self, query: str) -> Mapping[str, str]:
        return {row[0]: row[1] for row in self.fetch(f"DESCRIBE SELECT * FROM {query}")}  # noqa: S608

    def cell(self, name: str, type_: str) -> str | None:
        column = quoted(name)
        if native := native_cell(column, type_, _DIRECT, _TIMES):
            return native
        is_textual = type_.startswith(_TEXTUAL) and not type_.endswith("]")
        return f"CAST({column} AS VARCHAR)" if is_textual else None

    def watermark(self, query: str, name: str, type_: str) -> Watermark | None:
        if type_ not in _NUMBERS | _TIMES | {"VARCHAR"}:
            return None
        bounds = (f"CAST($1 AS {type_})", f"CAST($2 AS {type_})")
        return Watermark(quoted(name), "CAST({0} AS VARCHAR)", bounds, type_ in _NUMBERS)

    def fetch(self, query: str, bounds: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        with translated(self.address), self._limited():
            self._check_single(query)
            return list(self._connection.execute(query, list(bounds)).fetchall())

    def batches(self, query: str, bounds: Sequence[str] = ()) -> pa.RecordBatchReader:
        with translated(self.address), self._limited():
            self._check_single(query)
            reader = self._connection.sql(query, params=list(bounds)).to_arrow_reader(_BATCH_ROWS)
        return pa.RecordBatchReader.from_batches(reader.schema, self._taken(reader))

    def _check_single(self, query: str) -> None:
        """Refuse a query that ends its subquery: DuckDB would run what follows, and COPY writes files even so."""
        if len(self._connection.extract_statements(query)) != 1:
            raise DatabaseError(f"{self.address.shown}: the query is more than one statement; give a single SELECT")

    def _taken(self, reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        with translated(self.address):
            yield from reader

    @contextmanager
    def _limited(self) -> Iterator[None]:
        """Interrupt a statement that takes too long; DuckDB has no setting for that."""
        timer = threading.Timer(self._timeout_s, self._connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


@contextmanager
def read_duckdb(address: DatabaseAddress, timeout_s: float) -> Iterator[_DuckDbReader]:
    """Open the file read-only, with one snapshot."""
    duckdb = duckdb_module(address)
    if not Path(address.target).is_file():
        raise DatabaseError(f"{address.shown}: there is no such file")
    with translated(address), opened(duckdb, address.target, read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("BEGIN TRANSACTION READ ONLY")
        yield _DuckDbReader(address, connection, timeout_s)
