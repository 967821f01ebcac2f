"""Seasonal indices, their test, and the search."""

from __future__ import annotations

import numpy as np
import pytest

from domain.arrays import FloatArray
from models.features.panel import Panel, by_absolute_phase, by_column_phase, target_phases
from models.smoothing import seasonality
from models.smoothing.base import forecast
from models.smoothing.grid_search import zoom
from models.smoothing.naive import SeasonalNaive
from models.smoothing.seasonality import additive_indices, deseasonalised, is_seasonal, multiplicative_indices


def panel_of(values: FloatArray, end: int = 7, season: int = 12) -> Panel:
    rows, columns = values.shape
    return Panel(values, np.full(rows, columns), end + np.arange(rows), season)


def test_phases_round_trip_and_point_at_the_ordinal() -> None:
    panel = panel_of(np.zeros((3, 24)))
    indices = np.arange(36.0).reshape(3, 12)
    absolute = by_absolute_phase(indices, panel)
    np.testing.assert_array_equal(by_column_phase(absolute, panel), indices)
    assert [absolute[row, panel.ends[row] % 12] for row in range(3)] == [0.0, 12.0, 24.0]
    assert target_phases(panel, 2).tolist() == [[8, 9], [9, 10], [10, 11]]


def test_indices_of_an_exact_season_are_exact() -> None:
    factors = np.linspace(0.6, 1.4, 12)
    addends = factors - 1.0
    steps = np.arange(60)
    panel = panel_of(np.stack([80.0 * factors[steps % 12], 5.0 + steps + addends[steps % 12]]), end=59)
    np.testing.assert_allclose(by_absolute_phase(multiplicative_indices(panel), panel)[0], factors, rtol=1e-9)
    shifted = by_absolute_phase(additive_indices(panel), panel)[1]
    np.testing.assert_allclose(np.roll(shifted, -1), addends, atol=1e-9)


def test_odd_season_has_exact_indices_too() -> None:
    factors = np.array([0.5, 0.8, 1.0, 1.2, 1.5])
    panel = panel_of(3.0 * factors[np.arange(23) % 5][None, :], end=22, season=5)
    np.testing.assert_allclose(by_absolute_phase(multiplicative_indices(panel), panel)[0], factors, rtol=1e-9)


def test_deseasonalised_takes_the_season_out() -> None:
    factors, steps = np.linspace(0.6, 1.4, 12), np.arange(60)
    panel = panel_of((10.0 * factors[steps % 12])[None, :], end=59)
    np.testing.assert_allclose(deseasonalised(panel, factors[None, :], np.zeros((1, 12))), 10.0)


def test_noise_shrinks_the_indices() -> None:
    rng = np.random.default_rng(0)
    panel = panel_of(rng.lognormal(0.0, 0.2, (200, 48)))
    plain, shrunk = multiplicative_indices(panel, shrink=False), multiplicative_indices(panel)
    assert np.std(shrunk) < 0.6 * np.std(plain)
    np.testing.assert_allclose(shrunk.mean(axis=1), 1.0, atol=1e-6)


def test_season_is_found_under_a_trend_and_not_in_noise() -> None:
    rng, steps = np.random.default_rng(4), np.arange(72)
    wave = 8.0 * np.sin(2.0 * np.pi * steps / 12)
    noise = rng.normal(0.0, 3.0, (100, 72))
    assert is_seasonal(panel_of(500.0 + 5.0 * steps + wave + noise)).mean() > 0.95
    assert is_seasonal(panel_of(500.0 + 5.0 * steps + noise)).mean() < 0.35


def test_without_two_seasons_there_is_no_season() -> None:
    panel = panel_of(np.random.default_rng(0).random((2, 23)) + 1.0)
    assert not is_seasonal(panel).any()
    assert (multiplicative_indices(panel) == 1.0).all()
    assert (additive_indices(panel) == 0.0).all()


def test_zoom_finds_each_segments_minimum_within_bounds() -> None:
    goal = np.array([[0.13, 0.52, 2.0], [0.4, 0.9, 0.3]])

    def cost(points: FloatArray) -> FloatArray:
        distance: FloatArray = ((points - goal[:, None, :]) ** 2).sum(axis=0)
        return distance

    best, least = zoom(cost, ((0.0, 0.5, 1.0), (0.0, 0.5, 1.0)), ((0.0, 1.0), (0.0, 1.0)), 3, rounds=8)
    np.testing.assert_allclose(best, np.minimum(goal, 1.0), atol=0.005)
    np.testing.assert_allclose(least, cost(best[:, None, :])[0])


def day_and_week(rows, columns, short=6, long=42, end=100, noise=0.0):
    """Values with a season of a day and another level on the last two days of a week, and their phases."""
    phases = (end - columns + 1 + np.arange(columns)) % long
    values = 100.0 + 10.0 * np.sin(2 * np.pi * phases / short) - 30.0 * (phases >= long - 2 * short)
    values = values + np.random.default_rng(0).normal(0, noise, (rows, columns))
    ends = np.full(rows, end)
    return Panel(values, np.full(rows, columns), ends, long, short), phases


@pytest.mark.parametrize("indices", [multiplicative_indices, additive_indices])
def test_a_week_within_which_days_differ_has_an_index_for_each_of_its_periods(indices):
    panel, _ = day_and_week(2, 42 * 6)
    seasons = by_absolute_phase(indices(panel), panel)
    none = np.ones_like(seasons), np.zeros_like(seasons)
    plain = deseasonalised(panel, *((seasons, none[1]) if indices is multiplicative_indices else (none[0], seasons)))
    assert plain.std() < 1.0 < panel.values.std()
    assert is_seasonal(panel).all()


@pytest.mark.parametrize("indices", [multiplicative_indices, additive_indices])
def test_with_less_than_two_weeks_the_day_alone_is_estimated(indices):
    panel, _ = day_and_week(2, 42 + 20)
    day = indices(panel.by_short_season)
    assert np.array_equal(indices(panel), np.tile(day, (1, 7)))
    assert is_seasonal(panel).all()


@pytest.mark.parametrize("season", [7, 8])
def test_running_sums_give_the_centred_average(season, monkeypatch):
    values = np.random.default_rng(0).normal(100, 10, (3, 60))
    values[1, :20] = np.nan
    expected = seasonality._centred_average(values, season)
    monkeypatch.setattr(seasonality, "_LONG", 1)
    np.testing.assert_allclose(seasonality._centred_average(values, season), expected)


def test_the_naive_method_repeats_the_week_or_else_the_day():
    panel, _ = day_and_week(1, 42 * 3, end=125)
    method = SeasonalNaive()
    ahead = forecast(method, panel, method.fit(panel, 42), 42)
    np.testing.assert_allclose(ahead[0], panel.values[0, -42:])
    short, _ = day_and_week(1, 30, end=29)
    ahead = forecast(method, short, method.fit(short, 12), 12)
    np.testing.assert_allclose(ahead[0], np.tile(short.values[0, -6:], 2))
