"""Training rows of forecast segments: each usable (origin, step), computed once and cut at each backtest cutoff."""

from dataclasses import dataclass

import numpy as np

from domain.arrays import BoolArray, FloatArray, IntArray
from models.features.feature_spec import FeatureSpec, base_features
from models.features.panel import Panel
from models.features.series import Series

__all__ = ["Cutoff", "Rows", "build_rows"]

MAX_ROWS = 4_096
_MIN_HISTORY = 4
_LONG_SEASONS = 4


@dataclass(frozen=True)
class Rows:
    """Rows of S segments, O forecast origins and H steps.

    Parameters
    ----------
    origins : columns of the panel, [O].
    base : base features [S, O, H, k].
    target : [S, O, H]; NaN beyond the panel.
    usable : rows that may be trained on, [S, O, H].
    """

    origins: IntArray
    base: FloatArray
    target: FloatArray
    usable: BoolArray


@dataclass(frozen=True)
class Cutoff:
    """A forecast origin, and the history of the segments up to it.

    Parameters
    ----------
    rows : feature rows; None if no candidate needs them.
    after : periods of the series after the origin; 0 for its end.
    horizon : periods to forecast.
    """

    series: Series
    spec: FeatureSpec
    rows: Rows | None
    after: int
    horizon: int

    @property
    def table(self) -> Rows:
        """The feature rows; raises ValueError for a cutoff made without them, for smoothing candidates alone."""
        if self.rows is None:
            raise ValueError("this cutoff was made without feature rows")
        return self.rows

    @property
    def panel(self) -> Panel:
        """The panel up to the origin."""
        return self.series.panel.truncate(self.after)

    @property
    def column(self) -> int:
        """Column of the origin in the untruncated panel."""
        return int(self.series.panel.values.shape[1]) - 1 - self.after

    def actual(self) -> FloatArray:
        """Values that followed the origin, [S, H]; NaN beyond the panel, and where a segment is closed."""
        values, first = self.series.panel.values, self.column + 1
        padded = np.full((values.shape[0], self.horizon), np.nan)
        ahead = slice(first, first + self.horizon)
        following = np.where(self.series.closed[:, ahead], np.nan, values[:, ahead])
        padded[:, : following.shape[1]] = following
        return padded

    def training(self) -> BoolArray:
        """Rows whose target lies at or before the origin, [S, O, H]."""
        rows = self.table
        steps = np.arange(1, rows.target.shape[2] + 1)
        known = rows.origins[:, None] + steps[None, :] <= self.column
        return rows.usable & known[None]

    def base_at_origin(self) -> FloatArray:
        """Base features at the origin, [S, H, k]."""
        at = int(np.flatnonzero(self.table.origins == self.column)[0])
        return self.table.base[:, at, : self.horizon]


def build_rows(series: Series, spec: FeatureSpec, cutoffs: list[int]) -> Rows:
    """Rows at the newest origins, at most MAX_ROWS per segment, and at the cutoffs (periods before the end)."""
    panel, horizon = series.panel, spec.horizon
    width = panel.values.shape[1]
    origins = np.union1d(_origins(width, spec), width - 1 - np.array(cutoffs, dtype=np.int64))
    origins = origins[origins >= 0]
    last = series.covariates[:, -1:, :]
    extended = np.concatenate([series.covariates, np.repeat(last, horizon, axis=1)], axis=1)
    base = base_features(panel, np.nan_to_num(extended), spec, origins)
    column = origins[:, None] + np.arange(1, horizon + 1)[None, :]
    known = np.where(series.closed, np.nan, panel.values)
    target = np.where(column[None] < width, known[:, np.minimum(column, width - 1)], np.nan)
    history = origins[None, :] - (width - panel.lengths[:, None]) + 1
    season = np.where(panel.lengths >= 2 * spec.season, spec.season, 0)
    enough = history >= np.maximum(_MIN_HISTORY, season)[:, None]
    return Rows(origins, base, target, enough[:, :, None] & ~np.isnan(target))


def _origins(width: int, spec: FeatureSpec) -> IntArray:
    """The newest origins; with a season within the season, as many, spread over the newest seasons."""
    n_origins = max(8, MAX_ROWS // spec.horizon)
    if not spec.short_season:
        return np.arange(max(0, width - 1 - n_origins), width)
    span = min(width - 1, _LONG_SEASONS * spec.season)
    return np.unique(np.linspace(width - 1 - span, width - 1, min(n_origins, span + 1)).astype(np.int64))
