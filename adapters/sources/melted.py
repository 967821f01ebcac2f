"""Turn the columns of a wide table into rows, chunk by chunk."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from adapters.sources.chunk import Chunk
from adapters.sources.column_types import ordinary_types
from domain.config.melt import Melt
from domain.data.shown import shown_names
from domain.errors import SourceError

__all__ = ["columns_to_melt", "melted_chunk", "melted_table"]

_MOST_CELLS = 1_000_000
"""Cells of one melted chunk; a chunk of a wide file may have a hundred times as many."""


def columns_to_melt(uri: str, melt: Melt, names: Sequence[str]) -> list[str]:
    """Return the columns of a file that become rows.

    Raises SourceError if there is none, one to keep is missing, or a new column has the name of one that is there.
    """
    present = [name for name in names if name]
    if repeated := [name for name, count in Counter(present).items() if count > 1 and name not in melt.ignore]:
        raise SourceError(f"{uri}: column {', '.join(repeated)} is there more than once; rename all but one")
    if missing := [name for name in melt.keep if name not in present]:
        raise SourceError(
            f"{uri}: no column {', '.join(missing)}, which source.melt.keep names; the file has {shown_names(present)}"
        )
    for key, name in (("name", melt.name), ("value", melt.value)):
        if name in present:
            raise SourceError(f"{uri}: column {name!r} is in the file; give source.melt.{key} another name")
    if not (columns := melt.columns(present)):
        raise SourceError(
            f"{uri}: source.melt leaves no column to turn into rows; the file has {shown_names(present)}, and all of "
            "them are in keep or ignore"
        )
    return columns


def melted_chunk(uri: str, melt: Melt, chunk: Chunk) -> Iterator[Chunk]:
    """Yield the cells of a chunk as rows, in the order of its rows; each has the number of the row it came from."""
    columns = columns_to_melt(uri, melt, chunk.table.column_names)
    most_rows = max(1, _MOST_CELLS // len(columns))
    for start in range(0, max(chunk.table.num_rows, 1), most_rows):
        part = chunk.table.slice(start, most_rows)
        table, rows = _melted(part, melt, columns)
        broken = () if start else chunk.broken
        yield replace(chunk, table=table, rows=chunk.rows[start : start + most_rows][rows], broken=broken)


def melted_table(uri: str, melt: Melt, table: pa.Table) -> pa.Table:
    """Return the cells of a small table as rows."""
    return _melted(table, melt, columns_to_melt(uri, melt, table.column_names))[0]


def _melted(table: pa.Table, melt: Melt, columns: Sequence[str]) -> tuple[pa.Table, npt.NDArray[Any]]:
    """The melted table without cells that have no value, and the place of each row's source."""
    values, kind = _common_type(ordinary_types(table.select(list(columns))))
    rows, width = table.num_rows, len(columns)
    # Row by row: cell (r, c) is at c * rows + r in the columns one after another.
    place = (np.arange(width) * rows + np.arange(rows)[:, None]).ravel()
    cells = pa.chunked_array([chunk for column in values for chunk in column.chunks], kind).combine_chunks()
    cells = cells.take(pa.array(place))
    filled = np.flatnonzero(_has_value(cells))
    source = filled // width
    names = pa.array(columns, pa.string()).take(pa.array(filled % width))
    kept = table.select([name for name in table.column_names if name in melt.keep]).take(pa.array(source))
    melted = kept.append_column(melt.name, names).append_column(melt.value, cells.take(pa.array(filled)))
    return melted, source


def _common_type(table: pa.Table) -> tuple[list[pa.ChunkedArray], pa.DataType]:
    """Columns of one type: that of all, numbers if all are numbers, else text."""
    kinds = {column.type for column in table.columns if not pa.types.is_null(column.type)}
    if len(kinds) <= 1:
        kind = next(iter(kinds), pa.string())
    elif all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in kinds):
        kind = pa.float64()
    else:
        kind = pa.string()
    return [column.cast(kind, safe=False) for column in table.columns], kind


def _has_value(cells: pa.Array) -> npt.NDArray[Any]:
    present = pc.is_valid(cells)
    if pa.types.is_floating(cells.type):
        present = pc.and_(present, pc.invert(pc.is_nan(cells).fill_null(True)))
    elif pa.types.is_string(cells.type):
        present = pc.and_(present, pc.greater(pc.utf8_length(pc.utf8_trim_whitespace(cells.fill_null(""))), 0))
    return np.asarray(present.to_numpy(zero_copy_only=False), dtype=bool)
