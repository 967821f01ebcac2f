"""Temporal aggregation: smooth the means of blocks of periods, in which the long run is easier to see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from domain.arrays import BoolArray, FloatArray
from models.features.panel import Panel
from models.smoothing.base import Parameters, adjusted
from models.smoothing.ets_recursion import Recursion, Space
from models.smoothing.exponential import ExponentialSmoothing

__all__ = ["Adida"]

_SPACE = Space(
    ((0.05, 0.2, 0.5, 0.8), (0.0, 0.02, 0.1, 0.3), (0.0,), (0.8, 0.9, 0.97)),
    ((0.01, 0.99), (0.0, 1.0), (0.0, 0.0), (0.8, 0.98)),
    steps=(1,),
)


@dataclass(frozen=True)
class Adida(ExponentialSmoothing):
    """Damped trend on the means of blocks of half a season (2 to 6 periods), counted back from the origin.

    Source: Nikolopoulos, Syntetos, Boylan, Petropoulos & Assimakopoulos, J. Oper. Res. Soc. 62 (2011);
    Kourentzes, Petropoulos & Trapero, Int. J. Forecasting 30 (2014).
    """

    space: Space = _SPACE

    def fit(self, panel: Panel, horizon: int) -> Parameters:
        block = np.full(len(panel.lengths), float(block_size(panel.season)))
        return super().fit(panel, horizon) | {"block": block}

    def growth(self, parameters: Parameters, horizon: int) -> FloatArray:
        """The damped sums over blocks at the position of step h: (h + (k - 1) / 2) / k blocks after the last one."""
        size, phi = parameters["block"][:, None], parameters["damping"][:, None]
        position = (np.arange(1, horizon + 1)[None, :] + (size - 1.0) / 2.0) / size
        whole = np.floor(position)
        sums = phi * (1.0 - phi**whole) / (1.0 - phi)
        growth: FloatArray = sums + (position - whole) * phi ** (whole + 1.0)
        return growth

    def applicable(self, panel: Panel) -> BoolArray:
        return panel.lengths >= 5 * block_size(panel.season)

    def recursion(self, panel: Panel, factors: FloatArray) -> Recursion:
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
