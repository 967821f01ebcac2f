"""Join one bucket's predictions with later observations, and stage their accuracy."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.lake.staged_file import StagedFile
from domain.calendar.ordinals import ordinals, period_starts
from domain.config.task_types import ForecastTask, RegressionTask, TaskBindings
from domain.data.tables import ACCURACY, PREDICTIONS, key_column, landed, observations
from models.monitoring.accuracy import measure_accuracy
from tasks.workers.bucket_reader import bucket_rows
from tasks.workers.run_context import RunContext, stage_rows, with_constants

__all__ = ["AccuracyReceipt", "BucketFiles", "measure_bucket"]

_PREDICTED = ["segment", "time", "step", "release", "origin", "cutoff", "prediction", "lower", "upper"]
_JOINED = ["segment", "step", "release", "in_sample", "time", "prediction", "lower", "upper", "target", "excluded"]


@dataclass(frozen=True)
class BucketFiles:
    """The committed files that a bucket's accuracy follows from. basis : their identity."""

    bucket: int
    basis: str
    predictions: tuple[StagedFile, ...]
    observations: tuple[StagedFile, ...]
    landed: tuple[StagedFile, ...] = ()


@dataclass(frozen=True)
class AccuracyReceipt:
    """Result of measuring one bucket."""

    bucket: int
    files: tuple[StagedFile, ...]


def measure_bucket(context: RunContext, buckets: int, sources: BucketFiles) -> AccuracyReceipt:
    """Measure all predictions of one bucket that have an actual value by now.

    buckets : number of the fleet's buckets. sources : committed files to read.
    """
    joined = ACTUALS[context.fleet.task](context, buckets, sources)
    rows = with_constants(measure_accuracy(joined), basis=sources.basis)
    return AccuracyReceipt(
        bucket=sources.bucket,
        files=stage_rows(context.table(ACCURACY), rows, bucket=sources.bucket),
    )


def _forecasts(context: RunContext, buckets: int, sources: BucketFiles) -> pa.Table:
    """Forecasts and observations of the same segment and period."""
    predicted = context.table(PREDICTIONS).read_files(sources.predictions, _PREDICTED, pc.field("status") == "ok")
    if not predicted.num_rows:
        return _empty()
    predicted = predicted.append_column("period", _periods(context, predicted["time"]))
    low = period_starts(np.array([pc.min(predicted["period"]).as_py()]), context.fleet.clock)
    since = pc.field("time") >= pa.scalar(low[0].item(), pa.timestamp("us", tz="UTC"))
    table = context.table(observations(context.fleet))
    actual = table.read_files(sources.observations, ["segment", "time", "target", "excluded"], since)
    actual = actual.append_column("period", _periods(context, actual["time"])).drop_columns(["time"])
    joined = predicted.join(actual, ["segment", "period"], join_type="inner")
    seen = pc.less(_periods(context, joined["origin"]), _periods(context, joined["cutoff"]))
    return joined.append_column("in_sample", pc.fill_null(seen, False)).select(_JOINED)


def _periods(context: RunContext, times: pa.ChunkedArray) -> pa.Array:
    """Ordinals of times; null where there is none."""
    known = pc.is_valid(times)
    values = ordinals(times.to_numpy().astype("datetime64[us]"), context.fleet.clock)
    return pc.if_else(known.combine_chunks(), pa.array(values), None)


def _rows(context: RunContext, buckets: int, sources: BucketFiles) -> pa.Table:
    """Predicted rows and observations of the same segment and `row_key`."""
    names = [key_column(name) for name in context.fleet.row_key]
    columns = ["segment", "target", "excluded", "input_id", "row"]
    actual = context.table(observations(context.fleet)).read_files(sources.observations, columns)
    segments = pc.is_in(pc.field("segment"), pc.unique(actual["segment"]))
    predictions = context.table(PREDICTIONS)
    predicted = predictions.read_files(
        sources.predictions, [*_PREDICTED, "row_key"], segments & (pc.field("status") == "ok")
    )
    if not predicted.num_rows:
        return _empty()
    # An observation names its file and row; the landed row has the key.
    columns = ["input_id", "row", *names]
    lines = bucket_rows(context.table(landed(context.fleet)), sources.landed, sources.bucket, buckets, columns)
    actual = actual.join(_once(lines, ["input_id", "row"]), ["input_id", "row"], join_type="inner")
    parsed = [json.loads(text or "{}") for text in predicted["row_key"].to_pylist()]
    for name in context.fleet.row_key:
        predicted = predicted.append_column(key_column(name), pa.array([row.get(name) for row in parsed], pa.string()))
    joined = predicted.join(actual, ["segment", *names], join_type="inner")
    seen = pc.less_equal(joined["time"], joined["cutoff"])
    return joined.append_column("in_sample", pc.fill_null(seen, False)).select(_JOINED)


def _once(rows: pa.Table, keys: Sequence[str]) -> pa.Table:
    """One row per key: the same content may lie in two places."""
    rest = [name for name in rows.column_names if name not in keys]
    grouped = rows.group_by(list(keys), use_threads=False).aggregate([(name, "min") for name in rest])
    return grouped.select([*keys, *(f"{name}_min" for name in rest)]).rename_columns([*keys, *rest])


def _empty() -> pa.Table:
    kinds = {field.name: field.type for field in PREDICTIONS.schema}
    kinds |= {"in_sample": pa.bool_(), "target": pa.float64(), "excluded": pa.bool_()}
    return pa.schema([(name, kinds[name]) for name in _JOINED]).empty_table()


ACTUALS = TaskBindings[Callable[[RunContext, int, BucketFiles], pa.Table]](
    "join of predictions with actuals", {ForecastTask.name: _forecasts, RegressionTask.name: _rows}
)
