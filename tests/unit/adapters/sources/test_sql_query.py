"""Ingest from the databases that are files."""

import pytest
from sql_ingest import *  # noqa: F403 - the tests
from sql_sources import duckdb_database, sqlite_database


@pytest.fixture(params=["sqlite", "duckdb"])
def database(request, tmp_path):
    if request.param == "duckdb":
        pytest.importorskip("duckdb")
    return {"sqlite": sqlite_database, "duckdb": duckdb_database}[request.param](tmp_path)
