"""Ridge regression of many segments at once, from their sufficient statistics.

Source: Hoerl & Kennard, Technometrics 12 (1970). Columns are standardised within each segment and the intercept is
free, so the penalty acts on comparable coefficients.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from domain.arrays import BoolArray, FloatArray, IntArray
from domain.config.fleet import Fleet
from domain.config.training import CandidateConfig
from domain.failure import Failure
from models.features.design import design_matrix
from models.features.feature_spec import Design, FeatureSpec
from models.features.target_transform import from_scale, to_scale
from models.features.training_rows import Cutoff, Rows
from models.onnx_graphs.builder import LinearMember
from models.training.base import Fitted, RowFit

__all__ = [
    "COVARIATE_PENALTY",
    "HISTORY_PENALTIES",
    "PENALTIES",
    "LinearRows",
    "Ridge",
    "SufficientStatistics",
    "solve_ridge",
    "sufficient_statistics",
]

PENALTIES = np.array([1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0])
"""Penalties that compete, as multiples of the number of rows."""

HISTORY_PENALTIES = np.array([0.03, 0.3, 3.0, 1e3])
"""Penalties of lags, season and trend that compete. The largest leaves only a level and the covariates: where a series
is noise around its level, its past misleads."""

COVARIATE_PENALTY = 0.05
"""Penalty of a fleet's own columns: they are few, and each was chosen deliberately."""


@dataclass(frozen=True)
class SufficientStatistics:
    """Sums over the rows of each segment, which are all that least squares needs.

    Shapes: rows [S], x [S, d], y [S], xx [S, d, d], xy [S, d].
    """

    rows: FloatArray
    x: FloatArray
    y: FloatArray
    xx: FloatArray
    xy: FloatArray

    def __add__(self, other: Self) -> Self:
        """The statistics of the rows of both."""
        return type(self)(*(getattr(self, sums.name) + getattr(other, sums.name) for sums in fields(self)))


def sufficient_statistics(x: FloatArray, y: FloatArray, weight: FloatArray) -> SufficientStatistics:
    """Statistics of rows x [S, n, d] and y [S, n] with weights [S, n]; weight 0 leaves a row out."""
    weighted = x * weight[..., None]
    transposed = np.swapaxes(weighted, 1, 2)
    used = np.where(weight > 0, y, 0.0)
    return SufficientStatistics(
        weight.sum(axis=1),
        weighted.sum(axis=1),
        (used * weight).sum(axis=1),
        transposed @ x,
        (transposed @ used[..., None])[..., 0],
    )


@dataclass(frozen=True)
class LinearRows:
    """Rows of a bucket for a linear model, with a single axis n for (origin, step).

    Parameters
    ----------
    x, y : [S, n, d] and [S, n], relative to the anchor on the fitting scale.
    usable : [S, n].
    origin, target : columns of the panel at which a row is forecast, and which it forecasts, [n].
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
        """Statistics of the usable rows whose target lies at or before each cutoff; each row is summed up once."""
        statistics: dict[int, SufficientStatistics] = {}
        before, total = -1, None
        for cutoff in sorted(set(cutoffs)):
            columns = np.flatnonzero((self.target > before) & (self.target <= cutoff))
            part = sufficient_statistics(self.x[:, columns], self.y[:, columns], self.usable[:, columns].astype(float))
            total = part if total is None else total + part
            statistics[cutoff], before = total, cutoff
        return statistics


def solve_ridge(statistics: SufficientStatistics, penalties: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Coefficients [S, d] and intercepts [S] in the columns' own units; constant columns have coefficient 0.

    penalties : of each column, [S, d] or [S, 1], as multiples of the segment's rows.
    """
    n = np.maximum(statistics.rows, 1.0)[:, None]
    mean_x, mean_y = statistics.x / n, statistics.y / n[:, 0]
    covariance = statistics.xx / n[..., None] - mean_x[:, :, None] * mean_x[:, None, :]
    variance = np.maximum(np.einsum("sdd->sd", covariance), 0.0)
    varies = variance > 1e-12 * np.maximum(1e-12, np.einsum("sdd->sd", statistics.xx) / n)
    deviation = np.where(varies, np.sqrt(np.where(varies, variance, 1.0)), 1.0)
    scaled = covariance / (deviation[:, :, None] * deviation[:, None, :])
    scaled = np.where(varies[:, :, None] & varies[:, None, :], scaled, 0.0)
    target = np.where(varies, (statistics.xy / n - mean_x * mean_y[:, None]) / deviation, 0.0)
    ridge = scaled + (np.broadcast_to(penalties, mean_x.shape) + 1e-9)[:, :, None] * np.eye(scaled.shape[1])
    coefficients = np.linalg.solve(ridge, target[..., None])[..., 0] / deviation
    return coefficients, mean_y - np.einsum("sd,sd->s", coefficients, mean_x)


class Ridge:
    """Ridge on the design columns, for all steps of a forecast at once.

    The penalty is chosen on the newest horizon of a series, or on the last fifth of the rows of a regression segment.
    """

    needs_rows = True

    def __init__(self, config: CandidateConfig, fleet: Fleet) -> None:
        self._name, self._transform = config.name, fleet.target.transform

    def fit(self, cutoffs: Sequence[Cutoff]) -> list[Fitted]:
        spec, horizon = cutoffs[0].spec, cutoffs[0].horizon
        columns = [cutoff.column for cutoff in cutoffs]
        rows = LinearRows.over(cutoffs[0].table, spec.design, self._transform)
        statistics = rows.sufficient_statistics([column - back for column in columns for back in (0, horizon)])
        return [self._fit(cutoff, rows, statistics) for cutoff in cutoffs]

    def _fit(self, cutoff: Cutoff, rows: LinearRows, statistics: Mapping[int, SufficientStatistics]) -> Fitted:
        spec, column = cutoff.spec, cutoff.column
        known, earlier = statistics[column], statistics[column - cutoff.horizon]
        penalty = self._penalty(cutoff, rows, earlier)
        coefficients, intercept = solve_ridge(known, penalty)
        low, high = _bounds(cutoff)
        at, anchor = design_matrix(cutoff.base_at_origin(), spec.design, self._transform)
        scaled = np.einsum("shd,sd->sh", at, coefficients) + intercept[:, None] + anchor
        values = np.clip(from_scale(scaled, self._transform), low[:, None], high[:, None])
        applies = (known.rows >= 2 * rows.x.shape[-1]) & np.isfinite(values).all(axis=1)
        return Fitted(
            np.where(applies[:, None], values, np.nan),
            lambda s: LinearMember(self._name, coefficients[s], float(intercept[s]), float(low[s]), float(high[s])),
            lambda s: {"penalty": penalty[s].tolist()},
        )

    def _penalty(self, cutoff: Cutoff, rows: LinearRows, earlier: SufficientStatistics) -> FloatArray:
        """Penalties [S, d] with the smallest squared error on the targets of the newest horizon before the origin."""
        split = cutoff.column - cutoff.horizon
        columns = np.flatnonzero((rows.origin <= split) & (rows.target > split) & (rows.target <= cutoff.column))
        x, y, held_out = rows.x[:, columns], rows.y[:, columns], rows.usable[:, columns]
        losses = []
        options = _penalty_options(cutoff.spec)
        for penalty in options:
            coefficients, intercept = solve_ridge(earlier, penalty[None])
            fitted = (x @ coefficients[..., None])[..., 0] + intercept[:, None]
            losses.append((((fitted - y) ** 2) * held_out).sum(axis=1))
        known = held_out.any(axis=1) & (earlier.rows >= 2 * x.shape[-1])
        chosen = options[np.argmin(np.stack(losses), axis=0)]
        return np.where(known[:, None], chosen, 0.1)

    def fit_rows(self, x: FloatArray, y: FloatArray) -> RowFit | Failure:
        if len(y) < 8:
            return Failure("fewer than 8 rows")
        scaled = to_scale(y, self._transform)
        statistics = sufficient_statistics(x[None], scaled[None], np.ones((1, len(y))))
        coefficients, intercept = solve_ridge(statistics, np.array([[_best_penalty(x, scaled)]]))
        value_range = float(np.max(y) - np.min(y))
        low, high = float(np.min(y)) - value_range, float(np.max(y)) + value_range
        model = LinearMember(self._name, coefficients[0], float(intercept[0]), low, high)

        def predict(rows: FloatArray) -> FloatArray:
            values = from_scale(rows @ model.coefficients + model.intercept, self._transform)
            return np.clip(values, low, high)

        return RowFit(predict, lambda: model)


def _best_penalty(x: FloatArray, y: FloatArray) -> float:
    """The penalty with the smallest squared error on the last fifth of the rows, fitted to those before."""
    held_out = np.arange(len(y)) >= len(y) - max(1, len(y) // 5)
    earlier = sufficient_statistics(x[None], y[None], (~held_out)[None].astype(float))
    losses = []
    for penalty in PENALTIES:
        coefficients, intercept = solve_ridge(earlier, np.array([[penalty]]))
        losses.append(np.mean((x[held_out] @ coefficients[0] + intercept[0] - y[held_out]) ** 2))
    return float(PENALTIES[int(np.argmin(losses))])


def _penalty_options(spec: FeatureSpec) -> FloatArray:
    """Competing penalties of the design columns, [options, d]."""
    design = spec.design
    names = [spec.base[column] for column in (*design.values, *design.others)]
    chosen = np.array([name in spec.covariates for name in names])
    return np.stack([np.where(chosen, COVARIATE_PENALTY, penalty) for penalty in HISTORY_PENALTIES])


def _bounds(cutoff: Cutoff) -> tuple[FloatArray, FloatArray]:
    """Limits of predictions: the segment's range, widened by the range itself on both sides."""
    values = cutoff.panel.values
    low = np.where(np.isnan(values), np.inf, values).min(axis=1, initial=np.inf)
    high = np.where(np.isnan(values), -np.inf, values).max(axis=1, initial=-np.inf)
    width = np.where(np.isfinite(high - low), np.maximum(high - low, 1e-9), 0.0)
    return np.where(np.isfinite(low), low, 0.0) - width, np.where(np.isfinite(high), high, 0.0) + width
