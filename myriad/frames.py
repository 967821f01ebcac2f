"""Data frames in and out: pandas, Arrow and polars."""

from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from adapters.lake.files import replacing
from domain.errors import RequestError, SourceError, first_line

__all__ = ["FrameKind", "from_arrow", "to_arrow", "write_rows"]

FrameKind = Literal["pandas", "arrow", "polars"]
_KINDS = ("pandas", "arrow", "polars")


def from_arrow(table: pa.Table, kind: FrameKind) -> Any:
    """Return a table as the kind of frame that was asked for.

    Raises
    ------
    RequestError
        There is no such kind, or polars is not installed.
    """
    if kind == "arrow":
        return table
    if kind == "pandas":
        return table.to_pandas()
    if kind != "polars":
        raise RequestError(f"as_={kind!r}: not a kind of frame; choose one of {', '.join(_KINDS)}")
    try:
        import polars  # type: ignore[import-not-found, unused-ignore]
    except ImportError as exc:
        raise RequestError("as_='polars': polars is not installed; install it, or choose 'pandas' or 'arrow'") from exc
    return polars.from_arrow(table)


def to_arrow(frame: Any) -> pa.Table:
    """Return the rows of a pandas, polars or Arrow frame as a table of plain columns.

    Raises
    ------
    SourceError
        It is no such frame, has no rows, or holds values that no file can hold.
    """
    try:
        table = _plain(_table(frame))
    except (pa.ArrowException, TypeError, ValueError) as exc:
        raise SourceError(
            f"the frame cannot be written: {first_line(exc)}; give every column one type and a name of its own"
        ) from exc
    if not table.num_rows:
        raise SourceError("the frame has no rows; give one with the history of its segments")
    return table


def _table(frame: Any) -> pa.Table:
    module = type(frame).__module__.partition(".")[0]
    if module == "pandas":
        return _from_pandas(frame)
    if module == "polars":
        frame = frame.collect() if hasattr(frame, "collect") else frame
        return frame.to_arrow()
    if isinstance(frame, pa.RecordBatch):
        return pa.Table.from_batches([frame])
    if isinstance(frame, pa.Table) or hasattr(frame, "__arrow_c_stream__"):
        return pa.table(frame)
    kind = f"{type(frame).__module__}.{type(frame).__name__}"
    raise SourceError(f"{kind}: not a frame; give one of pandas, polars or Arrow, or a fleet file to myriad.Fleet")


def _from_pandas(frame: Any) -> pa.Table:
    """Keep an index with names as columns, and write periods as their first moments."""
    if not hasattr(frame, "columns"):
        raise SourceError("a pandas Series is no frame; give a DataFrame with columns for segment, time and target")
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    periods = [name for name, kind in frame.dtypes.items() if str(kind).startswith("period")]
    if periods:
        frame = frame.assign(**{name: frame[name].dt.to_timestamp() for name in periods})
    return pa.Table.from_pandas(frame.rename(columns=str), preserve_index=False)


def _plain(table: pa.Table) -> pa.Table:
    """Write categories as their values, and drop what only pandas understands."""
    columns = []
    for column in table.columns:
        kind = column.type
        columns.append(pc.cast(column, kind.value_type) if pa.types.is_dictionary(kind) else column)
    return pa.table(columns, names=table.column_names)


def write_rows(table: pa.Table, path: Path) -> None:
    """Write a table as a Parquet file; it replaces what is there once it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
