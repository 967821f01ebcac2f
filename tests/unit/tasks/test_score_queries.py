"""Rows to score that come from a query: every row is predicted once, also those that come late."""

import sqlite3
from collections import Counter
from contextlib import closing

import pytest
from rides import PAIRS, rides, rides_fleet
from sinks import rows_in

from adapters.compute.dask import InlineWorkers
from adapters.databases.address import resolve_address
from adapters.lake.table import Lake
from adapters.registry import Registry
from domain.data.tables import PREDICTIONS
from tasks.context import Run
from tasks.deliver import deliver_predictions
from tasks.ingest import ingest_files
from tasks.partition import partition_observations
from tasks.promote import promote_challengers
from tasks.register import register_challengers
from tasks.score import score_fleet
from tasks.train import train_challengers
from tasks.workers.run_context import RunContext


@pytest.fixture
def run(tmp_path):
    (tmp_path / "history").mkdir()
    rides(90, 1, PAIRS).to_csv(tmp_path / "history" / "a.csv", index=False)
    source = {"path": "sqlite:///in.db", "query": "SELECT * FROM today", "watermark": "asked"}
    fleet = rides_fleet(score={"source": source}, sink={"url": "sqlite:///out.db"}, candidates=["mean"])
    run = Run(RunContext(fleet, Lake(str(tmp_path / "lake")), "run-1", tmp_path), InlineWorkers())
    ingest_files(run, "observations", fleet.source)
    partition_observations(run)
    train_challengers(run)
    register_challengers(run, Registry(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path / "artifacts")))
    promote_challengers(run)
    return run


def ask(run, count, seed, moment):
    with closing(sqlite3.connect(run.context.home / "in.db")) as connection:
        rides(count, seed, PAIRS).drop(columns="minutes").assign(asked=moment).to_sql(
            "today", connection, if_exists="append", index=False
        )


def score(run):
    ingest_files(run, "requests", run.fleet.score.source)
    return score_fleet(run)


def keys(run):
    return Counter(run.table(PREDICTIONS).read(["row_key"])["row_key"].to_pylist())


def test_new_rows_are_scored_once_and_late_ones_with_their_slice(run, tmp_path):
    ask(run, 6, 10, "2024-01-01")
    assert score(run).rows == 6
    ask(run, 4, 11, "2024-01-02")
    assert score(run).rows == 4
    assert (score(run).rows, len(keys(run))) == (10, 10)
    deliver_predictions(run)
    ask(run, 3, 12, "2024-01-01")
    assert score(run).rows == 9
    assert set(keys(run).values()) == {1}
    assert len(keys(run)) == 13
    deliver_predictions(run)
    address = resolve_address("sqlite:///out.db", tmp_path, "")
    assert rows_in(address, "SELECT count(*), count(DISTINCT row_key) FROM rides_predictions") == [(13, 13)]


def test_a_slice_with_as_many_rows_as_once_before_is_scored_all_the_same(run, tmp_path):
    ask(run, 6, 10, "2024-01-01")
    score(run)
    for ride, seed in (("r10-0", 11), ("r11-0", 12)):
        with closing(sqlite3.connect(tmp_path / "in.db")) as connection, connection:
            connection.execute("DELETE FROM today WHERE ride = ?", [ride])
        assert score(run).rows == 5
        deliver_predictions(run)
        ask(run, 1, seed, "2024-01-01")
        assert (score(run).rows, score(run).repeated) == (6, True)
        assert f'{{"ride": "r{seed}-0"}}' in keys(run)
    deliver_predictions(run)
    delivered = rows_in(resolve_address("sqlite:///out.db", tmp_path, ""), "SELECT row_key FROM rides_predictions")
    assert Counter(key for (key,) in delivered) == keys(run)
