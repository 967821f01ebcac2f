"""Fallback levels: what stands in for a segment that has no model of its own."""

import hashlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from domain.config.fleet import Fleet
from domain.data.calendar import ordinals
from domain.data.partitioning import fallback_keys, run_length_encode
from domain.data.segments import GLOBAL_KEY, parse_segment
from domain.data.tables import count_column, feature_column

__all__ = ["MAX_FALLBACK_ROWS", "fallback_level_of", "fallback_observations", "sample_fallback_rows"]

MAX_FALLBACK_ROWS = 200_000
"""Rows that the levels of one kind, such as all brands, are trained on at most in a regression fleet."""

_ARRIVED = 0.5


def fallback_level_of(key: str) -> str:
    """Name of the level that a key belongs to: a parent column, or `global`."""
    return "global" if key == GLOBAL_KEY else next(iter(parse_segment(key)))


def fallback_observations(sums: pa.Table, fleet: Fleet) -> pa.Table:
    """Series of the levels: the mean of their segments' rows at each time, as rows of observations.

    sums : the `levels` table. Newest periods that most segments have no row for yet are left out: the mean of the few
    that are early would be taken for a jump of the level.
    """
    # By period: segments of one week may be dated on different days of it. In one order and one thread: sums of floats
    # depend on both, and a level's model must not.
    period = pa.array(ordinals(sums["time"].to_numpy(), fleet.clock.frequency))
    sums = sums.append_column("period", period).sort_by([(name, "ascending") for name in ("level", "time", "bucket")])
    by_period = sums.group_by(["level", "period"], use_threads=False)
    # A feature's mean is over the rows that have it.
    counts = {"target": "rows"} | {feature_column(name): count_column(name) for name in fleet.features.numeric}
    names = [*counts, *counts.values()]
    grouped = by_period.aggregate([("time", "min"), *((name, "sum") for name in names)])
    columns = {"segment": grouped["level"], "time": grouped["time_min"]}
    columns |= {name: _mean(grouped[f"{name}_sum"], grouped[f"{count}_sum"]) for name, count in counts.items()}
    table = pa.table(columns).append_column("excluded", pa.array(np.zeros(grouped.num_rows, bool)))
    for name in fleet.features.categorical:
        table = table.append_column(f"c_{name}", pa.nulls(table.num_rows, pa.string()))
    table = table.append_column("rows", grouped["rows_sum"])
    table = table.sort_by([("segment", "ascending"), ("time", "ascending")])
    return table.filter(pa.array(_arrived(table, fleet.steps))).drop_columns(["rows"])


def _arrived(table: pa.Table, steps: int) -> npt.NDArray[np.bool_]:
    """Which periods count: all but the newest ones with less than half the rows of the fullest of the last periods.

    A level waits for a horizon at most: segments that stay away for longer have ended.
    """
    rows, keep = table["rows"].to_numpy(), np.ones(table.num_rows, dtype=bool)
    for start, length in zip(*run_length_encode(table["segment"]), strict=True):
        newest = rows[max(start, start + length - steps - 1) : start + length]
        late = int(np.argmax((newest >= _ARRIVED * newest.max())[::-1]))
        keep[start + length - late : start + length] = False
    return keep


def _mean(total: pa.ChunkedArray, count: pa.ChunkedArray) -> pa.ChunkedArray:
    """total / count; null where there is nothing to average."""
    known = pc.if_else(pc.greater(count, 0), count, None)
    return pc.divide(total, pc.cast(known, pa.float64()))


def sample_fallback_rows(rows: pa.Table, fleet: Fleet, limit: int) -> pa.Table:
    """Rows of a bucket once for each level that they belong to, keyed by level; a fixed sample of at most `limit`."""
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
