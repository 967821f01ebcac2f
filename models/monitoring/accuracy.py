"""Accuracy of predictions against later observations: figures by group, which can be aggregated further."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["FIGURES", "accuracy_by", "measure_accuracy"]

KEY = ("segment", "step", "release", "in_sample")
FIGURES = ("rows", "wape", "mae", "rmse", "bias", "smape", "coverage")
_SUMS = ("rows", "excluded", "absolute_error", "squared_error", "error", "absolute_actual", "smape_sum")
_COUNTED = (*_SUMS, "interval_rows", "covered")


def measure_accuracy(joined: pa.Table) -> pa.Table:
    """Accuracy by segment, step, release, and whether the model had seen the period in training.

    Rows whose actual value is an excluded outlier are counted but left out of the figures.

    Parameters
    ----------
    joined : a row per prediction with an actual value; has KEY, time, prediction, lower, upper, target and excluded.
    """
    used = pc.invert(joined["excluded"])
    prediction, actual = joined["prediction"], joined["target"]
    error = pc.subtract(prediction, actual)
    size = pc.add(pc.abs(prediction), pc.abs(actual))
    share = pc.if_else(pc.greater(size, 0), pc.divide(pc.abs(error), size), 0.0)
    known = pc.and_(pc.is_valid(joined["lower"]), pc.is_valid(joined["upper"]))
    inside = pc.and_(pc.greater_equal(actual, joined["lower"]), pc.less_equal(actual, joined["upper"]))
    values = {
        "rows": pc.if_else(used, 1, 0),
        "excluded": pc.if_else(used, 0, 1),
        "absolute_error": pc.abs(error),
        "squared_error": pc.multiply(error, error),
        "error": error,
        "absolute_actual": pc.abs(actual),
        "smape_sum": pc.multiply(share, 200.0),
        "interval_rows": pc.if_else(known, 1, 0),
        "covered": pc.if_else(pc.fill_null(inside, False), 1, 0),
    }
    for name in _COUNTED:
        column = values[name] if name in ("rows", "excluded") else pc.if_else(used, values[name], 0)
        joined = joined.append_column(f"_{name}", column)
    parts = joined.select([*KEY, *(f"_{name}" for name in _COUNTED), "time"])
    parts = parts.rename_columns([*KEY, *_COUNTED, "first_time"]).append_column("last_time", joined["time"])
    return _figures(_summed(parts, KEY))


def accuracy_by(rows: pa.Table, keys: Sequence[str]) -> pa.Table:
    """Aggregate rows of the accuracy table by other columns, with the same figures."""
    count, intervals = rows["rows"].cast(pa.float64()), rows["interval_rows"].cast(pa.float64())
    values = {
        "squared_error": pc.multiply(pc.multiply(rows["rmse"], rows["rmse"]), count),
        "error": pc.multiply(rows["bias"], count),
        "smape_sum": pc.multiply(rows["smape"], count),
        "covered": pc.multiply(rows["coverage"], intervals),
    }
    for name, value in values.items():
        rows = rows.append_column(name, pc.fill_null(value, 0.0))
    return _figures(_summed(rows, keys))


def _summed(parts: pa.Table, keys: Sequence[str]) -> pa.Table:
    """Sums by key, in the order of the keys; in one thread and a fixed order, on which sums of floats depend."""
    parts = parts.sort_by([(name, "ascending") for name in (*keys, "first_time", "last_time")])
    aggregates = [(name, "sum") for name in _COUNTED] + [("first_time", "min"), ("last_time", "max")]
    summed = parts.group_by(list(keys), use_threads=False).aggregate(aggregates)
    names = [*keys, *(name for name, _ in aggregates)]
    return summed.select([*keys, *(f"{name}_{function}" for name, function in aggregates)]).rename_columns(names)


def _figures(sums: pa.Table) -> pa.Table:
    keys = [name for name in sums.column_names if name not in (*_COUNTED, "first_time", "last_time")]
    count, intervals = _positive(sums["rows"]), _positive(sums["interval_rows"])
    columns = {name: sums[name] for name in keys}
    columns |= {
        "rows": sums["rows"],
        "excluded": sums["excluded"],
        "mae": pc.divide(sums["absolute_error"], count),
        "rmse": pc.sqrt(pc.divide(sums["squared_error"], count)),
        "bias": pc.divide(sums["error"], count),
        "absolute_error": sums["absolute_error"],
        "absolute_actual": sums["absolute_actual"],
        "wape": pc.divide(sums["absolute_error"], _positive(sums["absolute_actual"])),
        "smape": pc.divide(sums["smape_sum"], count),
        "interval_rows": sums["interval_rows"],
        "coverage": pc.divide(sums["covered"].cast(pa.float64()), intervals),
        "first_time": sums["first_time"],
        "last_time": sums["last_time"],
    }
    return pa.table(columns)


def _positive(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Values to divide by; null where they are not positive."""
    values = values.cast(pa.float64())
    return pc.if_else(pc.greater(values, 0), values, None)
