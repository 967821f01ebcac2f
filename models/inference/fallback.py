"""The fallback chain of forecasts: the first level that has a model, else the last value, else no model."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial

import numpy as np

from domain.config.fleet import Fleet
from domain.data.fallback_levels import fallback_level_of
from domain.data.model_record import Champion
from domain.data.partitioning import fallback_keys
from domain.failure import Failure
from models.features.feature_spec import FeatureSpec, feature_spec_of
from models.features.series import Series, future_covariates
from models.inference.forecast import Forecast, ForecastInputs, StepCovariates, finite_forecast, forecast_remarks
from models.inference.group_scaling import aligned, dispersion, scale_to_segment
from models.inference.loaded_models import LoadedModels
from models.onnx_graphs.runtime import Predictions

__all__ = ["FallbackChain", "reason_without_model"]


class FallbackChain:
    """Forecasts for segments whose own champion is missing or failed.

    Parameters
    ----------
    models : of the fallback levels, by level key.
    inputs : of all segments that are forecast together; the dispersion about a level is measured on their history.
    fleet : the fleet file, which says in which order the levels are tried.
    """

    def __init__(self, models: LoadedModels[Champion], inputs: ForecastInputs, fleet: Fleet) -> None:
        self._models, self._inputs, self._fleet = models, inputs, fleet
        fallback = inputs.fallback()
        self._levels, self._outcomes = fallback.levels, fallback.outcomes
        self._dispersions: dict[tuple[str, str, int], float] = {}

    def forecast(self, segments: Mapping[str, Failure | None]) -> dict[str, Forecast | Failure]:
        """Forecast segments. segments : key -> failure of its champion; None where it has none."""
        chains = fallback_keys(list(segments), self._fleet)
        results = {}
        for number, (segment, failure) in enumerate(segments.items()):
            reason = failure.reason if failure else reason_without_model(self._outcomes.get(segment))
            results[segment] = self._along(segment, [keys[number] for keys in chains.values()], [reason])
        return results

    def _along(self, segment: str, keys: Sequence[str], reasons: list[str]) -> Forecast | Failure:
        """The forecast of the first level that gives one. reasons : why there is none before."""
        for key in keys:
            if key in self._models and key in self._levels.segments:
                result = self._from_level(segment, key, reasons)
                if isinstance(result, Forecast):
                    return result
                reasons.append(result.reason)
        reason = f"no model of its own ({'; '.join(reasons)}) and no level has one"
        own = self._inputs.history.series_of(segment, self._target_contract)
        if own is not None:
            return self._naive(own, reason)
        return Failure(f"{reason}; no usable row of its own either")

    def _from_level(self, segment: str, key: str, reasons: Sequence[str]) -> Forecast | Failure:
        """The level's forecast from the level's origin, scaled to the segment where it has rows of its own."""
        model, contract, label = self._models[key], self._models.contract(key), fallback_level_of(key)
        if lacking := self._levels.lacking(contract):
            return Failure(f"the {label} model needs {', '.join(lacking)}, which the fleet file no longer has")
        level = self._levels.series_of(key, contract)
        if level is None:
            return Failure(f"the {label} level has no usable row")
        own = self._inputs.history.series_of(segment, contract)
        # The covariates are those of the segment.
        known = self._inputs.covariates.encoded(contract)
        ahead = future_covariates(replace(level, segments=(segment,)), contract, known)
        outputs = finite_forecast(self._models.forecast(level, ahead.values)[0])
        if isinstance(outputs, Failure):
            return Failure(f"{label}: {outputs.reason}")
        measured = partial(self._dispersion, label, contract)
        outputs, how = scale_to_segment(outputs, own, level, measured, self._fleet.target.minimum)
        remarks = [f"no model of its own ({'; '.join(reasons)})", f"{label} model{how}"]
        remarks += self._remarks(own, None, "the segment") if own else ()
        remarks += self._remarks(level, model, "the level")
        dated_alike = _dated_alike(level, own) if own is not None and own.rows[0] > 1 else level
        notes = self._inputs.covariates.notes(contract, segment, int(level.panel.ends[0]), self._fleet)
        covariates = StepCovariates.of(ahead, 0, contract, self._fleet, notes)
        return self._forecast(segment, dated_alike, outputs, covariates, model, label, remarks)

    def _naive(self, own: Series, reason: str) -> Forecast:
        """The last value, repeated; without an interval."""
        steps = self._fleet.steps
        unknown = np.full(steps, np.nan)
        outputs = Predictions(np.full(steps, own.panel.values[0, -1]), unknown, unknown)
        remarks = (f"{reason}; last value", *self._remarks(own, None, "the segment"))
        return self._forecast(own.segments[0], own, outputs, StepCovariates.none(steps), None, "naive", remarks)

    def _forecast(
        self,
        segment: str,
        series: Series,
        outputs: Predictions,
        covariates: StepCovariates,
        model: Champion | None,
        fallback_level: str,
        remarks: Sequence[str],
    ) -> Forecast:
        """A forecast from the end of a series of one segment or level."""
        steps = len(outputs.prediction)
        return Forecast(
            segment=segment,
            origin=series.last_times[0].item(),
            ahead=series.ahead(steps)[0],
            predictions=outputs,
            covariates=covariates,
            model=model,
            fallback_level=fallback_level,
            remarks=tuple(remarks),
        )

    def _remarks(self, series: Series, model: Champion | None, owner: str) -> tuple[str, ...]:
        return forecast_remarks(series, 0, model, owner, self._inputs.point_in_time, self._fleet)

    @cached_property
    def _target_contract(self) -> FeatureSpec:
        """The contract of the fleet file, which is enough where only the target matters."""
        return feature_spec_of(self._fleet, {})

    def _dispersion(self, label: str, contract: FeatureSpec, shared: int) -> float:
        """Dispersion of the segments about their levels of this kind; see `dispersion`. Measured once per case."""
        case = label, contract.to_json(), shared
        if case not in self._dispersions:
            series, levels = self._inputs.history.series(contract), self._levels.series(contract)
            places = {key: place for place, key in enumerate(levels.segments)}
            keys = fallback_keys(list(series.segments), self._fleet)[label]
            pairs = [(number, places[key]) for number, key in enumerate(keys) if key in places]
            index, at = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
            panel = levels.panel.take(at)
            own = aligned(series.take(index), panel.values, panel.ends)
            coverage = self._fleet.interval.level
            self._dispersions[case] = dispersion(own, panel.values, shared, self._fleet.steps, coverage)
        return self._dispersions[case]


def reason_without_model(outcome: tuple[str, str] | None) -> str:
    """Explain why a segment has no champion. outcome : outcome and reason of its newest training; None without one."""
    if outcome is None:
        return "the segment was not there to train on"
    name, reason = outcome
    if name in ("trained", "reused"):
        return "its challenger was not promoted; see verdicts"
    return f"{name}: {reason}" if reason else name


def _dated_alike(level: Series, own: Series) -> Series:
    """The level with the dates of a segment; what is closed to all of the level's segments is closed to each."""
    closed = own.pattern.closed | level.pattern.closed
    return replace(level, pattern=replace(own.pattern, closed=closed))
