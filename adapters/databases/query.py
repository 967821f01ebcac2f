"""Read the rows of a query: what all kinds of databases have in common."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from adapters.databases.address import DatabaseAddress
from domain.errors import DatabaseError

__all__ = ["Query", "QueryReader", "Watermark", "native_cell", "open_query"]

_IN_RANGE = "CASE WHEN {0} BETWEEN '0001-01-01' AND '9999-12-31 23:59:59.999999' THEN {0} END"
"""Infinite times, and those that no other program knows, have no value: the drivers would make other dates of them."""
_END = re.compile(r"[\s;]+\Z")


@dataclass(frozen=True)
class Watermark:
    """The column by which a query is read in slices.

    Parameters
    ----------
    column : SQL expression whose order is that of the slices.
    text : SQL template that turns an expression over `column` into text, with UTC for times.
    bounds : SQL expressions that stand for the first and the second bound, which travel as parameters.
    is_number : whether bounds are compared as numbers; else their texts have the order of the values.
    """

    column: str
    text: str
    bounds: tuple[str, str]
    is_number: bool


class QueryReader(Protocol):
    """A snapshot of a database that is read and never written; all its reads see the same rows."""

    address: DatabaseAddress

    def columns(self, query: str) -> Mapping[str, str]:
        """Return the names of a query's columns with their types in the database."""
        ...

    def cell(self, name: str, type_: str) -> str | None:
        """Return the SQL expression that yields a column's exact values; None for lists and the like."""
        ...

    def watermark(self, query: str, name: str, type_: str) -> Watermark | None:
        """Return how a column orders the rows; None if its type has no order that lasts."""
        ...

    def fetch(self, query: str, bounds: Sequence[str] = ()) -> list[tuple[Any, ...]]: ...

    def batches(self, query: str, bounds: Sequence[str] = ()) -> pa.RecordBatchReader:
        """Run a query; its rows come as the batches are taken, in bounded memory."""
        ...


@dataclass(frozen=True)
class Query:
    """A query at an open reader. text : of the user's; it becomes a subquery, which none of its parts can leave."""

    reader: QueryReader
    text: str
    columns: Mapping[str, str]

    @classmethod
    def of(cls, reader: QueryReader, text: str) -> "Query":
        text = _END.sub("", text)
        query = cls(reader, text, {})
        return cls(reader, text, reader.columns(query.source))

    @property
    def source(self) -> str:
        """The query as a table of other queries. Its last line may be a comment."""
        return f"(\n{self.text}\n) AS q"

    def usable(self) -> dict[str, str]:
        """Return the SQL expression of each column that a fleet can use."""
        cells = {name: self.reader.cell(name, type_) for name, type_ in self.columns.items()}
        return {name: cell for name, cell in cells.items() if cell is not None}

    def watermark(self, name: str) -> Watermark:
        """Return how a column orders the rows."""
        if name not in self.columns:
            raise DatabaseError(f"source.watermark: {name}: the query has no such column; it has {self.shown_columns}")
        watermark = self.reader.watermark(self.source, name, self.columns[name])
        if watermark is None:
            raise DatabaseError(
                f"source.watermark: {name}: is of type {self.columns[name]}; use whole numbers, times, dates or texts "
                "that grow"
            )
        return watermark

    @property
    def shown_columns(self) -> str:
        return ", ".join(self.columns)


def native_cell(column: str, type_: str, direct: Collection[str], times: Collection[str]) -> str | None:
    """Return the SQL expression of a column whose values Arrow has as they are, or that is a time; None for others."""
    if type_ in direct:
        return column
    return _IN_RANGE.format(column) if type_ in times else None


@contextmanager
def open_query(address: DatabaseAddress, text: str, timeout_s: float) -> Iterator[Query]:
    """Open a snapshot of a database to read a query. Raises DatabaseError for everything that it refuses."""
    with _reader(address, timeout_s) as reader:
        yield Query.of(reader, text)


def _reader(address: DatabaseAddress, timeout_s: float) -> AbstractContextManager[QueryReader]:
    # Drivers are loaded when they are needed: most runs need none.
    if address.kind == "postgresql":
        from adapters.databases.postgresql_query import read_postgresql

        return read_postgresql(address, timeout_s)
    if address.kind == "sqlite":
        from adapters.databases.sqlite_query import read_sqlite

        return read_sqlite(address, timeout_s)
    from adapters.databases.duckdb_query import read_duckdb

    return read_duckdb(address, timeout_s)
