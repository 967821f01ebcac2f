"""The sink: a table in a database that has every job's predictions exactly once."""

import math
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import sinks
from sinks import START, commit, forecasts, rows_in, run_with

from adapters.databases.address import resolve_address
from adapters.databases.connection import open_database
from adapters.queries import predictions_by_job
from domain.errors import DatabaseError
from tasks.deliver import deliver_predictions

COUNTS = "SELECT job_id, count(*) FROM shop_predictions GROUP BY job_id ORDER BY job_id"


@pytest.fixture(params=["sqlite", "duckdb"])
def url(request):
    if request.param == "duckdb":
        pytest.importorskip("duckdb")
    return f"{request.param}:///out.db"


@pytest.fixture
def fetch(tmp_path, url):
    return lambda query: rows_in(resolve_address(url, tmp_path, "sink.url"), query)


def test_a_job_is_delivered_once_with_its_segment_as_columns(tmp_path, url, fetch):
    run = run_with(tmp_path, url)
    commit(run, forecasts("shop-1", lower=math.nan))
    delivery = deliver_predictions(run)
    assert (delivery.jobs, delivery.rows, delivery.replaced, delivery.removed) == (1, 8, 0, 0)
    assert str(tmp_path / "out.db") in delivery.target
    columns = "fleet, segment, store, brand, step, prediction, lower, model_version, job_id"
    rows = fetch(f"SELECT {columns} FROM shop_predictions ORDER BY segment, step")
    assert rows[5] == ("shop", "store=1/brand=amber", "1", "amber", 2, 1.25, None, None, "shop-1")
    assert (deliver_predictions(run).rows, fetch(COUNTS)) == (0, [("shop-1", 8)])
    assert fetch("SELECT target, fleet, job_id, rows, run_id FROM myriad_deliveries") == [
        ("shop_predictions", "shop", "shop-1", 8, "run-1")
    ]


def test_the_next_delivery_writes_what_an_earlier_one_missed(tmp_path, url, fetch, monkeypatch):
    monkeypatch.setattr(predictions_by_job, "_BATCH_ROWS", 3)
    run = run_with(tmp_path, url)
    commit(run, forecasts("shop-1"))
    commit(run, [*forecasts("shop-2", origin=1), *forecasts("shop-3", segments=1, origin=2)], part="bucket-1")
    delivery = deliver_predictions(run)
    assert (delivery.jobs, delivery.rows) == (3, 20)
    assert fetch(COUNTS) == [("shop-1", 8), ("shop-2", 8), ("shop-3", 4)]


def test_newer_forecasts_of_an_origin_replace_the_older_ones_there_too(tmp_path, url, fetch):
    run = run_with(tmp_path, url)
    commit(run, [*forecasts("shop-1"), *forecasts("shop-1", segments=1, origin=1)])
    deliver_predictions(run)
    newer = [*forecasts("shop-2"), *forecasts("shop-1", segments=1, origin=1)]
    commit(run, newer, removes=lambda file: True)
    delivery = deliver_predictions(run)
    assert (delivery.jobs, delivery.rows, delivery.replaced) == (2, 12, 1)
    assert fetch(COUNTS) == [("shop-1", 4), ("shop-2", 8)]
    commit(run, forecasts("shop-2"), removes=lambda file: True)
    assert deliver_predictions(run).removed == 1
    assert fetch(COUNTS) == [("shop-2", 8)]


def test_rows_of_a_failed_delivery_are_not_there(tmp_path, url, fetch, monkeypatch):
    run = run_with(tmp_path, url)
    commit(run, forecasts("shop-1"))
    deliver_predictions(run)
    commit(run, forecasts("shop-2", origin=1), part="bucket-1")
    plain = predictions_by_job.PredictionsByJob.batches

    def breaking(self, jobs):
        yield from plain(self, jobs)
        raise DatabaseError("out of luck")

    monkeypatch.setattr(predictions_by_job.PredictionsByJob, "batches", breaking)
    with pytest.raises(DatabaseError, match=r"(?s)predictions are committed.*myriad score shop.*out of luck"):
        deliver_predictions(run)
    assert fetch(COUNTS) == [("shop-1", 8)]
    monkeypatch.undo()
    assert deliver_predictions(run).rows == 8


def test_a_table_that_lacks_columns_is_named_with_the_statement_that_adds_them(tmp_path, url, fetch):
    run = run_with(tmp_path, url, table="mine")
    commit(run, forecasts("shop-1"))
    deliver_predictions(run)
    fetch("ALTER TABLE mine DROP COLUMN lower")
    fetch("ALTER TABLE mine ADD COLUMN note VARCHAR")
    commit(run, forecasts("shop-2", origin=1), part="bucket-1")
    with pytest.raises(
        DatabaseError, match=r'mine has no column lower; run ALTER TABLE "mine" ADD COLUMN "lower" \w+; or'
    ):
        deliver_predictions(run)
    fetch("ALTER TABLE mine ADD COLUMN lower DOUBLE")
    assert deliver_predictions(run).rows == 8


def test_another_lake_does_not_touch_what_the_first_one_delivered(tmp_path, url, fetch):
    run = run_with(tmp_path, url)
    commit(run, forecasts("shop-1"))
    deliver_predictions(run)
    (tmp_path / "other").mkdir()
    other = run_with(tmp_path / "other", url.replace("out.db", f"{tmp_path}/out.db"))
    commit(other, forecasts("shop-1", segments=3))
    with pytest.raises(DatabaseError, match="holds predictions of fleet shop from another lake"):
        deliver_predictions(other)
    assert fetch(COUNTS) == [("shop-1", 8)]


def test_there_is_nothing_to_do_without_a_sink_or_predictions(trained, tmp_path, url):
    assert deliver_predictions(trained.run()) is None
    assert deliver_predictions(run_with(tmp_path, url)) is None
    assert not (tmp_path / "out.db").exists()


def test_times_are_utc(tmp_path, url, fetch):
    run = run_with(tmp_path, url)
    commit(run, forecasts("shop-1", segments=1, steps=1))
    deliver_predictions(run)
    cast = "time" if "sqlite" in url else "CAST(time AS VARCHAR)"
    expected = START + timedelta(weeks=1)
    text = fetch(f"SELECT {cast} FROM shop_predictions")[0][0]
    assert text[:10] == f"{expected:%Y-%m-%d}"
    assert "00:00:00" in text


@pytest.mark.parametrize("moment", ["1", "2"])
def test_a_killed_delivery_leaves_nothing_behind(tmp_path, url, fetch, moment):
    run = run_with(tmp_path, url)
    commit(run, forecasts("shop-1", segments=50))
    deliver_predictions(run)
    commit(run, forecasts("shop-2", segments=100, origin=1), part="bucket-1")
    command = [sys.executable, sinks.__file__, str(tmp_path), url, moment]
    paths = os.pathsep.join([str(Path(sinks.__file__).parents[2]), str(Path(sinks.__file__).parent)])
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, timeout=120)
    assert done.returncode == -9, done.stderr
    assert fetch(COUNTS) == [("shop-1", 200)]
    assert deliver_predictions(run).rows == 400
    assert fetch(COUNTS) == [("shop-1", 200), ("shop-2", 400)]


def test_a_table_that_is_gone_is_filled_anew_and_one_that_was_emptied_is_not(tmp_path, url, fetch):
    run = run_with(tmp_path, url)
    commit(run, forecasts("shop-1"))
    deliver_predictions(run)
    change(tmp_path, url, "DELETE FROM shop_predictions")
    assert (deliver_predictions(run).rows, fetch(COUNTS)) == (0, [])
    change(tmp_path, url, "DROP TABLE shop_predictions")
    commit(run, forecasts("shop-2", origin=1), part="bucket-1")
    assert deliver_predictions(run).rows == 16
    assert fetch(COUNTS) == [("shop-1", 8), ("shop-2", 8)]


def test_rows_that_no_delivery_has_written_are_neither_doubled_nor_deleted(tmp_path, url, fetch):
    run = run_with(tmp_path, url)
    for job, origin in (("shop-1", 0), ("shop-2", 1)):
        commit(run, forecasts(job, origin=origin), part=f"bucket-{origin}")
    deliver_predictions(run)
    change(tmp_path, url, "DELETE FROM myriad_deliveries WHERE job_id = 'shop-2'")
    assert deliver_predictions(run).rows == 8
    assert fetch(COUNTS) == [("shop-1", 8), ("shop-2", 8)]
    change(tmp_path, url, "DELETE FROM myriad_deliveries")
    with pytest.raises(DatabaseError, match="has rows of fleet shop that myriad_deliveries does not know; delete"):
        deliver_predictions(run)
    assert fetch(COUNTS) == [("shop-1", 8), ("shop-2", 8)]
    change(tmp_path, url, "DELETE FROM shop_predictions WHERE fleet = 'shop'")
    assert deliver_predictions(run).rows == 16


def change(folder, url, statement):
    with open_database(resolve_address(url, folder, "")) as database, database.transaction():
        database.execute(statement)
