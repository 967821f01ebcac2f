"""Ridge regression of many segments at once, from their moments.

Source: Hoerl & Kennard, Technometrics 12 (1970). Columns are standardised within each segment and the intercept is
free, so the penalty acts on comparable coefficients.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from domain.arrays import BoolArray, FloatArray, IntArray
from models.features.feature_spec import Design
from models.features.target_transform import to_scale
from models.features.training_rows import Rows

__all__ = [
    "COVARIATE_PENALTY",
    "HISTORY_PENALTIES",
    "PENALTIES",
    "LinearRows",
    "SufficientStatistics",
    "design_matrix",
    "solve_ridge",
    "sufficient_statistics",
]

PENALTIES = np.array([1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0])
"""Penalties that compete, as multiples of the number of rows."""

HISTORY_PENALTIES = np.array([0.03, 0.3, 3.0, 1e3])
"""Penalties of lags, season and trend that compete; the last one leaves a level and the covariates: where a series is
noise around its level, its past misleads."""

COVARIATE_PENALTY = 0.05
"""Penalty of a fleet's own columns: there are few of them, and somebody chose each."""


@dataclass(frozen=True)
class SufficientStatistics:
    """Sums over the rows of each segment: all that least squares needs.

    rows [S], x [S, d], y [S], xx [S, d, d], xy [S, d].
    """

    rows: FloatArray
    x: FloatArray
    y: FloatArray
    xx: FloatArray
    xy: FloatArray

    def __add__(self, other: Self) -> Self:
        """Moments of the rows of both."""
        return type(self)(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


def design_matrix(base: FloatArray, design: Design, transform: str) -> tuple[FloatArray, FloatArray]:
    """What a linear model or a tree sees of base features [..., k]: columns [..., d] and the anchor [...].

    Values are taken relative to the anchor on the fitting scale; predictions are too.
    """
    others = base[..., list(design.others)]
    if design.anchor is None:
        return others, np.zeros(base.shape[:-1])
    anchor = to_scale(base[..., design.anchor], transform)
    values = to_scale(base[..., list(design.values)], transform) - anchor[..., None]
    return np.concatenate([values, others], axis=-1), anchor


def sufficient_statistics(x: FloatArray, y: FloatArray, weight: FloatArray) -> SufficientStatistics:
    """Moments of rows x [S, n, d], y [S, n] with weights [S, n] (0 leaves a row out)."""
    weighted = x * weight[..., None]
    flipped = np.swapaxes(weighted, 1, 2)
    used = np.where(weight > 0, y, 0.0)
    return SufficientStatistics(
        weight.sum(axis=1),
        weighted.sum(axis=1),
        (used * weight).sum(axis=1),
        flipped @ x,
        (flipped @ used[..., None])[..., 0],
    )


@dataclass(frozen=True)
class LinearRows:
    """Rows of a bucket as a linear model sees them, in one axis n of (origin, step).

    x [S, n, d], y [S, n] relative to the anchor on the fitting scale, usable [S, n]; origin, target : [n], columns of
    the panel that a row is seen from and that it is about.
    """

    x: FloatArray
    y: FloatArray
    usable: BoolArray
    origin: IntArray
    target: IntArray

    @classmethod
    def over(cls, rows: Rows, design: Design, transform: str) -> Self:
        n_segments, _, horizon = rows.target.shape
        x, anchor = design_matrix(rows.base, design, transform)
        y = to_scale(np.nan_to_num(rows.target), transform) - anchor
        origin = np.repeat(rows.origins, horizon)
        target = origin + np.tile(np.arange(1, horizon + 1), len(rows.origins))
        usable = rows.usable.reshape(n_segments, -1)
        return cls(x.reshape(n_segments, -1, x.shape[-1]), y.reshape(n_segments, -1), usable, origin, target)

    def sufficient_statistics(self, cutoffs: Iterable[int]) -> dict[int, SufficientStatistics]:
        """Moments of the usable rows whose target lies at or before each cutoff; every row is summed up once."""
        found: dict[int, SufficientStatistics] = {}
        before, total = -1, None
        for cutoff in sorted(set(cutoffs)):
            columns = np.flatnonzero((self.target > before) & (self.target <= cutoff))
            part = sufficient_statistics(self.x[:, columns], self.y[:, columns], self.usable[:, columns].astype(float))
            total = part if total is None else total + part
            found[cutoff], before = total, cutoff
        return found


def solve_ridge(found: SufficientStatistics, penalties: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Coefficients [S, d] and intercepts [S] in the columns' own units.

    penalties : of each column, [S, d] or [S, 1], as multiples of the segment's rows. A constant column gets 0.
    """
    n = np.maximum(found.rows, 1.0)[:, None]
    mean_x, mean_y = found.x / n, found.y / n[:, 0]
    covariance = found.xx / n[..., None] - mean_x[:, :, None] * mean_x[:, None, :]
    variance = np.maximum(np.einsum("sdd->sd", covariance), 0.0)
    varies = variance > 1e-12 * np.maximum(1e-12, np.einsum("sdd->sd", found.xx) / n)
    spread = np.where(varies, np.sqrt(np.where(varies, variance, 1.0)), 1.0)
    scaled = covariance / (spread[:, :, None] * spread[:, None, :])
    scaled = np.where(varies[:, :, None] & varies[:, None, :], scaled, 0.0)
    target = np.where(varies, (found.xy / n - mean_x * mean_y[:, None]) / spread, 0.0)
    ridge = scaled + (np.broadcast_to(penalties, mean_x.shape) + 1e-9)[:, :, None] * np.eye(scaled.shape[1])
    coefficients = np.linalg.solve(ridge, target[..., None])[..., 0] / spread
    return coefficients, mean_y - np.einsum("sd,sd->s", coefficients, mean_x)
