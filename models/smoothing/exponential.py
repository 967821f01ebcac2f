"""The classical candidates: naive, moving average and exponential smoothing, and the registry of all members."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from domain.arrays import BoolArray, FloatArray
from models.features.panel import Panel, by_absolute_phase
from models.smoothing.adida import Adida
from models.smoothing.base import (
    Parameters,
    SmoothingMethod,
    State,
    adjusted,
    damped_growth,
    forecast,
    plain_state,
    seasonal_factors,
)
from models.smoothing.croston import Croston
from models.smoothing.ets_recursion import ALPHA, BETA, DAMPING, GAMMA, Kind, Recursion, Space, optimise
from models.smoothing.seasonality import additive_indices, is_seasonal, multiplicative_indices, positive
from models.smoothing.theta import Theta

__all__ = [
    "MEMBERS",
    "Ets",
    "HoltDamped",
    "MovingAverage",
    "Parameters",
    "SeasonalNaive",
    "Ses",
    "SmoothingMethod",
    "State",
    "forecast",
]

_ALPHAS = (0.05, 0.2, 0.5, 0.8)
_BETAS = (0.0, 0.02, 0.1, 0.3)
_DAMPINGS = (0.8, 0.9, 0.97)
_LEVEL_ONLY = Space((_ALPHAS, (0.0,), (0.0,), (0.0,)), ((0.01, 0.99), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0)))
_TRENDED = Space((_ALPHAS, _BETAS, (0.0,), _DAMPINGS), ((0.01, 0.99), (0.0, 1.0), (0.0, 0.0), (0.8, 0.98)))
_SEASONAL = Space(
    ((0.05, 0.3, 0.7), (0.0, 0.1), (0.0, 0.1), (0.85, 0.95)), ((0.01, 0.99), (0.0, 1.0), (0.0, 1.0), (0.8, 0.98))
)


@dataclass(frozen=True)
class SeasonalNaive:
    """The last season repeated; the last value where there is no season, or less than one on record."""

    name: str = "seasonal_naive"
    complexity: int = 0

    def fit(self, panel: Panel, horizon: int) -> Parameters:
        return {"damping": np.zeros(len(panel.lengths))}

    def states(self, panel: Panel, parameters: Parameters) -> State:
        season, rows = panel.season, len(panel.lengths)
        values = np.where(panel.valid, panel.values, 0.0)
        whole = (panel.lengths >= season) & (season > 1)
        last = values[:, -1] if values.shape[1] else np.zeros(rows)
        addend = np.zeros((rows, season))
        if values.shape[1] >= season:
            recent = np.roll(values[:, -season:], 1, axis=1)
            addend = np.where(whole[:, None], by_absolute_phase(recent, panel), 0.0)
        return State(np.where(whole, 0.0, last), np.zeros(rows), np.ones((rows, season)), addend)

    def growth(self, parameters: Parameters, horizon: int) -> FloatArray:
        return damped_growth(parameters["damping"], horizon)

    def applicable(self, panel: Panel) -> BoolArray:
        return panel.lengths >= 1


@dataclass(frozen=True)
class MovingAverage:
    """Mean of the last periods of the deseasonalised series; the window with the least one-step error, in sample."""

    name: str = "moving_average"
    complexity: int = 1
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


@dataclass(frozen=True)
class _Smoothed:
    """Exponential smoothing of the deseasonalised series; the season's factors are frozen parameters."""

    name: str
    complexity: int
    space: Space
    least: int

    def fit(self, panel: Panel, horizon: int) -> Parameters:
        factors = seasonal_factors(panel)
        best, _ = optimise(self._recursion(panel, factors), self.space)
        return {"alpha": best[ALPHA], "beta": best[BETA], "damping": best[DAMPING], "factors": factors}

    def states(self, panel: Panel, parameters: Parameters) -> State:
        factors = parameters["factors"]
        zeros = np.zeros(len(factors))
        best = np.stack([parameters["alpha"], parameters["beta"], zeros, parameters["damping"]])
        final = self._recursion(panel, factors).final(best)
        return plain_state(final.level, final.trend, factors)

    def growth(self, parameters: Parameters, horizon: int) -> FloatArray:
        return damped_growth(parameters["damping"], horizon)

    def applicable(self, panel: Panel) -> BoolArray:
        return panel.lengths >= self.least

    def _recursion(self, panel: Panel, factors: FloatArray) -> Recursion:
        trended = self.space.bounds[DAMPING][1] > 0.0
        plain = replace(panel, values=np.where(panel.valid, adjusted(panel, factors), np.nan))
        return Recursion.over(plain, np.zeros_like(factors), "none", trended)


@dataclass(frozen=True)
class Ses(_Smoothed):
    """Simple exponential smoothing. Source: Brown (1959); Gardner, J. Forecasting 4 (1985)."""

    name: str = "ses"
    complexity: int = 2
    space: Space = _LEVEL_ONLY
    least: int = 3


@dataclass(frozen=True)
class HoltDamped(_Smoothed):
    """Additive damped trend. Source: Gardner & McKenzie, Management Science 31 (1985)."""

    name: str = "holt_damped"
    complexity: int = 3
    space: Space = _TRENDED
    least: int = 6


@dataclass(frozen=True)
class Ets:
    """Seasonal smoothing with a damped trend; additive or multiplicative season by the in-sample criterion.

    Source: Hyndman, Koehler, Snyder & Grose, Int. J. Forecasting 18 (2002).
    """

    name: str = "ets"
    complexity: int = 4
    space: Space = _SEASONAL

    def fit(self, panel: Panel, horizon: int) -> Parameters:
        seasonal = is_seasonal(panel)[:, None]
        factors = by_absolute_phase(np.where(seasonal, multiplicative_indices(panel), 1.0), panel)
        addends = by_absolute_phase(np.where(seasonal, additive_indices(panel), 0.0), panel)
        added, added_cost = optimise(Recursion.over(panel, addends, "additive", True), self.space, rounds=4)
        times, times_cost = optimise(Recursion.over(panel, factors, "multiplicative", True), self.space, rounds=4)
        chosen = positive(panel) & (times_cost <= added_cost)
        best = np.where(chosen, times, added)
        return {
            "alpha": best[ALPHA],
            "beta": best[BETA],
            "gamma": best[GAMMA],
            "damping": best[DAMPING],
            "multiplicative": chosen.astype(np.float64),
            "season": np.where(chosen[:, None], factors, addends),
        }

    def states(self, panel: Panel, parameters: Parameters) -> State:
        best = np.stack([parameters[key] for key in ("alpha", "beta", "gamma", "damping")])
        chosen = (parameters["multiplicative"] > 0.0)[:, None]
        firsts: dict[Kind, FloatArray] = {
            "additive": np.where(chosen, 0.0, parameters["season"]),
            "multiplicative": np.where(chosen, parameters["season"], 1.0),
        }
        added, times = (Recursion.over(panel, first, kind, True).final(best) for kind, first in firsts.items())
        return State(
            np.where(chosen[:, 0], times.level, added.level),
            np.where(chosen[:, 0], times.trend, added.trend),
            np.where(chosen, times.season, 1.0),
            np.where(chosen, 0.0, added.season),
        )

    def growth(self, parameters: Parameters, horizon: int) -> FloatArray:
        return damped_growth(parameters["damping"], horizon)

    def applicable(self, panel: Panel) -> BoolArray:
        return (panel.lengths >= 2 * panel.season) & (panel.season > 1)


MEMBERS: dict[str, SmoothingMethod] = {
    member.name: member
    for member in (SeasonalNaive(), MovingAverage(), Ses(), HoltDamped(), Ets(), Theta(), Adida(), Croston())
}
