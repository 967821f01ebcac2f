"""Scale a fallback level's forecast to a segment, with an interval that fits a segment.

A level is the mean of many segments and much smoother than any of them. The dispersion of segments about it is measured
on those that are forecast together, in the situation of the segment at hand: fitted on as many periods as it shares
with the level, and measured on the periods after them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from domain.arrays import FloatArray, IntArray
from models.features.panel import mean_absolute
from models.features.series import Series
from models.onnx_graphs.runtime import Predictions

__all__ = ["GroupScaling", "aligned", "dispersion", "fit_group_scaling", "scale_to_segment"]

_LEAST = 20
"""Fewer residuals say too little about a quantile."""


@dataclass(frozen=True)
class GroupScaling:
    """From a level to a segment's size: level * factor + offset.

    size : mean absolute value of the level at that size, or of the level itself where that is 0.
    shared : periods that the fit rests on.
    """

    factor: float
    offset: float
    size: float
    shared: int


def aligned(own: Series, levels: FloatArray, ends: IntArray) -> FloatArray:
    """Values of segments [S, T] in the columns of their levels, NaN where they have none.

    levels : [S, T], the level of each segment; ends : ordinals of their last column, [S].
    """
    width, had = levels.shape[1], own.panel.values.shape[1]
    result = np.full(levels.shape, np.nan)
    for s, behind in enumerate((ends - own.panel.ends).tolist()):
        first, last = max(0, width - behind - had), min(width, width - behind)
        if last > first:
            result[s, first:last] = own.panel.values[s, first - width + behind + had : last - width + behind + had]
    return result


def fit_group_scaling(own: FloatArray, level: FloatArray) -> GroupScaling:
    """Fit a level [1, T] to a segment [1, T] or [1, 0]; the level stays as it is where they share no period."""
    if own.shape[1] == 0:
        own = np.full_like(level, np.nan)
    factor, offset, shared = _fitted(own, level)
    expected = level * factor[:, None] + offset[:, None]
    return GroupScaling(float(factor[0]), float(offset[0]), float(_size(expected, level)[0]), int(shared[0]))


def scale_to_segment(
    outputs: Predictions,
    own: Series | None,
    level: Series,
    dispersion_of: Callable[[int], float],
    minimum: float | None,
) -> tuple[Predictions, str]:
    """Scale a level's forecast to a segment, with an interval as wide as segments disperse about the level.

    Parameters
    ----------
    own : series of the segment; None where it has no usable row.
    dispersion_of : from shared periods to the segments' dispersion about the level, relative to its size; NaN where
        unknown.
    minimum : lower bound of the target; None where it has none.

    Returns
    -------
    The scaled forecast, and how it was scaled as the end of a sentence; empty without a row of the segment's own.
    """
    values = np.full((1, 0), np.nan) if own is None else aligned(own, level.panel.values, level.panel.ends)
    fit = fit_group_scaling(values, level.panel.values)
    # Two independent sources of error: the level's forecast, and the segment about its level.
    away = np.nan_to_num(dispersion_of(fit.shared)) * fit.size
    point = outputs.prediction * fit.factor + fit.offset
    # The lower end may have been cut off at the minimum, at the level's own size; the upper one never is.
    half = np.hypot((outputs.upper - outputs.prediction) * fit.factor, away)
    floor = -np.inf if minimum is None else minimum
    scaled = Predictions(*(np.maximum(bound, floor) for bound in (point, point - half, point + half)))
    if own is None:
        return scaled, ""
    how = f"shifted by {fit.offset:.4g}" if fit.offset else f"scaled by {fit.factor:.4g}"
    return scaled, f", {how} to the segment's rows"


def _fitted(own: FloatArray, level: FloatArray) -> tuple[FloatArray, FloatArray, IntArray]:
    """Factor and offset [S] that bring levels [S, T] to the size of segments [S, T], and the periods [S] they share.

    A ratio of means where both are positive, a difference elsewhere; (1, 0) where no period is shared.
    """
    both = ~(np.isnan(own) | np.isnan(level))
    shared = both.sum(axis=1)
    count = np.maximum(shared, 1)
    size = np.where(both, own, 0.0).sum(axis=1) / count
    reference = np.where(both, level, 0.0).sum(axis=1) / count
    ratio = (size >= 0) & (reference > 0)
    factor = np.where(ratio, size / np.where(reference > 0, reference, 1.0), 1.0)
    offset = np.where(ratio, 0.0, size - reference)
    return np.where(shared > 0, factor, 1.0), np.where(shared > 0, offset, 0.0), shared


def _size(expected: FloatArray, level: FloatArray) -> FloatArray:
    """Mean absolute value [S] of a level at a segment's size; of the level itself where a segment has only zeros."""
    size = mean_absolute(expected)
    return np.where(size > 0, size, mean_absolute(level))


def dispersion(own: FloatArray, level: FloatArray, shared: int, horizon: int, coverage: float) -> float:
    """Quantile of the distance of segments from their levels, relative to the level at a segment's size.

    Measured on the newest `horizon` periods, after a fit on the periods before; where too few segments reach back that
    far, on the periods of the fit itself.

    Parameters
    ----------
    own, level : segments and their levels, [S, T] each.
    shared : periods to fit the scaling on; 0 for no scaling.
    coverage : of the interval.

    Returns
    -------
    The quantile; NaN if no residual is known.
    """
    width = own.shape[1]
    split = max(0, width - horizon)
    first = max(0, split - shared) if shared else split
    known = ~np.isnan(own[:, first:split]) & ~np.isnan(level[:, first:split])
    residuals = _residuals(own, level, slice(first, split), slice(split, width))[known.sum(axis=1) >= shared]
    residuals = residuals[np.isfinite(residuals)]
    if len(residuals) < _LEAST:
        every = slice(0, width)
        residuals = _residuals(own, level, every if shared else slice(0, 0), every)
        residuals = residuals[np.isfinite(residuals)]
    return float(np.quantile(residuals, coverage)) if len(residuals) else float("nan")


def _residuals(own: FloatArray, level: FloatArray, on: slice, judged: slice) -> FloatArray:
    """Absolute residuals [S, n] over the level's size after a fit on other periods; NaN where either is unknown."""
    factor, offset, _ = _fitted(own[:, on], level[:, on])
    expected = level * factor[:, None] + offset[:, None]
    size = _size(expected, level)
    away: FloatArray = np.abs(own[:, judged] - expected[:, judged]) / np.where(size > 0, size, np.nan)[:, None]
    return away
