"""Ingest from a real PostgreSQL."""

import pytest
from postgres_server import postgres_server
from sql_ingest import *  # noqa: F403 - the tests
from sql_sources import SALES, Database

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def server():
    with postgres_server() as running:
        running.execute("CREATE ROLE reader LOGIN PASSWORD 'of the reader'")
        yield running


@pytest.fixture
def database(server, tmp_path, monkeypatch):
    """A database that a role reads which may do nothing else."""
    server.execute("CREATE DATABASE shop")
    server.execute(SALES, "shop")
    server.execute("GRANT SELECT ON sales TO reader", "shop")
    monkeypatch.setenv("SOURCE", server.url("shop", "reader", "of the reader"))
    yield Database("postgresql", "env:SOURCE", tmp_path, lambda statement: server.execute(statement, "shop"))
    server.execute("DROP DATABASE shop WITH (FORCE)")
