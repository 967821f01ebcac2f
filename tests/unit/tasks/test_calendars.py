"""Whole runs over data of many calendars: the dates and the sums of their forecasts."""

from datetime import UTC

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adapters.lake.table import Lake
from adapters.registry import Registry
from domain.config.fleet import parse_fleet
from domain.data.tables import PREDICTIONS, QUARANTINE
from tasks.context import Run
from tasks.ingest import ingest_files
from tasks.partition import partition_observations
from tasks.promote import promote_challengers
from tasks.register import register_challengers
from tasks.score import score_fleet
from tasks.train import train_challengers
from tasks.workers.run_context import RunContext


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """One for all runs, whose fleets have names of their own: a new database takes seconds."""
    folder = tmp_path_factory.mktemp("registry")
    return Registry(f"sqlite:///{folder}/mlflow.db", str(folder / "artifacts"))


@pytest.fixture
def workers(workers, registry):
    return workers, registry


def forecasts(folder, workers, time, horizon, candidates=("seasonal_naive", "ses", "ridge"), **keys):
    """Forecasts of the files in `in`, and what was quarantined; through all stages of a run."""
    workers, registry = workers
    name = "run-" + "".join(letter for letter in folder.name.lower() if letter.isalnum() or letter in "-_")[-40:]
    content = {"name": name, "task": "forecast", "source": {"path": "in"}, "segment_by": ["store"]}
    content |= {"time": {"column": "time"} | time, "target": {"column": "value"}, "horizon": horizon}
    content |= {"candidates": list(candidates), "partition": {"min_rows": 20}} | keys
    fleet = parse_fleet(content, "calendar.yaml")
    run = Run(RunContext(fleet, Lake(str(folder / "lake")), "run-1", folder), workers)
    ingest_files(run, "observations", fleet.source)
    if fleet.score is not None:
        ingest_files(run, "requests", fleet.score.source)
    partition_observations(run)
    train_challengers(run)
    register_challengers(run, registry)
    promote_challengers(run)
    score_fleet(run)
    rows = run.table(PREDICTIONS).read().to_pandas().sort_values(["segment", "time"])
    assert set(rows.status) == {"ok"}
    return rows, run.table(QUARANTINE).read().to_pandas()


def put(folder, times, values, store="a", name="a.csv"):
    (folder / "in").mkdir(exist_ok=True)
    pd.DataFrame({"time": times, "store": store, "value": values}).to_csv(folder / "in" / name, index=False)


def swing(n, season, noise=1.0):
    wave = 100 + 20 * np.sin(2 * np.pi * np.arange(n) / season)
    return (wave + np.random.default_rng(0).normal(0, noise, n)).round(2)


def dates(rows):
    return rows.time.dt.strftime("%Y-%m-%d").tolist()


@pytest.mark.parametrize(
    ("alias", "frequency"),
    [
        ("ME", "M"),
        ("BME", "BME"),
        ("QE-JAN", "Q-JAN"),
        ("W-FRI", "W-FRI"),
        ("SME", "SM"),
        ("SMS", "SMS"),
        ("B", "B"),
        ("2W-TUE", "2W"),
        ("YE-JUN", "Y-JUN"),
    ],
)
def test_forecasts_are_dated_as_pandas_would_go_on(tmp_path, workers, alias, frequency):
    times = pd.date_range("1950-01-01", periods=66, freq=alias)
    put(tmp_path, times[:60].strftime("%Y-%m-%d"), swing(60, 4))
    rows, rejected = forecasts(tmp_path, workers, {"frequency": frequency}, 6, candidates=["seasonal_naive", "ses"])
    assert dates(rows) == times[60:].strftime("%Y-%m-%d").tolist()
    assert rejected.empty


@pytest.mark.parametrize("day", [28, 29, 30])
def test_a_day_of_the_month_is_kept_from_the_end_of_february_on(tmp_path, workers, day):
    months = pd.period_range("2019-01", "2024-02", freq="M")
    put(tmp_path, [f"{month}-{min(day, month.days_in_month):02d}" for month in months], swing(len(months), 12))
    rows, _ = forecasts(tmp_path, workers, {"frequency": "M"}, 3)
    assert dates(rows) == [f"2024-{month:02d}-{day}" for month in (3, 4, 5)]


@pytest.mark.parametrize("zone", ["Europe/London", "Europe/Berlin", "Asia/Kolkata", "America/New_York"])
@pytest.mark.parametrize(("frequency", "expected"), [("D", "2024-06-15"), ("MS", "2024-07-01")])
def test_dates_of_a_zoned_column_are_local(tmp_path, workers, zone, frequency, expected):
    times = pd.date_range(end="2024-06-14", periods=500, freq=frequency, tz=zone)
    (tmp_path / "in").mkdir()
    column = pa.array([time.to_pydatetime().astimezone(UTC) for time in times], pa.timestamp("us", zone))
    table = pa.table({"time": column, "store": ["a"] * 500, "value": swing(500, 7)})
    pq.write_table(table, tmp_path / "in" / "a.parquet")
    rows, rejected = forecasts(tmp_path, workers, {"frequency": frequency[:1]}, 5, candidates=["ses"])
    assert rejected.empty
    assert dates(rows)[0] == expected


def test_weekdays_without_rows_are_left_out_of_training_and_forecast(tmp_path, workers):
    days = pd.bdate_range("2022-01-03", "2023-06-06")
    put(tmp_path, days.strftime("%Y-%m-%d"), swing(len(days), 5))
    rows, _ = forecasts(tmp_path, workers, {"frequency": "D"}, 14)
    assert dates(rows) == pd.bdate_range("2023-06-07", periods=10).strftime("%Y-%m-%d").tolist()
    assert rows.prediction.sum() == pytest.approx(1_000, rel=0.03)
    assert rows.step.tolist() == [1, 2, 3, 6, 7, 8, 9, 10, 13, 14]


def test_a_segment_too_short_to_tell_is_closed_when_its_level_is(tmp_path, workers):
    days = pd.bdate_range("2022-01-03", "2023-06-06")
    for store, count in (("a", len(days)), ("b", 5), ("c", 1)):
        put(tmp_path, days[-count:].strftime("%Y-%m-%d"), swing(count, 5), store, f"{store}.csv")
    rows, _ = forecasts(tmp_path, workers, {"frequency": "D"}, 14, fallback=["global"])
    assert dates(rows) == 3 * pd.bdate_range("2023-06-07", periods=10).strftime("%Y-%m-%d").tolist()


@pytest.mark.parametrize(("frequency", "periods"), [("h", 24), ("30min", 48)])
@pytest.mark.parametrize(("end", "hours"), [("2024-03-31", 23), ("2024-10-27", 25)])
def test_a_peak_stays_at_its_hour_when_clocks_change(tmp_path, workers, frequency, periods, end, hours):
    end = pd.Timestamp(end, tz="Europe/Berlin")
    times = pd.date_range(end - pd.DateOffset(days=40), end, freq=frequency, inclusive="left")
    values = np.where(times.hour == 8, 100.0, 10.0) + np.random.default_rng(0).normal(0, 0.5, len(times))
    put(tmp_path, [time.isoformat() for time in times], values.round(2))
    rows, rejected = forecasts(tmp_path, workers, {"frequency": frequency, "zone": "Europe/Berlin"}, 2 * periods)
    assert rejected.empty
    local = rows.time.dt.tz_convert("Europe/Berlin")
    first = rows[local.dt.date == end.date()]
    assert len(first) == hours * periods // 24
    peaks = local[rows.prediction > 60]
    assert set(peaks.dt.hour) == {8}
    assert len(peaks) == 2 * periods // 24
    assert len(set(rows.time)) == len(rows)


def test_a_history_across_a_clock_change_keeps_all_rows_and_the_peak(tmp_path, workers):
    times = pd.date_range("2024-09-20", "2024-11-20", freq="h", tz="Europe/Berlin", inclusive="left")
    values = np.where(times.hour == 8, 100.0, 10.0) + np.random.default_rng(0).normal(0, 0.5, len(times))
    put(tmp_path, [time.isoformat() for time in times], values.round(2))
    rows, rejected = forecasts(tmp_path, workers, {"frequency": "h", "zone": "Europe/Berlin"}, 24)
    assert rejected.empty
    assert rows.time.dt.tz_convert("Europe/Berlin")[rows.prediction > 60].dt.hour.tolist() == [8]


def test_the_repeated_hour_has_the_mean_of_its_covariates_and_no_other_hour_theirs(tmp_path, workers):
    times = pd.date_range(end="2024-10-26 23:00", periods=40 * 24, freq="h", tz="Europe/Berlin")
    random = np.random.default_rng(0)
    promo = random.integers(0, 2, len(times))
    values = 100 + 100 * promo + random.normal(0, 1, len(times))
    frame = pd.DataFrame({"time": [time.isoformat() for time in times], "store": "a", "value": values, "promo": promo})
    ahead = pd.date_range(times[-1], periods=26, freq="h")[1:]
    # The second of the two hours from 02:00 on has the promotion.
    future = pd.DataFrame({"time": [time.isoformat() for time in ahead], "store": "a", "promo": np.arange(25) == 3})
    for folder, rows in (("in", frame), ("future", future.astype({"promo": int}))):
        (tmp_path / folder).mkdir()
        rows.to_csv(tmp_path / folder / "a.csv", index=False)
    rows, _ = forecasts(
        tmp_path,
        workers,
        {"frequency": "h", "zone": "Europe/Berlin"},
        24,
        candidates=["ridge"],
        features={"known": ["promo"]},
        score={"source": {"path": "future"}},
    )
    shown = rows.prediction.to_numpy()
    low = np.median(shown)
    assert len(shown) == 25
    assert shown[2] == shown[3]
    assert shown[2] - low == pytest.approx(50, abs=15)
    assert np.abs(np.delete(shown, [2, 3]) - low).max() < 15


def test_a_week_of_quarter_hours_is_learnt_besides_the_day(tmp_path, workers):
    times = pd.date_range("2024-01-01", periods=42 * 96, freq="15min")
    weekend = np.asarray(times.day_of_week >= 5)
    day = 10 + 5 * np.sin(2 * np.pi * np.arange(len(times)) / 96)
    values = np.where(weekend, 4.0, day) + np.random.default_rng(0).normal(0, 0.2, len(times))
    put(tmp_path, times.astype(str), values.round(3))
    # The next day is a Monday, after a Sunday that a season of a day alone would repeat.
    rows, _ = forecasts(tmp_path, workers, {"frequency": "15min"}, 96)
    expected = 10 + 5 * np.sin(2 * np.pi * np.arange(96) / 96)
    assert np.abs(rows.prediction.to_numpy() - expected).mean() < 1.0


def test_mistyped_years_are_quarantined_and_nothing_else_is_touched(tmp_path, workers):
    weeks = pd.date_range("2022-01-03", periods=104, freq="W-MON").strftime("%Y-%m-%d").tolist()
    put(tmp_path, [*weeks, "2204-12-25", "1902-01-06"], swing(106, 52), name="b.csv")
    put(tmp_path, weeks, swing(104, 52, 2.0), store="b")
    rows, rejected = forecasts(tmp_path, workers, {"frequency": "W"}, 2, gates={"baseline_tolerance": 9.0})
    assert dates(rows) == ["2024-01-01", "2024-01-08"] * 2
    assert rejected.reason.tolist() == ["time_range"] * 2
    assert rows.reason.isna().all()
