"""Fallback levels: models of a parent column or the whole fleet, for segments without a model of their own."""

import hashlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from domain.calendar.ordinals import ordinals
from domain.config.blanks import zero_columns
from domain.config.fleet import Fleet
from domain.data.partitioning import fallback_keys, run_length_encode
from domain.data.segments import GLOBAL_KEY, parse_segment
from domain.data.tables import count_column, feature_column

__all__ = ["MAX_FALLBACK_ROWS", "fallback_level_of", "fallback_observations", "sample_fallback_rows"]

MAX_FALLBACK_ROWS = 200_000
"""Limit of the training rows of one fallback level, such as all brands together, in a regression fleet."""

_ARRIVED = 0.5


def fallback_level_of(key: str) -> str:
    """Return the fallback level of a key: a parent column, or `global`."""
    return "global" if key == GLOBAL_KEY else next(iter(parse_segment(key)))


def fallback_observations(sums: pa.Table, fleet: Fleet) -> pa.Table:
    """Average the segments of each fallback key at every time, as rows of observations.

    sums : the `levels` table. The newest periods, for which most segments have no row yet, are left out: the mean of
    the few early segments would look like a jump of the series.
    """
    # By period: rows of the same week may carry the dates of different days. In one order and one thread: sums of
    # floats depend on both, and a model must not.
    period = pa.array(ordinals(sums["time"].to_numpy(), fleet.clock))
    sums = sums.append_column("period", period).sort_by([(name, "ascending") for name in ("level", "time", "bucket")])
    by_period = sums.group_by(["level", "period"], use_threads=False)
    # The mean of a feature is over the rows that have a value, or over all where a blank cell means 0.
    zero = zero_columns(fleet, _blank_shares(sums, fleet))
    counted = {name: "rows" if name in zero else count_column(name) for name in fleet.features.numeric}
    counts = {"target": "rows"} | {feature_column(name): count for name, count in counted.items()}
    names = list(dict.fromkeys([*counts, *counts.values()]))
    grouped = by_period.aggregate([("time", "min"), *((name, "sum") for name in names)])
    columns = {"segment": grouped["level"], "time": grouped["time_min"]}
    columns |= {name: _mean(grouped[f"{name}_sum"], grouped[f"{count}_sum"]) for name, count in counts.items()}
    table = pa.table(columns).append_column("excluded", pa.array(np.zeros(grouped.num_rows, bool)))
    for name in fleet.features.categorical:
        table = table.append_column(f"c_{name}", pa.nulls(table.num_rows, pa.string()))
    table = table.append_column("rows", grouped["rows_sum"])
    table = table.sort_by([("segment", "ascending"), ("time", "ascending")])
    return table.filter(pa.array(_arrived(table, fleet.steps))).drop_columns(["rows"])


def _blank_shares(sums: pa.Table, fleet: Fleet) -> dict[str, float]:
    """Share of the rows without a value, by numeric column."""
    rows = max(pc.sum(sums["rows"]).as_py() or 0, 1)
    return {name: 1 - (pc.sum(sums[count_column(name)]).as_py() or 0) / rows for name in fleet.features.numeric}


def _arrived(table: pa.Table, steps: int) -> npt.NDArray[np.bool_]:
    """Mask of complete periods: all but the newest ones with less than half the rows of the fullest recent period.

    At most one horizon of periods is held back: segments that stay away for longer have ended.
    """
    rows, keep = table["rows"].to_numpy(), np.ones(table.num_rows, dtype=bool)
    for start, length in zip(*run_length_encode(table["segment"]), strict=True):
        newest = rows[max(start, start + length - steps - 1) : start + length]
        late = int(np.argmax((newest >= _ARRIVED * newest.max())[::-1]))
        keep[start + length - late : start + length] = False
    return keep


def _mean(total: pa.ChunkedArray, count: pa.ChunkedArray) -> pa.ChunkedArray:
    """total / count; null where there is nothing to average."""
    divisor = pc.if_else(pc.greater(count, 0), count, None)
    return pc.divide(total, pc.cast(divisor, pa.float64()))


def sample_fallback_rows(rows: pa.Table, fleet: Fleet, limit: int) -> pa.Table:
    """Repeat the rows of a bucket for every fallback key that covers them; a fixed sample of more than `limit` rows."""
    if rows.num_rows > limit:
        lineage = zip(rows["input_id"].to_pylist(), rows["row"].to_pylist(), strict=True)
        order = [hashlib.blake2b(f"{name}:{row}".encode(), digest_size=8).digest() for name, row in lineage]
        rows = rows.take(pa.array(sorted(np.argsort(np.array(order))[:limit].tolist())))
    encoded = rows["segment"].combine_chunks().dictionary_encode()
    at = rows.column_names.index("segment")
    parts = [
        rows.set_column(at, "segment", pa.array(keys, pa.string()).take(encoded.indices))
        for keys in fallback_keys(encoded.dictionary.to_pylist(), fleet).values()
    ]
    return pa.concat_tables(parts) if parts else rows.slice(0, 0)
