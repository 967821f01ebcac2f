"""Compare one bucket's predictions with the published truth, and with the naive baseline."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from domain.arrays import FloatArray, IntArray
from domain.config.fleet import Metric
from domain.data.calendar import ordinals
from domain.data.partitioning import run_length_encode
from domain.data.parts import bucket_part, is_input_part
from domain.data.tables import PREDICTIONS, landed, observations
from models.features.feature_spec import feature_spec_of
from models.features.series import build_series
from models.features.training_rows import Cutoff
from models.smoothing.candidate import SmoothingCandidate
from models.smoothing.naive import SeasonalNaive
from models.training.metrics import point_weights, window_errors
from tasks.workers.bucket_reader import bucket_rows
from tasks.workers.run_context import RunContext, in_bucket

__all__ = ["EvaluateReceipt", "evaluate_bucket"]


@dataclass(frozen=True)
class EvaluateReceipt:
    """Errors and weights of the bucket's segments, and how many rows the interval covered."""

    champion: tuple[float, ...]
    baseline: tuple[float, ...]
    weights: tuple[float, ...]
    rows: int
    covered: int


def evaluate_bucket(
    context: RunContext, truth: RunContext, job_id: str, metric: Metric, buckets: int, constant: float, bucket: int
) -> EvaluateReceipt:
    """truth : the job with the fleet as the actuals were landed. constant : baseline of a regression fleet."""
    table = truth.table(landed(truth.fleet, "actuals"))
    actuals = bucket_rows(table, table.files(), bucket, buckets)
    # A forecast stands for its job; rows of files are predicted once, by whichever job came first.
    of_job = pc.field("job_id") == job_id if context.fleet.task == "forecast" else None
    predictions = context.table(PREDICTIONS).read(rows=of_job, where=_parts(context, bucket))
    joined = _join(context, actuals, predictions)
    if context.fleet.task == "forecast":
        baseline = _seasonal_naive(context, bucket, joined)
    else:
        baseline = np.full(joined.num_rows, constant)
    return _measure(joined, baseline, metric)


def _parts(context: RunContext, bucket: int) -> Callable[[Mapping[str, str]], bool]:
    if context.fleet.task == "forecast":
        return lambda partition: partition["part"] == bucket_part(bucket)
    return lambda partition: is_input_part(partition["part"])


def _join(context: RunContext, actuals: pa.Table, predictions: pa.Table) -> pa.Table:
    """Rows that have both a prediction and the truth, sorted by segment and period or row."""
    if context.fleet.task == "forecast":
        left = _with_period(context, actuals.select(["segment", "time", "target"]))
        columns = ["segment", "time", "origin", "prediction", "lower", "upper"]
        right = _with_period(context, predictions.select(columns)).drop_columns(["time"])
        keys = ["segment", "period"]
    else:
        names = [f"k_{name}" for name in context.fleet.row_key]
        left = actuals.select(["segment", "target", *names])
        right = _unpacked(context, predictions)
        keys = ["segment", *names]
    joined = left.join(right, keys, join_type="inner")
    joined = joined.filter(pc.is_valid(joined["prediction"]))
    return joined.sort_by([(key, "ascending") for key in keys])


def _with_period(context: RunContext, rows: pa.Table) -> pa.Table:
    period = ordinals(rows["time"].to_numpy(), context.fleet.clock.frequency)
    return rows.append_column("period", pa.array(period, pa.int64()))


def _unpacked(context: RunContext, predictions: pa.Table) -> pa.Table:
    parsed = [json.loads(text) for text in predictions["row_key"].to_pylist()]
    table = predictions.select(["segment", "prediction", "lower", "upper"])
    for name in context.fleet.row_key:
        table = table.append_column(f"k_{name}", pa.array([row[name] for row in parsed], pa.string()))
    return table


def _seasonal_naive(context: RunContext, bucket: int, joined: pa.Table) -> FloatArray:
    """What a seasonal naive forecast from each segment's last row would have said; NaN without rows."""
    contract = feature_spec_of(context.fleet, {})
    plain = context.fleet.model_copy(
        update={"features": context.fleet.features.model_copy(update={"known": [], "static": []})}
    )
    rows = context.table(observations(context.fleet)).read(where=in_bucket(bucket))
    series = build_series(rows, feature_spec_of(plain, {}), context.fleet.clock)
    naive = SmoothingCandidate("seasonal_naive", SeasonalNaive())
    forecast = naive.fit([Cutoff(series, contract, None, 0, context.fleet.steps)])[0].forecast
    position = {segment: index for index, segment in enumerate(series.segments)}
    result = np.full(joined.num_rows, np.nan)
    for row, (segment, period) in enumerate(
        zip(joined["segment"].to_pylist(), joined["period"].to_pylist(), strict=True)
    ):
        if segment in position:
            step = period - int(series.panel.ends[position[segment]])
            if 1 <= step <= context.fleet.steps:
                result[row] = forecast[position[segment], step - 1]
    return result if context.fleet.target.minimum is None else np.maximum(result, context.fleet.target.minimum)


def _measure(joined: pa.Table, baseline: FloatArray, metric: Metric) -> EvaluateReceipt:
    starts, lengths = run_length_encode(joined["segment"])
    actual = joined["target"].to_numpy()
    prediction = joined["prediction"].to_numpy()
    covered = (actual >= joined["lower"].fill_null(-np.inf).to_numpy()) & (
        actual <= joined["upper"].fill_null(np.inf).to_numpy()
    )
    return EvaluateReceipt(
        champion=tuple(_by_segment(actual, prediction, starts, lengths, metric)),
        baseline=tuple(_by_segment(actual, baseline, starts, lengths, metric)),
        weights=tuple(
            float(point_weights(actual[start : start + length], metric))
            for start, length in zip(starts, lengths, strict=True)
        ),
        rows=joined.num_rows,
        covered=int(covered.sum()),
    )


def _by_segment(
    actual: FloatArray, predicted: FloatArray, starts: IntArray, lengths: IntArray, metric: Metric
) -> list[float]:
    errors = []
    for start, length in zip(starts, lengths, strict=True):
        part = slice(int(start), int(start + length))
        scale = np.array(np.mean(np.abs(actual[part])))
        errors.append(float(window_errors(actual[part], predicted[part], metric, scale)))
    return errors
