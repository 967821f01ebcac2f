"""Theta, ADIDA and Croston against their definitions."""

from __future__ import annotations

import numpy as np

from domain.arrays import FloatArray
from models.features.panel import Panel
from models.smoothing.base import forecast
from models.smoothing.methods import smoothing_method
from models.smoothing.theta import _Lines


def one(series: FloatArray, season: int = 1) -> Panel:
    length = np.array([len(series)], dtype=np.int64)
    return Panel(np.asarray(series, dtype=np.float64)[None, :], length, length - 1, season)


def test_theta_equals_the_published_state_equations() -> None:
    rng = np.random.default_rng(11)
    series = 80.0 + np.cumsum(rng.normal(0.5, 2.0, 40))
    alpha, theta, count = 0.4, 2.5, 40
    level = series[0]
    for value in series:
        level = alpha * value + (1.0 - alpha) * level
    slope, intercept = map(float, np.polyfit(np.arange(1, count + 1), series, 1))
    # Fiorucci et al. (2016), equation for the one-step forecast; then the line's slope a step.
    fade = (1.0 - alpha) ** count
    line = fade * intercept + (1.0 - fade * (1.0 - alpha)) / alpha * slope
    expected = level + (1.0 - 1.0 / theta) * (line + slope * np.arange(6))
    parameters = {
        "alpha": np.array([alpha]),
        "theta": np.array([theta]),
        "damping": np.ones(1),
        "factors": np.ones((1, 1)),
    }
    np.testing.assert_allclose(forecast(smoothing_method("theta"), one(series), parameters, 6)[0], expected, rtol=1e-9)


def test_theta_continues_a_straight_line() -> None:
    panel = one(10.0 + 2.0 * np.arange(50, dtype=np.float64))
    parameters = smoothing_method("theta").fit(panel, 4)
    np.testing.assert_allclose(
        forecast(smoothing_method("theta"), panel, parameters, 4)[0], [110, 112, 114, 116], rtol=0.02
    )


def test_theta_error_is_least_at_the_parameters_it_chose() -> None:
    rng = np.random.default_rng(2)
    noise = one(50.0 + rng.normal(0.0, 1.0, 90))
    walk = one(500.0 + np.cumsum(rng.normal(0.0, 1.0, 90)))
    assert smoothing_method("theta").fit(noise, 1)["alpha"][0] < 0.3
    assert smoothing_method("theta").fit(walk, 1)["alpha"][0] > 0.7


def test_theta_is_best_for_its_alpha_and_no_worse_than_a_fine_grid() -> None:
    """The share of the line follows from alpha; a search over both finds nothing better."""
    rng = np.random.default_rng(4)
    series = np.stack([60 + 0.4 * np.arange(70) + rng.normal(0, 3, 70), 200 + np.cumsum(rng.normal(0, 4, 70))])
    series[1, :20] = np.nan
    panel = Panel(series, np.array([70, 50]), np.array([69, 69]), 1)
    chosen = smoothing_method("theta").fit(panel, 4)
    lines = _Lines.over(panel, np.ones((2, 1)))

    def cost(alpha, theta):
        errors = []
        for s, first in enumerate((0, 20)):
            level, total = series[s, first], 0.0
            for n in range(first, 70):
                if n - first >= 3:
                    fade = (1 - alpha) ** (n - first)
                    drift = (1 - fade * (1 - alpha)) / alpha
                    line = fade * lines.intercept[n - 1, s] + drift * lines.slope[n - 1, s]
                    total += (series[s, n] - level - (1 - 1 / theta) * line) ** 2
                level = alpha * series[s, n] + (1 - alpha) * level
            errors.append(total)
        return np.array(errors)

    best = np.array([cost(a, t)[s] for s, (a, t) in enumerate(zip(chosen["alpha"], chosen["theta"], strict=True))])
    grid = np.stack([cost(a, t) for a in np.linspace(0.02, 0.98, 33) for t in np.geomspace(1, 10, 20)])
    assert (best <= grid.min(axis=0) * 1.01).all()
    for s in range(2):
        around = [cost(chosen["alpha"][s], chosen["theta"][s] * f)[s] for f in (0.97, 1.03)]
        assert best[s] <= min(around) * (1 + 1e-9)


def test_adida_is_flat_for_a_level_and_rises_by_blocks_for_a_trend() -> None:
    parameters = {"damping": np.array([0.5]), "block": np.array([6.0])}
    growth = smoothing_method("adida").growth(parameters, 12)[0]
    centre = (np.array([3.0, 4.0, 9.0, 10.0]) + 2.5) / 6.0
    sums = np.array([0.0, 0.5, 0.75, 0.875])
    np.testing.assert_allclose(growth[[2, 3, 8, 9]], np.interp(centre, np.arange(4), sums))
    assert (np.diff(growth) > 0.0).all()


def test_adida_level_sees_only_whole_blocks_counted_from_the_origin() -> None:
    series = np.repeat([10.0, 20.0, 30.0, 40.0, 50.0, 60.0], 6)
    panel = one(np.concatenate([[1e6, 1e6], series]), season=12)
    parameters = {
        "alpha": np.array([1.0]),
        "beta": np.zeros(1),
        "damping": np.array([0.9]),
        "factors": np.ones((1, 12)),
        "block": np.array([6.0]),
    }
    np.testing.assert_allclose(smoothing_method("adida").states(panel, parameters).level, [60.0])


def test_croston_divides_size_by_interval_with_the_bias_correction() -> None:
    panel = one(np.tile([0.0, 0.0, 6.0], 20))
    croston = smoothing_method("croston")
    parameters = {"alpha": np.array([0.1]), "damping": np.zeros(1)}
    assert croston.applicable(panel).tolist() == [True]
    rate = 0.95 * 6.0 / 3.0
    # The first wait is 3 periods: two empty ones and the demand's own.
    np.testing.assert_allclose(forecast(croston, panel, parameters, 2)[0], [rate, rate], rtol=1e-6)


def test_croston_is_for_intermittent_demand_only() -> None:
    rows = [np.ones(30), np.tile([0.0, 2.0], 15), np.tile([0.0, -2.0], 15), np.eye(30)[4]]
    panel = Panel(np.stack(rows), np.full(4, 30), np.full(4, 29), 12)
    assert smoothing_method("croston").applicable(panel).tolist() == [False, True, False, False]
