"""Seasonal indices of many segments at once: classical decomposition, a test, and shrinkage."""

from __future__ import annotations

import numpy as np

from domain.arrays import BoolArray, FloatArray
from models.features.panel import Panel, by_column_phase

__all__ = ["additive_indices", "deseasonalised", "is_seasonal", "multiplicative_indices", "positive"]

_TINY = 1e-12
_LONG = 366
"""Periods of a season from which on averages are made of running sums."""


def positive(panel: Panel) -> BoolArray:
    """Mask [S] of the segments with values above zero only, for which a multiplicative season makes sense."""
    above: BoolArray = (panel.lengths > 0) & np.all(np.where(panel.valid, panel.values, 1.0) > 0.0, axis=1)
    return above


def is_seasonal(panel: Panel, z: float = 1.0) -> BoolArray:
    """Mask [S] of the segments whose detrended values correlate with themselves one season earlier.

    The remainder is the ratio to the centred average (the difference where a value is not above zero), so that a
    trend, which inflates every lag of the plain values, does not hide the season. One-sided test at `z` standard
    errors after Bartlett; the default is lenient because the indices are shrunk as well.
    Source: the test of Assimakopoulos & Nikolopoulos, Int. J. Forecasting 16 (2000), on the detrended series.
    """
    if panel.short:
        return is_seasonal(panel.by_short_season, z) | _is_seasonal(panel, z, panel.short)
    return _is_seasonal(panel, z, 1)


def _is_seasonal(panel: Panel, z: float, every: int) -> BoolArray:
    """The test of `is_seasonal` with the correlations at every n-th lag."""
    season, columns = panel.season, panel.values.shape[1]
    if season == 1 or columns < 2 * season:
        return np.zeros(len(panel.lengths), dtype=np.bool_)
    average = _centred_average(panel.values, season)
    multiplicative = positive(panel)[:, None]
    remainder = np.where(multiplicative, panel.values / np.where(multiplicative, average, 1.0), panel.values - average)
    seen = np.isfinite(remainder)
    count = np.maximum(seen.sum(axis=1), 1)
    mean = np.where(seen, remainder, 0.0).sum(axis=1) / count
    centred = np.where(seen, remainder - mean[:, None], 0.0)
    power = np.maximum((centred**2).sum(axis=1), _TINY)
    lags = [(centred[:, lag:] * centred[:, :-lag]).sum(axis=1) / power for lag in range(every, season + 1, every)]
    limit = z * np.sqrt((1.0 + 2.0 * np.sum(np.square(lags[:-1]), axis=0)) / count)
    seasonal: BoolArray = (lags[-1] > limit) & (panel.lengths >= 2 * season)
    return seasonal


def _centred_average(values: FloatArray, season: int) -> FloatArray:
    """Centred moving average [S, T] over one season (2 x m for an even m); NaN at the borders."""
    half = season // 2
    result = np.full_like(values, np.nan)
    inner = values.shape[1] - 2 * half
    if inner <= 0:
        return result
    if season > _LONG:
        result[:, half : half + inner] = _running_average(values, season)
        return result
    border = 0.5 if season % 2 == 0 else 1.0
    total = border * (values[:, :inner] + values[:, 2 * half :])
    for offset in range(1, 2 * half):
        total = total + values[:, offset : offset + inner]
    result[:, half : half + inner] = total / season
    return result


def _running_average(values: FloatArray, season: int) -> FloatArray:
    """The inner columns of the centred average by running sums, whose cost does not grow with the season."""
    sums = np.cumsum(np.where(np.isnan(values), 0.0, values), axis=1)
    unknown = np.cumsum(np.isnan(values), axis=1)
    sums, unknown = (np.pad(total, ((0, 0), (1, 0))) for total in (sums, unknown))
    width = 2 * (season // 2) + 1
    whole = sums[:, width:] - sums[:, :-width]
    if season % 2 == 0:
        whole = whole - 0.5 * (values[:, : 1 - width] + values[:, width - 1 :])
    return np.where(unknown[:, width:] - unknown[:, :-width] > 0, np.nan, whole / season)


def _by_phase(values: FloatArray, season: int) -> FloatArray:
    """Columns as [S, N, m] by season and column phase (0 = the last column's phase), padded with NaN on the left."""
    missing = -values.shape[1] % season
    padded = np.pad(values, ((0, 0), (missing, 0)), constant_values=np.nan)
    seasons = padded.reshape(len(values), -1, season)
    return np.roll(seasons, 1, axis=2)


def _shrunk_means(seasons: FloatArray, neutral: float, shrink: bool, towards: FloatArray | None = None) -> FloatArray:
    """Means [S, m] over the seasons of `seasons` [S, N, m], shrunk by James-Stein towards `towards`, else `neutral`.

    Source: Miller & Williams, Int. J. Forecasting 19 (2003).
    """
    seen = np.isfinite(seasons)
    count = seen.sum(axis=1)
    filled = np.where(seen, seasons, 0.0)
    target: FloatArray | float = neutral if towards is None else towards
    means: FloatArray = np.where(count > 0, filled.sum(axis=1) / np.maximum(count, 1), target)
    season = seasons.shape[2]
    means = means - means.mean(axis=1, keepdims=True) + neutral
    if not shrink or season <= 3:
        return means
    squares = (np.where(seen, seasons - means[:, None, :], 0.0) ** 2).sum(axis=(1, 2))
    noise = squares / np.maximum((count - 1).sum(axis=1), 1) / np.maximum(count.mean(axis=1), 1.0)
    variance = ((means - target) ** 2).sum(axis=1) / (season - 1)
    weight = (season - 3) / (season - 1) * np.minimum(noise / np.maximum(variance, _TINY), 1.0)
    shrunk: FloatArray = means + weight[:, None] * (target - means)
    return shrunk


def multiplicative_indices(panel: Panel, shrink: bool = True) -> FloatArray:
    """Factors [S, m] by column phase from ratios to the centred average, mean 1; 1 where not estimable.

    With a season within the season, shrunk towards its factors, which stand alone where the long one is not estimable.
    """
    season = panel.season
    ones = np.ones((len(panel.lengths), season))
    if panel.short:
        ones = np.tile(multiplicative_indices(panel.by_short_season, shrink), (1, season // panel.short))
    if season == 1 or panel.values.shape[1] < 2 * season:
        return ones
    trend = _centred_average(panel.values, season)
    ratio = panel.values / np.where(trend > _TINY, trend, np.nan)
    indices = _shrunk_means(_by_phase(ratio, season), 1.0, shrink, ones if panel.short else None)
    usable = positive(panel) & (panel.lengths >= 2 * season)
    return np.where(usable[:, None], np.maximum(indices, 0.01), ones)


def additive_indices(panel: Panel, shrink: bool = True) -> FloatArray:
    """Addends [S, m] by column phase from differences to the centred average, mean 0; 0 where not estimable."""
    season = panel.season
    zeros = np.zeros((len(panel.lengths), season))
    if panel.short:
        zeros = np.tile(additive_indices(panel.by_short_season, shrink), (1, season // panel.short))
    if season == 1 or panel.values.shape[1] < 2 * season:
        return zeros
    difference = panel.values - _centred_average(panel.values, season)
    indices = _shrunk_means(_by_phase(difference, season), 0.0, shrink, zeros if panel.short else None)
    return np.where((panel.lengths >= 2 * season)[:, None], indices, zeros)


def deseasonalised(panel: Panel, factors: FloatArray, addends: FloatArray) -> FloatArray:
    """Values [S, T] without season: (y - addend) / factor; factors and addends [S, m] by absolute phase."""
    return (panel.values - _over_columns(addends, panel)) / _over_columns(factors, panel)


def _over_columns(indices: FloatArray, panel: Panel) -> FloatArray:
    """Spread indices [S, m] by absolute phase over the columns: [S, T]."""
    columns = panel.values.shape[1]
    order = (np.arange(columns) - (columns - 1)) % panel.season
    return by_column_phase(indices, panel)[:, order]
