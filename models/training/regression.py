"""Train regression segments: a value per row, with or without time order; segments of any size."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from domain.arrays import FloatArray, IntArray
from domain.config.fleet import Fleet
from domain.errors import ExportError
from domain.failure import Failure
from models.features.feature_spec import FeatureSpec
from models.onnx_graphs.builder import GraphMember
from models.training.backtest import Backtest, Folds, evaluate_folds
from models.training.base import RowCandidate, RowFit
from models.training.candidates import row_candidates_of
from models.training.export import Refit
from models.training.select import restrict_candidates, select_models
from models.training.trained import TrainedSegment, untrained

__all__ = ["Tabular", "train_regression"]

_PARITY_ROWS = 64


@dataclass(frozen=True)
class Tabular:
    """Rows of several segments, sorted by segment and, within a segment, by time if they have one.

    Parameters
    ----------
    x : features [n, k] in the order of the feature spec, NaN where missing.
    y : target [n].
    starts, lengths : of each segment's rows, [S].
    """

    segments: tuple[str, ...]
    x: FloatArray
    y: FloatArray
    starts: IntArray
    lengths: IntArray


def train_regression(rows: Tabular, fleet: Fleet, spec: FeatureSpec, winner: str = "") -> list[TrainedSegment]:
    """Train every segment of `rows`.

    winner : a candidate, or the ensemble, to refit without a choice.
    Returns results in the order of the segments; a segment of one row has no model but a reason.
    """
    fleet = restrict_candidates(fleet, winner)
    candidates = row_candidates_of(fleet)
    results: list[TrainedSegment] = []
    for index, segment in enumerate(rows.segments):
        first, length = int(rows.starts[index]), int(rows.lengths[index])
        part = slice(first, first + length)
        if length < 2:
            results.append(untrained(segment, "one row only; a backtest needs at least two"))
            continue
        # Huge values overflow to infinity or NaN, and a candidate without a finite prediction is not chosen.
        with np.errstate(all="ignore"):
            results.append(_train_segment(segment, rows.x[part], rows.y[part], candidates, fleet, spec, winner))
    return results


def _train_segment(
    segment: str,
    x: FloatArray,
    y: FloatArray,
    candidates: Sequence[RowCandidate],
    fleet: Fleet,
    spec: FeatureSpec,
    winner: str,
) -> TrainedSegment:
    # The same means fill gaps in the backtest and in the refit; they are not a model of the target.
    fill = _column_means(x)
    x = np.where(np.isnan(x), fill, x).astype(np.float32).astype(np.float64)
    backtest, residuals = _backtest(x, y, candidates, fleet)
    sample = np.unique(np.linspace(0, len(y) - 1, min(len(y), _PARITY_ROWS)).astype(int))
    fits = [candidate.fit_rows(x, y) for candidate in candidates]
    predictions = np.stack([_predict(fit, x[sample]) for fit in fits], axis=-1)
    widths = _half_widths(residuals, fleet.interval.level)
    refit = Refit(
        features=x[sample][None],
        predictions=predictions[None],
        member=lambda _, m: _member(fits[m]),
        parameters=lambda _, m: {"fill": fill.tolist()},
        half_width=lambda _, m: widths[m : m + 1],
        failure=lambda _, m: _failure(fits[m]),
    )
    return select_models([segment], backtest, refit, fleet, spec, winner)[0]


def _column_means(x: FloatArray) -> FloatArray:
    """Means [k] of the known values in columns x [n, k]; 0 where there are none."""
    known = np.isfinite(x)
    means: FloatArray = np.where(known, x, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return means


def _failure(fit: RowFit | Failure) -> str:
    return fit.reason if isinstance(fit, Failure) else ""


def _member(fit: RowFit | Failure) -> GraphMember:
    if isinstance(fit, Failure):  # It has no finite prediction and is never chosen.
        raise ExportError(f"a candidate without a fit has no graph: {fit.reason}")
    return fit.member()


def _predict(fit: RowFit | Failure, x: FloatArray) -> FloatArray:
    return np.full(len(x), np.nan) if isinstance(fit, Failure) else fit.predict(x)


def _folds(n_rows: int, folds: int, ordered: bool) -> list[tuple[IntArray, IntArray]]:
    """Rows to train on and to test on, a pair per fold.

    With time order, the newest rows form `folds` blocks, each predicted from the rows before it; without it, every
    `folds`-th row is tested. There are at most as many folds as the rows allow, with at least one row on either side.
    """
    index = np.arange(n_rows)
    if not ordered:
        count = max(2, min(folds, n_rows))
        return [(index[index % count != fold], index[index % count == fold]) for fold in range(count)]
    block = max(1, n_rows // (folds + 2))
    count = min(folds, max(1, (n_rows - 1) // block))
    edges = [n_rows - block * fold for fold in range(count)]
    return [(index[: edge - block], index[edge - block : edge]) for edge in edges if edge - block >= 1]


def _backtest(
    x: FloatArray, y: FloatArray, candidates: Sequence[RowCandidate], fleet: Fleet
) -> tuple[Backtest, FloatArray]:
    """The backtest, and residuals [n, M + 1] of every tested row, the ensemble last."""
    folds = _folds(len(y), fleet.backtest.folds, fleet.time is not None)
    width = max(len(test) for _, test in folds)
    actual = np.full((1, len(folds), width), np.nan)
    predictions = np.full((1, len(folds), width, len(candidates)), np.nan)
    baseline = np.full((1, len(folds), width), np.nan)
    robust = fleet.backtest.metric in ("mae", "wape", "smape", "mase")
    for fold, (train, test) in enumerate(folds):
        actual[0, fold, : len(test)] = y[test]
        baseline[0, fold, : len(test)] = np.median(y[train]) if robust else np.mean(y[train])
        for m, candidate in enumerate(candidates):
            predictions[0, fold, : len(test), m] = _predict(candidate.fit_rows(x[train], y[train]), x[test])
    size = np.array([np.mean(np.abs(y))])
    backtest, residuals = evaluate_folds(Folds(actual, predictions, baseline, size, size), fleet)
    return backtest, residuals[~np.isnan(actual)]


def _half_widths(residuals: FloatArray, coverage: float) -> FloatArray:
    """Conformal half width [M] of each column of residuals [n, M]: the ceil((n + 1) coverage)-th smallest in size.

    NaN is left out; a column of NaN alone has half width 0. Source: Lei et al., JASA 113 (2018).
    """
    size = np.sort(np.abs(residuals), axis=0)  # NaN sorts last.
    known = np.sum(~np.isnan(size), axis=0)
    rank = np.clip(np.ceil((known + 1) * coverage).astype(int), 1, np.maximum(known, 1)) - 1
    widths: FloatArray = np.nan_to_num(np.take_along_axis(size, rank[None], axis=0)[0])
    return widths
