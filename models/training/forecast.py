"""Train forecast segments: a backtest with rolling origins over a whole bucket at once."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from domain.arrays import FloatArray
from domain.config.fleet import Fleet
from models.features.centre import centred_features, centres, needs_centre
from models.features.feature_spec import FeatureSpec
from models.features.forecast_features import forecast_features
from models.features.panel import Panel, mean_absolute
from models.features.series import Series
from models.features.training_rows import Cutoff, build_rows
from models.smoothing.candidate import SmoothingCandidate
from models.smoothing.naive import SeasonalNaive
from models.training.backtest import Backtest, Folds, evaluate_folds, segment_cutoffs
from models.training.base import Fitted
from models.training.candidates import candidates_of
from models.training.ensemble import conformal_quantile
from models.training.export import Refit
from models.training.select import restrict_candidates, select_models
from models.training.trained import TrainedSegment, untrained

__all__ = ["train_forecast"]


def train_forecast(series: Series, fleet: Fleet, spec: FeatureSpec, winner: str = "") -> list[TrainedSegment]:
    """Train every segment of `series`.

    winner : a candidate, or the ensemble, to refit without a choice.
    Returns results in the order of the segments; a segment of one period has no model but a reason.
    """
    fleet = restrict_candidates(fleet, winner)
    groups: dict[tuple[tuple[int, ...], bool], list[int]] = {}
    centred = needs_centre(series.panel, spec).tolist()
    for index, length in enumerate(series.panel.lengths.tolist()):
        cutoffs = segment_cutoffs(length, spec.horizon, fleet.backtest.folds, fleet.backtest.spacing)
        groups.setdefault((cutoffs, centred[index]), []).append(index)
    results: dict[int, TrainedSegment] = {}
    for index in [*groups.pop(((), False), []), *groups.pop(((), True), [])]:
        results[index] = untrained(series.segments[index], "one period only; a backtest needs at least two")
    for (cutoffs, relative), members in groups.items():
        # Huge values overflow to infinity or NaN, and a candidate without a finite forecast is not chosen.
        with np.errstate(all="ignore"):
            of_group = replace(spec, centred=True) if relative else spec
            trained = _train_group(series.take(members), cutoffs, fleet, of_group, winner)
        results.update(zip(members, trained, strict=True))
    return [results[index] for index in range(len(series.segments))]


def _train_group(
    series: Series, backtest_cutoffs: tuple[int, ...], fleet: Fleet, spec: FeatureSpec, winner: str
) -> list[TrainedSegment]:
    """Train segments that share their cutoffs."""
    candidates = candidates_of(fleet)
    needs_rows = any(candidate.needs_rows for candidate in candidates)
    rows = build_rows(series, spec, [0, *backtest_cutoffs]) if needs_rows else None
    end, *cutoffs = [Cutoff(series, spec, rows, after, spec.horizon) for after in (0, *backtest_cutoffs)]
    fitted = [candidate.fit([end, *cutoffs]) for candidate in candidates]
    backtest, residuals = _backtest(series, cutoffs, [fits[1:] for fits in fitted], fleet)
    refit = _refit(series, [fits[0] for fits in fitted], residuals, fleet, spec)
    return select_models(series.segments, backtest, refit, fleet, spec, winner)


def _backtest(
    series: Series, cutoffs: Sequence[Cutoff], fitted: Sequence[Sequence[Fitted]], fleet: Fleet
) -> tuple[Backtest, FloatArray]:
    """The backtest, and residuals as of `evaluate_folds`; fitted : of each candidate, at each cutoff."""
    naive = SmoothingCandidate("seasonal_naive", SeasonalNaive()).fit(cutoffs)
    folds = Folds(
        actual=np.stack([cutoff.actual() for cutoff in cutoffs], axis=1),
        predictions=np.stack([np.stack([fit.forecast for fit in fits], axis=1) for fits in fitted], axis=-1),
        baseline=np.stack([fit.forecast for fit in naive], axis=1),
        size=mean_absolute(series.panel.values),
        scale=_scale(series.panel, fleet),
    )
    return evaluate_folds(folds, fleet)


def _scale(panel: Panel, fleet: Fleet) -> FloatArray:
    """Denominator [S] of scaled metrics: mean absolute target, or for mase the in-sample naive error."""
    if fleet.backtest.metric == "mase":
        lag = panel.season if panel.values.shape[1] > panel.season else 1
        return mean_absolute(panel.values[:, lag:] - panel.values[:, :-lag])
    return mean_absolute(panel.values)


def _refit(series: Series, fitted: Sequence[Fitted], residuals: FloatArray, fleet: Fleet, spec: FeatureSpec) -> Refit:
    """The candidates fitted on all rows; residuals [S, F, H, M + 1] give the intervals."""
    parameters = {
        candidate.name: [fit.parameters(s) for s in range(len(series.segments))]
        for candidate, fit in zip(fleet.candidates, fitted, strict=True)
        if candidate.spec.family == "smoothing"
    }
    last = series.covariates[:, -1:, :]
    covariates = np.concatenate([series.covariates, np.repeat(last, spec.horizon, axis=1)], axis=1)
    features = forecast_features(series.panel, np.nan_to_num(covariates), spec, parameters)
    widths = [conformal_quantile(residuals[..., m], fleet.interval.level) for m in range(residuals.shape[-1])]
    centre = centres(series.panel) if spec.centred else None
    return Refit(
        features=features if centre is None else centred_features(features, spec, centre),
        predictions=np.stack([fit.forecast for fit in fitted], axis=-1),
        member=lambda s, m: fitted[m].member(s),
        parameters=lambda s, m: fitted[m].parameters(s),
        half_width=lambda s, m: widths[m][s],
        failure=lambda s, m: fitted[m].failures.get(s, ""),
        centre=centre,
    )
