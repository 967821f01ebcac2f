"""Rows of the predictions table, out of what the models gave; without the columns that all rows of a job share."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from domain.arrays import BoolArray, FloatArray
from domain.calendar.ordinals import ordinals
from domain.config.fleet import Fleet
from domain.data.model_record import Champion
from domain.data.tables import PREDICTIONS, key_column
from domain.failure import Failure
from models.inference.covariates import FutureCovariates
from models.inference.forecast import Forecast, StepCovariates, Times
from models.inference.rows import RowPredictions

__all__ = ["JOB_COLUMNS", "forecast_table", "row_table"]

JOB_COLUMNS = ("release", "job_id", "scored_at", "as_of")
"""Columns that are the same in all rows of a job; added at the end."""

_SCHEMA = pa.schema([item for item in PREDICTIONS.file_schema if item.name not in JOB_COLUMNS])


def forecast_table(
    results: Mapping[str, Forecast | Failure],
    covariates: FutureCovariates,
    times_of: Callable[[str], Times],
    fleet: Fleet,
) -> pa.Table:
    """One row per segment and step.

    A segment that nothing can predict gets an explicit row without a number for each time of `times_of`.
    """
    rows = _Columns()
    for segment, result in results.items():
        if isinstance(result, Forecast):
            ids = covariates.input_ids(segment, result.ahead.periods)
            rows.add(len(ids), **_forecast_columns(result), segment=segment, input_id=ids)
        else:
            times = times_of(segment)
            ids = covariates.input_ids(segment, ordinals(times, fleet.clock))
            unknown = {"time": times.tolist(), "status": "no_model", "reason": result.reason}
            rows.add(len(times), **unknown, segment=segment, input_id=ids)
    return rows.table()


@dataclass
class _Columns:
    """Columns of prediction rows, appended one segment at a time; one row per step."""

    values: dict[str, list[object]] = field(default_factory=lambda: {name: [] for name in _SCHEMA.names})

    def add(self, n: int, **columns: object) -> None:
        """Append n rows. columns : one value, or a list of one per row; null where there is none."""
        columns = {"step": list(range(1, n + 1))} | columns
        for name, values in self.values.items():
            value = columns.get(name)
            values.extend(value if isinstance(value, list) else [value] * n)

    def table(self) -> pa.Table:
        return pa.table({item.name: pa.array(self.values[item.name], item.type) for item in _SCHEMA})


def _forecast_columns(forecast: Forecast) -> dict[str, object]:
    """Columns of a forecast; steps that lack covariates which the fleet file requires get no number."""
    steps, outputs = forecast.ahead.steps, forecast.predictions
    known = ~forecast.covariates.refused[steps]
    notes = [_covariate_notes(forecast.covariates, step) for step in steps.tolist()]
    reasons = ["; ".join([*forecast.remarks, *of_step]) or None for of_step in notes]
    return {
        "step": (steps + 1).tolist(),
        "origin": forecast.origin,
        "time": forecast.ahead.times.tolist(),
        "prediction": _numbers(outputs.prediction[steps], known),
        "lower": _numbers(outputs.lower[steps], known),
        "upper": _numbers(outputs.upper[steps], known),
        "status": ["ok" if flag else "missing_covariates" for flag in known.tolist()],
        "reason": reasons,
        "fallback_level": forecast.fallback_level,
        **(_lineage(forecast.model) if forecast.model else {"candidate": "naive"}),
    }


def _covariate_notes(covariates: StepCovariates, step: int) -> list[str]:
    """Notes on a step's covariates; none for most."""
    if covariates.refused[step]:
        return ["covariates are not known"]
    notes = ["covariates carried forward from the last known period"] if covariates.carried[step] else []
    if covariates.zeroed[step]:
        notes.append(f"blank {', '.join(covariates.zeroed[step])} counts as 0")
    return [*notes, covariates.notes[step]] if covariates.notes[step] else notes


def _numbers(values: FloatArray, known: BoolArray) -> list[float | None]:
    return [value if flag and not np.isnan(value) else None for value, flag in zip(values.tolist(), known, strict=True)]


def _lineage(model: Champion) -> dict[str, object]:
    return {name: getattr(model, name) for name in ("candidate", "model_name", "model_version", "cutoff")}


def row_table(rows: Mapping[str, pa.Table], results: Mapping[str, RowPredictions | Failure], fleet: Fleet) -> pa.Table:
    """One row per requested row. rows, results : by segment."""
    parts = [_segment_table(rows[segment], result, fleet) for segment, result in results.items()]
    return pa.concat_tables(parts) if parts else _SCHEMA.empty_table()


def _segment_table(rows: pa.Table, result: RowPredictions | Failure, fleet: Fleet) -> pa.Table:
    n = rows.num_rows
    columns = {name: rows[name].cast(_SCHEMA.field(name).type) for name in ("segment", "time", "input_id", "row")}
    values: dict[str, object] = {"row_key": _row_keys(rows, fleet.row_key)}
    if isinstance(result, RowPredictions):
        values |= {**_row_columns(result), "fallback_level": result.fallback_level, **_lineage(result.model)}
    else:
        values |= {"status": "no_model", "reason": result.reason}
    for item in _SCHEMA:
        if item.name not in columns:
            value = values.get(item.name)
            cells = value if isinstance(value, (list, np.ndarray)) else [value] * n
            columns[item.name] = pa.array(cells, item.type, from_pandas=True)
    return pa.table({item.name: columns[item.name] for item in _SCHEMA})


def _row_columns(result: RowPredictions) -> dict[str, object]:
    """A value so large that it has no finite answer does not harm the other rows."""
    outputs, finite = result.predictions, np.isfinite(result.predictions.prediction).tolist()
    failure = "the model gives no finite number for this row"
    reasons = [
        "; ".join(filter(None, [result.reason, note, None if flag else failure])) or None
        for flag, note in zip(finite, result.notes, strict=True)
    ]
    return {
        "prediction": outputs.prediction,
        "lower": outputs.lower,
        "upper": outputs.upper,
        "status": ["ok" if flag else "no_model" for flag in finite],
        "reason": reasons,
    }


def _row_keys(rows: pa.Table, names: Sequence[str]) -> list[str | None]:
    """The key of each row as JSON; null without key columns."""
    if not names:
        return [None] * rows.num_rows
    keys = zip(*(rows[key_column(name)].to_pylist() for name in names), strict=True)
    return [json.dumps(dict(zip(names, key, strict=True))) for key in keys]
