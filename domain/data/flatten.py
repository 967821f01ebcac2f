"""Flat tables for other programs: segment keys as columns of their own, and values fit for CSV."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from domain.config.fleet import Fleet
from domain.data.segments import parse_segment

__all__ = ["iso_times", "split_keys", "split_segments", "to_csv_values", "written_zone"]


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


def split_keys(rows: pa.Table, fleet: Fleet) -> pa.Table:
    """Split the segment keys and, in predictions, the row keys into columns of their own, next to the keys."""
    return _split_row_keys(split_segments(rows, fleet.segment_by), fleet.row_key)


def _split_row_keys(rows: pa.Table, row_key: Sequence[str]) -> pa.Table:
    """One column of text per column of `row_key`; null where there is no key. A taken name gets the prefix `row_`."""
    if "row_key" not in rows.column_names or not row_key:
        return rows
    place, taken = rows.column_names.index("row_key") + 1, set(rows.column_names)
    values = _parsed_objects(rows["row_key"], row_key)
    for name in reversed(row_key):
        rows = rows.add_column(place, f"row_{name}" if name in taken else name, values[name])
    return rows


def _parsed_objects(texts: pa.ChunkedArray, names: Sequence[str]) -> pa.Table:
    """The columns of JSON objects; Arrow reads a million of them in a second."""
    schema = pa.schema([(name, pa.string()) for name in names])
    lines = [text or "{}" for text in texts.to_pylist()]
    if not lines:
        return schema.empty_table()
    longest = max(map(len, lines))
    return pj.read_json(
        pa.BufferReader("\n".join(lines).encode()),
        read_options=pj.ReadOptions(block_size=max(1 << 20, 4 * (longest + 1) * 2)),
        parse_options=pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
    )


def written_zone(fleet: Fleet) -> str:
    """The zone in which the times of a fleet are written: its own for hours and minutes; dates have none."""
    return fleet.time.zone_name if fleet.time is not None and fleet.time.rule.is_clock else "UTC"


def to_csv_values(rows: pa.Table, zone: str = "UTC") -> pa.Table:
    """Convert rows for CSV: drop binary columns, write times as ISO 8601 in a zone, leave NaN empty."""
    columns = {}
    for field, values in zip(rows.schema, rows.columns, strict=True):
        if pa.types.is_binary(field.type):
            continue
        if pa.types.is_timestamp(field.type):
            columns[field.name] = iso_times(values, zone)
        elif pa.types.is_floating(field.type):
            columns[field.name] = pc.if_else(pc.is_nan(values), None, values)
        else:
            columns[field.name] = values
    return pa.table(columns)


def iso_times(times: pa.ChunkedArray, zone: str = "UTC") -> pa.ChunkedArray:
    """`2024-06-30T17:00:00Z`, or `2024-06-30T19:00:00+02:00` in another zone; with microseconds if there are any."""
    offset = "Z" if zone == "UTC" else "%Ez"
    seconds = pc.floor_temporal(times, unit="second")
    whole = pc.strftime(seconds.cast(pa.timestamp("s", tz=zone)), f"%Y-%m-%dT%H:%M:%S{offset}")
    exact = times.cast(pa.timestamp(times.type.unit, tz=zone))
    return pc.if_else(pc.equal(seconds, times), whole, pc.strftime(exact, f"%Y-%m-%dT%H:%M:%S{offset}"))
