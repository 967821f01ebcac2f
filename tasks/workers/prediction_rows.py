"""Prediction rows of forecasts: collected a segment at a time, with what deserves to be known of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adapters.runtime import Scores
from domain.arrays import FloatArray
from domain.data.model_record import Champion
from domain.data.periods import period_of, time_span_text
from domain.data.tables import PREDICTIONS
from models.features.series import Series
from tasks.workers.run_context import RunContext
from tasks.workers.scoring_request import ScoringRequest

__all__ = ["JOB_COLUMNS", "ForecastRows", "Times", "model_lineage", "notes"]

Times = npt.NDArray[np.datetime64]
JOB_COLUMNS = ("release", "job_id", "scored_at", "as_of")
"""Columns that are the same in all rows of a job; added at the end."""


@dataclass
class ForecastRows:
    """Columns of prediction rows, appended a segment at a time; one row a step."""

    columns: dict[str, list[object]] = field(default_factory=dict)

    def add(self, segment: str, origin: object, times: Times, scores: Scores, lineage: Mapping[str, object]) -> None:
        """lineage : the other columns by name, one value or one a step. Numbers stay only where the status is ok."""
        n = len(times)
        block: dict[str, Sequence[object]] = {
            name: value if isinstance(value, list) else [value] * n for name, value in lineage.items()
        }
        good = np.array([status == "ok" for status in block["status"]], dtype=bool)
        block |= {
            "segment": [segment] * n,
            "origin": [origin] * n,
            "time": times.tolist(),
            "step": list(range(1, n + 1)),
            "prediction": _values(scores.prediction, good),
            "lower": _values(scores.lower, good),
            "upper": _values(scores.upper, good),
        }
        for name in PREDICTIONS.file_schema.names:
            self.columns.setdefault(name, []).extend(block.get(name, [None] * n))

    def table(self) -> pa.Table:
        """The rows without the job's columns."""
        schema = [item for item in PREDICTIONS.file_schema if item.name not in JOB_COLUMNS]
        return pa.table({item.name: pa.array(self.columns.get(item.name, []), item.type) for item in schema})


def _values(values: FloatArray, good: npt.NDArray[np.bool_]) -> list[object]:
    return [None if np.isnan(value) or not told else value for value, told in zip(values.tolist(), good, strict=True)]


def model_lineage(
    model: Champion,
    level: str,
    carried: npt.NDArray[np.bool_],
    ids: Sequence[str],
    context: RunContext,
    told: Sequence[str],
) -> dict[str, object]:
    """Status and lineage columns of a model's forecast; a step whose covariates are not known is told apart.

    level : '' for the segment's own champion. carried, ids : of each step. told : what holds for all steps.
    """
    reject = context.fleet.score is not None and context.fleet.score.missing_covariates == "reject"
    why = "covariates are not known" if reject else "covariates carried forward from the last known period"
    return {
        "status": ["missing_covariates" if reject and flag else "ok" for flag in carried],
        "reason": ["; ".join([*told, *([why] if flag else [])]) or None for flag in carried],
        "input_id": list(ids),
        "candidate": model.candidate,
        "model_name": model.model_name,
        "model_version": model.model_version,
        "fallback_level": level,
        "cutoff": model.cutoff,
    }


def notes(
    context: RunContext, request: ScoringRequest, series: Series, index: int, model: Champion | None, whose: str
) -> list[str]:
    """What is unusual about a forecast from the end of a series: it ended long ago, the model has seen the future.

    model : None where only the series matters. whose : what to call the series, such as `the segment`.
    """
    fleet, found = context.fleet, []
    frequency, end = fleet.clock.frequency, int(series.panel.ends[index])
    reference = request.as_of or request.newest
    if reference is not None:
        age = period_of(reference, frequency) - end
        if age > max(fleet.season, fleet.steps):
            since = "the date that was asked for" if request.as_of else "the fleet's newest"
            found.append(f"{whose}'s newest row is {age:,} periods older than {since}")
    if model is not None and model.cutoff is not None and period_of(model.cutoff, frequency) > end:
        until = time_span_text(model.cutoff, frequency)
        found.append(f"the model was trained on rows up to {until}, after the origin")
    return found
