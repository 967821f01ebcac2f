"""Columns whose values stand in the place of an input and not in its rows: partitions of a table or of a folder."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc

from adapters.sources.text.mixed_cells import MixedCells
from domain.data.shown import shown

__all__ = ["columns_to_read", "folder_columns", "place_column", "with_folder_columns"]

_NULL = "__HIVE_DEFAULT_PARTITION__"
_FOLDER = re.compile(r"([^=/]+)=([^/]*)")
_MOST_SHOWN = 100


def folder_columns(uri: str) -> dict[str, str | None]:
    """Return the columns that folders such as `store=1` give the rows of a file, as text."""
    parts = (_FOLDER.fullmatch(part) for part in uri.split("/")[:-1])
    values = {unquote(part[1]): unquote(part[2]) for part in parts if part}
    return {name: None if value == _NULL else value for name, value in values.items()}


def columns_to_read(present: Sequence[str], requested: Sequence[str]) -> list[str]:
    """Return the requested columns of a file; if it has none of them, one that tells the number of its rows."""
    columns = [name for name in dict.fromkeys(requested) if name in present]
    return columns or list(present[:1])


def place_column(value: str | None, rows: int, kind: pa.DataType | None = None) -> pa.Array:
    """One value for all rows: as text, or of a type if its text can be that."""
    text = pa.scalar(value, pa.string())
    try:
        return pa.repeat(text.cast(kind) if kind else text, rows)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.repeat(text, rows)


def with_folder_columns(table: pa.Table, values: Mapping[str, str | None]) -> tuple[pa.Table, tuple[str, ...]]:
    """Append columns of the folders to rows of a file, which keeps its own; tell where the two differ."""
    remarks = list[str]()
    for name, value in values.items():
        if name not in table.column_names:
            table = table.append_column(name, place_column(value, table.num_rows))
        elif (other := _other_value(table.column(name), value)) is not None:
            remarks.append(
                f"column {name!r}: {shown(other, _MOST_SHOWN)} in the file, and {shown(str(value), _MOST_SHOWN)} "
                "in the name of its folder; that of the file is taken"
            )
    return table, tuple(remarks)


def _other_value(column: pa.ChunkedArray, value: str | None) -> str | None:
    """Return a value of the file that is not that of its folder; None if all are."""
    if pa.types.is_nested(column.type):
        return None
    column = MixedCells.text(column) if isinstance(column.type, MixedCells) else column
    return next((str(other) for other in pc.unique(column).to_pylist() if not _is_same(other, value)), None)


def _is_same(in_file: object, in_folder: str | None) -> bool:
    if in_file is None or in_folder is None:
        return (in_file is None) == (in_folder is None)
    text = str(in_file).strip()
    with suppress(ValueError):
        return float(text) == float(in_folder)
    # A time lies in the day or the month that its folder names.
    return text == in_folder or text.startswith((f"{in_folder} ", f"{in_folder}T", f"{in_folder}-"))
