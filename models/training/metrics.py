"""Error metrics of many segments at once; lower is better, 0 is perfect."""

import numpy as np

from domain.arrays import FloatArray
from domain.config.training import Metric
from domain.errors import EmptyWindowError

__all__ = ["fleet_error", "point_weights", "window_errors"]


def window_errors(actual: FloatArray, predicted: FloatArray, metric: Metric, scale: FloatArray) -> FloatArray:
    """Error over the last axis of a window, such as the steps of a backtest fold.

    Parameters
    ----------
    actual, predicted : [..., n] in the target's own unit; where `actual` is NaN, nothing is compared.
    scale : mean absolute target of the segment before the window (for mase: mean absolute naive error), [...].

    Returns
    -------
    Errors [...]; NaN where a window has no actual value or a prediction is NaN.

    Sources: wape: Kolassa & Schuetz, Foresight 6 (2007); smape: Makridakis, IJF 9 (1993), in percent, 0 to 200;
    mase: Hyndman & Koehler, IJF 22 (2006).
    """
    known = ~np.isnan(actual)
    observed = np.where(known, actual, 0.0)
    error = np.where(known, np.abs(observed - predicted), 0.0)
    count = known.sum(axis=-1)
    n = np.maximum(count, 1)
    if metric == "wape":
        # A window of zeros has no percentage; the segment's usual size stands in.
        total = np.abs(observed).sum(axis=-1)
        result = error.sum(axis=-1) / np.where(total > 0, total, n * _positive(scale))
    elif metric == "smape":
        size = np.abs(observed) + np.abs(predicted)
        share = np.divide(error, size, out=np.zeros_like(error), where=size > 0)
        share = np.where(np.isnan(predicted) & known, np.nan, share)
        result = 200.0 * share.sum(axis=-1) / n
    elif metric == "mae":
        result = error.sum(axis=-1) / n
    elif metric == "rmse":
        result = np.sqrt((error**2).sum(axis=-1) / n)
    else:
        result = error.sum(axis=-1) / n / _positive(scale)
    return np.where(count > 0, result, np.nan)


def _positive(scale: FloatArray) -> FloatArray:
    return np.where(scale > 0, scale, 1.0)


def point_weights(actual: FloatArray, metric: Metric) -> FloatArray:
    """Weight of a window [..., n] in fleet-wide figures: sum of |actual| for wape, points for mae and rmse, else 1.

    A window without an actual value has weight 0.
    """
    known = ~np.isnan(actual)
    if metric == "wape":
        weights: FloatArray = np.abs(np.where(known, actual, 0.0)).sum(axis=-1)
        return weights
    if metric in ("mae", "rmse"):
        return np.asarray(known.sum(axis=-1), dtype=np.float64)
    return np.asarray(known.any(axis=-1), dtype=np.float64)


def fleet_error(errors: FloatArray, weights: FloatArray, metric: Metric) -> float:
    """The error of a fleet, from the errors [S] and weights [S] of its segments.

    Raises EmptyWindowError if no segment has both an error and a weight.
    """
    known = ~np.isnan(errors) & (weights > 0)
    if not known.any():
        raise EmptyWindowError("no segment has an error to average")
    if metric == "rmse":
        return float(np.sqrt(np.average(errors[known] ** 2, weights=weights[known])))
    return float(np.average(errors[known], weights=weights[known]))
