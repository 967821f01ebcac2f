"""The contract that every smoothing method keeps, and the formulas of exponential smoothing and moving averages."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.arrays import FloatArray
from domain.config.candidates import CANDIDATES
from models.features.panel import Panel
from models.smoothing.base import forecast
from models.smoothing.methods import smoothing_method

HORIZON = 18
NAMES = sorted(name for name, spec in CANDIDATES.items() if spec.family == "smoothing")
SEASONAL = ["seasonal_naive", "moving_average", "ses", "holt_damped", "ets", "theta", "adida"]
PATTERN = np.array([0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.1, 1.0, 0.8, 0.7])


def panel_of(*series: FloatArray, season: int = 12, end: int = 100) -> Panel:
    columns = max(len(one) for one in series)
    values = np.full((len(series), columns), np.nan)
    for row, one in enumerate(series):
        values[row, columns - len(one) :] = one
    lengths = np.array([len(one) for one in series], dtype=np.int64)
    return Panel(values, lengths, np.full(len(series), end, dtype=np.int64), season)


def noisy_panel(rows: int = 6, columns: int = 70) -> Panel:
    rng = np.random.default_rng(7)
    trend = 100.0 + rng.uniform(-0.5, 1.0, (rows, 1)) * np.arange(columns)
    factors = PATTERN[np.arange(columns) % 12]
    values = trend * factors * rng.lognormal(0.0, 0.05, (rows, columns))
    values[1] = values[1] - 150.0
    values[2] = np.where(rng.random(columns) < 0.6, 0.0, values[2])
    panel = panel_of(*[row[start:] for row, start in zip(values, (0, 0, 0, 20, 35, 50), strict=True)])
    return replace(panel, ends=100 + np.arange(rows, dtype=np.int64))


def forecasts(name: str, panel: Panel, horizon: int = HORIZON) -> FloatArray:
    return forecast(smoothing_method(name), panel, smoothing_method(name).fit(panel, horizon), horizon)


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_finite_json_with_a_row_for_each_segment(name: str) -> None:
    panel = noisy_panel()
    parameters = smoothing_method(name).fit(panel, HORIZON)
    assert all(len(array) == 6 and np.isfinite(array).all() for array in parameters.values())
    restored = {
        key: np.array(value)
        for key, value in json.loads(json.dumps({k: v.tolist() for k, v in parameters.items()})).items()
    }
    np.testing.assert_array_equal(
        forecast(smoothing_method(name), panel, restored, HORIZON),
        forecast(smoothing_method(name), panel, parameters, HORIZON),
    )


@pytest.mark.parametrize("name", NAMES)
def test_forecast_of_a_batch_equals_forecasts_one_by_one(name: str) -> None:
    panel = noisy_panel()
    alone = np.concatenate([forecasts(name, panel.take([row])) for row in range(6)])
    np.testing.assert_allclose(forecasts(name, panel), alone, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_empty_columns_before_the_start_change_nothing(name: str) -> None:
    panel = noisy_panel()
    padded = replace(panel, values=np.pad(panel.values, ((0, 0), (5, 0)), constant_values=np.nan))
    np.testing.assert_allclose(forecasts(name, padded), forecasts(name, panel), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_forecast_scales_with_the_target(name: str) -> None:
    panel = noisy_panel()
    larger = replace(panel, values=panel.values * 1024.0)
    np.testing.assert_allclose(forecasts(name, larger), 1024.0 * forecasts(name, panel), rtol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_forecast_does_not_depend_on_where_ordinals_begin(name: str) -> None:
    panel = noisy_panel()
    moved = replace(panel, ends=panel.ends + 5)
    np.testing.assert_allclose(forecasts(name, moved), forecasts(name, panel), rtol=1e-9)


@pytest.mark.parametrize("name", SEASONAL)
def test_constant_forecasts_itself(name: str) -> None:
    panel = panel_of(np.full(60, 42.0), np.full(60, -3.0), np.zeros(60))
    np.testing.assert_allclose(forecasts(name, panel), np.repeat([[42.0], [-3.0], [0.0]], HORIZON, axis=1), atol=1e-9)


@pytest.mark.parametrize("name", SEASONAL)
@pytest.mark.parametrize("end", [100, 107])
def test_pure_season_is_reproduced(name: str, end: int) -> None:
    series = 50.0 * np.tile(PATTERN, 6)[:65]
    target = 50.0 * PATTERN[np.arange(65, 65 + HORIZON) % 12]
    np.testing.assert_allclose(forecasts(name, panel_of(series, end=end))[0], target, rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("season", [1, 4, 12])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_forecast_is_finite_for_any_history(name: str, season: int, data: st.DataObject) -> None:
    value = st.one_of(st.just(0.0), st.floats(-1e6, 1e6, allow_subnormal=False))
    series = data.draw(st.lists(st.lists(value, max_size=40), min_size=1, max_size=3))
    panel = panel_of(*[np.array(one, dtype=np.float64) for one in series], season=season)
    assert np.isfinite(forecasts(name, panel)).all()
    assert smoothing_method(name).applicable(panel).shape == panel.lengths.shape
    assert not smoothing_method(name).applicable(panel)[panel.lengths == 0].any()


@pytest.mark.parametrize("name", NAMES)
def test_frozen_parameters_follow_new_observations(name: str) -> None:
    newer = noisy_panel()
    parameters = smoothing_method(name).fit(newer.truncate(3), HORIZON)
    before = forecast(smoothing_method(name), newer.truncate(3), parameters, HORIZON)
    after = forecast(smoothing_method(name), newer, parameters, HORIZON)
    assert (np.abs(before[:, 3:] - after[:, :-3]).max(axis=1) > 1e-6).all()


def test_truncate_is_an_earlier_origin_of_the_same_segments() -> None:
    panel = noisy_panel().truncate(30)
    assert panel.values.shape == (6, 40)
    assert panel.lengths.tolist() == [40, 40, 40, 20, 5, 0]
    assert panel.ends.tolist() == [70, 71, 72, 73, 74, 75]
    assert np.isfinite(panel.values[panel.valid]).all()
    assert panel.valid.sum() == panel.lengths.sum()


def test_ses_takes_one_more_value_by_its_recursion() -> None:
    newer = noisy_panel()
    older, ses = newer.truncate(1), smoothing_method("ses")
    parameters = ses.fit(older, HORIZON)
    before, after = ses.states(older, parameters), ses.states(newer, parameters)
    factor = parameters["factors"][np.arange(6), newer.ends % 12]
    error = newer.values[:, -1] / factor - before.level
    np.testing.assert_allclose(after.level, before.level + parameters["alpha"] * error)


def test_holt_damped_equals_a_plain_loop() -> None:
    panel = noisy_panel().take([0])
    holt = smoothing_method("holt_damped")
    parameters = holt.fit(panel, HORIZON)
    alpha, beta, phi = (float(parameters[key][0]) for key in ("alpha", "beta", "damping"))
    values = panel.values[0] / parameters["factors"][0, (panel.ends[0] - np.arange(69, -1, -1)) % 12]
    trend, level = np.polyfit(np.arange(1, 11), values[:10], 1)
    for value in values:
        error = value - level - phi * trend
        level, trend = level + phi * trend + alpha * error, phi * trend + alpha * beta * error
    state = holt.states(panel, parameters)
    np.testing.assert_allclose([state.level[0], state.trend[0]], [level, trend], rtol=1e-8)
    np.testing.assert_allclose(holt.growth(parameters, 3)[0], [phi, phi + phi**2, phi + phi**2 + phi**3])


def test_ets_equals_a_plain_loop_for_a_multiplicative_season() -> None:
    panel, ets = noisy_panel().take([0]), smoothing_method("ets")
    parameters = ets.fit(panel, HORIZON)
    parameters |= {"gamma": np.array([0.2]), "multiplicative": np.array([1.0]), "season": PATTERN[None, :]}
    alpha, beta, phi = (float(parameters[key][0]) for key in ("alpha", "beta", "damping"))
    phases, season = (panel.ends[0] - np.arange(69, -1, -1)) % 12, PATTERN.copy()
    trend, level = np.polyfit(np.arange(1, 11), panel.values[0, :10] / PATTERN[phases[:10]], 1)
    for value, phase in zip(panel.values[0], phases, strict=True):
        base, error = level + phi * trend, value / season[phase] - level - phi * trend
        level, trend = base + alpha * error, phi * trend + alpha * beta * error
        season[phase] += 0.2 * (1.0 - alpha) * (value - base * season[phase]) / base
    state = ets.states(panel, parameters)
    np.testing.assert_allclose([state.level[0], state.trend[0]], [level, trend], rtol=1e-8)
    np.testing.assert_allclose(state.multiplier[0], season, rtol=1e-8)


def test_ets_picks_the_kind_of_season_that_the_series_has() -> None:
    rng, steps = np.random.default_rng(3), np.arange(120)
    trend, noise = 100.0 + 3.0 * steps, rng.normal(0.0, 1.0, (2, 120))
    wave = np.sin(2.0 * np.pi * steps / 12)
    panel = panel_of(trend + 40.0 * wave + noise[0], trend * (1.0 + 0.3 * wave) + noise[1], 40.0 * wave + noise[0])
    assert smoothing_method("ets").fit(panel, HORIZON)["multiplicative"].tolist() == [0.0, 1.0, 0.0]


def test_seasonal_naive_falls_back_to_the_last_value() -> None:
    panel = panel_of(np.arange(11.0), np.arange(12.0))
    assert forecasts("seasonal_naive", panel, 3).tolist() == [[10.0, 10.0, 10.0], [0.0, 1.0, 2.0]]
    assert forecasts("seasonal_naive", replace(panel, season=1), 2).tolist() == [[10.0, 10.0], [11.0, 11.0]]


def test_moving_average_picks_the_long_window_for_noise_and_the_short_one_for_a_walk() -> None:
    rng = np.random.default_rng(5)
    panel = panel_of(rng.normal(50.0, 1.0, 90), 500.0 + np.cumsum(rng.normal(0.0, 1.0, 90)), season=1)
    assert smoothing_method("moving_average").fit(panel, 6)["window"].tolist() == [12.0, 3.0]
    expected = [panel.values[0, -12:].mean(), panel.values[1, -3:].mean()]
    np.testing.assert_allclose(forecasts("moving_average", panel, 1)[:, 0], expected)
