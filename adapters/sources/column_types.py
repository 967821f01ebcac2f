"""Types of columns as files store them, made ordinary: all that a fleet can use has a type that all code knows."""

from collections.abc import Sequence

import pyarrow as pa

__all__ = ["concat_alike", "ordinary_types"]


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
