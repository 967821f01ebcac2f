"""Raw files to Arrow tables: CSV (also gzip) and Parquet, in chunks, with the rows that could not be split."""

import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from adapters.files import open_file
from models.errors import SourceError
from models.fleet import Source

__all__ = ["Chunk", "column_names", "read_chunks"]

CHUNK_ROWS = 1_000_000
_BLOCK_BYTES = 64 << 20


@dataclass(frozen=True)
class Chunk:
    """Part of a raw file.

    table : the wanted columns as the file gives them; CSV columns are text.
    rows : number of each row in the file, from 0, header not counted, shape (n,).
    broken : rows that have another number of columns: (row, text).
    """

    table: pa.Table
    rows: npt.NDArray[np.int64]
    broken: tuple[tuple[int, str], ...] = ()


def _format(uri: str, source: Source) -> str:
    if source.format != "auto":
        return source.format
    name = uri.lower().removesuffix(".gz")
    if name.endswith((".csv", ".tsv", ".txt")):
        return "csv"
    if name.endswith((".parquet", ".pq")):
        return "parquet"
    raise SourceError(f"{uri}: the name does not tell the format; set source.format to csv or parquet")


def column_names(uri: str, source: Source) -> list[str]:
    """Names of a file's columns."""
    return next(iter(_chunks(uri, source, None))).table.column_names


def read_chunks(uri: str, source: Source, required: Sequence[str], optional: Sequence[str] = ()) -> Iterator[Chunk]:
    """A file's rows in chunks with the required columns; optional ones are null where the file lacks them.

    Raises SourceError that names the file and what is wrong with it.
    """
    for chunk in _chunks(uri, source, [*required, *optional]):
        table = chunk.table
        missing = [name for name in required if name not in table.column_names]
        if missing:
            raise SourceError(f"{uri}: no column {', '.join(missing)}; the file has {', '.join(table.column_names)}")
        for name in optional:
            if name not in table.column_names:
                table = table.append_column(name, pa.nulls(table.num_rows, pa.string()))
        yield Chunk(table.select([*required, *optional]), chunk.rows, chunk.broken)


def _chunks(uri: str, source: Source, wanted: Sequence[str] | None) -> Iterator[Chunk]:
    try:
        if _format(uri, source) == "csv":
            yield from _csv_chunks(uri, source)
        else:
            yield from _parquet_chunks(uri, wanted)
    except (OSError, EOFError, pa.ArrowException, gzip.BadGzipFile) as exc:
        raise SourceError(f"{uri}: cannot be read: {exc}") from exc


@dataclass
class _BrokenRows:
    """Collects rows that pyarrow cannot split into the header's number of columns."""

    seen: list[tuple[int, str]] = field(default_factory=list)

    def __call__(self, row: Any) -> str:
        # Arrow counts lines from 1 and the header is one of them; -1 where it does not know.
        self.seen.append(((row.number or 1) - 2, str(row.text)))
        return "skip"

    def take(self) -> tuple[tuple[int, str], ...]:
        taken, self.seen = tuple(self.seen), []
        return taken


def _csv_chunks(uri: str, source: Source) -> Iterator[Chunk]:
    broken = _BrokenRows()
    delimiter = (
        "\t" if uri.lower().removesuffix(".gz").endswith(".tsv") and source.delimiter == "," else source.delimiter
    )
    with open_file(uri) as raw:
        stream = gzip.open(raw) if uri.lower().endswith(".gz") else raw
        head = stream.read(1 << 16)  # type: ignore[union-attr]
        if not head.strip():
            raise SourceError(f"{uri}: the file is empty")
        stream.seek(0)  # type: ignore[union-attr]
        names = (
            pacsv.open_csv(pa.py_buffer(head), parse_options=_parse(delimiter, _BrokenRows())).schema.names
            if b"\n" in head
            else []
        )
        reader = pacsv.open_csv(
            pa.PythonFile(stream, mode="r"),
            read_options=pacsv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
            parse_options=_parse(delimiter, broken),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=source.null_values,
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
        start = 0
        for batch in reader:
            skipped = broken.take()
            numbers = np.arange(start, start + batch.num_rows + len(skipped))
            start += len(numbers)
            numbers = np.setdiff1d(numbers, [row for row, _ in skipped])[: batch.num_rows]
            yield Chunk(pa.Table.from_batches([batch]), numbers, skipped)
        if start == 0:
            yield Chunk(reader.schema.empty_table(), np.arange(0), broken.take())


def _parse(delimiter: str, broken: _BrokenRows) -> pacsv.ParseOptions:
    return pacsv.ParseOptions(delimiter=delimiter, invalid_row_handler=broken, newlines_in_values=True)


def _parquet_chunks(uri: str, wanted: Sequence[str] | None) -> Iterator[Chunk]:
    with open_file(uri) as stream:
        file = pq.ParquetFile(stream)
        names = file.schema_arrow.names
        columns = [name for name in names if wanted is None or name in wanted]
        if wanted is not None and not columns:
            raise SourceError(f"{uri}: none of the columns {', '.join(wanted)}; the file has {', '.join(names)}")
        start = 0
        for batch in file.iter_batches(CHUNK_ROWS, columns=columns):
            yield Chunk(pa.Table.from_batches([batch]), np.arange(start, start + batch.num_rows))
            start += batch.num_rows
        if start == 0:
            yield Chunk(file.schema_arrow.empty_table().select(columns), np.arange(0))
