"""Train regression segments: a value a row, with or without time order; segments of any size."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from models.combine import combine
from models.competitors import graph_member
from models.export import Linear, Member
from models.features import Contract
from models.fleet import Candidate, Fleet
from models.linear import PENALTIES, moments, solve_ridge
from models.metrics import point_weights, window_errors
from models.panel import FloatArray, IntArray
from models.scale import from_scale, to_scale
from models.train import Backtest, Refit, TrainedSegment, assemble, combine_folds
from models.trees import Regressor, make_regressor

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
    member: Callable[[], Member]


def train_regression(rows: Tabular, fleet: Fleet, contract: Contract) -> list[TrainedSegment]:
    """Train every segment of at least two rows; results in their order."""
    found: list[TrainedSegment] = []
    for index, segment in enumerate(rows.segments):
        first = int(rows.starts[index])
        part = slice(first, first + int(rows.lengths[index]))
        found.append(_train_one(segment, rows.x[part], rows.y[part], fleet, contract))
    return found


def _train_one(segment: str, x: FloatArray, y: FloatArray, fleet: Fleet, contract: Contract) -> TrainedSegment:
    # The same means fill gaps in the backtest and in the refit; they are not a model of the target.
    fill = np.nan_to_num(np.nanmean(x, axis=0)) if np.isfinite(x).any() else np.zeros(x.shape[1])
    x = np.where(np.isnan(x), fill, x).astype(np.float32).astype(np.float64)
    tested, residuals = _backtest(x, y, fleet, contract)
    sample = np.unique(np.linspace(0, len(y) - 1, min(len(y), _PARITY_ROWS)).astype(int))
    fits = [_fit(candidate, x, y, fleet) for candidate in fleet.candidates]
    predictions = np.stack([_predict(fit, x[sample]) for fit in fits], axis=-1)
    widths = _half_widths(residuals, fleet.interval.level)
    refit = Refit(
        features=x[sample][None],
        predictions=predictions[None],
        member=lambda _, m: _member(fits[m]),
        parameters=lambda _, m: {"fill": fill.tolist()},
        half_width=lambda _, winner: widths[winner : winner + 1],
    )
    return assemble([segment], tested, refit, fleet, contract)[0]


def _member(fit: _Fit | None) -> Member:
    if fit is None:  # It has no finite prediction and is never chosen.
        raise ValueError("a candidate without a fit has no graph")
    return fit.member()


def _predict(fit: _Fit | None, x: FloatArray) -> FloatArray:
    return fit.predict(x) if fit else np.full(len(x), np.nan)


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


def _backtest(x: FloatArray, y: FloatArray, fleet: Fleet, contract: Contract) -> tuple[Backtest, FloatArray]:
    """Errors by fold, and residuals [n, M + 1] of every tested row, the combination last."""
    folds = _folds(len(y), fleet.backtest.folds, fleet.time is not None)
    width = max(len(test) for _, test in folds)
    actual = np.full((1, len(folds), width), np.nan)
    each = np.full((1, len(folds), width, len(fleet.candidates)), np.nan)
    baseline = np.full((1, len(folds), width), np.nan)
    robust = fleet.backtest.metric in ("mae", "wape", "smape", "mase")
    for fold, (train, test) in enumerate(folds):
        actual[0, fold, : len(test)] = y[test]
        baseline[0, fold, : len(test)] = np.median(y[train]) if robust else np.mean(y[train])
        for m, candidate in enumerate(fleet.candidates):
            each[0, fold, : len(test), m] = _predict(_fit(candidate, x[train], y[train], fleet), x[test])
    if contract.minimum is not None:
        each, baseline = np.maximum(each, contract.minimum), np.maximum(baseline, contract.minimum)
    metric, scale = fleet.backtest.metric, np.array([[np.mean(np.abs(y))]])
    errors = np.stack([window_errors(actual, each[..., m], metric, scale) for m in range(each.shape[-1])], axis=-1)
    absolute = np.stack([window_errors(actual, each[..., m], "mae", scale) for m in range(each.shape[-1])], axis=-1)
    combination = combine(np.moveaxis(each[0], -1, 1), combine_folds(absolute)[0])[None]
    everything = np.concatenate([each, combination[..., None]], axis=-1)
    tested = Backtest(
        names=tuple(candidate.name for candidate in fleet.candidates),
        complexity=np.array([_COMPLEXITY.get(candidate.name, 9) for candidate in fleet.candidates]),
        errors=errors,
        absolute=absolute,
        combined=window_errors(actual, combination, metric, scale),
        baseline=np.nanmean(window_errors(actual, baseline, metric, scale), axis=1),
        weight=point_weights(actual, metric).sum(axis=1),
        scale=scale[:, 0],
    )
    residuals = (actual[..., None] - everything)[~np.isnan(actual)]
    return tested, residuals


def _half_widths(residuals: FloatArray, level: float) -> FloatArray:
    """Conformal half width of every column of residuals [n, M]: the ceil((n + 1) level)-th smallest in size.

    Source: Lei et al., JASA 113 (2018).
    """
    size = np.sort(np.abs(np.nan_to_num(residuals, nan=0.0)), axis=0)
    rank = min(len(size), int(np.ceil((len(size) + 1) * level))) - 1
    widths: FloatArray = size[rank]
    return widths


def _fit(candidate: Candidate, x: FloatArray, y: FloatArray, fleet: Fleet) -> _Fit | None:
    """Fit one candidate to rows x [n, k] without gaps; None where it fails or has too few rows."""
    if candidate.name in ("mean", "median"):
        value = float(np.mean(y) if candidate.name == "mean" else np.median(y))
        coefficients = np.zeros(x.shape[1])
        scaled = float(to_scale(np.array([value]), fleet.target.transform)[0])
        constant = Linear(candidate.name, coefficients, scaled, value, value)
        return _Fit(lambda rows: np.full(len(rows), value), lambda: constant)
    if candidate.name == "ridge":
        return _fit_ridge(x, y, fleet)
    return _fit_estimator(candidate, x, y, fleet)


def _fit_ridge(x: FloatArray, y: FloatArray, fleet: Fleet) -> _Fit | None:
    if len(y) < 8:
        return None
    scaled = to_scale(y, fleet.target.transform)
    held_out = np.arange(len(y)) >= len(y) - max(1, len(y) // 5)
    earlier = moments(x[None], scaled[None], (~held_out)[None].astype(float))
    losses = []
    for penalty in PENALTIES:
        coefficients, intercept = solve_ridge(earlier, np.array([[penalty]]))
        losses.append(np.mean((x[held_out] @ coefficients[0] + intercept[0] - scaled[held_out]) ** 2))
    best = PENALTIES[int(np.argmin(losses))]
    found = moments(x[None], scaled[None], np.ones((1, len(y))))
    coefficients, intercept = solve_ridge(found, np.array([[best]]))
    spread = float(np.max(y) - np.min(y))
    low, high = float(np.min(y)) - spread, float(np.max(y)) + spread
    model = Linear("ridge", coefficients[0], float(intercept[0]), low, high)

    def predict(rows: FloatArray) -> FloatArray:
        values = from_scale(rows @ model.coefficients + model.intercept, fleet.target.transform)
        return np.clip(values, low, high)

    return _Fit(predict, lambda: model)


def _fit_estimator(candidate: Candidate, x: FloatArray, y: FloatArray, fleet: Fleet) -> _Fit | None:
    if len(y) < 20:
        return None
    scaled = to_scale(y, fleet.target.transform)
    try:
        regressor: Regressor = make_regressor(candidate, fleet)().fit(x.astype(np.float32), scaled)
        regressor.predict(x[:1].astype(np.float32))
    except Exception:  # noqa: BLE001 - foreign code: whatever it raises, the segment has other candidates
        return None

    def predict(rows: FloatArray) -> FloatArray:
        values = np.asarray(regressor.predict(rows.astype(np.float32)), dtype=np.float64)
        return from_scale(values, fleet.target.transform)

    return _Fit(predict, lambda: graph_member(candidate.name, regressor, x.shape[1]))


def tabular_segments(rows: Tabular, wanted: Sequence[int]) -> Tabular:
    """The rows of some segments."""
    parts = [np.arange(rows.starts[s], rows.starts[s] + rows.lengths[s]) for s in wanted]
    index = np.concatenate(parts) if parts else np.zeros(0, np.int64)
    lengths = rows.lengths[list(wanted)]
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]) if len(lengths) else lengths
    segments = tuple(rows.segments[s] for s in wanted)
    return Tabular(segments, rows.x[index], rows.y[index], starts.astype(np.int64), lengths)
