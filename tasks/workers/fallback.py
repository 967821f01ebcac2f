"""The fallback chain of forecasts: the first level that has a model, else the last value, else no model."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.runtime import Scores
from domain.data.calendar import future_times, ordinals
from domain.data.fallback_levels import fallback_level_of, fallback_observations
from domain.data.model_record import Champion
from domain.data.partitioning import fallback_keys
from domain.data.tables import OUTCOMES, levels
from models.features.feature_spec import FeatureSpec, feature_spec_of
from models.features.series import Series, build_series, future_covariates, lacking_columns
from models.inference.group_scaling import aligned, dispersion, fit_group_scaling
from tasks.workers.covariates import Future, future_of, periods_ahead
from tasks.workers.prediction_rows import ForecastRows, Times, model_lineage, notes
from tasks.workers.run_context import RunContext, in_bucket
from tasks.workers.run_models import forecast_each
from tasks.workers.scoring_request import ScoringRequest

__all__ = ["FallbackChain", "newest_outcomes", "why_without_model"]


class FallbackChain:
    """Forecasts for the segments of a bucket that their own champion gives none."""

    def __init__(
        self,
        context: RunContext,
        request: ScoringRequest,
        bucket: int,
        rows: pa.Table,
        covariates: pa.Table,
        asked: Mapping[str, Times],
        level_models: Mapping[str, Champion],
    ) -> None:
        """rows, covariates, asked : what the job knows of the bucket; see `score_forecast`."""
        self._job, self._order, self._rows, self._covariates, self._asked = context, request, rows, covariates, asked
        self._models = level_models
        self._level_rows = _level_rows(context, request)
        self._outcomes = newest_outcomes(context, bucket)
        self._prepared: dict[str, tuple[FeatureSpec, Series, Series, Future]] = {}
        self._spreads: dict[tuple[str, str, int], float] = {}

    def score(self, segments: Mapping[str, str], output: ForecastRows) -> None:
        """segments : key -> why its champion gave no forecast; empty where it has none."""
        names = list(segments)
        chains = fallback_keys(names, self._job.fleet)
        present = set(pc.unique(self._level_rows["segment"]).to_pylist())
        for number, segment in enumerate(names):
            told = [segments[segment] or why_without_model(self._outcomes.get(segment))]
            keys = (keys[number] for keys in chains.values())
            usable = [key for key in keys if key in self._models and key in present]
            if not any(self._from_level(segment, key, told, output) for key in usable):
                self._without_level(segment, told, output)

    def _prepare(self, text: str = "") -> tuple[FeatureSpec, Series, Series, Future]:
        """Contract, series of segments and of levels, and future covariates; made once a contract.

        text : a model's contract; empty for that of the fleet file, which is enough where only the target matters.
        """
        if text not in self._prepared:
            clock = self._job.fleet.clock
            contract = FeatureSpec.from_json(text) if text else feature_spec_of(self._job.fleet, {})
            own, by_level = (build_series(rows, contract, clock) for rows in (self._rows, self._level_rows))
            future = future_of(self._covariates, contract, clock, self._order.source)
            self._prepared[text] = contract, own, by_level, future
        return self._prepared[text]

    def _from_level(self, segment: str, key: str, told: list[str], output: ForecastRows) -> bool:
        """The level's forecast from the level's origin, scaled to the segment where it has rows of its own.

        Returns whether there is one; why there is none is added to `told`.
        """
        model, label, context = self._models[key], fallback_level_of(key), self._job
        if lacking := lacking_columns(self._level_rows, FeatureSpec.from_json(model.contract)):
            told.append(f"the {label} model needs {', '.join(lacking)}, which the fleet file no longer has")
            return False
        contract, every, by_level, future = self._prepare(model.contract)
        own, level = _only(every, segment), _only(by_level, key)
        if level is None:
            told.append(f"the {label} level has no usable row")
            return False
        level = Series((segment,), level.panel, level.covariates, level.last_times, level.rows)
        covariates, carried = future_covariates(level, contract.horizon, future.rows)
        scores = forecast_each(level, [model], covariates)[0]
        if isinstance(scores, str):
            told.append(f"{label}: {scores}")
            return False
        strays = partial(self._strays, label, model.contract)
        scores, how = _moved(scores, own, level, strays, context.fleet.target.minimum)
        reasons = [f"no model of its own ({'; '.join(told)})", f"{label} model{how}"]
        reasons += notes(context, self._order, own, 0, None, "the segment") if own else []
        reasons += notes(context, self._order, level, 0, model, "the level")
        times = future_times(level.last_times, contract.horizon, context.fleet.clock.frequency)[0]
        ids = future.input_ids(segment, periods_ahead(int(level.panel.ends[0]), contract.horizon))
        lineage = model_lineage(model, label, carried[0], ids, context, reasons)
        output.add(segment, level.last_times[0].item(), times, scores, lineage)
        return True

    def _strays(self, label: str, contract: str, shared: int) -> float:
        """How far the bucket's segments lie from their levels of this kind; see `dispersion`. Found once a case."""
        case = label, contract, shared
        if case not in self._spreads:
            _, every, by_level, _ = self._prepare(contract)
            places = {key: place for place, key in enumerate(by_level.segments)}
            keys = fallback_keys(list(every.segments), self._job.fleet)[label]
            pairs = [(number, places[key]) for number, key in enumerate(keys) if key in places]
            index, at = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
            panel = by_level.panel.take(at)
            own = aligned(every.take(index), panel.values, panel.ends)
            fleet = self._job.fleet
            self._spreads[case] = dispersion(own, panel.values, shared, fleet.steps, fleet.interval.level)
        return self._spreads[case]

    def _without_level(self, segment: str, told: Sequence[str], output: ForecastRows) -> None:
        _, every, _, future = self._prepare()
        own = _only(every, segment)
        why = f"no model of its own ({'; '.join(told)}) and no level has one"
        if own is not None:
            self._naive(segment, own, why, future, output)
        else:
            self._no_model(segment, why, future, output)

    def _naive(self, segment: str, own: Series, why: str, future: Future, output: ForecastRows) -> None:
        horizon = self._job.fleet.steps
        unknown = np.full(horizon, np.nan)
        scores = Scores(np.full(horizon, own.panel.values[0, -1]), unknown, unknown)
        times = future_times(own.last_times, horizon, self._job.fleet.clock.frequency)[0]
        lineage: dict[str, object] = {"candidate": "naive", "fallback_level": "naive", "status": "ok"}
        told = notes(self._job, self._order, own, 0, None, "the segment")
        lineage["reason"] = "; ".join([f"{why}; last value", *told])
        lineage["input_id"] = future.input_ids(segment, periods_ahead(int(own.panel.ends[0]), horizon))
        output.add(segment, own.last_times[0].item(), times, scores, lineage)

    def _no_model(self, segment: str, why: str, future: Future, output: ForecastRows) -> None:
        """An explicit row for every period that was asked for, or for the horizon; never a number."""
        times, frequency = self._asked.get(segment), self._job.fleet.clock.frequency
        if times is None:
            own = self._rows.filter(pc.equal(self._rows["segment"], segment))["time"].to_numpy()
            newest = own.astype("datetime64[us]").max(keepdims=True)
            times = future_times(newest, self._job.fleet.steps, frequency)[0]
        unknown = np.full(len(times), np.nan)
        lineage: dict[str, object] = {"status": "no_model", "reason": f"{why}; no usable row of its own either"}
        lineage["input_id"] = future.input_ids(segment, ordinals(times, frequency))
        output.add(segment, None, times, Scores(unknown, unknown, unknown), lineage)


def why_without_model(outcome: tuple[str, str] | None) -> str:
    """Why a segment has no champion. outcome : outcome and reason of its newest training, if there was any."""
    if outcome is None:
        return "the segment was not there to train on"
    name, reason = outcome
    if name in ("trained", "reused"):
        return "its challenger was not promoted; see verdicts"
    return f"{name}: {reason}" if reason else name


def newest_outcomes(context: RunContext, bucket: int) -> dict[str, tuple[str, str]]:
    """Outcome and reason of every segment in the bucket's newest training."""
    table = context.table(OUTCOMES)
    files = table.files(in_bucket(bucket))
    newest = max(files, key=lambda file: file.committed_ms, default=None)
    of_run = [file for file in files if newest and file.partition["run_id"] == newest.partition["run_id"]]
    rows = table.read_files(of_run, ["segment", "outcome", "reason"]).to_pylist()
    return {row["segment"]: (row["outcome"], row["reason"]) for row in rows}


def _only(series: Series, segment: str) -> Series | None:
    """The series of one segment; None where it has no usable row."""
    return series.take([series.segments.index(segment)]) if segment in series.segments else None


def _moved(
    scores: Scores, own: Series | None, level: Series, strays: Callable[[int], float], minimum: float | None
) -> tuple[Scores, str]:
    """A level's forecast at the segment's size, with an interval as wide as segments stray, and how it got there.

    strays : from shared periods to how far segments lie from the level, relative to its size; NaN where unknown.
    """
    mine = np.full((1, 0), np.nan) if own is None else aligned(own, level.panel.values, level.panel.ends)
    fit = fit_group_scaling(mine, level.panel.values)
    # Two sources of error that know nothing of each other: the level's forecast, and the segment about its level.
    away = np.nan_to_num(strays(fit.shared)) * fit.size
    point = scores.prediction * fit.factor + fit.offset
    # The lower end may have been cut off at the minimum, at the level's own size; the upper one never is.
    half = np.hypot((scores.upper - scores.prediction) * fit.factor, away)
    floor = -np.inf if minimum is None else minimum
    ends = (point, point - half, point + half)
    moved = Scores(*(np.maximum(values, floor) for values in ends))
    if own is None:
        return moved, ""
    how = f"shifted by {fit.offset:.4g}" if fit.offset else f"scaled by {fit.factor:.4g}"
    return moved, f", {how} to the segment's rows"


_summed: dict[tuple[str, int, str, str], pa.Table] = {}


def _level_rows(context: RunContext, request: ScoringRequest) -> pa.Table:
    """Series of the levels; every bucket of a job needs the same ones, so a worker adds them up once."""
    table = context.table(levels(context.fleet))
    key = (table.uri, table.version(), context.fleet.model_dump_json(), str(request.as_of))
    if key not in _summed:
        # Before they are added up by period: rows of one period may bear different dates.
        rows = fallback_observations(request.known(table.read()), context.fleet)
        _summed.clear()
        _summed[key] = rows
    return _summed[key]
