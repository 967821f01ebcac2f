"""Exponential smoothing of the deseasonalised series, without a trend and with a damped one."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from domain.arrays import BoolArray, FloatArray
from models.features.panel import Panel
from models.smoothing.base import Parameters, State, adjusted, damped_growth, plain_state, seasonal_factors
from models.smoothing.ets_recursion import ALPHA, BETA, DAMPING, Recursion, Space, optimise

__all__ = ["ExponentialSmoothing", "HoltDamped", "Ses"]

_ALPHAS = (0.05, 0.2, 0.5, 0.8)
_BETAS = (0.0, 0.02, 0.1, 0.3)
_DAMPINGS = (0.8, 0.9, 0.97)
_LEVEL_ONLY = Space((_ALPHAS, (0.0,), (0.0,), (0.0,)), ((0.01, 0.99), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0)))
_TRENDED = Space((_ALPHAS, _BETAS, (0.0,), _DAMPINGS), ((0.01, 0.99), (0.0, 1.0), (0.0, 0.0), (0.8, 0.98)))


@dataclass(frozen=True)
class ExponentialSmoothing:
    """Exponential smoothing of the deseasonalised series; the seasonal factors are frozen parameters.

    space : where the smoothing parameters are searched for. least : periods of history that the method needs.
    """

    space: Space
    least: int = 1

    def fit(self, panel: Panel, horizon: int) -> Parameters:
        factors = seasonal_factors(panel)
        best, _ = optimise(self.recursion(panel, factors), self.space)
        return {"alpha": best[ALPHA], "beta": best[BETA], "damping": best[DAMPING], "factors": factors}

    def states(self, panel: Panel, parameters: Parameters) -> State:
        factors = parameters["factors"]
        zeros = np.zeros(len(factors))
        best = np.stack([parameters["alpha"], parameters["beta"], zeros, parameters["damping"]])
        final = self.recursion(panel, factors).final(best)
        return plain_state(final.level, final.trend, factors)

    def growth(self, parameters: Parameters, horizon: int) -> FloatArray:
        return damped_growth(parameters["damping"], horizon)

    def applicable(self, panel: Panel) -> BoolArray:
        return panel.lengths >= self.least

    def recursion(self, panel: Panel, factors: FloatArray) -> Recursion:
        """The recursion over the deseasonalised series."""
        trended = self.space.bounds[DAMPING][1] > 0.0
        plain = replace(panel, values=np.where(panel.valid, adjusted(panel, factors), np.nan))
        return Recursion.over(plain, np.zeros_like(factors), "none", trended)


@dataclass(frozen=True)
class Ses(ExponentialSmoothing):
    """Simple exponential smoothing. Source: Brown (1959); Gardner, J. Forecasting 4 (1985)."""

    space: Space = _LEVEL_ONLY
    least: int = 3


@dataclass(frozen=True)
class HoltDamped(ExponentialSmoothing):
    """Additive damped trend. Source: Gardner & McKenzie, Management Science 31 (1985)."""

    space: Space = _TRENDED
    least: int = 6
