"""Forecasts of single segments by their own champions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from domain.arrays import BoolArray
from domain.calendar.ordinals import ordinals
from domain.calendar.periods_ahead import PeriodsAhead
from domain.calendar.time_spans import period_of, time_span_text
from domain.config.fleet import Fleet
from domain.data.model_record import Champion
from domain.failure import Failure
from models.features.feature_spec import FeatureSpec
from models.features.series import CovariatesAhead, Series, future_covariates
from models.inference.covariates import FutureCovariates
from models.inference.history import History
from models.inference.loaded_models import LoadedModels
from models.inference.point_in_time import PointInTime
from models.onnx_graphs.runtime import Predictions

__all__ = [
    "FallbackInputs",
    "Forecast",
    "ForecastInputs",
    "StepCovariates",
    "Times",
    "finite_forecast",
    "forecast_own",
    "forecast_remarks",
]

Times = npt.NDArray[np.datetime64]


@dataclass(frozen=True)
class StepCovariates:
    """How the covariates of the steps of a forecast came about.

    carried : carried forward from the last known period, [H]. refused : unknown, which the fleet file rejects, [H].
    zeroed : names of the columns that are blank and count as 0, [H]. notes : on unknown categories, [H].
    """

    carried: BoolArray
    refused: BoolArray
    zeroed: tuple[tuple[str, ...], ...]
    notes: Sequence[str]

    @classmethod
    def of(
        cls, ahead: CovariatesAhead, index: int, spec: FeatureSpec, fleet: Fleet, notes: Sequence[str]
    ) -> "StepCovariates":
        """Those of one segment. index : its place in the series."""
        rejecting = [k for k, name in enumerate(spec.numeric) if fleet.features.missing.get(name) == "reject"]
        refused = ahead.unknown[index][:, rejecting].any(axis=1)
        if fleet.score is not None and fleet.score.missing_covariates == "reject":
            refused |= ahead.missing[index]
        cells = ahead.zeroed[index] if spec.zero else ahead.zeroed[index][:, :0]
        zeroed = tuple(tuple(spec.covariates[k] for k in np.flatnonzero(of_step)) for of_step in cells)
        return cls(ahead.carried[index], refused, zeroed, notes)

    @classmethod
    def none(cls, steps: int) -> "StepCovariates":
        """Those of a forecast that uses none."""
        return cls(np.zeros(steps, bool), np.zeros(steps, bool), ((),) * steps, ("",) * steps)


@dataclass(frozen=True)
class Forecast:
    """The forecast of one segment, and its lineage.

    segment : key. origin : time of the last row that it starts from.
    ahead : its periods, [n]: usually one for each step. predictions : by step, [H] each.
    covariates : how those of the steps came about.
    model : None where the last value is repeated. fallback_level : empty for the segment's own champion.
    remarks : what is unusual about it, and what was tried before; empty for most.
    """

    segment: str
    origin: datetime
    ahead: PeriodsAhead
    predictions: Predictions
    covariates: "StepCovariates"
    model: Champion | None
    fallback_level: str
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class FallbackInputs:
    """Inputs of the fallback chain besides models.

    levels : history of the fallback levels. outcomes : outcome and reason of each segment's newest training.
    """

    levels: History
    outcomes: Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class ForecastInputs:
    """Inputs of forecasts besides models and fleet file.

    history : observations up to the point in time. covariates : of later periods. segments : to forecast, first those
    of the history. fallback : called only if a champion is missing or fails.
    """

    history: History
    covariates: FutureCovariates
    point_in_time: PointInTime
    segments: Sequence[str]
    fallback: Callable[[], FallbackInputs]


def forecast_own(models: LoadedModels[Champion], inputs: ForecastInputs, fleet: Fleet) -> dict[str, Forecast | Failure]:
    """Forecast every segment of the history that has a champion; a champion that gives no forecast is a Failure."""
    results: dict[str, Forecast | Failure] = {}
    champions = [segment for segment in inputs.history.segments if segment in models]
    # Champions of one release may come from trainings with other settings: each contract has columns of its own.
    for segments in models.by_contract(champions).values():
        if lacking := inputs.history.lacking(models.contract(segments[0])):
            failure = Failure(f"its champion needs {', '.join(lacking)}, which the fleet file no longer has")
            results |= dict.fromkeys(segments, failure)
            continue
        results |= dict.fromkeys(segments, Failure("every row of its own is excluded"))
        results |= _forecast_contract(models, segments, inputs, fleet)
    return results


def _forecast_contract(
    models: LoadedModels[Champion], segments: list[str], inputs: ForecastInputs, fleet: Fleet
) -> dict[str, Forecast | Failure]:
    """Results of those segments of one contract that have a usable row."""
    contract = models.contract(segments[0])
    series = inputs.history.series_among(segments, contract)
    covariates = future_covariates(series, contract, inputs.covariates.encoded(contract))
    ahead = series.ahead(contract.horizon)
    outputs = map(finite_forecast, models.forecast(series, covariates.values))
    results: dict[str, Forecast | Failure] = {}
    for index, (segment, predictions) in enumerate(zip(series.segments, outputs, strict=True)):
        notes = inputs.covariates.notes(contract, segment, int(series.panel.ends[index]), fleet)
        results[segment] = (
            predictions
            if isinstance(predictions, Failure)
            else Forecast(
                segment=segment,
                origin=series.last_times[index].item(),
                ahead=ahead[index],
                predictions=predictions,
                covariates=StepCovariates.of(covariates, index, contract, fleet, notes),
                model=models[segment],
                fallback_level="",
                remarks=forecast_remarks(series, index, models[segment], "the segment", inputs.point_in_time, fleet),
            )
        )
    return results


def finite_forecast(outputs: Predictions | Failure) -> Predictions | Failure:
    """The outputs of a model; a Failure where a prediction is not finite."""
    if isinstance(outputs, Failure) or np.isfinite(outputs.prediction).all():
        return outputs
    return Failure("the model gives no finite number for the rows there are")


def forecast_remarks(
    series: Series, index: int, model: Champion | None, owner: str, point_in_time: PointInTime, fleet: Fleet
) -> tuple[str, ...]:
    """List unusual facts about a forecast: the series ended long ago, or the model has seen the future.

    model : None where only the series matters. owner : what to call the series, such as `the segment`.
    """
    remarks = []
    clock = fleet.clock
    end = int(ordinals(series.last_times[index : index + 1], clock)[0])
    if point_in_time.reference is not None:
        age = period_of(point_in_time.reference, clock) - end
        if age > max(fleet.season, fleet.steps):
            since = "the date that was asked for" if point_in_time.as_of else "the fleet's newest"
            remarks.append(f"{owner}'s newest row is {age:,} periods older than {since}")
    if model is not None and model.cutoff is not None and period_of(model.cutoff, clock) > end:
        until = time_span_text(model.cutoff, clock)
        remarks.append(f"the model was trained on rows up to {until}, after the origin")
    return tuple(remarks)
