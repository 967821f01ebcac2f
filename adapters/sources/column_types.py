"""Types of columns as files store them, made ordinary: all that a fleet can use has a type that all code knows."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

from adapters.sources.text.mixed_cells import MixedCells

__all__ = ["concat_alike", "ordinary_types", "with_exact_ids"]

_EXACT = {pa.float32(): 2.0**24, pa.float64(): 2.0**53}
"""Whole numbers from here on are not all told apart by floats."""


def ordinary_types(table: pa.Table) -> pa.Table:
    """Decode dictionaries and views, widen half floats, make columns without a type text; others stay as they are."""
    for place, field in enumerate(table.schema):
        if not _is_ordinary(field.type):
            table = table.set_column(place, field.name, _ordinary(table.column(place)))
    return table


def _is_ordinary(kind: pa.DataType) -> bool:
    types = pa.types
    unusual = (types.is_dictionary, types.is_null, types.is_float16, types.is_run_end_encoded, types.is_string_view)
    return not any(test(kind) for test in unusual) and not isinstance(kind, pa.BaseExtensionType)


def _ordinary(values: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = values.type
    if isinstance(kind, MixedCells):
        return kind.text(values)
    if isinstance(kind, pa.UuidType):
        return _uuid_text(values)
    if isinstance(kind, pa.BaseExtensionType):
        storage = [chunk.storage for chunk in values.chunks]
        return _ordinary(pa.chunked_array(storage, kind.storage_type))
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return _ordinary(values.cast(kind.value_type))
    if pa.types.is_string_view(kind):
        return values.cast(pa.string())
    if pa.types.is_null(kind):
        return pa.chunked_array([pa.nulls(len(values), pa.string())])
    return values.cast(pa.float32()) if pa.types.is_float16(kind) else values


def _uuid_text(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text of UUIDs, which are stored as 16 bytes; each distinct one once."""
    encoded = pa.chunked_array([chunk.storage for chunk in values.chunks], pa.binary(16)).dictionary_encode()
    parts = []
    for chunk in encoded.chunks:
        texts = [None if value is None else str(UUID(bytes=value)) for value in chunk.dictionary.to_pylist()]
        parts.append(pa.array(texts, pa.string()).take(chunk.indices))
    return pa.chunked_array(parts, pa.string())


def with_exact_ids(tables: Sequence[pa.Table]) -> tuple[list[pa.Table], Mapping[str, int]]:
    """Leave out rows whose id is a float too large to tell it from others, where other tables have the exact ids.

    Returns the tables, in which the other floats of these columns are whole numbers too, and rows left out by column.
    """
    exact, lost = list(tables), dict[str, int]()
    for name in tables[0].column_names if tables else []:
        if not any(_has_large_ids(table[name]) for table in tables):
            continue
        for place, table in enumerate(exact):
            limit = _EXACT.get(table[name].type)
            if limit is not None:
                kept = table.filter(pc.fill_null(pc.less(pc.abs(table[name]), limit), True))
                lost[name] = lost.get(name, 0) + table.num_rows - kept.num_rows
                exact[place] = _with_whole_numbers(kept, name)
    return exact, {name: rows for name, rows in lost.items() if rows}


def _has_large_ids(values: pa.ChunkedArray) -> bool:
    if not pa.types.is_integer(values.type) or not len(values):
        return False
    bounds = [bound for bound in pc.min_max(values).as_py().values() if bound is not None]
    return max(map(abs, bounds), default=0) >= _EXACT[pa.float64()]


def _with_whole_numbers(table: pa.Table, name: str) -> pa.Table:
    numbers = pc.if_else(pc.is_nan(table[name]), None, table[name])
    try:
        whole = numbers.cast(pa.int64())
    except pa.ArrowInvalid:  # Some have decimals.
        return table
    return table.set_column(table.column_names.index(name), name, whole)


def concat_alike(tables: Sequence[pa.Table]) -> pa.Table:
    """Concatenate tables of the same columns; those that have no common type become text."""
    columns = [_concat([table.column(name) for table in tables]) for name in tables[0].column_names]
    return pa.table(columns, names=tables[0].column_names)


def _concat(parts: Sequence[pa.ChunkedArray]) -> pa.ChunkedArray:
    tables = [pa.table({"values": part}) for part in parts]
    try:
        return pa.concat_tables(tables, promote_options="permissive")["values"]
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        return pa.chunked_array([chunk for part in parts for chunk in _as_text(part).chunks], pa.string())


def _as_text(values: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        return values.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.chunked_array([pa.nulls(len(values), pa.string())])
