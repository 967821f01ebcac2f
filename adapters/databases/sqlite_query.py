"""Read SQLite by Python's own module: ADBC's driver takes the type of a column from its first rows.

Columns have no types there, so every value comes as exact text, like the cells of a CSV file.
"""

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from adapters.databases.address import DatabaseAddress
from adapters.databases.connection import quoted
from adapters.databases.query import Watermark
from adapters.databases.sqlite import translated
from domain.errors import DatabaseError

__all__ = ["read_sqlite"]

_BATCH_ROWS = 65_536
_STEPS = 1_000_000
"""Steps of SQLite's machine between two looks at the clock."""
_LOCK_TIMEOUT_S = 60.0
_CELL = (
    "CASE typeof({0}) WHEN 'blob' THEN NULL WHEN 'real' THEN "
    # SQLite's own text of a number has 15 digits, which may be another number.
    "CASE WHEN CAST(CAST({0} AS TEXT) AS REAL) = {0} THEN CAST({0} AS TEXT) ELSE printf('%!.17g', {0}) END "
    "ELSE CAST({0} AS TEXT) END"
)


class _SqliteReader:
    """See QueryReader."""

    def __init__(self, address: DatabaseAddress, connection: sqlite3.Connection, timeout_s: float) -> None:
        self.address, self._connection, self._timeout_s = address, connection, timeout_s

    def columns(self, query: str) -> Mapping[str, str]:
        with translated(self.address):
            cursor = self._connection.execute(f"SELECT * FROM {query} LIMIT 0")  # noqa: S608 - the user's own query
        return {column[0]: "any" for column in cursor.description}

    def cell(self, name: str, type_: str) -> str | None:
        return _CELL.format(quoted(name))

    def watermark(self, query: str, name: str, type_: str) -> Watermark | None:
        column = quoted(name)
        types = self.fetch(f"SELECT typeof(min({column})), typeof(max({column})) FROM {query}")[0]  # noqa: S608
        if types in (("integer", "integer"), ("null", "null")):
            return Watermark(column, "CAST({0} AS TEXT)", ("CAST(?1 AS INTEGER)", "CAST(?2 AS INTEGER)"), True)
        if types == ("text", "text"):
            return Watermark(column, "{0}", ("?1", "?2"), False)
        return None

    def fetch(self, query: str, bounds: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        with translated(self.address):
            return self._started(query, bounds).fetchall()

    def batches(self, query: str, bounds: Sequence[str] = ()) -> pa.RecordBatchReader:
        with translated(self.address):
            cursor = self._started(query, bounds)
        schema = pa.schema([(column[0], pa.string()) for column in cursor.description])
        return pa.RecordBatchReader.from_batches(schema, self._taken(cursor, schema))

    def _taken(self, cursor: sqlite3.Cursor, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        with translated(self.address):
            while rows := cursor.fetchmany(_BATCH_ROWS):
                columns = zip(*rows, strict=True)
                yield pa.record_batch([pa.array(column, pa.string()) for column in columns], schema=schema)

    def _started(self, query: str, bounds: Sequence[str]) -> sqlite3.Cursor:
        """Run a statement, which ends itself when its time is over."""
        end = time.monotonic() + self._timeout_s
        self._connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
        return self._connection.execute(query, list(bounds))


@contextmanager
def read_sqlite(address: DatabaseAddress, timeout_s: float) -> Iterator[_SqliteReader]:
    """Open the file read-only, with one snapshot. timeout_s : that a single statement may take."""
    if not Path(address.target).is_file():
        raise DatabaseError(f"{address.shown}: there is no such file")
    uri = f"file:{quote(address.target)}?mode=ro"
    # Used by one thread at a time, but not always by the same.
    connecting = partial(sqlite3.connect, uri, uri=True, isolation_level=None, check_same_thread=False)
    with translated(address), closing(connecting(timeout=_LOCK_TIMEOUT_S)) as connection:
        connection.execute("BEGIN")
        yield _SqliteReader(address, connection, timeout_s)
