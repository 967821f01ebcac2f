"""What all kinds of databases have in common: transactions, statements with parameters, and rows as Arrow batches."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from adapters.databases.address import DatabaseAddress

__all__ = ["Database", "TableName", "open_database", "quoted"]


def quoted(name: str) -> str:
    """Return a name as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class TableName:
    """A table, or a table of a schema."""

    name: str
    schema: str | None = None

    @classmethod
    def parse(cls, text: str) -> "TableName":
        """Read `table` or `schema.table`."""
        schema, _, name = text.rpartition(".")
        return cls(name, schema or None)

    def sibling(self, name: str) -> "TableName":
        """Return another table of the same schema."""
        return TableName(name, self.schema)

    @property
    def sql(self) -> str:
        return ".".join(quoted(part) for part in (self.schema, self.name) if part)

    def __str__(self) -> str:
        return ".".join(part for part in (self.schema, self.name) if part)


class Database(Protocol):
    """An open connection. Statements take their values as parameters `?`, in order, never as text."""

    address: DatabaseAddress
    types: Mapping[pa.DataType, str]
    """Names of the column types that it has for Arrow's."""

    def transaction(self) -> AbstractContextManager[None]:
        """Commit what the block does as a whole, or nothing of it."""
        ...

    def lock(self, name: str) -> None:
        """Wait until no other transaction holds the lock of this name, and hold it to the end of this one."""
        ...

    def columns(self, table: TableName) -> Mapping[str, str]:
        """Return the type of each column; nothing if there is no such table."""
        ...

    def execute(self, statement: str, values: Sequence[Any] = ()) -> None: ...

    def fetch(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]: ...

    def insert(self, table: TableName, schema: pa.Schema, parts: Iterator[pa.RecordBatch]) -> int:
        """Add rows to a table by the names of their columns, and return their number."""
        ...


@contextmanager
def open_database(address: DatabaseAddress) -> Iterator[Database]:
    """Connect to a database. Raises DatabaseError for everything that the database refuses, now or in the block."""
    with _connection(address) as database:
        yield database


def _connection(address: DatabaseAddress) -> AbstractContextManager[Database]:
    # Drivers are loaded when they are needed: most runs need none.
    if address.kind == "postgresql":
        from adapters.databases.postgresql import connect_postgresql

        return connect_postgresql(address)
    if address.kind == "sqlite":
        from adapters.databases.sqlite import connect_sqlite

        return connect_sqlite(address)
    from adapters.databases.duckdb import connect_duckdb

    return connect_duckdb(address)
