"""Columns with numbers and texts, as sheets and JSON Lines have them: the numbers need no judgement of their marks.

1.009 of a number is 1.009, whatever the texts of its column mean by a point.
"""

from collections.abc import Collection, Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["MixedCells", "mixed_column", "with_number_cells", "without_number_cells"]

_NUMBER = "\x00"
"""Begins the text of a number."""


class MixedCells(pa.ExtensionType):  # type: ignore[misc]
    """Type of a column whose cells are text, in which some stand for numbers of the file."""

    def __init__(self) -> None:
        super().__init__(pa.string(), "myriad.mixed_cells")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> "MixedCells":
        return cls()

    @staticmethod
    def text(values: pa.ChunkedArray) -> pa.ChunkedArray:
        """The text of all cells."""
        cells = _storage(values)
        return pc.if_else(_are_numbers(cells), pc.utf8_slice_codeunits(cells, 1), cells)


def mixed_column(cells: Iterable[tuple[object, str | None]]) -> pa.Array:
    """Build a column. cells : each value with its text."""
    texts = [_NUMBER + text if _is_number(value) and text is not None else text for value, text in cells]
    return pa.ExtensionArray.from_storage(MixedCells(), pa.array(texts, pa.string()))


def without_number_cells(table: pa.Table, names: Collection[str]) -> pa.Table:
    """Replace the numbers of mixed columns by nulls, so that only texts are judged."""
    for place, name in _mixed_places(table, names):
        cells = _storage(table.column(place))
        texts = pc.if_else(_are_numbers(cells), pa.scalar(None, pa.string()), cells)
        table = table.set_column(place, name, texts)
    return table


def with_number_cells(table: pa.Table, raw: pa.Table, names: Collection[str]) -> pa.Table:
    """Put the numbers of mixed columns back. raw : the table that still has them."""
    for place, name in _mixed_places(raw, names):
        are_numbers, texts = _are_numbers(_storage(raw.column(place))), MixedCells.text(raw.column(place))
        place = table.column_names.index(name)
        table = table.set_column(place, name, pc.if_else(are_numbers, texts, table.column(place)))
    return table


def _mixed_places(table: pa.Table, names: Collection[str]) -> Iterator[tuple[int, str]]:
    for place, field in enumerate(table.schema):
        # A name that is there twice is an error of the reader's.
        if isinstance(field.type, MixedCells) and field.name in names and table.column_names.count(field.name) == 1:
            yield place, field.name


def _storage(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([chunk.storage for chunk in values.chunks], pa.string())


def _are_numbers(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.fill_null(pc.starts_with(cells, _NUMBER), False)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
