"""DuckDB, if it is installed. A file has one process that writes at a time; others wait for it."""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any

import pyarrow as pa

from adapters.databases.address import DatabaseAddress
from adapters.databases.connection import TableName, quoted
from domain.errors import DatabaseBusyError, DatabaseError

__all__ = ["connect_duckdb", "duckdb_module", "opened", "translated"]

_LOCK_TIMEOUT_S = 600.0


class _DuckDb:
    """See Database."""

    types: Mapping[pa.DataType, str] = {
        pa.string(): "VARCHAR",
        pa.int32(): "INTEGER",
        pa.int64(): "BIGINT",
        pa.float64(): "DOUBLE",
        pa.bool_(): "BOOLEAN",
        pa.timestamp("us", tz="UTC"): "TIMESTAMP WITH TIME ZONE",
        pa.binary(): "BLOB",
    }

    def __init__(self, address: DatabaseAddress, connection: Any) -> None:
        self.address, self._connection = address, connection

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with translated(self.address):
            self._connection.execute("SET TimeZone = 'UTC'")
            self._connection.begin()
            try:
                yield
                self._connection.commit()
            except BaseException:
                self._connection.rollback()
                raise

    def lock(self, name: str) -> None:
        """Do nothing: no other process has the file open."""

    def columns(self, table: TableName) -> Mapping[str, str]:
        query = "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ? AND schema_name = ? "
        query += "AND database_name = current_database() ORDER BY column_index"
        return dict(self.fetch(query, [table.name, table.schema or "main"]))

    def execute(self, statement: str, values: Sequence[Any] = ()) -> None:
        self._connection.execute(statement, list(values))

    def fetch(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return list(self._connection.execute(query, list(values)).fetchall())

    def insert(self, table: TableName, schema: pa.Schema, parts: Iterator[pa.RecordBatch]) -> int:
        names = ", ".join(quoted(name) for name in schema.names)
        rows = 0
        for part in parts:
            self._connection.register("myriad_staging", pa.Table.from_batches([part]))
            self._connection.execute(f"INSERT INTO {table.sql} ({names}) SELECT {names} FROM myriad_staging")  # noqa: S608
            self._connection.unregister("myriad_staging")
            rows += part.num_rows
        return rows


@contextmanager
def connect_duckdb(address: DatabaseAddress) -> Iterator[_DuckDb]:
    """Open the file; it is made if it is missing. Waits for another process that has it open."""
    duckdb = duckdb_module(address)
    with translated(address), opened(duckdb, address.target) as connection:
        yield _DuckDb(address, connection)


def duckdb_module(address: DatabaseAddress) -> Any:
    """Return DuckDB's module. Raises DatabaseError if it is not installed."""
    try:
        import duckdb
    except ImportError:
        raise DatabaseError(
            f"{address.shown}: the driver of DuckDB is not installed; install the extra duckdb: "
            "pip install 'myriad-models[duckdb]'"
        ) from None
    return duckdb


@contextmanager
def opened(duckdb: Any, path: str, *, read_only: bool = False) -> Iterator[Any]:
    """Open a file, as soon as no other process that writes has it open."""
    with closing(_opened(duckdb, path, read_only)) as connection:
        yield connection


def _opened(duckdb: Any, path: str, read_only: bool) -> Any:
    end, pause = time.monotonic() + _LOCK_TIMEOUT_S, 0.05
    while True:
        try:
            return duckdb.connect(path, read_only=read_only)
        except duckdb.IOException as exc:
            if "lock" not in str(exc).lower() or time.monotonic() > end:
                raise
            time.sleep(pause * (0.5 + random.random()))  # noqa: S311 - jitter, not a secret
            pause = min(2 * pause, 2.0)


@contextmanager
def translated(address: DatabaseAddress) -> Iterator[None]:
    """Turn errors of DuckDB into ours."""
    import duckdb

    try:
        yield
    except (duckdb.IOException, duckdb.TransactionException) as exc:
        raise DatabaseBusyError(f"{address.shown}: {str(exc).splitlines()[0][:400]}") from None
    except duckdb.Error as exc:
        raise DatabaseError(f"{address.shown}: {str(exc).splitlines()[0][:400]}") from None
