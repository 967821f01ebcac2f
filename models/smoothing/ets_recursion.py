"""Exponential smoothing with a damped trend and an optional season, for many parameter points and segments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from domain.arrays import BoolArray, FloatArray
from models.features.panel import Panel, by_absolute_phase, by_column_phase
from models.smoothing.grid_search import zoom

__all__ = ["ALPHA", "BETA", "DAMPING", "GAMMA", "Final", "Kind", "Recursion", "Space", "optimise"]

Kind = Literal["none", "additive", "multiplicative"]
ALPHA, BETA, GAMMA, DAMPING = range(4)
_FIRST_PERIODS = 10  # The first level and slope come from a line through these, as in Hyndman et al. (2002).
_FLOOR = 1e-3


@dataclass(frozen=True)
class Space:
    """Coarse grid and limits of alpha, beta*, gamma and phi, and the steps ahead whose errors the criterion sums."""

    grids: tuple[tuple[float, ...], ...]
    bounds: tuple[tuple[float, float], ...]
    steps: tuple[int, ...] = (1, 3, 6)
    penalty: float = 1.0


@dataclass(frozen=True)
class Final:
    """States after the last column: level and trend [S], season [S, m] by absolute phase."""

    level: FloatArray
    trend: FloatArray
    season: FloatArray


@dataclass
class _Cells:
    """Running states [G, S] (season [m, G, S]) of G parameter points."""

    level: FloatArray
    trend: FloatArray
    season: FloatArray


@dataclass(frozen=True)
class Recursion:
    """The error-correction form of damped-trend smoothing over one panel.

    Parameters
    ----------
    values, valid : [T, S]; values are zero where not valid.
    full : columns in which every segment is valid, [T].
    level, trend : before the first period, [S].
    season : first indices by column phase, [m, S].
    scale : mean absolute adjusted value, the unit of errors, [S].

    Source: Hyndman, Koehler, Snyder & Grose, Int. J. Forecasting 18 (2002); ETS(A, Ad, N), (A, Ad, A), (A, Ad, M).
    """

    kind: Kind
    panel: Panel
    values: FloatArray
    valid: BoolArray
    full: BoolArray
    level: FloatArray
    trend: FloatArray
    season: FloatArray
    scale: FloatArray

    @classmethod
    def over(cls, panel: Panel, season: FloatArray, kind: Kind, trended: bool) -> Recursion:
        """Start from the panel's first periods; season [S, m] holds the first indices by absolute phase."""
        valid = np.ascontiguousarray(panel.valid.T)
        values = np.where(valid, panel.values.T, 0.0)
        first = np.ascontiguousarray(by_column_phase(season, panel).T)
        full: BoolArray = np.asarray(valid.all(axis=1), dtype=np.bool_)
        columns = len(values)
        seasonal = first[(np.arange(columns) - (columns - 1)) % panel.season]
        plain = {"none": values, "additive": values - seasonal, "multiplicative": values / np.maximum(seasonal, _FLOOR)}
        adjusted = np.where(valid, plain[kind], 0.0)
        scale = np.maximum(np.abs(adjusted).sum(axis=0) / np.maximum(panel.lengths, 1), np.finfo(np.float64).tiny)
        level, trend = _first_line(adjusted, valid, panel, trended)
        if kind == "multiplicative":
            level = np.maximum(level, 0.1 * scale)
        return cls(kind, panel, values, valid, full, level, trend, first, scale)

    def cost(self, points: FloatArray, space: Space) -> FloatArray:
        """Log of the summed squared errors [G, S] over the steps ahead, in units of the scale, plus the penalty.

        points : [4, G, S]. The penalty on beta* and gamma is a prior: short histories do not identify them.
        Source of errors several steps ahead: Xia & Tong, Statistical Science 26 (2011).
        """
        cells, phi = self._begin(points), points[DAMPING]
        growths = [np.sum([phi**power for power in range(1, step + 1)], axis=0) for step in space.steps]
        total = np.zeros_like(cells.level)
        for column in self._columns():
            for step, growth in zip(space.steps, growths, strict=True):
                target = column + step - 1
                if target < len(self.values):
                    error = (self.values[target] - self._predict(cells, growth, target)) / self.scale
                    total += error * error * self.valid[column]
            self._advance(cells, points, column)
        floor = 1e-12 * np.maximum(self.panel.lengths, 1)
        cost: FloatArray = np.log(total + floor) + space.penalty * (points[BETA] + points[GAMMA])
        return cost

    def final(self, best: FloatArray) -> Final:
        """States after the last column for one point per segment; best : [4, S]."""
        points = best[:, None, :]
        cells = self._begin(points)
        for column in self._columns():
            self._advance(cells, points, column)
        season = np.ascontiguousarray(cells.season[:, 0, :].T)
        return Final(cells.level[0], cells.trend[0], by_absolute_phase(season, self.panel))

    def _columns(self) -> range:
        """Columns from the first one in which any segment has a value."""
        used = np.flatnonzero(self.valid.any(axis=1))
        return range(int(used[0]) if used.size else len(self.valid), len(self.valid))

    def _begin(self, points: FloatArray) -> _Cells:
        shape = points.shape[1:]
        season = np.broadcast_to(self.season[:, None, :], (len(self.season), *shape)).copy()
        return _Cells(np.broadcast_to(self.level, shape).copy(), np.broadcast_to(self.trend, shape).copy(), season)

    def _phase(self, column: int) -> int:
        return (column - (len(self.values) - 1)) % len(self.season)

    def _predict(self, cells: _Cells, growth: FloatArray, column: int) -> FloatArray:
        base = cells.level + growth * cells.trend
        if self.kind == "multiplicative":
            base *= cells.season[self._phase(column)]
        elif self.kind == "additive":
            base += cells.season[self._phase(column)]
        return base

    def _advance(self, cells: _Cells, points: FloatArray, column: int) -> None:
        """Update the states by one column; a segment that has not started yet keeps its first states."""
        alpha, beta, gamma, phi = points
        phase = self._phase(column)
        drift = phi * cells.trend
        base = cells.level + drift
        error = self.values[column] - base
        if self.kind == "multiplicative":
            seasonal = cells.season[phase]
            error = self.values[column] / seasonal - base
            share = error * seasonal / np.maximum(base, _FLOOR * self.scale)
        elif self.kind == "additive":
            error = share = error - cells.season[phase]
        cells.level = self._where(column, base + alpha * error, cells.level)
        cells.trend = self._where(column, drift + alpha * beta * error, cells.trend)
        if self.kind != "none":
            moved = cells.season[phase] + gamma * (1.0 - alpha) * share
            moved = np.maximum(moved, 0.01) if self.kind == "multiplicative" else moved
            cells.season[phase] = self._where(column, moved, cells.season[phase])

    def _where(self, column: int, new: FloatArray, old: FloatArray) -> FloatArray:
        """`new` for the segments that have started by this column, `old` for all others."""
        return new if self.full[column] else np.where(self.valid[column], new, old)


def optimise(recursion: Recursion, space: Space, rounds: int = 6) -> tuple[FloatArray, FloatArray]:
    """Best alpha, beta*, gamma, phi [4, S] and their criterion [S]."""
    return zoom(lambda points: recursion.cost(points, space), space.grids, space.bounds, len(recursion.scale), rounds)


def _first_line(adjusted: FloatArray, valid: BoolArray, panel: Panel, trended: bool) -> tuple[FloatArray, FloatArray]:
    """Level before the first period and slope [S]: a least-squares line through the first periods, or their mean."""
    position = np.cumsum(valid, axis=0)
    weight = np.where(valid & (position <= _FIRST_PERIODS), 1.0, 0.0)
    count = np.maximum(np.minimum(panel.lengths, _FIRST_PERIODS), 1)
    centre = (weight * position).sum(axis=0) / count
    mean = (weight * adjusted).sum(axis=0) / count
    if not trended:
        return mean, np.zeros_like(mean)
    deviation = weight * (position - centre)
    slope = (deviation * (adjusted - mean)).sum(axis=0) / np.maximum((deviation * deviation).sum(axis=0), 1.0)
    slope = np.where(panel.lengths >= 3, slope, 0.0)
    return mean - slope * centre, slope
