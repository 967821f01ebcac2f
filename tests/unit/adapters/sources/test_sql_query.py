"""Ingest from the databases that are files."""

import pytest
from sql_ingest import *  # noqa: F403 - the tests
from sql_sources import duckdb_database, sqlite_database

from adapters.sources.new_files import new_files
from adapters.sources.precheck import input_roots, refusals
from domain.config.scoring import Score


@pytest.fixture(params=["sqlite", "duckdb"])
def database(request, tmp_path):
    if request.param == "duckdb":
        pytest.importorskip("duckdb")
    return {"sqlite": sqlite_database, "duckdb": duckdb_database}[request.param](tmp_path)


def test_a_database_is_no_folder_of_the_gateway(tmp_path):
    for path in ("env:SOURCE", "postgresql://reader@h/d", "sqlite:///in.db"):
        assert input_roots([], path, tmp_path, local=True) == []


@pytest.mark.parametrize("place", ["postgresql://h/d", "postgresql://u:hunter2@h/d", "sqlite:///in.db", "env:SOURCE"])
def test_an_address_among_the_inputs_of_a_job_is_refused(database, place):
    database.insert((1, "a", "2024-01-01", 1.0, 1))
    run = sql_run(database, path="env:OTHER")  # noqa: F405
    refused = refusals([place], run.fleet, run.fleet.source, database.home, [str(database.home)])
    assert list(refused) == [0]
    assert "hunter2" not in refused[0]


def test_a_sweep_for_files_leaves_queries_alone(database, run):
    database.insert((1, "a", "2024-01-01", 1.0, 1))
    fleet = run.fleet.model_copy(update={"score": Score(source=run.fleet.source)})
    assert new_files(run.context.lake, fleet, database.home) == []
