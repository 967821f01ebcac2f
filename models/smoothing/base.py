"""The protocol of smoothing methods: a state at the forecast origin, and forecasts as a function of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from domain.arrays import BoolArray, FloatArray
from models.features.panel import Panel, by_absolute_phase, target_phases
from models.smoothing.seasonality import deseasonalised, is_seasonal, multiplicative_indices

__all__ = [
    "Parameters",
    "SmoothingMethod",
    "State",
    "adjusted",
    "damped_growth",
    "forecast",
    "plain_state",
    "seasonal_factors",
]

Parameters: TypeAlias = dict[str, FloatArray]
"""Arrays by name, first axis S; frozen between trainings. `damping` (phi, 0 = no trend) is always present."""


@dataclass(frozen=True)
class State:
    """The state of each segment as of the panel's last column.

    Parameters
    ----------
    level, trend : [S], deseasonalised; trend 0 where none.
    multiplier : [S, m] seasonal factor by absolute phase (ordinal % m), 1 where none.
    addend : [S, m] additive season by absolute phase, 0 where none.
    """

    level: FloatArray
    trend: FloatArray
    multiplier: FloatArray
    addend: FloatArray


class SmoothingMethod(Protocol):
    """A batched univariate method: forecast = (level + growth * trend) * multiplier + addend."""

    def fit(self, panel: Panel, horizon: int) -> Parameters:
        """Fit the parameters of every segment; horizon in periods."""

    def states(self, panel: Panel, parameters: Parameters) -> State:
        """The states that frozen parameters reach over a panel, which may be newer than that of the fit."""

    def growth(self, parameters: Parameters, horizon: int) -> FloatArray:
        """Factor [S, H] of the trend at steps 1..H."""

    def applicable(self, panel: Panel) -> BoolArray:
        """Mask [S] of the segments whose history suffices for the method."""


def forecast(method: SmoothingMethod, panel: Panel, parameters: Parameters, horizon: int) -> FloatArray:
    """Point forecasts [S, H] for the periods 1..H after each segment's origin, in the target's unit."""
    state = method.states(panel, parameters)
    phases = target_phases(panel, horizon)
    path = state.level[:, None] + method.growth(parameters, horizon) * state.trend[:, None]
    factor = np.take_along_axis(state.multiplier, phases, axis=1)
    result: FloatArray = path * factor + np.take_along_axis(state.addend, phases, axis=1)
    return result


def damped_growth(damping: FloatArray, horizon: int) -> FloatArray:
    """Sum of phi^i for i = 1..h, [S, H]: 0 for phi = 0, h for phi = 1.

    Source: Gardner & McKenzie, Management Science 31 (1985).
    """
    powers = damping[:, None] ** np.arange(1, horizon + 1)[None, :]
    return np.cumsum(powers, axis=1)


def seasonal_factors(panel: Panel) -> FloatArray:
    """Shrunk multiplicative factors [S, m] by absolute phase; 1 for a segment without a significant season."""
    indices = np.where(is_seasonal(panel)[:, None], multiplicative_indices(panel), 1.0)
    return by_absolute_phase(indices, panel)


def adjusted(panel: Panel, factors: FloatArray) -> FloatArray:
    """Values [S, T] divided by their seasonal factors (by absolute phase); 0 before a segment's start."""
    return np.where(panel.valid, deseasonalised(panel, factors, np.zeros_like(factors)), 0.0)


def plain_state(level: FloatArray, trend: FloatArray, factors: FloatArray) -> State:
    """The state of a method for deseasonalised values; factors [S, m] by absolute phase."""
    return State(level, trend, factors, np.zeros_like(factors))
