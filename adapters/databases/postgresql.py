"""PostgreSQL through ADBC: rows travel as Arrow batches by COPY, in both directions."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import adbc_driver_manager
import adbc_driver_postgresql.dbapi as adbc
import pyarrow as pa
import pyarrow.compute as pc

from adapters.databases.address import DatabaseAddress
from adapters.databases.connection import TableName, quoted
from domain.errors import DatabaseBusyError, DatabaseError

__all__ = ["connect_postgresql", "translated"]

_LOCK_TIMEOUT = "10min"
"""Time to wait for another delivery; the first one of a large lake takes a while."""
_STAGING = "myriad_staging"
_STATEMENT = re.compile(r"Failed to \w+ query '.*': (?=\w+: )| Query was: .*")
"""The statement in a message of the driver's, before or after what the server says about it."""
_PARAMETER = re.compile(r'"(?:[^"]|"")*"|\?')
_TRANSIENT = ("08", "40", "53", "55P03", "57P01", "57P02", "57P03")
"""SQLSTATEs of lost connections, conflicts, exhausted resources, locks, and servers that stop or start."""
_NOT_CONNECTED = adbc_driver_manager.AdbcStatusCode.IO


class _PostgreSql:
    """See Database."""

    types: Mapping[pa.DataType, str] = {
        pa.string(): "text",
        pa.int32(): "integer",
        pa.int64(): "bigint",
        pa.float64(): "double precision",
        pa.bool_(): "boolean",
        pa.timestamp("us", tz="UTC"): "timestamp with time zone",
        pa.binary(): "bytea",
    }

    def __init__(self, address: DatabaseAddress, connection: adbc.Connection) -> None:
        self.address, self._connection, self._cursor = address, connection, connection.cursor()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with translated(self.address):
            # A time written to a column without a zone is that of UTC.
            self.execute("SET LOCAL timezone = 'UTC'")
            self.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
            try:
                yield
                self._connection.commit()
            except BaseException:
                # If the connection is lost, so is the transaction; the first error says more.
                with suppress(adbc.Error):
                    self._connection.rollback()
                raise

    def lock(self, name: str) -> None:
        self.fetch("SELECT pg_advisory_xact_lock(hashtextextended(?, 0))::text", [f"myriad {name}"])

    def columns(self, table: TableName) -> Mapping[str, str]:
        rows = self.fetch(
            "SELECT attname::text, format_type(atttypid, -1) FROM pg_attribute "
            "WHERE attrelid = to_regclass(?) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            [table.sql],
        )
        return dict(rows)

    def execute(self, statement: str, values: Sequence[Any] = ()) -> None:
        with translated(self.address):
            self._cursor.execute(_numbered(statement), list(values) or None)

    def fetch(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with translated(self.address):
            self._cursor.execute(_numbered(query), list(values) or None)
            return list(self._cursor.fetchall())

    def insert(self, table: TableName, schema: pa.Schema, parts: Iterator[pa.RecordBatch]) -> int:
        columns = self.columns(table)
        source = _Batches(parts)
        reader = pa.RecordBatchReader.from_batches(schema, source)
        try:
            return self._insert(table, schema, columns, reader)
        except DatabaseError:
            if source.failure is not None:
                raise source.failure from None
            raise

    def _insert(
        self, table: TableName, schema: pa.Schema, columns: Mapping[str, str], reader: pa.RecordBatchReader
    ) -> int:
        if all(columns[field.name] == self.types[field.type] for field in schema):
            return self._ingest(table.name, reader, mode="append", db_schema_name=table.schema)
        # COPY takes the very types of the columns; PostgreSQL converts what comes from another table.
        rows = self._ingest(_STAGING, reader, mode="create", temporary=True)
        names = ", ".join(quoted(name) for name in schema.names)
        # Without a length, so that a text that is too long is an error.
        values = ", ".join(f"CAST({quoted(name)} AS {columns[name]})" for name in schema.names)
        self.execute(f"INSERT INTO {table.sql} ({names}) SELECT {values} FROM pg_temp.{quoted(_STAGING)}")  # noqa: S608
        self.execute(f"DROP TABLE pg_temp.{quoted(_STAGING)}")
        return rows

    def _ingest(self, table: str, reader: pa.RecordBatchReader, **options: Any) -> int:
        with translated(self.address):
            return int(self._cursor.adbc_ingest(table, reader, **options))


class _Batches:
    """Batches on their way through the driver, which would report a failure to make them as one of its own."""

    def __init__(self, parts: Iterator[pa.RecordBatch]) -> None:
        self._parts = parts
        self.failure: BaseException | None = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        try:
            yield from map(_without_nul, self._parts)
        except BaseException as exc:  # An interrupt as well: the driver would swallow it.
            self.failure = exc
            raise


@contextmanager
def connect_postgresql(address: DatabaseAddress) -> Iterator[_PostgreSql]:
    """Open a connection."""
    with translated(address):
        connection = adbc.connect(address.target)
        try:
            database = _PostgreSql(address, connection)
            yield database
            database._cursor.close()
        finally:
            connection.close()


@contextmanager
def translated(address: DatabaseAddress) -> Iterator[None]:
    """Turn errors of the driver into ours: first line of the server's message, without secrets."""
    try:
        yield
    except adbc.Error as exc:
        state = exc.sqlstate or ""
        primary = next(
            (value.decode(errors="replace") for name, value in exc.details if name == "PG_DIAG_MESSAGE_PRIMARY"), ""
        )
        text = _STATEMENT.sub("", " ".join(address.masked(primary or str(exc)).split()))
        is_lost = not state and exc.status_code == _NOT_CONNECTED and "authentication failed" not in text
        kind = DatabaseBusyError if is_lost or state.startswith(_TRANSIENT) else DatabaseError
        raise kind(f"{address.shown}: {text[:400]}") from None
    except (OSError, pa.ArrowException) as exc:
        # What happens while rows come as a stream, such as the end of the connection.
        raise DatabaseBusyError(f"{address.shown}: {' '.join(address.masked(str(exc)).split())[:400]}") from None


def _numbered(statement: str) -> str:
    """Write parameters as PostgreSQL does, $1 and $2; a question mark in a quoted name stays."""
    numbers = count(1)
    return _PARAMETER.sub(lambda match: f"${next(numbers)}" if match[0] == "?" else match[0], statement)


def _without_nul(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Replace the character NUL, which PostgreSQL has no place for, by its symbol."""
    for place, field in enumerate(batch.schema):
        values = batch.column(place)
        if pa.types.is_string(field.type) and pc.any(pc.match_substring(values, "\0")).as_py():
            batch = batch.set_column(place, field, pc.replace_substring(values, "\0", "\u2400"))
    return batch
