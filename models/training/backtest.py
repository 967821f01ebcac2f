"""Errors of candidates on the folds of a backtest, of their combination, and of the naive baseline."""

from dataclasses import dataclass

import numpy as np

from domain.arrays import FloatArray, IntArray
from domain.config.fleet import Fleet
from models.training.ensemble import ensemble, ensemble_weights
from models.training.metrics import point_weights, window_errors

__all__ = ["Backtest", "Folds", "ensemble_folds", "evaluate_folds"]


@dataclass(frozen=True)
class Backtest:
    """Errors of M candidates on F folds.

    errors [S, F, M] in the fleet's metric; absolute [S, F, M] mean absolute errors, which weigh the combination.
    combined [S, F] of the combination, each fold with weights from the other folds.
    baseline [S]; weight [S] of the segment in fleet-wide figures; scale [S] mean absolute target.
    """

    names: tuple[str, ...]
    complexity: IntArray
    errors: FloatArray
    absolute: FloatArray
    combined: FloatArray
    baseline: FloatArray
    weight: FloatArray
    scale: FloatArray


@dataclass(frozen=True)
class Folds:
    """What followed each backtest origin, and what was said about it.

    actual [S, F, H], NaN where nothing is known. each [S, F, H, M] by candidate and baseline [S, F, H], NaN where a
    candidate does not apply. size [S] mean absolute target; scale [S] denominator of scaled metrics.
    """

    actual: FloatArray
    each: FloatArray
    baseline: FloatArray
    size: FloatArray
    scale: FloatArray


def evaluate_folds(folds: Folds, fleet: Fleet) -> tuple[Backtest, FloatArray]:
    """Errors of the fleet's candidates, and residuals [S, F, H, M + 1] of the candidates and of the combination."""
    actual, scale, metric = folds.actual, folds.scale[:, None], fleet.backtest.metric
    minimum = -np.inf if fleet.target.minimum is None else fleet.target.minimum
    each = np.maximum(folds.each, minimum)
    absolute = np.stack([window_errors(actual, e, "mae", scale) for e in np.moveaxis(each, -1, 0)], axis=-1)
    weights = ensemble_folds(absolute)
    # Members are combined as they are: a graph, too, keeps only their sum above the minimum. Folds are taken for
    # segments here, since each has weights of its own.
    flat = np.moveaxis(folds.each, -1, 2).reshape(-1, each.shape[-1], each.shape[2])
    combination = ensemble(flat, weights.reshape(-1, weights.shape[-1])).reshape(actual.shape)
    combination = np.maximum(combination, minimum)
    naive = window_errors(actual, np.maximum(folds.baseline, minimum), metric, scale)
    tested = Backtest(
        names=tuple(candidate.name for candidate in fleet.candidates),
        complexity=np.array([candidate.spec.complexity for candidate in fleet.candidates]),
        errors=np.stack([window_errors(actual, e, metric, scale) for e in np.moveaxis(each, -1, 0)], axis=-1),
        absolute=absolute,
        combined=window_errors(actual, combination, metric, scale),
        baseline=_known_mean(naive),
        weight=point_weights(actual, metric).sum(axis=1),
        scale=folds.size,
    )
    return tested, actual[..., None] - np.concatenate([each, combination[..., None]], axis=-1)


def _known_mean(values: FloatArray) -> FloatArray:
    """Mean over the last axis of what is known; NaN where nothing is."""
    known = ~np.isnan(values)
    count = known.sum(axis=-1)
    return np.where(count > 0, np.where(known, values, 0.0).sum(axis=-1) / np.maximum(count, 1), np.nan)


def ensemble_folds(errors: FloatArray) -> FloatArray:
    """Weights [S, F, M] of each fold's combination, from the absolute errors [S, F, M] of the other folds.

    With one fold only, equal weights: a fold must not judge itself.
    """
    n_folds = errors.shape[1]
    if n_folds == 1:
        known = np.isfinite(errors).astype(float)
        equal: FloatArray = known / np.maximum(known.sum(axis=2, keepdims=True), 1.0)
        return equal
    others = [ensemble_weights(np.delete(errors, fold, axis=1)) for fold in range(n_folds)]
    return np.stack(others, axis=1)
