"""Ingest from a real PostgreSQL."""

import pytest
from sql_ingest import *  # noqa: F403 - the tests
from sql_ingest import ingest, landed_rows

from adapters.databases.postgresql_query import _PostgreSqlReader
from adapters.sources import sql_query

pytestmark = pytest.mark.server


def test_a_connection_that_is_lost_while_rows_come_lands_nothing_of_the_slice(database, run, server, monkeypatch):
    database.insert((1, "a", "2024-01-01", 1.0, 1))
    ingest(run)
    database.execute(
        "INSERT INTO sales SELECT n, repeat('b', 120), '2024-01-01'::date + n % 300, 1, '2024-01-05' "
        "FROM generate_series(1, 400000) AS n"
    )
    plain = _PostgreSqlReader._taken

    def losing(self, reader):
        batches = plain(self, reader)
        yield next(batches)
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'reader'")
        yield from batches

    with monkeypatch.context() as patched:
        patched.setattr(sql_query, "_CHUNK_ROWS", 1_000)
        patched.setattr(_PostgreSqlReader, "_taken", losing)
        receipt = ingest(run)
    assert receipt.accepted == 0
    assert len(receipt.refused) == 1
    assert landed_rows(run) == [("store=a", 1, 1.0)]
    assert ingest(run).accepted == 400_000
