"""Partitioning: from the landed rows of a bucket to sorted, unique, profiled observations."""

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from domain.arrays import BoolArray, FloatArray, IntArray
from domain.calendar.ordinals import ordinals
from domain.calendar.time_range import STRAY, stray_rows
from domain.config.fleet import Fleet
from domain.config.training import Parent
from domain.data.aggregation import aggregate_periods
from domain.data.input_order import input_places
from domain.data.segments import GLOBAL_KEY, parse_segment, segment_key
from domain.data.tables import category_column, count_column, feature_column, key_column
from domain.data.validation import rejected_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PartitionedBucket", "bucket_count", "fallback_keys", "partition_bucket", "run_length_encode"]


SEGMENTS_PER_BUCKET = 128
ROWS_PER_BUCKET = 500_000
_NEIGHBOURS = 3


@dataclass(frozen=True)
class PartitionedBucket:
    """One partitioned bucket: tables with the columns of their specs, partition columns left out.

    rejected also has `input_id` and `path`, which locate the row in its file. foreign : number of rejected rows that
    were ingested under other segment columns.
    """

    observations: pa.Table
    rejected: pa.Table
    profiles: pa.Table
    levels: pa.Table
    foreign: int = 0


def bucket_count(segments: int, rows: int) -> int:
    """Return the number of buckets for a fleet of this size; it depends on the data alone, never on the machine."""
    buckets = max(-(-segments // SEGMENTS_PER_BUCKET), -(-rows // ROWS_PER_BUCKET), min(8, -(-segments // 8)))
    return int(max(1, min(4096, buckets)))


def run_length_encode(codes: pa.Array | npt.NDArray[np.generic]) -> tuple[IntArray, IntArray]:
    """Return start and length of every run of equal values in a sorted column; two arrays of shape (n_runs,)."""
    if isinstance(codes, (pa.Array, pa.ChunkedArray)):
        flat = codes.combine_chunks() if isinstance(codes, pa.ChunkedArray) else codes
        codes = flat.dictionary_encode().indices.to_numpy(zero_copy_only=False)
    if len(codes) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    starts = np.flatnonzero(np.concatenate(([True], codes[1:] != codes[:-1])))
    return starts, np.diff(np.append(starts, len(codes)))


def partition_bucket(landed: pa.Table, fleet: Fleet) -> PartitionedBucket:
    """Sort the landed rows of a bucket, reject duplicates, mark outliers, profile segments and sum by fallback level.

    landed : all rows of the bucket with the columns of the `landed` table, in any order; the order does not affect the
    result.
    """
    rows = landed.sort_by([(name, "ascending") for name in ("segment", "time", "path", "row")])
    foreign, detail = _foreign(rows, fleet)
    rejected = [_without_segment(_rejects(rows, foreign, "other_segment", detail))]
    rows = rows.filter(pa.array(~foreign))
    if fleet.task_type.periodic:
        stray = stray_rows(rows["time"].to_numpy(), *run_length_encode(rows["segment"]), fleet)
        rejected.append(_rejects(rows, stray, "time_range", STRAY))
        rows = rows.filter(pa.array(~stray))
    rows = _aggregated(rows, fleet)
    repeated, detail = _repeated(rows, fleet)
    rejected.append(_rejects(rows, repeated, "duplicate", detail))
    rows = rows.filter(pa.array(~repeated))
    outlying = _outliers(rows, fleet)
    if fleet.validation.outliers == "quarantine":
        detail = f"more than {fleet.validation.outlier_threshold:g} robust deviations off"
        rejected.append(_rejects(rows, outlying, "outlier", detail))
        rows, outlying = rows.filter(pa.array(~outlying)), outlying[~outlying]
    excluded = outlying if fleet.validation.outliers == "exclude" else np.zeros(rows.num_rows, bool)
    rows = rows.append_column("excluded", pa.array(excluded))
    profiles, levels = _profiles(rows, fleet), _levels(rows, fleet)
    return PartitionedBucket(rows, pa.concat_tables(rejected), profiles, levels, int(foreign.sum()))


def _foreign(rows: pa.Table, fleet: Fleet) -> tuple[BoolArray, str]:
    """Mask of rows whose key has other columns than the fleet's, and the reason to reject them."""
    encoded = rows["segment"].combine_chunks().dictionary_encode()
    other = [list(parse_segment(key)) != fleet.segment_by for key in encoded.dictionary.to_pylist()]
    detail = "read when segment_by was another, and its file is gone or unreadable since; put it back where it was"
    return np.array(other, dtype=bool)[encoded.indices.to_numpy(zero_copy_only=False)], detail


def _without_segment(rejected: pa.Table) -> pa.Table:
    """Rejected rows without their segment, which the fleet no longer has."""
    place = rejected.column_names.index("segment")
    return rejected.set_column(place, "segment", pa.nulls(rejected.num_rows, pa.string()))


def _repeated(rows: pa.Table, fleet: Fleet) -> tuple[BoolArray, str]:
    """Mask of duplicates within a segment, and the reason to reject them; rows are sorted."""
    frame = rows.select(["segment"]).to_pandas()
    if fleet.task_type.periodic:
        frame["period"] = ordinals(rows["time"].to_numpy(), fleet.clock)
        detail = "the segment already has a row for this period"
    elif fleet.row_key:
        for name in fleet.row_key:
            frame[name] = rows[key_column(name)].to_pandas()
        detail = f"the segment already has a row with this {', '.join(fleet.row_key)}"
    else:
        return np.zeros(rows.num_rows, bool), ""
    complete = frame.notna().all(axis=1).to_numpy()
    return _superseded(frame, rows["path"], fleet) & complete, detail


def _superseded(frame: "pd.DataFrame", paths: pa.ChunkedArray, fleet: Fleet) -> BoolArray:
    """Mask of rows that repeat others: of several files the last counts.

    So it does within a slice of a query, whose rows are in the order of the watermark: the result must not depend on
    the moments at which it was read.
    """
    which = "last" if fleet.source.watermark else fleet.validation.duplicates
    mask = np.array(frame.duplicated(keep=which), bool)
    if not mask.any():
        return mask
    file = _file_ranks(paths)
    # Within a file the order of rows stays.
    order = np.argsort(-file if which == "first" else file, kind="stable")
    mask[order] = frame.iloc[order].duplicated(keep=which)
    return mask


def _file_ranks(paths: pa.ChunkedArray) -> IntArray:
    """Rank of each row's file by the natural order of names, of shape (n,)."""
    encoded = paths.combine_chunks().dictionary_encode()
    names = encoded.dictionary.to_pylist()
    place = np.array(input_places(names), dtype=np.int64)
    ranks: IntArray = place[encoded.indices.to_numpy(zero_copy_only=False)]
    return ranks


def _aggregated(rows: pa.Table, fleet: Fleet) -> pa.Table:
    """One row per segment and period, where the fleet says how; of rows at one time that of the last file is last."""
    if fleet.aggregate is None:
        return rows
    ranked = rows.append_column("_file", pa.array(_file_ranks(rows["path"])))
    return aggregate_periods(ranked, fleet, ("_file", "row")).drop_columns(["_file"])


def _rejects(rows: pa.Table, mask: BoolArray, reason: str, detail: str) -> pa.Table:
    picked = rows.filter(pa.array(mask))
    content = [json.dumps(row, default=str, ensure_ascii=False) for row in picked.to_pylist()]
    row, details = picked["row"].to_numpy(), [detail] * len(content)
    table = rejected_table([reason] * len(content), details, row, content, picked["segment"])
    return table.append_column("input_id", picked["input_id"]).append_column("path", picked["path"])


def _outliers(rows: pa.Table, fleet: Fleet) -> BoolArray:
    """Mask of rows far from the median around them, in units of 1.4826 MAD of the segment (Hampel, JASA 69, 1974)."""
    n = rows.num_rows
    if fleet.validation.outliers == "keep" or n == 0:
        return np.zeros(n, bool)
    target = rows["target"].to_numpy()
    starts, lengths = run_length_encode(rows["segment"])
    code = np.repeat(np.arange(len(starts)), lengths)
    if fleet.task_type.periodic:
        around = np.full((2 * _NEIGHBOURS + 1, n), np.nan)
        for shift in range(-_NEIGHBOURS, _NEIGHBOURS + 1):
            source = np.arange(n) + shift
            inside = np.flatnonzero((source >= 0) & (source < n))
            inside = inside[code[source[inside]] == code[inside]]
            around[shift + _NEIGHBOURS, inside] = target[source[inside]]
        centre = np.nanmedian(around, axis=0)
    else:
        centre = _group_median(target, code, starts, lengths)[code]
    distance = np.abs(target - centre)
    dispersion = 1.4826 * _group_median(distance, code, starts, lengths)
    # With half of the rows on the median, the MAD is 0; the mean distance still separates the rest.
    mean = np.add.reduceat(distance, starts) / lengths
    dispersion = np.where(dispersion > 0, dispersion, 1.2533 * mean)[code]
    return np.asarray((dispersion > 0) & (distance > fleet.validation.outlier_threshold * dispersion), bool)


def _group_median(values: FloatArray, code: IntArray, starts: IntArray, lengths: IntArray) -> FloatArray:
    ordered = values[np.lexsort((values, code))]
    median: FloatArray = (ordered[starts + (lengths - 1) // 2] + ordered[starts + lengths // 2]) / 2
    return median


def _profiles(rows: pa.Table, fleet: Fleet) -> pa.Table:
    """One row per segment: size, span, gaps, zeros, demand class (Syntetos & Boylan, JORS 56, 2005) and fingerprint."""
    starts, lengths = run_length_encode(rows["segment"])
    target = rows["target"].to_numpy()
    ends = starts + lengths - 1
    times = rows["time"].to_numpy()
    n = np.maximum(lengths, 1)
    total, zeros = _sums(target, starts), _sums((target == 0).astype(float), starts)
    mean = total / n
    # Around the mean, not from sums of squares, which cancel if the mean is large.
    std = np.sqrt(_sums((target - np.repeat(mean, lengths)) ** 2, starts) / n)
    periods = lengths.copy()
    if fleet.time is not None and fleet.task_type.periodic:
        period = ordinals(times, fleet.time)
        periods = period[ends] - period[starts] + 1
    demands = np.maximum(lengths - zeros, 1)
    interval = periods / demands
    demand_mean = total / demands
    apart = np.where(target != 0, target - np.repeat(demand_mean, lengths), 0.0)
    demand_var = _sums(apart**2, starts) / demands
    variation = np.divide(demand_var, demand_mean**2, out=np.zeros(len(starts)), where=demand_mean != 0)
    kinds = np.array(["smooth", "erratic", "intermittent", "lumpy"])[(interval > 1.32) * 2 + (variation > 0.49)]
    return pa.table(
        {
            "segment": rows["segment"].take(pa.array(starts)),
            "rows": lengths,
            "excluded": _sums(rows["excluded"].to_numpy().astype(float), starts).astype(np.int64),
            "first_time": rows["time"].take(pa.array(starts)),
            "last_time": rows["time"].take(pa.array(ends)),
            "periods": periods,
            "gaps": periods - lengths,
            "mean": mean,
            "std": std,
            "zero_share": zeros / n,
            "interval": interval,
            "variation": variation,
            "demand": pa.array(kinds.tolist(), pa.string()),
            "fingerprint": pa.array(_fingerprints(rows, fleet, starts, lengths), pa.string()),
        }
    )


def _sums(values: FloatArray, starts: IntArray) -> FloatArray:
    sums: FloatArray = np.add.reduceat(values, starts) if len(starts) else np.zeros(0)
    return sums


def _fingerprints(rows: pa.Table, fleet: Fleet, starts: IntArray, lengths: IntArray) -> list[str]:
    """Hash of each segment's training rows: times, targets, features, exclusions."""
    names = ["time", "target", "excluded", *(feature_column(name) for name in fleet.features.numeric)]
    arrays = [np.ascontiguousarray(rows[name].to_numpy()) for name in names]
    texts = [rows[category_column(name)].to_pylist() for name in fleet.features.categorical]
    fingerprints = []
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        state = hashlib.blake2b(digest_size=16)
        for array in arrays:
            state.update(array[start : start + length].tobytes())
        for text in texts:
            state.update(json.dumps(text[start : start + length]).encode())
        fingerprints.append(state.hexdigest())
    return fingerprints


def fallback_keys(segments: list[str], fleet: Fleet) -> dict[str, list[str]]:
    """Return the fallback keys of each segment, in the fleet's order: `parent` column or `global` -> keys."""
    keys: dict[str, list[str]] = {}
    values = [parse_segment(segment) for segment in segments]
    for level in fleet.fallback:
        if isinstance(level, Parent):
            keys[level.parent] = [segment_key({level.parent: value[level.parent]}) for value in values]
        else:
            keys["global"] = [GLOBAL_KEY] * len(segments)
    return keys


def _levels(rows: pa.Table, fleet: Fleet) -> pa.Table:
    numeric = [feature_column(name) for name in fleet.features.numeric]
    counted = [count_column(name) for name in fleet.features.numeric]
    schema = pa.schema(
        [("level", pa.string()), ("time", pa.timestamp("us", tz="UTC")), ("rows", pa.int64()), ("target", pa.float64())]
        + [(name, pa.float64()) for name in numeric]
        + [(name, pa.int64()) for name in counted]
    )
    if not fleet.task_type.periodic or rows.num_rows == 0:
        return schema.empty_table()
    encoded = rows["segment"].combine_chunks().dictionary_encode()
    used = rows.filter(pc.invert(rows["excluded"]))
    codes = encoded.indices.filter(pc.invert(rows["excluded"].combine_chunks()))
    parts = []
    for keys in fallback_keys(encoded.dictionary.to_pylist(), fleet).values():
        level = pa.array(keys, pa.string()).take(codes)
        grouped = (
            used.select(["time", "target", *numeric])
            .append_column("level", level)
            .group_by(["level", "time"], use_threads=False)
        )
        counts = [(name, "count") for name in ["target", *numeric]]
        summed = grouped.aggregate([*counts, *((name, "sum") for name in ["target", *numeric])])
        columns = {"level": summed["level"], "time": summed["time"], "rows": summed["target_count"]}
        columns |= {name: summed[f"{name}_sum"] for name in ["target", *numeric]}
        columns |= {count: summed[f"{name}_count"] for name, count in zip(numeric, counted, strict=True)}
        parts.append(pa.table(columns).cast(schema))
    return pa.concat_tables(parts) if parts else schema.empty_table()
