"""Backtest errors of candidates, of their ensemble and of the naive baseline."""

from dataclasses import dataclass

import numpy as np

from domain.arrays import FloatArray, IntArray
from domain.config.fleet import Fleet
from models.training.ensemble import ensemble, ensemble_weights
from models.training.metrics import point_weights, window_errors

__all__ = ["Backtest", "Folds", "cutoffs", "ensemble_folds", "evaluate_folds", "segment_cutoffs"]


@dataclass(frozen=True)
class Backtest:
    """Errors of M candidates on F folds of S segments.

    Parameters
    ----------
    names, complexity : of the candidates, [M].
    errors : [S, F, M] in the fleet's metric.
    absolute_errors : mean absolute errors [S, F, M], from which the weights of the ensemble follow.
    ensemble_errors : [S, F]; each fold has weights from the other folds.
    baseline_errors : of the naive baseline, [S].
    weight : of the segment in fleet-wide figures, [S].
    scale : mean absolute target, [S].
    """

    names: tuple[str, ...]
    complexity: IntArray
    errors: FloatArray
    absolute_errors: FloatArray
    ensemble_errors: FloatArray
    baseline_errors: FloatArray
    weight: FloatArray
    scale: FloatArray


@dataclass(frozen=True)
class Folds:
    """Actual and predicted values after each cutoff.

    Parameters
    ----------
    actual : [S, F, H], NaN where unknown.
    predictions : of M candidates, [S, F, H, M]; NaN where a candidate does not apply.
    baseline : predictions of the naive baseline, [S, F, H].
    size : mean absolute target, [S].
    scale : denominator of scaled metrics, [S].
    """

    actual: FloatArray
    predictions: FloatArray
    baseline: FloatArray
    size: FloatArray
    scale: FloatArray


def cutoffs(horizon: int, folds: int = 3) -> tuple[int, ...]:
    """Cutoffs of a backtest as periods before the end of a series, latest first: (6, 12, 18) for a horizon of 18.

    A fold with fewer periods after its cutoff than the horizon is judged on those, so that short histories lose little.
    """
    return tuple(sorted({max(round(horizon * fold / folds), 1) for fold in range(1, folds + 1)}))


def segment_cutoffs(length: int, horizon: int, folds: int, spacing: int | str) -> tuple[int, ...]:
    """Cutoffs of a segment of `length` periods, as periods before its end, latest first.

    The cutoffs of a short segment move together towards its end, so that at least a third of it, and two periods if
    there are three, remain to train on. A single period leaves nothing to judge by, and has no cutoff.
    """
    if length < 2:
        return ()
    planned = cutoffs(horizon, folds) if spacing == "auto" else tuple(int(spacing) * (f + 1) for f in range(folds))
    room = max(1, length - max(2, length // 3))
    if planned[-1] <= room:
        return planned
    return tuple(sorted({max(1, periods * room // planned[-1]) for periods in planned}))


def evaluate_folds(folds: Folds, fleet: Fleet) -> tuple[Backtest, FloatArray]:
    """Evaluate the fleet's candidates and their ensemble.

    Returns
    -------
    The backtest, and residuals [S, F, H, M + 1] of the candidates and, last, of the ensemble.
    """
    actual, scale, metric = folds.actual, folds.scale[:, None], fleet.backtest.metric
    minimum = -np.inf if fleet.target.minimum is None else fleet.target.minimum
    predictions = np.maximum(folds.predictions, minimum)
    by_candidate = np.moveaxis(predictions, -1, 0)
    absolute = np.stack([window_errors(actual, values, "mae", scale) for values in by_candidate], axis=-1)
    combined = np.maximum(_ensemble_predictions(folds.predictions, ensemble_folds(absolute)), minimum)
    naive = window_errors(actual, np.maximum(folds.baseline, minimum), metric, scale)
    backtest = Backtest(
        names=tuple(candidate.name for candidate in fleet.candidates),
        complexity=np.array([candidate.spec.complexity for candidate in fleet.candidates]),
        errors=np.stack([window_errors(actual, values, metric, scale) for values in by_candidate], axis=-1),
        absolute_errors=absolute,
        ensemble_errors=window_errors(actual, combined, metric, scale),
        baseline_errors=_nan_mean(naive),
        weight=point_weights(actual, metric).sum(axis=1),
        scale=folds.size,
    )
    return backtest, actual[..., None] - np.concatenate([predictions, combined[..., None]], axis=-1)


def _ensemble_predictions(predictions: FloatArray, weights: FloatArray) -> FloatArray:
    """Predictions [S, F, H] of the ensemble of predictions [S, F, H, M] with weights [S, F, M].

    The candidates enter without the minimum: a graph, too, keeps only their sum above it. Folds stand in for segments
    here, since each has weights of its own.
    """
    n_candidates, horizon = predictions.shape[-1], predictions.shape[2]
    flat = np.moveaxis(predictions, -1, 2).reshape(-1, n_candidates, horizon)
    return ensemble(flat, weights.reshape(-1, n_candidates)).reshape(predictions.shape[:-1])


def _nan_mean(values: FloatArray) -> FloatArray:
    """Mean of the known values along the last axis; NaN where there are none."""
    known = ~np.isnan(values)
    count = known.sum(axis=-1)
    return np.where(count > 0, np.where(known, values, 0.0).sum(axis=-1) / np.maximum(count, 1), np.nan)


def ensemble_folds(errors: FloatArray) -> FloatArray:
    """Weights [S, F, M] of the ensemble in each fold, from the absolute errors [S, F, M] of the other folds.

    A single fold gets equal weights: a fold must not judge itself.
    """
    n_folds = errors.shape[1]
    if n_folds == 1:
        known = np.isfinite(errors).astype(float)
        equal: FloatArray = known / np.maximum(known.sum(axis=2, keepdims=True), 1.0)
        return equal
    others = [ensemble_weights(np.delete(errors, fold, axis=1)) for fold in range(n_folds)]
    return np.stack(others, axis=1)
