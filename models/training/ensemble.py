"""The ensemble of candidates, the choice of a single one instead, and intervals: all from a segment's own backtest."""

from __future__ import annotations

import numpy as np

from domain.arrays import FloatArray, IntArray

__all__ = ["ENSEMBLE_INDEX", "choose", "conformal_quantile", "ensemble", "ensemble_weights"]

ENSEMBLE_INDEX = -1
_POWER = 2.0  # Inverse squared error; on the M3 validation window any power from 1 to 2 is within 0.3 %.
_LEAST_WEIGHT = 0.01
_GROWTH = 0.5  # Interval widths grow with the square root of the step, as for a random walk.


def ensemble_weights(errors: FloatArray) -> FloatArray:
    """Weights of the candidates in the ensemble: inverse squares of their errors relative to the best of each fold.

    Relative errors are averaged over the folds; weights under 1 % become 0. A segment without any error gets its first
    candidate, so list the simplest first.

    Parameters
    ----------
    errors : backtest errors [S, F, M], such as MAE; NaN where a candidate does not apply.

    Returns
    -------
    Weights [S, M], which sum to 1 in each row.

    Source: Bates & Granger, Oper. Res. Quarterly 20 (1969), without covariances as in Stock & Watson (2004).
    """
    clean = np.where(np.isfinite(errors), errors, np.inf)
    best = clean.min(axis=2, keepdims=True)
    known = np.isfinite(best)
    # Relative to a negligible error rather than to zero: an exact candidate takes all, several exact ones share.
    floor = np.where(known, 1e-9 * np.where(np.isfinite(errors), errors, 0.0).max(axis=2, keepdims=True), 1.0)
    floor = np.maximum(floor, np.finfo(np.float64).tiny)
    relative = (clean + floor) / (np.where(known, best, 1.0) + floor)
    seen = np.isfinite(clean) & known
    folds = seen.sum(axis=1)
    mean = np.where(seen, relative, 0.0).sum(axis=1) / np.maximum(folds, 1)
    mean = np.where(folds > 0, mean, np.inf)
    mean[:, 0] = np.where((folds > 0).any(axis=1), mean[:, 0], 1.0)
    raw = (mean.min(axis=1, keepdims=True) / mean) ** _POWER
    weights = raw / raw.sum(axis=1, keepdims=True)
    significant = np.where(weights >= min(_LEAST_WEIGHT, 1.0 / weights.shape[1]), weights, 0.0)
    result: FloatArray = significant / significant.sum(axis=1, keepdims=True)
    return result


def ensemble(forecasts: FloatArray, weights: FloatArray) -> FloatArray:
    """Weighted mean [S, ...] of forecasts [S, M, ...].

    Where a candidate has no forecast (NaN: it does not apply in an early fold), the others share its weight; NaN where
    no candidate with weight has a forecast.
    """
    broadcast = weights.reshape(*weights.shape, *(1,) * (forecasts.ndim - 2))
    present = np.where(np.isfinite(forecasts), broadcast, 0.0)
    mass = present.sum(axis=1)
    total = (present * np.where(np.isfinite(forecasts), forecasts, 0.0)).sum(axis=1)
    mean: FloatArray = np.where(mass > 0.0, total / np.where(mass > 0.0, mass, 1.0), np.nan)
    return mean


def choose(
    errors: FloatArray, ensemble_errors: FloatArray, complexity: IntArray, margin: float = 0.5, tolerance: float = 0.05
) -> IntArray:
    """Choose the winner of each segment.

    The ensemble wins unless the mean error of a candidate is lower by more than `margin`; of such candidates, the
    simplest whose error is within `tolerance` of the best wins.

    Parameters
    ----------
    errors : of the candidates, [S, F, M]. ensemble_errors : of their ensemble, [S, F].
    complexity : of the candidates, [M].
    margin, tolerance : shares.

    Returns
    -------
    Index of the winner for each segment [S], or ENSEMBLE_INDEX (-1).
    """
    folds = np.isfinite(errors).sum(axis=1)
    mean = np.where(np.isfinite(errors), errors, 0.0).sum(axis=1) / np.maximum(folds, 1)
    full = folds == folds.max(axis=1, keepdims=True)
    mean = np.where((folds > 0) & full, mean, np.inf)
    close = mean <= mean.min(axis=1, keepdims=True) * (1.0 + tolerance)
    rank = np.where(close & np.isfinite(mean), complexity[None, :].astype(np.float64), np.inf)
    single = np.lexsort((mean, rank), axis=1)[:, 0]
    known = np.isfinite(ensemble_errors)
    reference = np.where(known, ensemble_errors, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    reference = np.where(known.any(axis=1), reference, np.inf)
    least = np.take_along_axis(mean, single[:, None], axis=1)[:, 0]
    winner: IntArray = np.where(least < (1.0 - margin) * reference, single, ENSEMBLE_INDEX).astype(np.int64)
    return winner


def conformal_quantile(residuals: FloatArray, coverage: float = 0.9) -> FloatArray:
    """Half widths of the intervals at steps 1..H.

    Absolute residuals over the square root of their step are pooled. Folds overlap, so F folds count as one: the
    effective sample n is the number of residuals over F, and the coverage is raised to coverage * (n + 1) / n. Beyond 1
    there is no such residual, and the largest is stretched by the raised coverage.

    Parameters
    ----------
    residuals : of the backtest, [S, F, H]; NaN where unknown.
    coverage : nominal coverage of the intervals.

    Returns
    -------
    Half widths [S, H]; NaN for a segment without residuals.

    Source: split conformal prediction, Vovk, Gammerman & Shafer (2005); scaled scores, Lei et al., JASA 113 (2018).
    """
    rows, folds, horizon = residuals.shape
    growth = np.arange(1, horizon + 1, dtype=np.float64) ** _GROWTH
    scores = np.sort((np.abs(residuals) / growth).reshape(rows, folds * horizon), axis=1)  # NaN sorts last.
    count = np.isfinite(scores).sum(axis=1)
    effective = np.maximum(count / max(folds, 1), 1.0)
    raised = coverage * (effective + 1.0) / effective
    position = np.minimum(raised, 1.0) * np.maximum(count - 1, 0)
    below = np.floor(position).astype(np.int64)
    above = np.minimum(below + 1, np.maximum(count - 1, 0))
    low = np.take_along_axis(scores, below[:, None], axis=1)[:, 0]
    high = np.take_along_axis(scores, above[:, None], axis=1)[:, 0]
    scale = (low + (position - below) * (high - low)) * np.maximum(raised, 1.0)
    half_widths: FloatArray = scale[:, None] * growth[None, :]
    return half_widths
