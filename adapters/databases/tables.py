"""Tables in databases of the user's: names and types of their columns, made if missing and checked if present."""

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from adapters.databases.connection import Database, TableName, quoted
from domain.data.flatten import split_segments
from domain.errors import DatabaseError

__all__ = ["FLEET", "ensure_table", "to_database_rows"]

FLEET = "fleet"
_WHOLE = frozenset({"smallint", "integer", "bigint", "tinyint", "hugeint"})
_NAME_BYTES = 63
"""PostgreSQL cuts longer names."""


def to_database_rows(rows: pa.Table, fleet: str, segment_by: Sequence[str]) -> pa.Table:
    """Add the fleet and one column per part of the segment key, as in exports; NaN becomes NULL."""
    schema = rows.schema
    rows = rows.add_column(0, FLEET, pa.array([fleet] * rows.num_rows, pa.string()))
    rows = split_segments(rows, segment_by)
    for place, field in enumerate(rows.schema):
        if pa.types.is_floating(field.type):
            values = rows.column(place)
            rows = rows.set_column(place, field, pc.if_else(pc.is_nan(values), None, values))
    return rows.rename_columns(_distinct(rows.column_names, {FLEET, *schema.names}))


def ensure_table(
    database: Database, table: TableName, schema: pa.Schema, *, index: Sequence[str] = (), key: Sequence[str] = ()
) -> bool:
    """Make a table, or check that it has all the columns; it may have more, of its own. Return whether it was made.

    Raises
    ------
    DatabaseError
        It lacks columns, of which the message has the statement that adds them, or would round numbers.
    """
    present = database.columns(table)
    if not present:
        # Two transactions that make the same table at once would disturb each other.
        database.lock("make tables")
        present = database.columns(table)
    if not present:
        columns = [f"{quoted(field.name)} {database.types[field.type]}" for field in schema]
        columns += [f"PRIMARY KEY ({', '.join(map(quoted, key))})"] if key else []
        database.execute(f"CREATE TABLE {table.sql} ({', '.join(columns)})")
        if index and database.address.kind != "duckdb":  # DuckDB refuses changes of tables with an index.
            name = quoted(f"{table.name[: _NAME_BYTES - 4]}_job")
            database.execute(f"CREATE INDEX {name} ON {table.sql} ({', '.join(map(quoted, index))})")
        return True
    missing = [field for field in schema if not _has(present, field.name, database)]
    if missing:
        added = [f"ADD COLUMN {quoted(field.name)} {database.types[field.type]}" for field in missing]
        statements = "; ".join(f"ALTER TABLE {table.sql} {column}" for column in added)
        raise DatabaseError(
            f"{database.address.shown}: table {table} has no column {', '.join(field.name for field in missing)}; "
            f"run {statements}; or name another table"
        )
    rounded = [field.name for field in schema if _is_rounded(field, present, database)]
    if rounded:
        raise DatabaseError(
            f"{database.address.shown}: table {table}: column {', '.join(rounded)} has whole numbers, which would "
            f"round the values; make it {database.types[pa.float64()]} or numeric, or name another table"
        )
    return False


def _is_rounded(field: pa.Field, present: Mapping[str, str], database: Database) -> bool:
    # SQLite keeps fractions, whatever the type of the column.
    is_whole = present.get(field.name, "").lower() in _WHOLE and database.address.kind != "sqlite"
    return is_whole and pa.types.is_floating(field.type)


def _has(present: Mapping[str, str], name: str, database: Database) -> bool:
    if database.address.kind == "postgresql":
        return name in present
    return name.lower() in {column.lower() for column in present}


def _distinct(names: Sequence[str], reserved: set[str]) -> list[str]:
    """Return names that differ in more than case and fit into the databases' limit; our own stay as they are."""
    taken, distinct = {name.lower() for name in reserved}, list[str]()
    for name in names:
        if name not in reserved:
            name, stem, number = _cut(name, _NAME_BYTES), name, 1
            while name.lower() in taken:
                number += 1
                name = f"{_cut(stem, _NAME_BYTES - 4)}_{number}"
            taken.add(name.lower())
        distinct.append(name)
    return distinct


def _cut(name: str, size: int) -> str:
    return name.encode()[:size].decode(errors="ignore")
