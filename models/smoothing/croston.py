"""Intermittent demand: smooth sizes and intervals separately."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from domain.arrays import BoolArray, FloatArray
from models.features.panel import Panel
from models.smoothing.base import Parameters, State, damped_growth, plain_state

__all__ = ["Croston"]

_INTERMITTENT = 1.32  # Mean interval between demands, after Syntetos, Boylan & Croston, J. Oper. Res. Soc. 56 (2005).


@dataclass(frozen=True)
class Croston:
    """Demand per period = (1 - alpha / 2) * size / interval, both smoothed where demand occurs.

    Source: Croston, Oper. Res. Quarterly 23 (1972); bias correction of Syntetos & Boylan, IJF 21 (2005), "SBA".
    """

    alphas: tuple[float, ...] = (0.05, 0.1, 0.15, 0.2, 0.3)

    def fit(self, panel: Panel, horizon: int) -> Parameters:
        rows = len(panel.lengths)
        grid = np.broadcast_to(np.array(self.alphas)[:, None], (len(self.alphas), rows))
        cost, _ = _run(panel, grid)
        alpha = np.array(self.alphas)[cost.argmin(axis=0)]
        return {"alpha": alpha, "damping": np.zeros(rows)}

    def states(self, panel: Panel, parameters: Parameters) -> State:
        _, demand = _run(panel, parameters["alpha"][None, :])
        return plain_state(demand[0], np.zeros_like(demand[0]), np.ones((len(panel.lengths), panel.season)))

    def growth(self, parameters: Parameters, horizon: int) -> FloatArray:
        return damped_growth(parameters["damping"], horizon)

    def applicable(self, panel: Panel) -> BoolArray:
        values = np.where(panel.valid, panel.values, 0.0)
        demands = (values > 0.0).sum(axis=1)
        rare: BoolArray = (demands >= 2) & (panel.lengths > _INTERMITTENT * demands) & np.all(values >= 0.0, axis=1)
        return rare


def _run(panel: Panel, alpha: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Sums of squared one-step errors, and the last demand per period, [G, S]; alpha : [G, S]."""
    valid, values = panel.valid.T, np.where(panel.valid, panel.values, 0.0).T
    demands = np.maximum((values != 0.0).sum(axis=0), 1)
    size = np.broadcast_to(values.sum(axis=0) / demands, alpha.shape)
    interval = np.broadcast_to(np.maximum(panel.lengths / demands, 1.0), alpha.shape)
    waited = np.ones(alpha.shape[1])
    correction = 1.0 - alpha / 2.0
    cost = np.zeros(alpha.shape)
    for column in range(len(values)):
        error = values[column] - correction * size / interval
        cost += np.where(valid[column], error * error, 0.0)
        demand = valid[column] & (values[column] != 0.0)
        size = np.where(demand, size + alpha * (values[column] - size), size)
        interval = np.where(demand, interval + alpha * (waited - interval), interval)
        waited = np.where(demand, 1.0, np.where(valid[column], waited + 1.0, waited))
    return cost, correction * size / interval
