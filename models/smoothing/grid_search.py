"""Batched minimisation: one bounded search for all segments at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np

from domain.arrays import FloatArray

__all__ = ["zoom"]


def zoom(
    cost: Callable[[FloatArray], FloatArray],
    grids: Sequence[Sequence[float]],
    bounds: Sequence[tuple[float, float]],
    rows: int,
    rounds: int = 4,
) -> tuple[FloatArray, FloatArray]:
    """Minimise a cost per segment on a common grid, then by rounds of steps along each axis, halved each round.

    Parameters
    ----------
    cost : maps points [K, G, S] (or [K, G, 1]) to costs [G, S]; NaN counts as infinite.
    grids, bounds : coarse values and limits of each of the K parameters.
    rows : number of segments S.

    Returns
    -------
    The best points [K, S] and their costs [S].
    """
    start = np.array(list(product(*grids)), dtype=np.float64).T[:, :, None]
    best, least = _better(cost(np.broadcast_to(start, (*start.shape[:2], rows))), start)
    low = np.array([bound[0] for bound in bounds])[:, None, None]
    high = np.array([bound[1] for bound in bounds])[:, None, None]
    step = np.array([np.ptp(grid) / max(len(grid) - 1, 1) / 2.0 for grid in grids])
    moves = np.concatenate([np.diag(step), -np.diag(step)], axis=1)[:, step[None, :].repeat(2, 0).ravel() > 0]
    for _ in range(rounds):
        points = np.clip(best[:, None, :] + moves[:, :, None], low, high)
        candidate, value = _better(cost(points), points)
        better = value < least
        best, least = np.where(better, candidate, best), np.where(better, value, least)
        moves = moves / 2.0
    return best, least


def _better(costs: FloatArray, points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The cheapest of G points for each segment: points [K, S], costs [S]."""
    clean = np.where(np.isfinite(costs), costs, np.inf)
    winner = clean.argmin(axis=0)
    by_segment = np.broadcast_to(points, (*points.shape[:2], costs.shape[1]))
    chosen = np.take_along_axis(by_segment, winner[None, None, :], axis=1)[:, 0, :]
    return chosen, np.take_along_axis(clean, winner[None, :], axis=0)[0]
