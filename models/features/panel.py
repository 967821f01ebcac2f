"""The panel: many regular series in one right-aligned array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from domain.arrays import BoolArray, FloatArray, IntArray

__all__ = ["Panel", "by_absolute_phase", "by_column_phase", "mean_absolute", "target_phases"]


@dataclass(frozen=True)
class Panel:
    """Regular series of many segments; the last column is each segment's last period (its origin).

    Parameters
    ----------
    values : float64 [S, T], target's unit; NaN before a segment's start, gaps inside are already filled.
    lengths : int64 [S], valid columns at the right end.
    ends : int64 [S], ordinal of the last column's period; the seasonal phase of ordinal p is p % season.
    season : periods per season, 1 = none. short : periods of a season within it, such as the day within the week, of
        which it is a multiple; 0 = none.
    """

    values: FloatArray
    lengths: IntArray
    ends: IntArray
    season: int
    short: int = 0

    @property
    def by_short_season(self) -> Panel:
        """The same series with the short season alone."""
        return replace(self, season=self.short, short=0)

    @property
    def valid(self) -> BoolArray:
        """Mask [S, T] of the columns that hold a segment's values."""
        columns = self.values.shape[1]
        mask: BoolArray = np.arange(columns)[None, :] >= columns - self.lengths[:, None]
        return mask

    def truncate(self, periods: int) -> Panel:
        """The same segments as of an origin `periods` earlier; a segment that starts later has length 0."""
        periods_kept = max(self.values.shape[1] - periods, 0)
        return replace(
            self,
            values=self.values[:, :periods_kept],
            lengths=np.maximum(self.lengths - periods, 0),
            ends=self.ends - periods,
        )

    @classmethod
    def join(cls, panels: Sequence[Panel]) -> Panel:
        """The segments of several panels of one season, one after another."""
        width = max(panel.values.shape[1] for panel in panels)
        values = [np.pad(p.values, ((0, 0), (width - p.values.shape[1], 0)), constant_values=np.nan) for p in panels]
        lengths, ends = (np.concatenate(parts) for parts in zip(*((p.lengths, p.ends) for p in panels), strict=True))
        return cls(np.concatenate(values), lengths, ends, panels[0].season, panels[0].short)

    def take(self, rows: ArrayLike) -> Panel:
        """The panel of some segments; rows : indices or a mask over the segment axis."""
        index = np.asarray(rows)
        return replace(self, values=self.values[index], lengths=self.lengths[index], ends=self.ends[index])


def by_absolute_phase(indices: FloatArray, panel: Panel) -> FloatArray:
    """Reorder [S, m] from column phase (0 = the last column) to absolute phase (ordinal % m)."""
    season = panel.season
    order = (np.arange(season)[None, :] - panel.ends[:, None]) % season
    return np.take_along_axis(indices, order, axis=1)


def by_column_phase(indices: FloatArray, panel: Panel) -> FloatArray:
    """Reorder [S, m] from absolute phase (ordinal % m) to column phase (0 = the last column)."""
    season = panel.season
    order = (np.arange(season)[None, :] + panel.ends[:, None]) % season
    return np.take_along_axis(indices, order, axis=1)


def target_phases(panel: Panel, horizon: int) -> IntArray:
    """Absolute seasonal phases [S, H] of the periods 1..H after each origin."""
    phases: IntArray = (panel.ends[:, None] + np.arange(1, horizon + 1)[None, :]) % panel.season
    return phases


def mean_absolute(values: FloatArray) -> FloatArray:
    """Mean absolute value [S] of the known values in [S, n]; 0 where there are none."""
    known = ~np.isnan(values)
    size: FloatArray = np.where(known, np.abs(values), 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return size
