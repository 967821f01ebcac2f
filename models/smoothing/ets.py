"""Exponential smoothing with a season."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from domain.arrays import BoolArray, FloatArray
from models.features.panel import Panel, by_absolute_phase
from models.smoothing.base import Parameters, State, damped_growth
from models.smoothing.ets_recursion import ALPHA, BETA, DAMPING, GAMMA, Kind, Recursion, Space, optimise
from models.smoothing.seasonality import additive_indices, is_seasonal, multiplicative_indices, positive

__all__ = ["Ets"]

_SEASONAL = Space(
    ((0.05, 0.3, 0.7), (0.0, 0.1), (0.0, 0.1), (0.85, 0.95)), ((0.01, 0.99), (0.0, 1.0), (0.0, 1.0), (0.8, 0.98))
)


@dataclass(frozen=True)
class Ets:
    """Seasonal smoothing with a damped trend; additive or multiplicative season by the in-sample criterion.

    Source: Hyndman, Koehler, Snyder & Grose, Int. J. Forecasting 18 (2002).
    """

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
