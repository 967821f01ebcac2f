"""Compare one bucket's predictions with published actuals, and with the naive baseline."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from domain.arrays import FloatArray, IntArray
from domain.calendar.ordinals import ordinals
from domain.config.task_types import ForecastTask, RegressionTask, TaskBindings
from domain.config.training import Metric
from domain.data.aggregation import aggregate_periods
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

__all__ = ["EVALUATORS", "EvaluateReceipt", "evaluate_bucket"]


@dataclass(frozen=True)
class EvaluateReceipt:
    """Errors and weights of the bucket's segments, and the number of rows that the interval covered."""

    champion: tuple[float, ...]
    baseline: tuple[float, ...]
    weights: tuple[float, ...]
    rows: int
    covered: int


def evaluate_bucket(
    context: RunContext, actuals: RunContext, job_id: str, metric: Metric, buckets: int, constant: float, bucket: int
) -> EvaluateReceipt:
    """Compare one bucket's predictions with its actuals.

    actuals : the run with the fleet that the actuals were landed for. constant : baseline of a regression fleet.
    """
    table = actuals.table(landed(actuals.fleet, "actuals"))
    rows = aggregate_periods(bucket_rows(table, table.files(), bucket, buckets), actuals.fleet, ("path", "row"))
    joined, baseline = EVALUATORS[context.fleet.task](context, rows, job_id, bucket, constant)
    return _measure(joined, baseline, metric)


def _evaluate_forecasts(
    context: RunContext, actuals: pa.Table, job_id: str, bucket: int, constant: float
) -> tuple[pa.Table, FloatArray]:
    """Forecasts of the job and actuals of the same period, beside the seasonal naive forecast."""
    part = bucket_part(bucket)
    predictions = context.table(PREDICTIONS).read(
        rows=pc.field("job_id") == job_id, where=lambda partition: partition["part"] == part
    )
    columns = ["segment", "time", "origin", "prediction", "lower", "upper"]
    forecasts = _with_period(context, predictions.select(columns)).drop_columns(["time"])
    joined = _join(_with_period(context, actuals.select(["segment", "time", "target"])), forecasts, ["period"])
    return joined, _seasonal_naive(context, bucket, joined)


def _evaluate_rows(
    context: RunContext, actuals: pa.Table, job_id: str, bucket: int, constant: float
) -> tuple[pa.Table, FloatArray]:
    """Predictions and actuals of the same row, beside the constant.

    Rows of files are predicted once, by whichever job came first.
    """
    predictions = context.table(PREDICTIONS).read(where=lambda partition: is_input_part(partition["part"]))
    keys = [f"k_{name}" for name in context.fleet.row_key]
    joined = _join(actuals.select(["segment", "target", *keys]), _unpacked(context, predictions), keys)
    return joined, np.full(joined.num_rows, constant)


EVALUATORS = TaskBindings[Callable[[RunContext, pa.Table, str, int, float], tuple[pa.Table, FloatArray]]](
    "evaluator", {ForecastTask.name: _evaluate_forecasts, RegressionTask.name: _evaluate_rows}
)


def _join(left: pa.Table, right: pa.Table, by: Sequence[str]) -> pa.Table:
    """Rows that have both an actual and a prediction, sorted by segment and these columns."""
    keys = ["segment", *by]
    joined = left.join(right, keys, join_type="inner")
    joined = joined.filter(pc.is_valid(joined["prediction"]))
    return joined.sort_by([(key, "ascending") for key in keys])


def _with_period(context: RunContext, rows: pa.Table) -> pa.Table:
    period = ordinals(rows["time"].to_numpy(), context.fleet.clock)
    return rows.append_column("period", pa.array(period, pa.int64()))


def _unpacked(context: RunContext, predictions: pa.Table) -> pa.Table:
    parsed = [json.loads(text) for text in predictions["row_key"].to_pylist()]
    table = predictions.select(["segment", "prediction", "lower", "upper"])
    for name in context.fleet.row_key:
        table = table.append_column(f"k_{name}", pa.array([row[name] for row in parsed], pa.string()))
    return table


def _seasonal_naive(context: RunContext, bucket: int, joined: pa.Table) -> FloatArray:
    """Seasonal naive forecasts from each segment's last row; NaN without rows."""
    contract = feature_spec_of(context.fleet, {})
    plain = context.fleet.model_copy(
        update={"features": context.fleet.features.model_copy(update={"known": [], "static": []})}
    )
    rows = context.table(observations(context.fleet)).read(where=in_bucket(bucket))
    series = build_series(rows, feature_spec_of(plain, {}), context.fleet.clock)
    naive = SmoothingCandidate("seasonal_naive", SeasonalNaive())
    forecast = naive.fit([Cutoff(series, contract, None, 0, context.fleet.steps)])[0].forecast
    values: dict[tuple[str, int], float] = {}
    for segment, ahead, steps in zip(series.segments, series.ahead(context.fleet.steps), forecast, strict=True):
        of_period = zip(ahead.periods.tolist(), steps[ahead.steps].tolist(), strict=True)
        values |= {(segment, period): value for period, value in of_period}
    keys = zip(joined["segment"].to_pylist(), joined["period"].to_pylist(), strict=True)
    result = np.array([values.get(key, np.nan) for key in keys], dtype=np.float64)
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
