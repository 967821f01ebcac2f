"""The dynamic optimised theta model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.member import Parameters, State, adjusted, damped_growth, plain_state, seasonal_factors
from models.panel import BoolArray, FloatArray, Panel
from models.search import zoom

__all__ = ["Theta"]

_GRIDS = ((0.05, 0.15, 0.3, 0.5, 0.7, 0.9), (1.0, 1.5, 2.0, 3.0, 5.0))
_BOUNDS = ((0.01, 0.99), (1.0, 10.0))
_SKIPPED = 3  # The first lines are through too few values to be judged by.


@dataclass(frozen=True)
class _Lines:
    """Deseasonalised values and, as of each column, the least-squares line through all values so far; all [T, S]."""

    values: FloatArray
    position: FloatArray
    intercept: FloatArray
    slope: FloatArray
    first: FloatArray

    @classmethod
    def over(cls, panel: Panel, factors: FloatArray) -> _Lines:
        values = np.ascontiguousarray(adjusted(panel, factors).T)
        position = np.cumsum(panel.valid.T, axis=0).astype(np.float64)
        total = np.cumsum(values, axis=0)
        moment = np.cumsum(position * values, axis=0)
        spread = np.where(position >= 2, position * (position**2 - 1.0), np.inf)
        slope = (12.0 * moment - 6.0 * (position + 1.0) * total) / spread
        intercept = total / np.maximum(position, 1.0) - slope * (position + 1.0) / 2.0
        first = np.where(position == 1.0, values, 0.0).sum(axis=0)
        return cls(values, position, intercept, slope, first)


@dataclass(frozen=True)
class Theta:
    """Smoothing level plus a share 1 - 1/theta of the line through all values; alpha and theta per segment.

    Source: Fiorucci, Pellegrini, Louzada, Petropoulos & Koehler, Int. J. Forecasting 32 (2016), DOTM; the classical
    theta of Assimakopoulos & Nikolopoulos (2000) is theta = 2.
    """

    name: str = "theta"
    complexity: int = 3

    def fit(self, panel: Panel, horizon: int) -> Parameters:
        factors = seasonal_factors(panel)
        lines = _Lines.over(panel, factors)
        best, _ = zoom(lambda points: _run(lines, points)[0], _GRIDS, _BOUNDS, len(factors), rounds=5)
        return {"alpha": best[0], "theta": best[1], "damping": np.ones(len(factors)), "factors": factors}

    def states(self, panel: Panel, parameters: Parameters) -> State:
        lines = _Lines.over(panel, parameters["factors"])
        points = np.stack([parameters["alpha"], parameters["theta"]])[:, None, :]
        _, level, fade = _run(lines, points)
        alpha, theta = points[:, 0]
        share = 1.0 - 1.0 / theta
        if not len(lines.values):
            return plain_state(level[0], np.zeros_like(level[0]), parameters["factors"])
        slope, intercept = lines.slope[-1], lines.intercept[-1]
        drift = (1.0 - fade[0] * (1.0 - alpha)) / alpha
        return plain_state(
            level[0] + share * (fade[0] * intercept + (drift - 1.0) * slope), share * slope, parameters["factors"]
        )

    def growth(self, parameters: Parameters, horizon: int) -> FloatArray:
        return damped_growth(parameters["damping"], horizon)

    def applicable(self, panel: Panel) -> BoolArray:
        return panel.lengths >= 5


def _run(lines: _Lines, points: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Sum of squared one-step errors, last level and last (1 - alpha)^n, each [G, S]; points : [2, G, S]."""
    alpha, theta = points
    share, rest = 1.0 - 1.0 / theta, 1.0 - alpha
    level = np.broadcast_to(lines.first, alpha.shape).copy()
    fade, cost = np.ones(alpha.shape), np.zeros(alpha.shape)
    for column in range(len(lines.values)):
        value, position = lines.values[column], lines.position[column]
        if column and (position > _SKIPPED).any():
            line = fade * lines.intercept[column - 1] + (1.0 - fade * rest) / alpha * lines.slope[column - 1]
            error = value - level - share * line
            cost += np.where(position > _SKIPPED, error * error, 0.0)
        started = position >= 1.0
        level = np.where(started, alpha * value + rest * level, level)
        fade = np.where(started, fade * rest, fade)
    return cost, level, fade
