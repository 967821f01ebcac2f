"""Temporal aggregation: smooth the means of blocks of periods, where the long run is easier to see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from domain.arrays import BoolArray, FloatArray
from models.features.panel import Panel
from models.smoothing.base import Parameters, State, adjusted, plain_state, seasonal_factors
from models.smoothing.ets_recursion import ALPHA, BETA, DAMPING, Recursion, Space, optimise

__all__ = ["Adida"]

_SPACE = Space(
    ((0.05, 0.2, 0.5, 0.8), (0.0, 0.02, 0.1, 0.3), (0.0,), (0.8, 0.9, 0.97)),
    ((0.01, 0.99), (0.0, 1.0), (0.0, 0.0), (0.8, 0.98)),
    steps=(1,),
)


@dataclass(frozen=True)
class Adida:
    """Damped trend on the means of blocks of half a season (2 to 6 periods), counted back from the origin.

    Source: Nikolopoulos, Syntetos, Boylan, Petropoulos & Assimakopoulos, J. Oper. Res. Soc. 62 (2011);
    Kourentzes, Petropoulos & Trapero, Int. J. Forecasting 30 (2014).
    """

    name: str = "adida"
    complexity: int = 4

    def fit(self, panel: Panel, horizon: int) -> Parameters:
        factors, size = seasonal_factors(panel), block_size(panel.season)
        best, _ = optimise(self._recursion(panel, factors), _SPACE)
        return {
            "alpha": best[ALPHA],
            "beta": best[BETA],
            "damping": best[DAMPING],
            "factors": factors,
            "block": np.full(len(factors), float(size)),
        }

    def states(self, panel: Panel, parameters: Parameters) -> State:
        factors = parameters["factors"]
        zeros = np.zeros(len(factors))
        best = np.stack([parameters["alpha"], parameters["beta"], zeros, parameters["damping"]])
        final = self._recursion(panel, factors).final(best)
        return plain_state(final.level, final.trend, factors)

    def growth(self, parameters: Parameters, horizon: int) -> FloatArray:
        """The block's damped sums, read off where step h lies: (h + (k - 1) / 2) / k blocks after the last one."""
        size, phi = parameters["block"][:, None], parameters["damping"][:, None]
        position = (np.arange(1, horizon + 1)[None, :] + (size - 1.0) / 2.0) / size
        whole = np.floor(position)
        sums = phi * (1.0 - phi**whole) / (1.0 - phi)
        growth: FloatArray = sums + (position - whole) * phi ** (whole + 1.0)
        return growth

    def applicable(self, panel: Panel) -> BoolArray:
        return panel.lengths >= 5 * block_size(panel.season)

    @staticmethod
    def _recursion(panel: Panel, factors: FloatArray) -> Recursion:
        size = block_size(panel.season)
        blocks = panel.values.shape[1] // size
        values = adjusted(panel, factors)[:, panel.values.shape[1] - blocks * size :]
        means = values.reshape(len(values), blocks, size).mean(axis=2)
        lengths = panel.lengths // size
        coarse = Panel(means, lengths, panel.ends, 1)
        return Recursion.over(coarse, np.zeros((len(values), 1)), "none", True)


def block_size(season: int) -> int:
    """Periods in a block: half a season, but 2 at least and 6 at most."""
    return min(max(season // 2, 2), 6)
