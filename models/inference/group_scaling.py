"""A fallback level that stands in for a segment: at the segment's size, and with the uncertainty of a segment.

A level is a mean of many segments and much smoother than any of them. How far segments stray from it is measured on
those of a bucket, in the situation of the one that is forecast: brought to size on as many periods as it shares with
the level, and judged on the periods after them.
"""

from dataclasses import dataclass

import numpy as np

from domain.arrays import FloatArray, IntArray
from models.features.series import Series

__all__ = ["GroupScaling", "aligned", "dispersion", "fit_group_scaling"]

_LEAST = 20
"""Fewer residuals say too little about a quantile."""


@dataclass(frozen=True)
class GroupScaling:
    """How a level is brought to a segment's size: level * factor + offset.

    size : mean absolute value of the level at that size, or as it is where that is 0. shared : periods that tell it.
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
    """Fit of a level [1, T] to a segment [1, T] or [1, 0]; the level as it is where they share no period."""
    if own.shape[1] == 0:
        own = np.full_like(level, np.nan)
    factor, offset, shared = _fitted(own, level)
    expected = level * factor[:, None] + offset[:, None]
    return GroupScaling(float(factor[0]), float(offset[0]), float(_size(expected, level)[0]), int(shared[0]))


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
    """Mean absolute value [S] of a level at a segment's size; as it is, where a segment has had nothing but zeros."""
    size = _mean_size(expected)
    return np.where(size > 0, size, _mean_size(level))


def _mean_size(values: FloatArray) -> FloatArray:
    """Mean absolute value [S] of what is known of [S, T]."""
    known = ~np.isnan(values)
    size: FloatArray = np.where(known, np.abs(values), 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return size


def dispersion(own: FloatArray, level: FloatArray, shared: int, horizon: int, coverage: float) -> float:
    """Quantile of how far segments [S, T] lie from their levels [S, T], relative to the level at their size.

    shared : periods to bring them to size on, 0 for not at all. Judged on the `horizon` periods after these; where too
    few segments reach back so far, on the periods that they were brought to size on. NaN if that says nothing either.
    """
    width = own.shape[1]
    split = max(0, width - horizon)
    first = max(0, split - shared) if shared else split
    known = ~np.isnan(own[:, first:split]) & ~np.isnan(level[:, first:split])
    found = _residuals(own, level, slice(first, split), slice(split, width))[known.sum(axis=1) >= shared]
    found = found[np.isfinite(found)]
    if len(found) < _LEAST:
        every = slice(0, width)
        found = _residuals(own, level, every if shared else slice(0, 0), every)
        found = found[np.isfinite(found)]
    return float(np.quantile(found, coverage)) if len(found) else float("nan")


def _residuals(own: FloatArray, level: FloatArray, on: slice, judged: slice) -> FloatArray:
    """Absolute residuals [S, n] over the level's size; NaN where one of both is not known."""
    factor, offset, _ = _fitted(own[:, on], level[:, on])
    expected = level * factor[:, None] + offset[:, None]
    size = _size(expected, level)
    away: FloatArray = np.abs(own[:, judged] - expected[:, judged]) / np.where(size > 0, size, np.nan)[:, None]
    return away
