"""Select the models of many segments from their backtests: one candidate, or the ensemble of all.

Forecast and regression fleets, segments and fallback levels all use it.
"""

from collections.abc import Sequence

import numpy as np

from domain.arrays import FloatArray, IntArray
from domain.config.candidates import ENSEMBLE
from domain.config.fleet import Fleet
from models.features.feature_spec import FeatureSpec
from models.training.backtest import Backtest
from models.training.ensemble import ENSEMBLE_INDEX, choose, ensemble_weights
from models.training.export import Refit, Selection
from models.training.trained import TrainedSegment

__all__ = ["restrict_candidates", "select_models"]


def restrict_candidates(fleet: Fleet, winner: str) -> Fleet:
    """The fleet with the candidates that a training needs: all of them, unless a single one is to be refitted."""
    if winner in ("", ENSEMBLE):
        return fleet
    return fleet.model_copy(update={"candidates": [config for config in fleet.candidates if config.name == winner]})


def select_models(
    segments: Sequence[str], backtest: Backtest, refit: Refit, fleet: Fleet, spec: FeatureSpec, winner: str = ""
) -> list[TrainedSegment]:
    """Choose the winner of each segment and export it.

    Parameters
    ----------
    segments : keys, in the order of the first axis of `backtest` and `refit`.
    winner : a candidate, or the ensemble, to take without a choice wherever its model can be exported.

    Returns
    -------
    A result per segment; if every candidate failed, it has no model but a reason.
    """
    usable = np.asarray(np.isfinite(refit.predictions).all(axis=1))[:, None, :]
    errors = np.where(usable, backtest.errors, np.nan)
    competes = fleet.combine and len(backtest.names) > 1
    ensemble_errors = backtest.ensemble_errors if competes else np.full_like(backtest.ensemble_errors, np.nan)
    weights = ensemble_weights(np.where(usable, backtest.absolute_errors, np.nan))
    means = np.concatenate([_mean(errors), _mean(ensemble_errors[..., None])], axis=1)
    if winner:
        winners = np.full(len(segments), (*backtest.names, ENSEMBLE).index(winner))
    else:
        margin, tolerance = fleet.backtest.combination_margin, fleet.backtest.tolerance
        winners = choose(errors, ensemble_errors, backtest.complexity, margin, tolerance)
        winners = np.where(winners == ENSEMBLE_INDEX, len(backtest.names), winners)
        winners = _replace_failing_ensemble(winners, means, backtest, fleet)
    return Selection(segments, backtest, refit, fleet, spec, means, weights).models(winners)


def _replace_failing_ensemble(winners: IntArray, means: FloatArray, backtest: Backtest, fleet: Fleet) -> IntArray:
    """Replace the ensemble by the best single candidate where the promotion gate would hold it.

    Its backtest is then worse than the naive baseline; naive candidates compete too, so one that passes often exists.
    """
    limit = backtest.baseline_errors * (1 + fleet.gates.baseline_tolerance)
    singles = np.where(np.isfinite(means[:, :-1]), means[:, :-1], np.inf)
    best = np.argmin(singles, axis=1)
    fails = (winners == len(backtest.names)) & (means[:, -1] > limit) & (singles.min(axis=1) <= limit)
    return np.where(fails, best, winners)


def _mean(errors: FloatArray) -> FloatArray:
    """Mean over the folds [S, F, M] -> [S, M]; NaN where a candidate missed a fold that another one had."""
    judged = ~np.isnan(errors).all(axis=2, keepdims=True)
    total = np.where(judged, errors, 0.0).sum(axis=1)
    folds = judged.sum(axis=1)
    means: FloatArray = np.where(folds > 0, total / np.maximum(folds, 1), np.nan)
    return means
