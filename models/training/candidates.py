"""Candidates of forecast fleets behind one interface: fit all segments of a window, forecast, become graph members."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from domain.arrays import FloatArray
from domain.config.fleet import CandidateConfig, Fleet
from domain.errors import ExportError, first_line
from models.features.feature_spec import FeatureSpec
from models.features.forecast_features import SegmentParameters
from models.features.panel import Panel
from models.features.target_transform import from_scale, to_scale
from models.features.training_rows import Window
from models.onnx_graphs.builder import ML_OPSET, OPSET, GraphMember, LinearMember, SmoothingMember, TreesMember
from models.regressors.estimators import Regressor, make_regressor, tree_arrays
from models.regressors.ridge import (
    COVARIATE_PENALTY,
    HISTORY_PENALTIES,
    LinearRows,
    SufficientStatistics,
    design_matrix,
    solve_ridge,
)
from models.smoothing.base import Parameters, SmoothingMethod, forecast
from models.smoothing.exponential import MEMBERS

__all__ = ["Candidate", "Fitted", "SmoothingCandidate", "candidates_of", "predicted", "tree_member"]


@dataclass(frozen=True)
class Fitted:
    """A candidate fitted to all segments of a window.

    forecast : [S, H] in the target's unit; NaN where the candidate does not apply or failed.
    member : graph member of a segment by its index. parameters : JSON-able parameters by name, of a segment.
    failures : what the candidate raised, by segment.
    """

    forecast: FloatArray
    member: Callable[[int], GraphMember]
    parameters: Callable[[int], SegmentParameters]
    failures: Mapping[int, str] = field(default_factory=dict)


class Candidate(Protocol):
    """A candidate. needs_rows : whether it trains on feature rows."""

    name: str
    complexity: int
    needs_rows: bool

    def fit(self, windows: Sequence[Window]) -> list[Fitted]:
        """Fit to each window of the same segments."""


def candidates_of(fleet: Fleet) -> list[Candidate]:
    """The fleet's candidates in the order of its file."""
    return [_candidate(candidate, fleet) for candidate in fleet.candidates]


def _candidate(candidate: CandidateConfig, fleet: Fleet) -> Candidate:
    if candidate.name in MEMBERS:
        return SmoothingCandidate(MEMBERS[candidate.name])
    if candidate.name == "ridge":
        return RidgeCandidate(fleet.target.transform)
    return EstimatorCandidate(candidate.name, make_regressor(candidate, fleet), fleet.target.transform)


class SmoothingCandidate:
    """A batched smoothing method."""

    needs_rows = False

    def __init__(self, method: SmoothingMethod) -> None:
        self.name, self.complexity, self._method = method.name, method.complexity, method

    def fit(self, windows: Sequence[Window]) -> list[Fitted]:
        # All windows at once: arrays of one window are so small that calls would cost more than the arithmetic.
        panel, horizon = Panel.join([window.panel for window in windows]), windows[0].horizon
        parameters = {name: _rounded(array) for name, array in self._method.fit(panel, horizon).items()}
        growth = self._method.growth(parameters, horizon)
        values = forecast(self._method, panel, parameters, horizon)
        applies = self._method.applicable(panel) & (panel.lengths > 0) & np.isfinite(values).all(axis=1)
        values = np.where(applies[:, None], values, np.nan)
        step = len(panel.lengths) // len(windows)
        return [self._fitted(values, growth, parameters, n * step, step) for n in range(len(windows))]

    def _fitted(self, values: FloatArray, growth: FloatArray, parameters: Parameters, start: int, step: int) -> Fitted:
        return Fitted(
            values[start : start + step],
            lambda s: SmoothingMember(self.name, growth[start + s]),
            lambda s: _of_segment(parameters, start + s),
        )


def _rounded(values: FloatArray) -> FloatArray:
    """Values to nine digits: what is beyond depends on which segments were summed up in one batch."""
    finite = np.isfinite(values) & (values != 0.0)
    unit = 10.0 ** (8.0 - np.floor(np.log10(np.abs(np.where(finite, values, 1.0)))))
    rounded: FloatArray = np.where(finite, np.round(values * unit) / unit, values)
    return np.where(np.isfinite(rounded), rounded, values)


def _of_segment(parameters: Parameters, segment: int) -> SegmentParameters:
    return {name: np.asarray(array[segment], dtype=float).tolist() for name, array in parameters.items()}


class RidgeCandidate:
    """Ridge on the design columns, direct for every step; the penalty is chosen on the newest horizon."""

    name, complexity, needs_rows = "ridge", 5, True

    def __init__(self, transform: str) -> None:
        self._transform = transform

    def fit(self, windows: Sequence[Window]) -> list[Fitted]:
        contract, horizon = windows[0].contract, windows[0].horizon
        cutoffs = [window.cutoff for window in windows]
        rows = LinearRows.over(windows[0].table, contract.design, self._transform)
        found = rows.sufficient_statistics([cutoff - back for cutoff in cutoffs for back in (0, horizon)])
        return [self._fit(window, rows, found) for window in windows]

    def _fit(self, window: Window, rows: LinearRows, found: Mapping[int, SufficientStatistics]) -> Fitted:
        contract, cutoff = window.contract, window.cutoff
        known, earlier = found[cutoff], found[cutoff - window.horizon]
        penalty = self._penalty(window, rows, earlier)
        coefficients, intercept = solve_ridge(known, penalty)
        low, high = _bounds(window)
        at, anchor = design_matrix(window.base_at_origin(), contract.design, self._transform)
        scaled = np.einsum("shd,sd->sh", at, coefficients) + intercept[:, None] + anchor
        values = np.clip(from_scale(scaled, self._transform), low[:, None], high[:, None])
        applies = (known.rows >= 2 * rows.x.shape[-1]) & np.isfinite(values).all(axis=1)
        return Fitted(
            np.where(applies[:, None], values, np.nan),
            lambda s: LinearMember("ridge", coefficients[s], float(intercept[s]), float(low[s]), float(high[s])),
            lambda s: {"penalty": penalty[s].tolist()},
        )

    def _penalty(self, window: Window, rows: LinearRows, earlier: SufficientStatistics) -> FloatArray:
        """Penalties [S, d] with the smallest squared error on the targets of the newest horizon before the origin."""
        split = window.cutoff - window.horizon
        columns = np.flatnonzero((rows.origin <= split) & (rows.target > split) & (rows.target <= window.cutoff))
        x, y, held_out = rows.x[:, columns], rows.y[:, columns], rows.usable[:, columns]
        losses = []
        options = _penalty_options(window.contract)
        for penalty in options:
            coefficients, intercept = solve_ridge(earlier, penalty[None])
            fitted = (x @ coefficients[..., None])[..., 0] + intercept[:, None]
            losses.append((((fitted - y) ** 2) * held_out).sum(axis=1))
        known = held_out.any(axis=1) & (earlier.rows >= 2 * x.shape[-1])
        chosen = options[np.argmin(np.stack(losses), axis=0)]
        return np.where(known[:, None], chosen, 0.1)


def _penalty_options(contract: FeatureSpec) -> FloatArray:
    """Penalties of the design columns that compete, [options, d]."""
    design = contract.design
    names = [contract.base[column] for column in (*design.values, *design.others)]
    chosen = np.array([name in contract.covariates for name in names])
    return np.stack([np.where(chosen, COVARIATE_PENALTY, penalty) for penalty in HISTORY_PENALTIES])


def _bounds(window: Window) -> tuple[FloatArray, FloatArray]:
    """Predictions stay within the segment's range, widened by the range itself on both sides."""
    values = window.panel.values
    low = np.where(np.isnan(values), np.inf, values).min(axis=1, initial=np.inf)
    high = np.where(np.isnan(values), -np.inf, values).max(axis=1, initial=-np.inf)
    spread = np.where(np.isfinite(high - low), np.maximum(high - low, 1e-9), 0.0)
    return np.where(np.isfinite(low), low, 0.0) - spread, np.where(np.isfinite(high), high, 0.0) + spread


class EstimatorCandidate:
    """LightGBM or any scikit-learn regressor, fitted one segment at a time on the untransformed design."""

    complexity, needs_rows = 9, True

    def __init__(self, name: str, make: Callable[[], Regressor], transform: str) -> None:
        self.name, self._make, self._transform = name, make, transform

    def fit(self, windows: Sequence[Window]) -> list[Fitted]:
        return [self._fit(window) for window in windows]

    def _fit(self, window: Window) -> Fitted:
        rows, contract = window.table, window.contract
        design, raw_anchor = design_matrix(rows.base.astype(np.float32), contract.design, "none")
        anchor = to_scale(raw_anchor, self._transform)
        y = to_scale(np.nan_to_num(rows.target), self._transform) - anchor
        at, raw = design_matrix(window.base_at_origin().astype(np.float32), contract.design, "none")
        origin = to_scale(raw, self._transform)
        training = window.training()
        values = np.full((len(training), window.horizon), np.nan)
        fitted: dict[int, Regressor] = {}
        failures: dict[int, str] = {}
        width = design.shape[-1]
        for s, used in enumerate(training):
            if used.sum() < 2 * width:
                continue
            try:
                fitted[s] = self._make().fit(design[s][used].astype(np.float32), y[s][used])
                relative = predicted(fitted[s], at[s])
            except Exception as exc:  # noqa: BLE001 - foreign code: whatever it raises, the segment has other candidates
                failures[s] = first_line(exc)
            else:
                values[s] = from_scale(relative + origin[s], self._transform)
        return Fitted(values, lambda s: tree_member(self.name, fitted[s], width), lambda s: {}, failures)


def predicted(regressor: Regressor, x: FloatArray) -> FloatArray:
    """Predictions [n] of a regressor for rows x [n, d]; raises what it raises, or ValueError for another shape."""
    return np.asarray(regressor.predict(x.astype(np.float32)), dtype=np.float64).reshape(len(x))


def tree_member(name: str, regressor: Regressor, width: int) -> TreesMember:
    """A fitted regressor as a member of a graph; width : number of design columns.

    Raises ExportError if it cannot be converted.
    """
    booster = getattr(regressor, "booster_", None)
    if booster is not None:
        return TreesMember(name, nodes=tree_arrays(booster))
    from skl2onnx import to_onnx  # Heavy, and needed only for winners of this kind.

    example = np.zeros((1, width), dtype=np.float32)
    try:
        converted = to_onnx(regressor, example, target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET})
    except Exception as exc:
        raise ExportError(f"{type(regressor).__name__} has no ONNX form: {first_line(exc)}") from exc
    return TreesMember(name, converted=converted.SerializeToString())
