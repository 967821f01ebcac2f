"""Flat tables for other programs: segment keys as columns of their own, and values fit for CSV."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from domain.data.segments import parse_segment

__all__ = ["iso_times", "split_segments", "to_csv_values"]


def split_segments(rows: pa.Table, segment_by: Sequence[str]) -> pa.Table:
    """Split the segment keys into one column per segment column, next to the keys; null where a key lacks it.

    A column whose name is taken gets the prefix `segment_`. Tables without segments are returned unchanged.
    """
    if "segment" not in rows.column_names:
        return rows
    encoded = rows["segment"].combine_chunks().dictionary_encode()
    parsed = [parse_segment(key) for key in encoded.dictionary.to_pylist()]
    place = rows.column_names.index("segment") + 1
    taken = set(rows.column_names)
    for name in reversed(segment_by):
        values = pa.array([values.get(name) for values in parsed], pa.string()).take(encoded.indices)
        rows = rows.add_column(place, f"segment_{name}" if name in taken else name, values)
    return rows


def to_csv_values(rows: pa.Table) -> pa.Table:
    """Convert rows for CSV: drop binary columns, write times as ISO 8601 (UTC), leave NaN empty."""
    columns = {}
    for field, values in zip(rows.schema, rows.columns, strict=True):
        if pa.types.is_binary(field.type):
            continue
        if pa.types.is_timestamp(field.type):
            columns[field.name] = iso_times(values)
        elif pa.types.is_floating(field.type):
            columns[field.name] = pc.if_else(pc.is_nan(values), None, values)
        else:
            columns[field.name] = values
    return pa.table(columns)


def iso_times(times: pa.ChunkedArray) -> pa.ChunkedArray:
    """`2024-06-30T17:00:00Z`, with microseconds if there are any."""
    seconds = pc.floor_temporal(times, unit="second")
    whole = pc.strftime(seconds.cast(pa.timestamp("s", tz="UTC")), "%Y-%m-%dT%H:%M:%SZ")
    return pc.if_else(pc.equal(seconds, times), whole, pc.strftime(times, "%Y-%m-%dT%H:%M:%SZ"))
