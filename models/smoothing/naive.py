"""The seasonal naive method, which is also the baseline that every model is compared with."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from domain.arrays import BoolArray, FloatArray
from models.features.panel import Panel, by_absolute_phase
from models.smoothing.base import Parameters, State, damped_growth

__all__ = ["SeasonalNaive"]


@dataclass(frozen=True)
class SeasonalNaive:
    """The last season repeated; the last value where there is no season, or less than one on record.

    With a season within the season, that of the week: the last week, or else the last day.
    """

    def fit(self, panel: Panel, horizon: int) -> Parameters:
        return {"damping": np.zeros(len(panel.lengths))}

    def states(self, panel: Panel, parameters: Parameters) -> State:
        if panel.short:
            return self._within(panel, parameters)
        season, rows = panel.season, len(panel.lengths)
        values = np.where(panel.valid, panel.values, 0.0)
        whole = (panel.lengths >= season) & (season > 1)
        last = values[:, -1] if values.shape[1] else np.zeros(rows)
        addend = np.zeros((rows, season))
        if values.shape[1] >= season:
            recent = np.roll(values[:, -season:], 1, axis=1)
            addend = np.where(whole[:, None], by_absolute_phase(recent, panel), 0.0)
        return State(np.where(whole, 0.0, last), np.zeros(rows), np.ones((rows, season)), addend)

    def _within(self, panel: Panel, parameters: Parameters) -> State:
        """The last long season; where there is less than one on record, the last short one."""
        long = self.states(replace(panel, short=0), parameters)
        short = self.states(panel.by_short_season, parameters)
        times = panel.season // panel.short
        whole = panel.lengths >= panel.season
        return State(
            np.where(whole, long.level, short.level),
            long.trend,
            long.multiplier,
            np.where(whole[:, None], long.addend, np.tile(short.addend, (1, times))),
        )

    def growth(self, parameters: Parameters, horizon: int) -> FloatArray:
        return damped_growth(parameters["damping"], horizon)

    def applicable(self, panel: Panel) -> BoolArray:
        return panel.lengths >= 1
