"""Databases with rows to read, of each kind: for tests that hold for all of them."""

import sqlite3
from contextlib import closing

from adapters.databases.address import resolve_address
from adapters.databases.query import open_query
from adapters.databases.slices import Slice, find_slices, slice_condition

SALES = "CREATE TABLE sales (id BIGINT, store TEXT, day DATE, units DOUBLE PRECISION, changed_at TIMESTAMP)"


class Database:
    """kind : postgresql, sqlite or duckdb. execute : runs statements as the owner of the rows."""

    def __init__(self, kind, url, home, execute):
        self.kind, self.url, self.home, self.execute = kind, url, home, execute
        self.address = resolve_address(url, home, "source.path")

    def insert(self, *rows, table="sales"):
        """Insert rows of (id, store, day, units, changed_at), whose last value may be a day of January 2024."""
        texts = [
            f"({id_}, '{store}', '{day}', {units}, '{changed if isinstance(changed, str) else when(changed)}')"
            for id_, store, day, units, changed in rows
        ]
        self.execute(f"INSERT INTO {table} VALUES {', '.join(texts)}")

    def slices(self, known=(), query="SELECT * FROM sales", watermark="changed_at", overlap=None):
        with open_query(self.address, query, 60) as opened:
            return find_slices(opened, watermark, known, overlap)

    def rows(self, part, column="id", query="SELECT * FROM sales", watermark="changed_at"):
        """Values of a column in a slice, sorted."""
        with open_query(self.address, query, 60) as opened:
            condition, bounds = slice_condition(opened.watermark(watermark), part.lower, part.upper)
            sql = f"SELECT {opened.usable()[column]} AS v FROM {opened.source} WHERE {condition}"
            values = [value for batch in opened.reader.batches(sql, bounds) for value in batch[0].to_pylist()]
        return sorted(int(value) for value in values)

    def read(self, query):
        """Rows of a query with its usable columns."""
        with open_query(self.address, query, 60) as opened:
            cells = ", ".join(f'{cell} AS "{name}"' for name, cell in opened.usable().items())
            reader = opened.reader.batches(f"SELECT {cells} FROM {opened.source}")
            return reader.read_all()


def when(day, second=0):
    return f"2024-01-{day:02} 00:00:{second:02}"


def sqlite_database(home):
    def execute(statement):
        with closing(sqlite3.connect(home / "in.db")) as connection, connection:
            connection.execute(statement)

    execute(SALES)
    return Database("sqlite", "sqlite:///in.db", home, execute)


def duckdb_database(home):
    import duckdb

    def execute(statement):
        with closing(duckdb.connect(str(home / "in.duckdb"))) as connection:
            connection.execute(statement)

    execute(SALES)
    return Database("duckdb", "duckdb:///in.duckdb", home, execute)


def covered(database, parts):
    """Ids in all slices, each as often as it is in one of them."""
    return sorted(id_ for part in parts for id_ in database.rows(part))


__all__ = ["SALES", "Database", "Slice", "covered", "duckdb_database", "sqlite_database", "when"]
