"""Training rows and backtest cutoffs."""

import numpy as np
import pytest
from kit import series_of

from models.features import training_rows as module
from models.features.feature_spec import FeatureSpec
from models.features.training_rows import Cutoff, build_rows

SPEC = FeatureSpec("forecast", horizon=3, lags=(1,), windows=(2,))


def test_rows_trained_on_have_their_target_at_or_before_the_origin():
    series = series_of(np.arange(20.0), np.arange(100.0, 109.0))
    rows = build_rows(series, SPEC, [0, 3])
    used = Cutoff(series, SPEC, rows, 3, 3).training()
    seen = rows.target[used]
    assert seen.max() == 105.0
    assert np.nanmax(rows.target[0][used[0]]) == 16.0
    assert not np.isnan(seen).any()


def test_a_row_needs_a_history_of_four_periods_or_of_one_season():
    series = series_of(np.arange(20.0), season=7)
    seasonal = FeatureSpec("forecast", season=7, horizon=3, lags=(1,), windows=(2,))
    for spec, first in ((SPEC, 3), (seasonal, 6)):
        shaped = series_of(np.arange(20.0), season=spec.season)
        rows = build_rows(shaped, spec, [0])
        used = Cutoff(shaped, spec, rows, 0, 3).training()
        assert rows.origins[np.flatnonzero(used.any(axis=(0, 2)))[0]] == first
    assert series.panel.season == 7


def test_actual_values_beyond_the_panel_are_unknown():
    series = series_of([1.0, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(Cutoff(series, SPEC, None, 2, 3).actual(), [[3.0, 4.0, np.nan]])
    assert np.isnan(Cutoff(series, SPEC, None, 0, 3).actual()).all()


def test_backtest_origins_are_there_however_long_the_series(monkeypatch):
    monkeypatch.setattr(module, "MAX_ROWS", 30)
    series = series_of(np.arange(200.0))
    rows = build_rows(series, SPEC, [0, 50, 150])
    assert len(rows.origins) == 13
    for after in (0, 50, 150):
        cutoff = Cutoff(series, SPEC, rows, after, 3)
        assert cutoff.base_at_origin()[0, :, 1].tolist() == [199.0 - after] * 3
        assert cutoff.panel.values.shape[1] == 200 - after


def test_features_of_a_backtest_origin_do_not_change_with_what_follows():
    values = np.random.default_rng(0).normal(10.0, 3.0, 40)
    changed = values.copy()
    changed[35:] = 1e9
    cutoffs = []
    for history in (values, changed):
        series = series_of(history)
        cutoffs.append(Cutoff(series, SPEC, build_rows(series, SPEC, [0, 5]), 5, 3))
    first, second = cutoffs
    np.testing.assert_array_equal(first.base_at_origin(), second.base_at_origin())
    used = first.training()
    np.testing.assert_array_equal(used, second.training())
    np.testing.assert_array_equal(first.table.base[used], second.table.base[used])
    np.testing.assert_array_equal(first.table.target[used], second.table.target[used])


def test_a_cutoff_without_rows_says_so():
    with pytest.raises(ValueError, match="without feature rows"):
        Cutoff(series_of([1.0, 2.0]), SPEC, None, 0, 3).training()
