"""Which candidate wins a segment."""

import numpy as np

from models.panel import FloatArray, IntArray

__all__ = ["choose"]


def choose(
    errors: FloatArray, combination: FloatArray, complexity: IntArray, tolerance: float, margin: float
) -> IntArray:
    """Index of the winner of every segment; M stands for the combination, -1 for none.

    errors : backtest errors [S, M], NaN where a candidate did not take part. combination : [S], NaN where it did not.
    complexity : [M]. Among single candidates the simplest within `tolerance` (relative) of the best wins. The
    combination varies less than what it combines, so a single one must beat it by more than the share `margin`.
    """
    n_segments, n_candidates = errors.shape
    filled = np.where(np.isnan(errors), np.inf, errors)
    best = filled.min(axis=1)
    near = filled <= best[:, None] * (1 + tolerance)
    rank = np.where(near & np.isfinite(filled), complexity[None, :] * float(n_candidates + 1), np.inf)
    single = np.argmin(rank + np.arange(n_candidates)[None, :], axis=1)
    winner = np.where(np.isfinite(best), single, -1)
    combined = ~np.isnan(combination) & ~(best < combination * (1 - margin))
    return np.where(combined, n_candidates, winner)
