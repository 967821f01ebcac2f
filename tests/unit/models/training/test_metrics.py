"""Metrics against their formulas, and what happens where there is nothing to measure."""

import math

import numpy as np
import pytest

from domain.errors import EmptyWindowError
from models.features.target_transform import from_scale, to_scale
from models.training.metrics import fleet_error, point_weights, window_errors

METRICS = ["wape", "smape", "mae", "rmse", "mase"]
FORMULAS = {
    "wape": lambda a, p, s: sum(abs(x - y) for x, y in zip(a, p, strict=True)) / sum(abs(x) for x in a),
    "smape": lambda a, p, s: 200 * sum(abs(x - y) / (abs(x) + abs(y)) for x, y in zip(a, p, strict=True)) / len(a),
    "mae": lambda a, p, s: sum(abs(x - y) for x, y in zip(a, p, strict=True)) / len(a),
    "rmse": lambda a, p, s: math.sqrt(sum((x - y) ** 2 for x, y in zip(a, p, strict=True)) / len(a)),
    "mase": lambda a, p, s: sum(abs(x - y) for x, y in zip(a, p, strict=True)) / len(a) / s,
}
NAN = np.nan


def error(actual, predicted, metric, scale=2.0):
    return float(window_errors(np.array(actual), np.array(predicted), metric, np.array(scale)))


@pytest.mark.parametrize("metric", METRICS)
def test_metric_equals_its_formula(metric):
    actual, predicted = [3.0, -1.0, 4.0, 10.0], [2.0, -1.5, 6.0, 10.0]
    assert error(actual, predicted, metric) == pytest.approx(FORMULAS[metric](actual, predicted, 2.0))
    assert error(actual, actual, metric) == 0.0


@pytest.mark.parametrize("metric", METRICS)
def test_periods_without_a_value_are_left_out(metric):
    assert error([3.0, NAN, 4.0], [2.0, 99.0, 6.0], metric) == pytest.approx(error([3.0, 4.0], [2.0, 6.0], metric))
    assert error([3.0, NAN], [2.0, NAN], metric) == pytest.approx(error([3.0], [2.0], metric))


@pytest.mark.parametrize("metric", METRICS)
def test_an_empty_window_and_a_missing_prediction_have_no_error(metric):
    assert math.isnan(error([NAN, NAN], [1.0, 2.0], metric))
    assert math.isnan(error([1.0, 2.0], [1.0, NAN], metric))


@pytest.mark.parametrize("metric", METRICS)
def test_zeros_are_a_window_like_any_other(metric):
    assert error([0.0, 0.0], [0.0, 0.0], metric) == 0.0
    assert math.isfinite(error([0.0, 0.0], [1.0, 0.0], metric, scale=0.0))


def test_wape_of_zeros_is_relative_to_the_usual_size():
    assert error([0.0, 0.0], [1.0, 3.0], "wape", scale=8.0) == pytest.approx(0.25)


def test_smape_is_at_most_200():
    assert error([0.0, 5.0], [7.0, -5.0], "smape") == pytest.approx(200.0)


@pytest.mark.parametrize("metric", METRICS)
def test_a_batch_equals_its_windows_one_by_one(metric):
    rng = np.random.default_rng(0)
    actual, predicted = rng.normal(size=(3, 2, 5)), rng.normal(size=(3, 2, 5))
    actual[0, 0, 3:], scale = NAN, rng.uniform(1, 2, (3, 1))
    found = window_errors(actual, predicted, metric, scale)
    for s in range(3):
        for f in range(2):
            assert found[s, f] == pytest.approx(error(actual[s, f], predicted[s, f], metric, scale[s, 0]))


def test_weights_of_windows():
    actual = np.array([[3.0, -1.0, NAN], [NAN, NAN, NAN]])
    assert point_weights(actual, "wape").tolist() == [4.0, 0.0]
    assert point_weights(actual, "mae").tolist() == point_weights(actual, "rmse").tolist() == [2.0, 0.0]
    assert point_weights(actual, "smape").tolist() == point_weights(actual, "mase").tolist() == [1.0, 0.0]


@pytest.mark.parametrize("metric", ["wape", "mae", "rmse"])
def test_figure_of_a_fleet_is_that_of_all_its_points_together(metric):
    rng = np.random.default_rng(1)
    actual, predicted = rng.normal(5, 1, (4, 6)), rng.normal(5, 1, (4, 6))
    actual[1, 2:] = NAN
    errors = window_errors(actual, predicted, metric, np.ones(4))
    known = ~np.isnan(actual)
    pooled = error(actual[known], predicted[known], metric)
    assert fleet_error(errors, point_weights(actual, metric), metric) == pytest.approx(pooled)


def test_figure_of_a_fleet_leaves_out_what_has_no_error_or_no_weight():
    assert fleet_error(np.array([1.0, NAN, 9.0]), np.array([2.0, 5.0, 0.0]), "mae") == 1.0
    with pytest.raises(EmptyWindowError):
        fleet_error(np.array([NAN, 1.0]), np.array([1.0, 0.0]), "mae")


def test_scale_is_undone_and_never_overflows():
    values = np.array([0.0, 0.5, 1e7])
    np.testing.assert_allclose(from_scale(to_scale(values, "log1p"), "log1p"), values)
    assert to_scale(np.array([-5.0]), "log1p").tolist() == [0.0]
    assert np.isfinite(from_scale(np.array([1e300]), "log1p")).all()
    assert to_scale(values, "none") is values
