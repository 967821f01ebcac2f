"""Train forecast segments: rolling-origin backtest over a whole bucket at once."""

from collections.abc import Sequence

import numpy as np

from domain.arrays import FloatArray
from domain.config.fleet import Fleet
from models.features.feature_spec import FeatureSpec
from models.features.forecast_features import forecast_features
from models.features.panel import Panel
from models.features.series import Series
from models.features.training_rows import Cutoff, build_rows
from models.smoothing.candidate import SmoothingCandidate
from models.smoothing.naive import SeasonalNaive
from models.training.backtest import Backtest, Folds, evaluate_folds
from models.training.base import Fitted
from models.training.candidates import candidates_of
from models.training.ensemble import conformal_quantile, cutoffs
from models.training.select import Refit, TrainedSegment, restrict_candidates, select_models, untrained

__all__ = ["fold_plan", "train_forecast"]


def fold_plan(length: int, horizon: int, folds: int, spacing: int | str) -> tuple[int, ...]:
    """Backtest origins of a segment of `length` periods, as periods before its end, latest first.

    A fold is judged on the periods it has, up to the horizon. The folds of a short segment move together, so that at
    least a third of it, and two periods if there are three, remain to train on. One period leaves nothing to judge by.
    """
    if length < 2:
        return ()
    wanted = cutoffs(horizon, folds) if spacing == "auto" else tuple(int(spacing) * (f + 1) for f in range(folds))
    room = max(1, length - max(2, length // 3))
    if wanted[-1] <= room:
        return wanted
    return tuple(sorted({max(1, drop * room // wanted[-1]) for drop in wanted}))


def train_forecast(series: Series, fleet: Fleet, contract: FeatureSpec, winner: str = "") -> list[TrainedSegment]:
    """Train every segment of `series`; results in their order. A segment of one period has no model but a reason.

    winner : refits this candidate, or the combination, without a choice.
    """
    fleet = restrict_candidates(fleet, winner)
    plans: dict[tuple[int, ...], list[int]] = {}
    for index, length in enumerate(series.panel.lengths.tolist()):
        shifts = fold_plan(length, contract.horizon, fleet.backtest.folds, fleet.backtest.spacing)
        plans.setdefault(shifts, []).append(index)
    results: dict[int, TrainedSegment] = {}
    for index in plans.pop((), []):
        results[index] = untrained(series.segments[index], "one period only; a backtest needs at least two")
    for shifts, members in plans.items():
        # Huge values overflow to infinity or NaN, and a candidate without a finite forecast is not chosen.
        with np.errstate(all="ignore"):
            trained = _train_group(series.take(members), shifts, fleet, contract, winner)
        results.update(zip(members, trained, strict=True))
    return [results[index] for index in range(len(series.segments))]


def _train_group(
    series: Series, shifts: tuple[int, ...], fleet: Fleet, contract: FeatureSpec, winner: str
) -> list[TrainedSegment]:
    found = candidates_of(fleet)
    needs_rows = any(candidate.needs_rows for candidate in found)
    rows = build_rows(series, contract, [0, *shifts]) if needs_rows else None
    windows = [Cutoff(series, contract, rows, shift, contract.horizon) for shift in (0, *shifts)]
    fitted = [candidate.fit(windows) for candidate in found]
    tested, residuals = _backtest(series, windows[1:], [fits[1:] for fits in fitted], fleet)
    refit = _refit(series, [fits[0] for fits in fitted], residuals, fleet, contract)
    return select_models(series.segments, tested, refit, fleet, contract, winner)


def _backtest(
    series: Series, windows: Sequence[Cutoff], fitted: Sequence[Sequence[Fitted]], fleet: Fleet
) -> tuple[Backtest, FloatArray]:
    """Errors of every candidate, and residuals [S, F, H, M + 1] of the candidates and of the combination.

    fitted : of each candidate, in each window.
    """
    naive = SmoothingCandidate("seasonal_naive", SeasonalNaive()).fit(windows)
    folds = Folds(
        actual=np.stack([window.actual() for window in windows], axis=1),
        each=np.stack([np.stack([fit.forecast for fit in fits], axis=1) for fits in fitted], axis=-1),
        baseline=np.stack([fit.forecast for fit in naive], axis=1),
        size=_mean_size(series.panel.values),
        scale=_scale(series.panel, fleet),
    )
    return evaluate_folds(folds, fleet)


def _mean_size(values: FloatArray) -> FloatArray:
    """Mean absolute value [S] of what is known of values [S, n]; 0 where nothing is."""
    known = ~np.isnan(values)
    size: FloatArray = np.where(known, np.abs(values), 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return size


def _scale(panel: Panel, fleet: Fleet) -> FloatArray:
    """Denominator [S] of scaled metrics: mean absolute target, or for mase the in-sample naive error."""
    if fleet.backtest.metric == "mase":
        lag = panel.season if panel.values.shape[1] > panel.season else 1
        return _mean_size(panel.values[:, lag:] - panel.values[:, :-lag])
    return _mean_size(panel.values)


def _refit(
    series: Series,
    fitted: Sequence[Fitted],
    residuals: FloatArray,
    fleet: Fleet,
    contract: FeatureSpec,
) -> Refit:
    parameters = {
        candidate.name: [fit.parameters(s) for s in range(len(series.segments))]
        for candidate, fit in zip(fleet.candidates, fitted, strict=True)
        if candidate.spec.family == "smoothing"
    }
    last = series.covariates[:, -1:, :]
    covariates = np.concatenate([series.covariates, np.repeat(last, contract.horizon, axis=1)], axis=1)
    features = forecast_features(series.panel, np.nan_to_num(covariates), contract, parameters)
    widths = [conformal_quantile(residuals[..., m], fleet.interval.level) for m in range(residuals.shape[-1])]
    return Refit(
        features=features,
        predictions=np.stack([fit.forecast for fit in fitted], axis=-1),
        member=lambda s, m: fitted[m].member(s),
        parameters=lambda s, m: fitted[m].parameters(s),
        half_width=lambda s, winner: widths[winner][s],
        failure=lambda s, m: fitted[m].failures.get(s, ""),
    )
