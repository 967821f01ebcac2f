"""Accuracy: predictions against what was observed later, computed where something changed."""

import numpy as np
import pandas as pd
import pytest
from rides import PAIRS, rides, rides_fleet
from shop import DEAD, open_run, sales, shop, train_all

from adapters.registry import Registry
from domain.data.tables import ACCURACY, PREDICTIONS
from tasks.accuracy import accuracy_rows, measure_accuracy
from tasks.ingest import ingest_files
from tasks.partition import partition_observations
from tasks.promote import promote_challengers
from tasks.score import past_moments, score_fleet

OWN = "store=1/brand=amber"


def table(run):
    return run.table(ACCURACY).read().to_pandas()


def land_weeks(trained, run, weeks):
    """New weeks after the last one that training saw, of another price and level."""
    frame = sales(weeks=60 + weeks, seed=1)
    frame[pd.to_datetime(frame.week) > "2025-02-17"].to_csv(trained.folder / "sales" / "new.csv", index=False)
    ingest_files(run, "observations", run.fleet.source)
    partition_observations(run)


def test_forecasts_are_measured_once_what_they_forecast_has_come(trained):
    run = trained.run()
    score_fleet(run)
    assert measure_accuracy(run).rows == 0
    land_weeks(trained, run, 2)
    # Two weeks of 7 segments; the short one's forecast is the level's, the dead one's lies years back.
    summary = measure_accuracy(run)
    found = table(run)
    assert (summary.rows, summary.in_sample, summary.groups) == (14, 0, 14) == (14, 0, len(found))
    assert set(found.step) == {1, 2}
    assert not found.in_sample.any()
    assert DEAD not in set(found.segment)
    predicted = (
        run.table(PREDICTIONS)
        .read()
        .to_pandas()
        .merge(
            pd.read_csv(trained.folder / "sales" / "new.csv").assign(
                segment=lambda frame: "store=" + frame.store.astype(str) + "/brand=" + frame.brand,
                time=lambda frame: pd.to_datetime(frame.week, utc=True),
            ),
            on=["segment", "time"],
        )
    )
    error = (predicted.prediction - predicted.units).abs()
    assert found.absolute_error.sum() == pytest.approx(error.sum())
    overall = accuracy_rows(run.context.lake, "shop", "release").to_pylist()
    assert [row["wape"] for row in overall] == [pytest.approx(error.sum() / predicted.units.sum())]


def test_nothing_is_computed_again_until_predictions_or_observations_change(trained):
    run = trained.run()
    score_fleet(run)
    land_weeks(trained, run, 1)
    first = measure_accuracy(run)
    version = run.table(ACCURACY).version()
    again = measure_accuracy(run)
    assert (first.measured, again.measured, again.rows) == (3, 0, first.rows)
    assert run.table(ACCURACY).version() == version
    # One bucket's predictions are written anew.
    predictions = run.table(PREDICTIONS)
    (file,) = predictions.files(lambda partition: partition["part"] == "bucket-1")
    staged = predictions.stage(predictions.read_files([file], predictions.spec.file_schema.names), part="bucket-1")
    predictions.replace([staged], lambda other: other.path == file.path)
    before = table(run)
    third = measure_accuracy(run)
    assert (third.measured, third.rows) == (1, first.rows)
    pd.testing.assert_frame_equal(
        *(
            frame.drop(columns="basis").sort_values(["segment", "step"], ignore_index=True)
            for frame in (before, table(run))
        )
    )


def test_a_backfill_by_a_model_that_had_seen_the_future_is_told_apart(trained):
    run = trained.run()
    score_fleet(run)
    # The short segment begins later; the dead one's forecasts of both dates are the newest ones.
    for at in past_moments(run, "2025-01-05", "2025-01-12"):
        score_fleet(run, as_of=at)
    land_weeks(trained, run, 1)
    measure_accuracy(run)
    found = table(run)
    assert found.groupby("in_sample").rows.sum().to_dict() == {False: 7, True: 6 * 4 * 2}
    by_step = accuracy_rows(run.context.lake, "shop", "step").to_pandas()
    assert by_step[["step", "in_sample"]].to_numpy().tolist() == [
        [1, False],
        [1, True],
        [2, True],
        [3, True],
        [4, True],
    ]
    assert accuracy_rows(run.context.lake, "shop", "step", release=9).num_rows == 0


def test_outliers_and_rows_without_a_number_do_not_count(trained):
    fleet = shop(
        validation={"outliers": "exclude"}, score={"source": {"path": "future/*.csv"}, "missing_covariates": "reject"}
    )
    run = trained.run("run-2", fleet)
    lines = (trained.folder / "future" / "a.csv").read_text().splitlines()
    (trained.folder / "future" / "a.csv").write_text("\n".join(line for line in lines if ",1,citra," not in line))
    ingest_files(run, "requests", run.fleet.score.source)
    score_fleet(run)
    land_weeks(trained, run, 2)
    path = trained.folder / "sales" / "new.csv"
    frame = pd.read_csv(path)
    frame.loc[(frame.store == 1) & (frame.brand == "amber"), "units"] = [1e6, 50.0]
    frame.to_csv(path, index=False)
    ingest_files(run, "observations", run.fleet.source)
    partition_observations(run)
    summary = measure_accuracy(run)
    found = table(run).set_index(["segment", "step"])
    assert (found.loc[(OWN, 1)]["rows"], found.loc[(OWN, 1)].excluded) == (0, 1)
    assert np.isnan(found.loc[(OWN, 1)].mae)
    assert found.loc[(OWN, 2)]["rows"] == 1
    assert "store=1/brand=citra" not in found.index.get_level_values(0)
    assert (summary.rows, summary.excluded) == (11, 1)


def test_before_anything_was_scored_there_is_a_reason(trained):
    assert measure_accuracy(trained.run()).reason == "nothing has been scored yet"


@pytest.fixture
def dated_rides(tmp_path, workers):
    """A regression fleet with times: trained on January, rows of February to score."""
    clock = {"column": "day", "frequency": "D"}
    january, february = rides(300, 0, PAIRS), rides(12, 1, PAIRS)
    for name, frame, start in (("history", january, "2024-01-01"), ("today", february, "2024-02-01")):
        (tmp_path / name).mkdir()
        days = pd.to_datetime(start) + pd.to_timedelta(np.arange(len(frame)) % 28, unit="D")
        frame.assign(day=days.strftime("%Y-%m-%d")).to_csv(tmp_path / name / "a.csv", index=False)
    run = open_run(tmp_path, workers, fleet=rides_fleet(time=clock))
    train_all(run, Registry(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path / "artifacts")))
    promote_challengers(run)
    ingest_files(run, "requests", run.fleet.score.source)
    score_fleet(run)
    return run


def test_rows_of_a_regression_fleet_are_found_by_their_key(dated_rides):
    run = dated_rides
    assert measure_accuracy(run).rows == 0
    (run.context.home / "history" / "b.csv").write_text((run.context.home / "today" / "a.csv").read_text())
    ingest_files(run, "observations", run.fleet.source)
    partition_observations(run)
    summary = measure_accuracy(run)
    found = table(run)
    assert (summary.rows, summary.in_sample) == (12, 0)
    assert set(found.segment) == {"city=ulm/route=a", "city=ulm/route=b%2Fc", "city=köln/route=a"}
    assert found.step.isna().all()
    assert found.mae.max() < 2


def test_a_regression_fleet_without_a_row_key_says_why_nothing_is_measured(tmp_path, workers):
    run = open_run(tmp_path, workers, fleet=rides_fleet(row_key=[]))
    assert "no row_key" in measure_accuracy(run).reason
