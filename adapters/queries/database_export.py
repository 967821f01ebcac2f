"""Write rows of an export to a table of a database, in one transaction."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pyarrow as pa

from adapters.databases.address import DatabaseAddress, resolve_address
from adapters.databases.connection import Database, TableName, open_database, quoted
from adapters.databases.delivery import filled_by_sink
from adapters.databases.tables import FLEET, ensure_table, to_database_rows
from domain.config.database import LEDGER, TABLE_NAME, checked_address
from domain.config.fleet import Fleet
from domain.errors import RequestError

__all__ = ["DatabaseTarget", "database_target", "replaced_rows"]

_BATCH_ROWS = 65_536


@dataclass(frozen=True)
class DatabaseTarget:
    """A table of a database."""

    address: DatabaseAddress
    table: TableName

    @property
    def shown(self) -> str:
        return f"{self.address.shown}, table {self.table}"


def database_target(to: str, table: str, home: Path) -> DatabaseTarget:
    """Return the table that an export goes to.

    Raises
    ------
    RequestError
        The address has a password, which others would read in the list of processes, or the name is none.
    """
    try:
        address = resolve_address(checked_address(to), home, "--to")
    except ValueError as exc:
        raise RequestError(f"--to: {exc}") from None
    if table.rpartition(".")[2].lower() == LEDGER:
        raise RequestError(f"--into {table}: is the ledger of deliveries of sinks; give another name")
    if not TABLE_NAME.fullmatch(table):
        raise RequestError(f"--into {table}: give table or schema.table, of letters, digits and _, 63 each at most")
    if address.kind == "sqlite" and "." in table:
        raise RequestError(f"--into {table}: SQLite has no schemas; give the name of a table alone")
    return DatabaseTarget(address, TableName.parse(table))


@contextmanager
def replaced_rows(
    target: DatabaseTarget, fleet: Fleet, parts: Iterator[pa.Table], filters: Mapping[str, int | str]
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Replace the rows of a fleet that the filters cover; what the block raises undoes it.

    parts : the first one, which may be empty, has the columns.
    Yields the number of rows, and the names of the columns.
    """
    first = to_database_rows(next(parts), fleet.name, fleet.segment_by)
    rows = (to_database_rows(part, fleet.name, fleet.segment_by).cast(first.schema) for part in parts)
    batches = (batch for part in chain([first], rows) for batch in part.combine_chunks().to_batches(_BATCH_ROWS))
    with open_database(target.address) as database, database.transaction():
        database.lock(f"deliver {target.table.name} {fleet.name}")
        _refuse_sink(database, target, fleet.name)
        ensure_table(database, target.table, first.schema)
        conditions = "".join(f" AND {quoted(column)} = ?" for column in filters)
        statement = f"DELETE FROM {target.table.sql} WHERE {quoted(FLEET)} = ?{conditions}"  # noqa: S608
        if database.fetch(f"SELECT 1 FROM {target.table.sql} LIMIT 1"):  # noqa: S608 - needs no right to delete
            database.execute(statement, [fleet.name, *filters.values()])
        yield database.insert(target.table, first.schema, batches), tuple(first.schema.names)


def _refuse_sink(database: Database, target: DatabaseTarget, fleet: str) -> None:
    if filled_by_sink(database, target.table, fleet):
        raise RequestError(f"{target.shown}: the sink of fleet {fleet} fills this table; name another one with --into")
