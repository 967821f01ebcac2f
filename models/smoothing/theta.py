"""The dynamic optimised theta model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from domain.arrays import BoolArray, FloatArray
from models.features.panel import Panel
from models.smoothing.base import Parameters, State, adjusted, damped_growth, plain_state, seasonal_factors
from models.smoothing.grid_search import zoom

__all__ = ["Theta"]

_GRID = ((0.05, 0.15, 0.3, 0.5, 0.7, 0.9),)
_BOUNDS = ((0.01, 0.99),)
_MOST_THETA = 10.0
_SKIPPED = 3  # The first lines go through too few values to be judged.


@dataclass(frozen=True)
class _Lines:
    """Deseasonalised values and, as of each column, the least-squares line through all values so far; all [T, S].

    judged : enough values precede to judge a forecast. full : every segment is judged, [T]. first : first value, [S].
    """

    values: FloatArray
    started: BoolArray
    judged: BoolArray
    full: BoolArray
    intercept: FloatArray
    slope: FloatArray
    first: FloatArray

    @classmethod
    def over(cls, panel: Panel, factors: FloatArray) -> _Lines:
        values = np.ascontiguousarray(adjusted(panel, factors).T)
        position = np.cumsum(panel.valid.T, axis=0).astype(np.float64)
        total = np.cumsum(values, axis=0)
        moment = np.cumsum(position * values, axis=0)
        denominator = np.where(position >= 2, position * (position**2 - 1.0), np.inf)
        slope = (12.0 * moment - 6.0 * (position + 1.0) * total) / denominator
        intercept = total / np.maximum(position, 1.0) - slope * (position + 1.0) / 2.0
        first = np.where(position == 1.0, values, 0.0).sum(axis=0)
        judged = position > _SKIPPED
        return cls(values, position >= 1.0, judged, np.asarray(judged.all(axis=1)), intercept, slope, first)


@dataclass(frozen=True)
class _Path:
    """A run over all columns with alpha [G, S]: last level, (1 - alpha)^n, and the sums that determine theta.

    A one-step error is a - share * b, where a is the value less the level, b the line, and share = 1 - 1 / theta.
    """

    level: FloatArray
    fade: FloatArray
    aa: FloatArray
    ab: FloatArray
    bb: FloatArray

    @property
    def share(self) -> FloatArray:
        """The share of the line with the smallest squared error, for theta from 1 to 10."""
        best = self.ab / np.where(self.bb > 0, self.bb, 1.0)
        return np.clip(best, 0.0, 1.0 - 1.0 / _MOST_THETA)

    @property
    def cost(self) -> FloatArray:
        """Sum of squared one-step errors at the best share."""
        share = self.share
        return self.aa - share * (2.0 * self.ab - share * self.bb)


@dataclass(frozen=True)
class Theta:
    """Smoothing level plus a share 1 - 1/theta of the line through all values; alpha and theta per segment.

    Source: Fiorucci, Pellegrini, Louzada, Petropoulos & Koehler, Int. J. Forecasting 32 (2016), DOTM; the classical
    theta of Assimakopoulos & Nikolopoulos (2000) is theta = 2.
    """

    def fit(self, panel: Panel, horizon: int) -> Parameters:
        factors = seasonal_factors(panel)
        lines = _Lines.over(panel, factors)
        best, _ = zoom(lambda points: _run(lines, points[0]).cost, _GRID, _BOUNDS, len(factors), rounds=5)
        theta = 1.0 / (1.0 - _run(lines, best).share[0])
        return {"alpha": best[0], "theta": theta, "damping": np.ones(len(factors)), "factors": factors}

    def states(self, panel: Panel, parameters: Parameters) -> State:
        lines = _Lines.over(panel, parameters["factors"])
        alpha, share = parameters["alpha"], 1.0 - 1.0 / parameters["theta"]
        path = _run(lines, alpha[None])
        level, fade = path.level[0], path.fade[0]
        if not len(lines.values):
            return plain_state(level, np.zeros_like(level), parameters["factors"])
        slope, intercept = lines.slope[-1], lines.intercept[-1]
        drift = (1.0 - fade * (1.0 - alpha)) / alpha
        return plain_state(
            level + share * (fade * intercept + (drift - 1.0) * slope), share * slope, parameters["factors"]
        )

    def growth(self, parameters: Parameters, horizon: int) -> FloatArray:
        return damped_growth(parameters["damping"], horizon)

    def applicable(self, panel: Panel) -> BoolArray:
        return panel.lengths >= 5


def _run(lines: _Lines, alpha: FloatArray) -> _Path:
    """Smooth over all columns with alpha [G, S]."""
    rest = 1.0 - alpha
    level = np.broadcast_to(lines.first, alpha.shape).copy()
    fade, drift = np.ones(alpha.shape), np.ones(alpha.shape)  # drift is the sum of (1 - alpha)^i for i = 0..n.
    aa, ab, bb = (np.zeros(alpha.shape) for _ in range(3))
    before, line = np.empty(alpha.shape), np.empty(alpha.shape)
    for column in range(len(lines.values)):
        np.subtract(lines.values[column], level, out=before)
        judged = lines.judged[column]
        if column and judged.any():
            np.multiply(fade, lines.intercept[column - 1], out=line)
            line += drift * lines.slope[column - 1]
            seen = before if lines.full[column] else before * judged
            aa += seen * seen
            ab += seen * line
            bb += line * line if lines.full[column] else line * line * judged
        if lines.full[column]:
            level += alpha * before
            fade *= rest
            drift *= rest
            drift += 1.0
        else:
            started = lines.started[column]
            level = np.where(started, level + alpha * before, level)
            fade = np.where(started, fade * rest, fade)
            drift = np.where(started, drift * rest + 1.0, drift)
    return _Path(level, fade, aa, ab, bb)
