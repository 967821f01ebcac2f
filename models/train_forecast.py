"""Train forecast segments: rolling-origin backtest over a whole bucket at once."""

from collections.abc import Mapping, Sequence

import numpy as np

from models.combine import combine, conformal_quantile, fold_drops
from models.competitors import Competitor, Fitted, SmoothingCandidate, competitors
from models.features import STATES, Contract, base_features, state_columns
from models.fleet import Fleet
from models.member import Parameters
from models.metrics import point_weights, window_errors
from models.panel import FloatArray, IntArray, Panel, target_phases
from models.rows import Rows, Window, build_rows
from models.series import Series
from models.smoothing import MEMBERS
from models.train import Backtest, Refit, SegmentParameters, TrainedSegment, assemble, combine_folds

__all__ = ["fold_plan", "forecast_features", "train_forecast"]


def fold_plan(length: int, horizon: int, folds: int, spacing: int | str) -> tuple[int, ...]:
    """Backtest origins of a segment of `length` periods, as periods before its end, latest first.

    A fold is judged on the periods it has, up to the horizon. The folds of a short segment move together, so that at
    least a third of it, and two periods, remain to train on.
    """
    wanted = fold_drops(horizon, folds) if spacing == "auto" else tuple(int(spacing) * (f + 1) for f in range(folds))
    room = max(1, length - max(2, length // 3))
    if wanted[-1] <= room:
        return wanted
    return tuple(sorted({max(1, drop * room // wanted[-1]) for drop in wanted}))


def train_forecast(series: Series, fleet: Fleet, contract: Contract) -> list[TrainedSegment]:
    """Train every segment of `series`, which all have at least two rows; results in their order."""
    plans: dict[tuple[int, ...], list[int]] = {}
    for index, length in enumerate(series.panel.lengths.tolist()):
        shifts = fold_plan(length, contract.horizon, fleet.backtest.folds, fleet.backtest.spacing)
        plans.setdefault(shifts, []).append(index)
    results: dict[int, TrainedSegment] = {}
    for shifts, members in plans.items():
        trained = _train_group(series.take(members), shifts, fleet, contract)
        results.update(zip(members, trained, strict=True))
    return [results[index] for index in range(len(series.segments))]


def _train_group(series: Series, shifts: tuple[int, ...], fleet: Fleet, contract: Contract) -> list[TrainedSegment]:
    found = competitors(fleet)
    needs_rows = any(candidate.needs_rows for candidate in found)
    rows = build_rows(series, contract, [0, *shifts]) if needs_rows else None
    tested, residuals = _backtest(series, found, rows, shifts, fleet, contract)
    window = Window(series, contract, rows, 0, contract.horizon)
    fitted = [candidate.fit(window) for candidate in found]
    refit = _refit(series, found, fitted, tested, residuals, fleet, contract)
    return assemble(series.segments, tested, refit, fleet, contract)


def _backtest(
    series: Series,
    found: Sequence[Competitor],
    rows: Rows | None,
    shifts: tuple[int, ...],
    fleet: Fleet,
    contract: Contract,
) -> tuple[Backtest, FloatArray]:
    """Errors of every candidate, and residuals [S, F, H, M + 1] of the candidates and of the combination."""
    windows = [Window(series, contract, rows, shift, contract.horizon) for shift in shifts]
    actual = np.stack([window.actual() for window in windows], axis=1)
    each = np.stack([np.stack([c.fit(window).forecast for c in found], axis=-1) for window in windows], axis=1)
    naive = SmoothingCandidate(MEMBERS["seasonal_naive"])
    baseline = np.stack([naive.fit(window).forecast for window in windows], axis=1)
    if contract.minimum is not None:
        each, baseline = np.maximum(each, contract.minimum), np.maximum(baseline, contract.minimum)
    scale = _scale(series.panel, fleet)
    metric = fleet.backtest.metric
    by_candidate = np.moveaxis(each, -1, 0)
    errors = np.stack([window_errors(actual, e, metric, scale[:, None]) for e in by_candidate], axis=-1)
    absolute = np.stack([window_errors(actual, e, "mae", scale[:, None]) for e in by_candidate], axis=-1)
    weights = combine_folds(absolute)
    # Folds are taken for segments here: each has weights of its own.
    flat = np.moveaxis(each, -1, 2).reshape(-1, each.shape[-1], each.shape[2])
    combination = combine(flat, weights.reshape(-1, weights.shape[-1])).reshape(actual.shape)
    combined = window_errors(actual, combination, metric, scale[:, None])
    everything = np.concatenate([each, combination[..., None]], axis=-1)
    tested = Backtest(
        names=tuple(candidate.name for candidate in found),
        complexity=np.array([candidate.complexity for candidate in found]),
        errors=errors,
        absolute=absolute,
        combined=combined,
        baseline=np.nanmean(window_errors(actual, baseline, metric, scale[:, None]), axis=1),
        weight=point_weights(actual, metric).sum(axis=1),
        scale=np.nanmean(np.abs(series.panel.values), axis=1),
    )
    return tested, actual[..., None] - everything


def _scale(panel: Panel, fleet: Fleet) -> FloatArray:
    """Denominator [S] of scaled metrics: mean absolute target, or for mase the in-sample naive error."""
    if fleet.backtest.metric == "mase":
        lag = panel.season if panel.values.shape[1] > panel.season else 1
        steps = np.abs(panel.values[:, lag:] - panel.values[:, :-lag])
        known = ~np.isnan(steps)
        return np.where(known, steps, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return np.nanmean(np.abs(panel.values), axis=1)


def _refit(
    series: Series,
    found: Sequence[Competitor],
    fitted: Sequence[Fitted],
    tested: Backtest,
    residuals: FloatArray,
    fleet: Fleet,
    contract: Contract,
) -> Refit:
    parameters = {
        candidate.name: [fit.parameters(s) for s in range(len(series.segments))]
        for candidate, fit in zip(found, fitted, strict=True)
        if isinstance(candidate, SmoothingCandidate)
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
    )


def forecast_features(
    panel: Panel, covariates: FloatArray, contract: Contract, parameters: Mapping[str, Sequence[SegmentParameters]]
) -> FloatArray:
    """All columns of the contract at the panel's last column, [S, H, k].

    covariates : [S, T + H, K]. parameters : smoothing candidate -> parameters of each segment; a segment that lacks
    them gets zeros, since its graph does not read them.
    """
    n_segments, width = panel.values.shape
    base = base_features(panel, covariates, contract, np.array([width - 1]))[:, 0]
    phases = target_phases(panel, contract.horizon)
    parts = [base]
    for name in contract.states:
        columns = np.zeros((n_segments, contract.horizon, len(STATES)))
        having = [s for s in range(n_segments) if parameters.get(name, [{}] * n_segments)[s]]
        if having:
            stacked = _stack([parameters[name][s] for s in having])
            state = MEMBERS[name].states(panel.take(having), stacked)
            index: IntArray = np.array(having)
            columns[index] = state_columns(state.level, state.trend, state.multiplier, state.addend, phases[index])
        parts.append(columns)
    return np.concatenate(parts, axis=-1)


def _stack(parameters: Sequence[SegmentParameters]) -> Parameters:
    """Parameters of several segments as arrays with a first axis S."""
    return {name: np.array([of_segment[name] for of_segment in parameters]) for name in parameters[0]}
