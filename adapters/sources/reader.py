"""Read raw files into Arrow tables: CSV (also gzip) and Parquet, in chunks, with the rows that could not be split."""

import csv
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice

import pyarrow as pa

from adapters.lake.files import STORAGE_ERRORS
from adapters.sources.chunk import Chunk
from adapters.sources.csv_file import csv_chunks, csv_names
from adapters.sources.number_columns import NumberColumns
from adapters.sources.parquet_file import parquet_chunks, parquet_head, parquet_names
from domain.config.fleet import Source
from domain.data.shown import shown, shown_names
from domain.errors import SourceError

__all__ = ["Chunk", "column_names", "head_rows", "read_chunks"]

_MOST_CAUSE = 300
"""Characters of another library's error, which may quote the file."""
_NOT_THE_ENCODING = ("invalid UTF8 data", "\ufffd")
"""Signs of another encoding in errors of Arrow, which puts U+FFFD in place of bytes that it cannot decode."""


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
    with _read_errors(uri, source):
        names = csv_names(uri, source) if _format(uri, source) == "csv" else parquet_names(uri)
        return [*names, *source.constants]


def head_rows(uri: str, source: Source, rows: int) -> pa.Table:
    """The first rows of a file with all its columns; CSV columns are text."""
    with _read_errors(uri, source):
        if _format(uri, source) == "csv":
            return next(csv_chunks(uri, source, ())).table.slice(0, rows)
        return parquet_head(uri, rows)


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
    chunks = _Ahead(_chunks(uri, source, [*required, *optional]))
    number_columns = NumberColumns(
        uri, source, numbers, lambda names: (chunk.table for chunk in _chunks(uri, source, names))
    )
    for number, chunk in enumerate(chunks):
        only = partial(_is_only, number, chunks)
        table = number_columns.rewrite(_with_constants(uri, chunk.table, source), whole=only)
        _check_columns(uri, table.column_names, required, optional)
        for name in optional:
            if name not in table.column_names:
                table = table.append_column(name, pa.nulls(table.num_rows, pa.string()))
        remarks = (*chunk.remarks, *number_columns.remarks)
        yield Chunk(table.select([*required, *optional]), chunk.rows, chunk.broken, remarks)


class _Ahead(Iterator[Chunk]):
    """Chunks of a file, of which the next can be read ahead."""

    def __init__(self, chunks: Iterator[Chunk]) -> None:
        self._chunks, self._ahead = chunks, list[Chunk]()

    def __next__(self) -> Chunk:
        return self._ahead.pop() if self._ahead else next(self._chunks)

    def has_more(self) -> bool:
        """Return True if there is another chunk, which is read and kept."""
        if not self._ahead:
            self._ahead = list(islice(self._chunks, 1))
        return bool(self._ahead)


def _is_only(number: int, chunks: _Ahead) -> bool:
    return number == 0 and not chunks.has_more()


def _with_constants(uri: str, table: pa.Table, source: Source) -> pa.Table:
    for name, value in source.constants.items():
        if name in table.column_names:
            raise SourceError(f"{uri}: column {name} is in the file and in source.constants; rename the constant")
        table = table.append_column(name, pa.repeat(pa.scalar(value, pa.string()), table.num_rows))
    return table


def _check_columns(uri: str, present: Sequence[str], required: Sequence[str], optional: Sequence[str]) -> None:
    missing = [name for name in required if name not in present]
    if missing:
        raise SourceError(f"{uri}: no column {', '.join(missing)}; the file has {shown_names(present)}")
    repeated = [name for name, count in Counter(present).items() if count > 1 and name in {*required, *optional}]
    if repeated:
        raise SourceError(f"{uri}: column {', '.join(repeated)} is there more than once; rename all but one")


def _chunks(uri: str, source: Source, columns: Sequence[str]) -> Iterator[Chunk]:
    with _read_errors(uri, source):
        if _format(uri, source) == "csv":
            yield from csv_chunks(uri, source, columns)
        else:
            yield from parquet_chunks(uri, columns)


@contextmanager
def _read_errors(uri: str, source: Source) -> Iterator[None]:
    """Turn any failure to read a file into a SourceError that names the file."""
    try:
        yield
    except (*STORAGE_ERRORS, EOFError, zlib.error, csv.Error, pa.ArrowException, UnicodeError) as exc:
        cause = shown(str(exc), _MOST_CAUSE)
        if isinstance(exc, UnicodeError) or any(sign in str(exc) for sign in _NOT_THE_ENCODING):
            cause += f"; it is not {source.encoding}: set source.encoding to its encoding, such as cp1252 or utf-16"
        raise SourceError(f"{uri}: cannot be read: {cause}") from exc
