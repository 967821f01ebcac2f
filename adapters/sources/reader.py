"""Read raw files into Arrow tables: CSV (also gzip) and Parquet, in chunks, with the rows that could not be split."""

import csv
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from adapters.lake.files import STORAGE_ERRORS, open_file
from domain.config.fleet import Source
from domain.data.shown import shown, shown_names
from domain.errors import SourceError

__all__ = ["Chunk", "column_names", "head_rows", "read_chunks"]

CHUNK_ROWS = 1_000_000
_BLOCK_BYTES = 64 << 20
_MOST_CAUSE = 300
"""Characters of another library's error, which may quote the file."""
_THOUSANDS = r"^\s*[+-]?\d{1,3}(\.\d{3})+(,\d*)?\s*$"


@dataclass(frozen=True)
class Chunk:
    """Part of a raw file.

    table : the requested columns as the file stores them; CSV columns are text.
    rows : number of each row in the file, counted from 0 after the header, of shape (n,).
    broken : rows with another number of columns than the header, as (row number, text).
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
    """Names of a file's columns, read from its header or footer alone, and of the source's constants."""
    with _read_errors(uri):
        if _format(uri, source) == "csv":
            with _csv_stream(uri, source) as (stream, delimiter):
                return [*_header(uri, stream, delimiter, source.encoding)[0], *source.constants]
        with open_file(uri) as stream:
            return [*pq.ParquetFile(stream).schema_arrow.names, *source.constants]


def head_rows(uri: str, source: Source, rows: int) -> pa.Table:
    """The first rows of a file with all its columns; CSV columns are text."""
    with _read_errors(uri):
        if _format(uri, source) == "csv":
            return next(_csv_chunks(uri, source)).table.slice(0, rows)
        with open_file(uri) as stream:
            file = pq.ParquetFile(stream)
            batch = next(file.iter_batches(rows), None)
            return file.schema_arrow.empty_table() if batch is None else pa.Table.from_batches([batch])


def read_chunks(
    uri: str, source: Source, required: Sequence[str], optional: Sequence[str] = (), numbers: Collection[str] = ()
) -> Iterator[Chunk]:
    """Read a file's rows in chunks.

    Parameters
    ----------
    required : columns that the file must have.
    optional : columns that are null where the file lacks them.
    numbers : columns whose text has the source's decimal mark; the text of other columns stays unchanged.

    Raises
    ------
    SourceError : the file cannot be read, or lacks a column; the message names the file and the cause.
    """
    for chunk in _chunks(uri, source, [*required, *optional]):
        table = _with_decimal_point(_with_constants(uri, chunk.table, source), source, numbers)
        _check_columns(uri, table.column_names, required, optional)
        for name in optional:
            if name not in table.column_names:
                table = table.append_column(name, pa.nulls(table.num_rows, pa.string()))
        yield Chunk(table.select([*required, *optional]), chunk.rows, chunk.broken)


def _with_constants(uri: str, table: pa.Table, source: Source) -> pa.Table:
    for name, value in source.constants.items():
        if name in table.column_names:
            raise SourceError(f"{uri}: column {name} is in the file and in source.constants; rename the constant")
        table = table.append_column(name, pa.repeat(pa.scalar(value, pa.string()), table.num_rows))
    return table


def _with_decimal_point(table: pa.Table, source: Source, numbers: Collection[str]) -> pa.Table:
    """Rewrite text such as `1.234,5` as `1234.5`; a point that cannot separate thousands stays."""
    if source.decimal == ".":
        return table
    for place, name in enumerate(table.column_names):
        if name in numbers and pa.types.is_string(table[name].type):
            grouped = pc.match_substring_regex(table[name], _THOUSANDS)
            plain = pc.if_else(grouped, pc.replace_substring(table[name], ".", ""), table[name])
            table = table.set_column(place, name, pc.replace_substring(plain, ",", "."))
    return table


def _check_columns(uri: str, present: Sequence[str], required: Sequence[str], optional: Sequence[str]) -> None:
    missing = [name for name in required if name not in present]
    if missing:
        raise SourceError(f"{uri}: no column {', '.join(missing)}; the file has {shown_names(present)}")
    repeated = [name for name, count in Counter(present).items() if count > 1 and name in {*required, *optional}]
    if repeated:
        raise SourceError(f"{uri}: column {', '.join(repeated)} is there more than once; rename all but one")


def _chunks(uri: str, source: Source, columns: Sequence[str]) -> Iterator[Chunk]:
    with _read_errors(uri):
        if _format(uri, source) == "csv":
            yield from _csv_chunks(uri, source)
        else:
            yield from _parquet_chunks(uri, columns)


@contextmanager
def _read_errors(uri: str) -> Iterator[None]:
    """Turn any failure to read a file into a SourceError that names the file."""
    try:
        yield
    except (*STORAGE_ERRORS, EOFError, zlib.error, csv.Error, pa.ArrowException) as exc:
        raise SourceError(f"{uri}: cannot be read: {shown(str(exc), _MOST_CAUSE)}") from exc


@dataclass
class _BrokenRows:
    """Collect rows that pyarrow cannot split into the header's number of columns.

    Arrow reads ahead: a row may arrive here before the batch that precedes it is returned.
    """

    pending: list[tuple[int, str]] = field(default_factory=list)
    start: int = 0

    def __call__(self, row: Any) -> str:
        # Arrow counts rows from 1, and the header is one of them.
        self.pending.append((row.number - 2, str(row.text)))
        return "skip"

    def number(self, n_rows: int) -> tuple[npt.NDArray[np.int64], tuple[tuple[int, str], ...]]:
        """Numbers of the next good rows, and the broken rows between them."""
        numbers = np.arange(self.start, self.start + n_rows + len(self.pending))
        numbers = np.setdiff1d(numbers, [row for row, _ in self.pending])[:n_rows]
        self.start = int(numbers[-1]) + 1 if n_rows else self.start
        return numbers, self._take(self.start)

    def rest(self) -> tuple[tuple[int, str], ...]:
        """Broken rows after the last good one."""
        return self._take(None)

    def _take(self, end: int | None) -> tuple[tuple[int, str], ...]:
        rows = tuple(item for item in self.pending if end is None or item[0] < end)
        self.pending = self.pending[len(rows) :]
        return rows


@contextmanager
def _csv_stream(uri: str, source: Source) -> Iterator[tuple[BinaryIO, str]]:
    """Open a file's text as uncompressed bytes, with the separator of its columns."""
    name = uri.lower()
    tabs = name.removesuffix(".gz").endswith(".tsv") and source.delimiter == ","
    with ExitStack() as stack:
        stream = stack.enter_context(open_file(uri))
        if name.endswith(".gz"):
            stream = cast("BinaryIO", stack.enter_context(gzip.open(stream)))
        yield stream, "\t" if tabs else source.delimiter


def _csv_chunks(uri: str, source: Source) -> Iterator[Chunk]:
    broken = _BrokenRows()
    with _csv_stream(uri, source) as (stream, delimiter):
        names, has_rows = _header(uri, stream, delimiter, source.encoding)
        if not has_rows:
            # Arrow requires a line break after the header; not every file has one.
            yield Chunk(pa.schema([(name, pa.string()) for name in names]).empty_table(), np.arange(0))
            return
        reader = pacsv.open_csv(
            pa.PythonFile(stream, mode="r"),
            read_options=pacsv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES, encoding=source.encoding),
            parse_options=pacsv.ParseOptions(delimiter=delimiter, invalid_row_handler=broken, newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=source.null_values,
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
        for batch in reader:
            if batch.num_rows:
                numbers, skipped = broken.number(batch.num_rows)
                yield Chunk(pa.Table.from_batches([batch]), numbers, skipped)
        rest = broken.rest()
        if rest or not broken.start:
            yield Chunk(reader.schema.empty_table(), np.arange(0), rest)


def _header(uri: str, stream: BinaryIO, delimiter: str, encoding: str) -> tuple[list[str], bool]:
    """The first row that is not blank, and whether another row follows; the stream is rewound to its start."""
    plain = encoding.lower().replace("_", "-") in ("utf-8", "utf8")
    text = io.TextIOWrapper(stream, "utf-8-sig" if plain else encoding, errors="replace", newline="")
    rows = (row for row in csv.reader(text, delimiter=delimiter) if row)
    names, has_rows = next(rows, []), next(rows, None) is not None
    text.detach()
    stream.seek(0)
    if not names:
        raise SourceError(f"{uri}: the file is empty")
    return names, has_rows


def _parquet_chunks(uri: str, requested: Sequence[str]) -> Iterator[Chunk]:
    with open_file(uri) as stream:
        file = pq.ParquetFile(stream)
        names = file.schema_arrow.names
        columns = [name for name in names if name in requested]
        if not columns:
            raise SourceError(f"{uri}: none of the columns {', '.join(requested)}; the file has {shown_names(names)}")
        start = 0
        for batch in file.iter_batches(CHUNK_ROWS, columns=columns):
            yield Chunk(pa.Table.from_batches([batch]), np.arange(start, start + batch.num_rows))
            start += batch.num_rows
        if start == 0:
            yield Chunk(file.schema_arrow.empty_table().select(columns), np.arange(0))
