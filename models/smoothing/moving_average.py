"""Moving averages of the deseasonalised series."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from domain.arrays import BoolArray, FloatArray
from models.features.panel import Panel
from models.smoothing.base import Parameters, State, adjusted, damped_growth, plain_state, seasonal_factors

__all__ = ["MovingAverage"]


@dataclass(frozen=True)
class MovingAverage:
    """Mean of the last periods of the deseasonalised series; the window with the least one-step error, in sample."""

    windows: tuple[int, ...] = (3, 6, 12)

    def fit(self, panel: Panel, horizon: int) -> Parameters:
        factors = seasonal_factors(panel)
        values = adjusted(panel, factors)
        judged = panel.valid & (np.cumsum(panel.valid, axis=1) > max(self.windows))
        errors = [
            np.where(judged, (values - self._means(values, panel, window)) ** 2, 0.0).sum(axis=1)
            for window in self.windows
        ]
        window = np.asarray(self.windows, dtype=np.float64)[np.argmin(errors, axis=0)]
        return {"damping": np.zeros(len(factors)), "factors": factors, "window": window}

    def states(self, panel: Panel, parameters: Parameters) -> State:
        values = adjusted(panel, parameters["factors"])
        reach = np.minimum(parameters["window"], np.maximum(panel.lengths, 1))
        age = np.arange(values.shape[1], 0, -1)[None, :]
        level = np.where(age <= reach[:, None], values, 0.0).sum(axis=1) / reach
        return plain_state(level, np.zeros_like(level), parameters["factors"])

    def growth(self, parameters: Parameters, horizon: int) -> FloatArray:
        return damped_growth(parameters["damping"], horizon)

    def applicable(self, panel: Panel) -> BoolArray:
        return panel.lengths >= min(self.windows)

    @staticmethod
    def _means(values: FloatArray, panel: Panel, window: int) -> FloatArray:
        """Mean [S, T] of the `window` columns before each column (of fewer near a segment's start)."""
        before = np.pad(np.cumsum(values, axis=1), ((0, 0), (window + 1, 0)))[:, : values.shape[1] + window]
        count = np.clip(np.cumsum(panel.valid, axis=1) - 1, 1, window)
        means: FloatArray = (before[:, window:] - before[:, :-window]) / count
        return means
