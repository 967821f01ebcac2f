"""Rows of one segment and period made one, such as the receipts of a day."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from domain.arrays import BoolArray, FloatArray, IntArray
from domain.calendar.ordinals import ordinals, period_starts
from domain.config.aggregate import AggregateRule, rule_of
from domain.config.fleet import Fleet
from domain.data.tables import category_column, feature_column

__all__ = ["aggregate_periods"]


def aggregate_periods(rows: pa.Table, fleet: Fleet, order: Sequence[str] = (), within: Sequence[str] = ()) -> pa.Table:
    """Return one row per segment and period, at the beginning of the period; the same rows without the setting.

    All other columns, such as file and number, are those of the last row.

    Parameters
    ----------
    rows : columns of the `landed` table, in any order, which does not affect the result.
    order : columns that tell which of several rows at one time is the last.
    within : columns whose values are kept apart as well, such as those of an input.
    """
    if fleet.aggregate is None or not rows.num_rows:
        return rows
    period = ordinals(rows["time"].to_numpy().astype("datetime64[us]"), fleet.clock)
    rows = rows.append_column("_period", pa.array(period))
    keys = ["segment", *within, "_period"]
    rows = rows.sort_by([(name, "ascending") for name in (*keys, "time", *order)])
    starts, ends = _runs(rows, keys)
    merged = rows.take(pa.array(ends))
    first = period_starts(merged["_period"].to_numpy(), fleet.clock).astype("datetime64[us]")
    merged = _replaced(merged, "time", pa.array(first).cast(merged.schema.field("time").type))
    columns = {"target": fleet.target.column} | {feature_column(name): name for name in fleet.features.numeric}
    for column, name in columns.items():
        if column in rows.column_names and rows[column].null_count < rows.num_rows:
            values = rows[column].to_numpy(zero_copy_only=False).astype(np.float64)
            merged = _replaced(merged, column, _numbers(values, starts, ends, rule_of(fleet, name) or "last"))
    for column in (category_column(name) for name in fleet.features.categorical):
        if column in rows.column_names:
            merged = _replaced(merged, column, _last_texts(rows[column].combine_chunks(), starts, ends))
    return merged.drop_columns(["_period"])


def _runs(rows: pa.Table, keys: Sequence[str]) -> tuple[IntArray, IntArray]:
    """First and last place of each run of equal keys, both of shape (n_runs,)."""
    new = np.zeros(rows.num_rows, bool)
    new[0] = True
    for name in keys:
        codes = rows[name].combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
        new[1:] |= codes[1:] != codes[:-1]
    starts = np.flatnonzero(new)
    return starts, np.append(starts[1:], rows.num_rows) - 1


def _numbers(values: FloatArray, starts: IntArray, ends: IntArray, rule: AggregateRule) -> pa.Array:
    """One number per run; null where no row of it has one."""
    known = ~np.isnan(values)
    counts = np.add.reduceat(known.astype(np.int64), starts)
    if rule == "last":
        result = values[_last_known(known, starts, ends)]
    elif rule in ("min", "max"):
        result = (np.fmin if rule == "min" else np.fmax).reduceat(values, starts)
    else:
        result = np.add.reduceat(np.where(known, values, 0.0), starts)
        result = result / np.maximum(counts, 1) if rule == "mean" else result
    # What is counted is 1 per row already, so that a column of texts can be counted too.
    return pa.array(result, pa.float64(), mask=counts == 0)


def _last_known(known: BoolArray, starts: IntArray, ends: IntArray) -> IntArray:
    """Place of the last row of each run that has a value; that of its last row if none has."""
    place = np.maximum.accumulate(np.where(known, np.arange(len(known)), -1))[ends]
    return np.where(place >= starts, place, ends)


def _last_texts(values: pa.Array, starts: IntArray, ends: IntArray) -> pa.Array:
    known = np.asarray(values.is_valid().to_numpy(zero_copy_only=False), dtype=bool)
    return values.take(pa.array(_last_known(known, starts, ends)))


def _replaced(rows: pa.Table, column: str, values: pa.Array) -> pa.Table:
    return rows.set_column(rows.column_names.index(column), column, values)
