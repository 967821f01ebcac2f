"""Columns whose values stand in the place of an input and not in its rows: partitions of a table or of a folder."""

from collections.abc import Sequence

import pyarrow as pa

__all__ = ["columns_to_read", "place_column"]


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
