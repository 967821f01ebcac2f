"""Observations to dense arrays: gaps, exclusions, ends that differ, covariates of future periods."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from domain.config.time_section import Time
from models.features import series as module
from models.features.feature_spec import FeatureSpec
from models.features.series import build_series, encode_covariates, future_covariates, row_covariates

START = datetime(2024, 1, 1, tzinfo=UTC)
SPEC = FeatureSpec("forecast", season=7, numeric=("price",), categories={"promo": ("no", "yes")})
NAN = np.nan


def rows_of(*rows):
    """Observations from (segment, day, target, price, promo, excluded)."""
    columns = list(zip(*rows, strict=True)) if rows else [[]] * 6
    return pa.table(
        {
            "segment": pa.array(columns[0], pa.string()),
            "time": pa.array([START + timedelta(days=day) for day in columns[1]], pa.timestamp("us", tz="UTC")),
            "target": pa.array(columns[2], pa.float64()),
            "x_price": pa.array(columns[3], pa.float64()),
            "c_promo": pa.array(columns[4], pa.string()),
            "excluded": pa.array(columns[5], pa.bool_()),
        }
    )


def built(rows, gaps="interpolate", spec=SPEC):
    return build_series(rows, spec, Time(column="day", frequency="D", gaps=gaps))


def plain(segment, days, targets):
    return [(segment, day, target, 1.0, "no", False) for day, target in zip(days, targets, strict=True)]


@pytest.mark.parametrize(
    ("gaps", "expected"),
    [
        ("interpolate", [1.0, 2.0, 3.0, 4.0, 4.0]),
        ("zero", [1.0, 0.0, 0.0, 4.0, 4.0]),
        ("previous", [1.0, 1.0, 1.0, 4.0, 4.0]),
    ],
)
def test_gaps_are_filled_by_the_rule(gaps, expected):
    found = built(rows_of(*plain("a", [0, 3, 4], [1.0, 4.0, 4.0])), gaps)
    assert found.panel.values.tolist() == [expected]
    assert found.panel.lengths.tolist() == [5]
    assert found.rows.tolist() == [3]


def test_excluded_rows_are_gaps_and_a_trailing_one_moves_the_end():
    rows = rows_of(
        ("a", 0, 1.0, 1.0, "no", False),
        ("a", 1, 99.0, 1.0, "no", True),
        ("a", 2, 3.0, 1.0, "no", False),
        ("a", 3, 99.0, 1.0, "no", True),
        ("b", 0, 5.0, 1.0, "no", True),
    )
    found = built(rows)
    assert found.segments == ("a",)
    assert found.panel.values.tolist() == [[1.0, 2.0, 3.0]]
    assert found.last_times[0] == np.datetime64("2024-01-03")


def test_segments_that_end_at_different_times_are_aligned_at_their_ends():
    found = built(rows_of(*plain("a", [0, 1, 2], [1, 2, 3]), *plain("b", [8, 9], [8, 9]), *plain("c", [4], [4])))
    np.testing.assert_array_equal(found.panel.values, [[1, 2, 3], [NAN, 8, 9], [NAN, NAN, 4]])
    assert (found.panel.ends - found.panel.ends[0]).tolist() == [0, 7, 2]
    assert found.panel.lengths.tolist() == [3, 2, 1]
    assert found.last_times.tolist() == [datetime(2024, 1, day, tzinfo=UTC).replace(tzinfo=None) for day in (3, 10, 5)]


def test_an_empty_table_gives_no_segments():
    found = built(rows_of())
    assert found.segments == ()
    assert found.panel.values.shape == (0, 0)
    assert found.covariates.shape == (0, 0, 3)
    ahead = future_covariates(found, replace(SPEC, horizon=2), {})
    assert ahead.values.shape == (0, 2, 3)
    assert ahead.carried.shape == (0, 2)


def test_take_picks_segments_in_the_order_asked_for():
    found = built(rows_of(*plain("a", [0, 1], [1, 2]), *plain("b", [0], [8]))).take([1, 0])
    assert found.segments == ("b", "a")
    np.testing.assert_array_equal(found.panel.values, [[NAN, 8], [1, 2]])
    assert found.rows.tolist() == [1, 2]


def test_a_long_history_keeps_its_newest_part_even_if_the_cut_falls_into_a_gap(monkeypatch):
    monkeypatch.setattr(module, "MAX_PERIODS", 4)
    for gaps in ("interpolate", "previous", "zero"):
        found = built(rows_of(*plain("a", [0, 1, 5, 6], [1, 2, 6, 7]), *plain("b", [0, 1, 2, 3], [1, 2, 3, 4])), gaps)
        np.testing.assert_array_equal(found.panel.values, [[NAN, NAN, 6, 7], [1, 2, 3, 4]])
        assert found.panel.lengths.tolist() == [2, 4]


def test_covariates_are_indicators_carried_over_gaps():
    rows = rows_of(("a", 0, 1.0, None, "yes", False), ("a", 1, 1.0, 7.0, None, False), ("a", 3, 1.0, 9.0, "new", False))
    assert encode_covariates(rows, SPEC)[:, 1:].tolist() == [[0, 1], [0, 0], [0, 0]]
    assert built(rows).covariates.tolist() == [[[7, 0, 1], [7, 0, 0], [7, 0, 0], [9, 0, 0]]]


def test_covariates_that_nobody_knows_are_zero():
    rows = rows_of(("a", 0, 1.0, None, "no", False), ("b", 0, 1.0, 3.0, "no", False))
    assert built(rows).covariates[:, :, 0].tolist() == [[0.0], [3.0]]


def test_future_covariates_are_the_given_ones_or_the_last_known():
    found = built(rows_of(*plain("a", [0, 1], [1, 2]), *plain("b", [0], [5])))
    end = int(found.panel.ends[0])
    given = np.array([[9.0, 0.0, 1.0], [8.0, 0.0, 1.0], [7.0, 1.0, 0.0], [6.0, 1.0, 0.0]])
    known = {"a": (np.array([end, end + 2, end + 4, end + 2]), given)}
    ahead = future_covariates(found, replace(SPEC, horizon=3), known)
    # Of two rows for one period the later one counts; periods outside of the horizon are left out.
    assert ahead.values[0].tolist() == [[1, 1, 0], [6, 1, 0], [6, 1, 0]]
    assert ahead.carried.tolist() == ahead.missing.tolist() == [[True, False, True], [True, True, True]]
    assert not ahead.zeroed.any()


def test_nothing_is_carried_where_a_fleet_has_no_covariates():
    bare = FeatureSpec("forecast", horizon=3)
    found = built(rows_of(*plain("a", [0, 1], [1, 2])), spec=bare)
    ahead = future_covariates(found, bare, {})
    assert ahead.values.shape == (1, 3, 0)
    assert not ahead.carried.any()
    assert not ahead.missing.any()


def test_a_blank_cell_is_zero_where_the_spec_says_so_in_history_gaps_and_future():
    spec = replace(SPEC, zero=("price",), horizon=3)
    prices = [None, 20.0, None, 20.0]
    rows = rows_of(*(("a", day, 1.0, price, "no", False) for day, price in zip((0, 1, 2, 4), prices, strict=True)))
    found = built(rows, spec=spec)
    assert found.covariates[0, :, 0].tolist() == [0, 20, 0, 0, 20]
    end = int(found.panel.ends[0])
    given = np.array([[NAN, 0.0, 1.0], [20.0, 0.0, 1.0]])
    ahead = future_covariates(found, spec, {"a": (np.array([end + 1, end + 2]), given)})
    assert ahead.values[0].tolist() == [[0, 0, 1], [20, 0, 1], [0, 0, 1]]
    assert ahead.zeroed[0, :, 0].tolist() == [True, False, True]
    assert ahead.carried[0].tolist() == ahead.missing[0].tolist() == [False, False, True]


def test_a_period_without_a_row_is_missing_even_if_blank_means_zero():
    spec = FeatureSpec("forecast", numeric=("price",), zero=("price",), horizon=2)
    found = built(rows_of(*plain("a", [0, 1], [1, 2])), spec=spec)
    ahead = future_covariates(found, spec, {"a": (found.panel.ends + 1, np.array([[NAN]]))})
    assert ahead.values[0].tolist() == [[0], [0]]
    assert (ahead.carried[0].tolist(), ahead.missing[0].tolist()) == ([False, False], [False, True])


def test_blank_cells_of_rows_without_a_series_are_zero_or_left_to_the_model():
    rows = rows_of(("a", 0, 1.0, None, "no", False), ("a", 1, 1.0, 3.0, "no", False))
    assert row_covariates(rows, replace(SPEC, zero=("price",)))[:, 0].tolist() == [0, 3]
    assert np.isnan(row_covariates(rows, SPEC)[0, 0])


@pytest.mark.parametrize("frequency", ["h", "15min"])
def test_an_hour_that_clocks_skip_is_no_gap_with_nothing_in_it(frequency):
    clock = Time(column="time", frequency=frequency, gaps="zero", zone="Europe/Berlin")
    times = pd.date_range("2024-03-29", "2024-04-02", freq=frequency, tz="Europe/Berlin").tz_convert("UTC")
    left_out = times[[10, 11, -20]]
    kept = times[~times.isin(left_out)]
    rows = pa.table(
        {
            "segment": ["a"] * len(kept),
            "time": pa.array(kept.tz_localize(None).to_numpy(), pa.timestamp("us", tz="UTC")),
            "target": np.full(len(kept), 50.0),
        }
    )
    spec = FeatureSpec("forecast", season=24, zone="Europe/Berlin")
    values = build_series(rows, spec, clock).panel.values[0]
    assert (values == 0.0).sum() == len(left_out)
    assert set(values) == {0.0, 50.0}
