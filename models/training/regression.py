"""Train regression segments: a value a row, with or without time order; segments of any size."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from domain.arrays import FloatArray, IntArray
from domain.config.fleet import CandidateConfig, Fleet
from domain.errors import ExportError, first_line
from models.features.feature_spec import FeatureSpec
from models.features.target_transform import from_scale, to_scale
from models.onnx_graphs.builder import GraphMember, LinearMember
from models.regressors.estimators import Regressor, make_regressor
from models.regressors.ridge import PENALTIES, solve_ridge, sufficient_statistics
from models.training.backtest import Backtest, Folds, evaluate_folds
from models.training.candidates import predicted, tree_member
from models.training.select import Refit, TrainedSegment, assemble, competing, untrained

__all__ = ["Tabular", "train_regression"]

_COMPLEXITY = {"median": 0, "mean": 0, "ridge": 2}
_PARITY_ROWS = 64


@dataclass(frozen=True)
class Tabular:
    """Rows of several segments, sorted by segment and, within one, by time where there is one.

    x : features [n, k] in the contract's order, NaN where missing. y : target [n].
    starts, lengths : each segment's rows, [S].
    """

    segments: tuple[str, ...]
    x: FloatArray
    y: FloatArray
    starts: IntArray
    lengths: IntArray


@dataclass(frozen=True)
class _Fit:
    """One candidate fitted to one segment's rows."""

    predict: Callable[[FloatArray], FloatArray]
    member: Callable[[], GraphMember]


_Fitter: TypeAlias = Callable[[FloatArray, FloatArray], _Fit | str]
"""Fits a candidate to rows, or says why there is no fit."""


def train_regression(rows: Tabular, fleet: Fleet, contract: FeatureSpec, winner: str = "") -> list[TrainedSegment]:
    """Train every segment; results in their order. A segment of one row has no model but a reason.

    winner : refits this candidate, or the combination, without a choice.
    """
    fleet = competing(fleet, winner)
    fitters = [_fitter(candidate, fleet) for candidate in fleet.candidates]
    found: list[TrainedSegment] = []
    for index, segment in enumerate(rows.segments):
        first, length = int(rows.starts[index]), int(rows.lengths[index])
        part = slice(first, first + length)
        if length < 2:
            found.append(untrained(segment, "one row only; a backtest needs at least two"))
            continue
        # Huge values overflow to infinity or NaN, and a candidate without a finite prediction is not chosen.
        with np.errstate(all="ignore"):
            found.append(_train_one(segment, rows.x[part], rows.y[part], fitters, fleet, contract, winner))
    return found


def _train_one(
    segment: str,
    x: FloatArray,
    y: FloatArray,
    fitters: Sequence[_Fitter],
    fleet: Fleet,
    contract: FeatureSpec,
    winner: str,
) -> TrainedSegment:
    # The same means fill gaps in the backtest and in the refit; they are not a model of the target.
    fill = _column_means(x)
    x = np.where(np.isnan(x), fill, x).astype(np.float32).astype(np.float64)
    tested, residuals = _backtest(x, y, fitters, fleet)
    sample = np.unique(np.linspace(0, len(y) - 1, min(len(y), _PARITY_ROWS)).astype(int))
    fits = [fitter(x, y) for fitter in fitters]
    predictions = np.stack([_predict(fit, x[sample]) for fit in fits], axis=-1)
    widths = _half_widths(residuals, fleet.interval.level)
    refit = Refit(
        features=x[sample][None],
        predictions=predictions[None],
        member=lambda _, m: _member(fits[m]),
        parameters=lambda _, m: {"fill": fill.tolist()},
        half_width=lambda _, winner: widths[winner : winner + 1],
        failure=lambda _, m: _why(fits[m]),
    )
    return assemble([segment], tested, refit, fleet, contract, winner)[0]


def _column_means(x: FloatArray) -> FloatArray:
    """Means [k] of what is known of columns x [n, k]; 0 where nothing is."""
    known = np.isfinite(x)
    means: FloatArray = np.where(known, x, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return means


def _why(fit: _Fit | str) -> str:
    return fit if isinstance(fit, str) else ""


def _member(fit: _Fit | str) -> GraphMember:
    if isinstance(fit, str):  # It has no finite prediction and is never chosen.
        raise ExportError(f"a candidate without a fit has no graph: {fit}")
    return fit.member()


def _predict(fit: _Fit | str, x: FloatArray) -> FloatArray:
    return np.full(len(x), np.nan) if isinstance(fit, str) else fit.predict(x)


def _folds(n_rows: int, folds: int, ordered: bool) -> list[tuple[IntArray, IntArray]]:
    """Rows to train on and to test on, a pair a fold.

    With time: the newest rows in `folds` blocks, each predicted from what came before it. Without: every
    `folds`-th row. Never more folds than rows allow; at least one row on either side.
    """
    index = np.arange(n_rows)
    if not ordered:
        count = max(2, min(folds, n_rows))
        return [(index[index % count != fold], index[index % count == fold]) for fold in range(count)]
    block = max(1, n_rows // (folds + 2))
    count = min(folds, max(1, (n_rows - 1) // block))
    edges = [n_rows - block * fold for fold in range(count)]
    return [(index[: edge - block], index[edge - block : edge]) for edge in edges if edge - block >= 1]


def _backtest(x: FloatArray, y: FloatArray, fitters: Sequence[_Fitter], fleet: Fleet) -> tuple[Backtest, FloatArray]:
    """Errors by fold, and residuals [n, M + 1] of every tested row, the combination last."""
    folds = _folds(len(y), fleet.backtest.folds, fleet.time is not None)
    width = max(len(test) for _, test in folds)
    actual = np.full((1, len(folds), width), np.nan)
    each = np.full((1, len(folds), width, len(fitters)), np.nan)
    baseline = np.full((1, len(folds), width), np.nan)
    robust = fleet.backtest.metric in ("mae", "wape", "smape", "mase")
    for fold, (train, test) in enumerate(folds):
        actual[0, fold, : len(test)] = y[test]
        baseline[0, fold, : len(test)] = np.median(y[train]) if robust else np.mean(y[train])
        for m, fitter in enumerate(fitters):
            each[0, fold, : len(test), m] = _predict(fitter(x[train], y[train]), x[test])
    size = np.array([np.mean(np.abs(y))])
    complexity = [_COMPLEXITY.get(candidate.name, 9) for candidate in fleet.candidates]
    names = [candidate.name for candidate in fleet.candidates]
    tested, residuals = evaluate_folds(names, complexity, Folds(actual, each, baseline, size, size), fleet)
    return tested, residuals[~np.isnan(actual)]


def _half_widths(residuals: FloatArray, level: float) -> FloatArray:
    """Conformal half width [M] of every column of residuals [n, M]: the ceil((n + 1) level)-th smallest in size.

    NaN is left out; a column of nothing else has half width 0. Source: Lei et al., JASA 113 (2018).
    """
    size = np.sort(np.abs(residuals), axis=0)  # NaN sorts last.
    known = np.sum(~np.isnan(size), axis=0)
    rank = np.clip(np.ceil((known + 1) * level).astype(int), 1, np.maximum(known, 1)) - 1
    widths: FloatArray = np.nan_to_num(np.take_along_axis(size, rank[None], axis=0)[0])
    return widths


def _fitter(candidate: CandidateConfig, fleet: Fleet) -> _Fitter:
    """How a candidate is fitted to rows x [n, k] without gaps; it gives None where it fails or has too few rows.

    Raises FleetError for an estimator that cannot be made.
    """
    transform = fleet.target.transform
    if candidate.name in ("mean", "median"):
        return lambda x, y: _fit_constant(candidate.name, x, y, transform)
    if candidate.name == "ridge":
        return lambda x, y: _fit_ridge(x, y, fleet)
    make = make_regressor(candidate, fleet)
    return lambda x, y: _fit_estimator(candidate.name, make, x, y, transform)


def _fit_constant(name: str, x: FloatArray, y: FloatArray, transform: str) -> _Fit:
    value = float(np.mean(y) if name == "mean" else np.median(y))
    scaled = float(to_scale(np.array([value]), transform)[0])
    constant = LinearMember(name, np.zeros(x.shape[1]), scaled, value, value)
    return _Fit(lambda rows: np.full(len(rows), value), lambda: constant)


def _fit_ridge(x: FloatArray, y: FloatArray, fleet: Fleet) -> _Fit | str:
    if len(y) < 8:
        return "fewer than 8 rows"
    scaled = to_scale(y, fleet.target.transform)
    held_out = np.arange(len(y)) >= len(y) - max(1, len(y) // 5)
    earlier = sufficient_statistics(x[None], scaled[None], (~held_out)[None].astype(float))
    losses = []
    for penalty in PENALTIES:
        coefficients, intercept = solve_ridge(earlier, np.array([[penalty]]))
        losses.append(np.mean((x[held_out] @ coefficients[0] + intercept[0] - scaled[held_out]) ** 2))
    best = PENALTIES[int(np.argmin(losses))]
    found = sufficient_statistics(x[None], scaled[None], np.ones((1, len(y))))
    coefficients, intercept = solve_ridge(found, np.array([[best]]))
    spread = float(np.max(y) - np.min(y))
    low, high = float(np.min(y)) - spread, float(np.max(y)) + spread
    model = LinearMember("ridge", coefficients[0], float(intercept[0]), low, high)

    def predict(rows: FloatArray) -> FloatArray:
        values = from_scale(rows @ model.coefficients + model.intercept, fleet.target.transform)
        return np.clip(values, low, high)

    return _Fit(predict, lambda: model)


def _fit_estimator(
    name: str, make: Callable[[], Regressor], x: FloatArray, y: FloatArray, transform: str
) -> _Fit | str:
    if len(y) < 20:
        return "fewer than 20 rows"
    try:
        regressor = make().fit(x.astype(np.float32), to_scale(y, transform))
        predicted(regressor, x[:1])
    except Exception as exc:  # noqa: BLE001 - foreign code: whatever it raises, the segment has other candidates
        return first_line(exc)

    def predict(rows: FloatArray) -> FloatArray:
        try:
            return from_scale(predicted(regressor, rows), transform)
        except Exception:  # noqa: BLE001 - as above
            return np.full(len(rows), np.nan)

    return _Fit(predict, lambda: tree_member(name, regressor, x.shape[1]))
