"""Read inputs of any kind into Arrow tables, in chunks, with the rows that could not be split."""

import csv
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import islice

import pyarrow as pa

from adapters.lake.files import STORAGE_ERRORS
from adapters.sources.chunk import Chunk
from adapters.sources.column_types import ordinary_types
from adapters.sources.csv_file import CsvFormat, header_hint, undecodable_line
from adapters.sources.excel import ExcelFormat, sheet_header_hint
from adapters.sources.formats import format_of
from adapters.sources.kinds import kind_of
from adapters.sources.melted import columns_to_melt, melted_chunk, melted_table
from adapters.sources.protocol import SourceInput
from adapters.sources.text.mixed_cells import with_number_cells, without_number_cells
from adapters.sources.text.number_columns import NumberColumns
from domain.config.melt import Melt
from domain.config.source import Source
from domain.data.shown import shown, shown_names
from domain.errors import SourceError

__all__ = ["Chunk", "column_names", "head_rows", "missing_columns_hint", "read_chunks"]

_MOST_CAUSE = 300
"""Characters of another library's error, which may quote the file."""
_MOST_ALIKE = 3
_NOT_THE_ENCODING = ("invalid UTF8 data", "\ufffd")
"""Signs of another encoding in errors of Arrow, which puts U+FFFD in place of bytes that it cannot decode."""


def column_names(item: SourceInput, source: Source) -> list[str]:
    """Names of an input's columns, read without its rows, and of the source's constants."""
    with _read_errors(item.uri, source):
        names = kind_of(item).names(item, source)
        melt = _melt_of(item, source)
        if melt is not None:
            columns_to_melt(item.uri, melt, names)
            names = melt.names(names)
        return [*names, *source.constants]


def head_rows(item: SourceInput, source: Source, rows: int) -> pa.Table:
    """The first rows of an input with all its columns; CSV columns are text."""
    with _read_errors(item.uri, source):
        head, melt = kind_of(item).head(item, source, rows), _melt_of(item, source)
        return ordinary_types(head if melt is None else melted_table(item.uri, melt, head).slice(0, rows))


def read_chunks(
    item: SourceInput,
    source: Source,
    required: Sequence[str],
    optional: Sequence[str] = (),
    numbers: Collection[str] = (),
) -> Iterator[Chunk]:
    """Read an input's rows in chunks.

    Parameters
    ----------
    required : columns that the input must have.
    optional : columns that are null where the input lacks them.
    numbers : columns whose text has the source's decimal mark; the text of other columns stays unchanged.

    Raises
    ------
    SourceError : the input cannot be read, or lacks a column; the message names the input and the cause.
    """
    chunks = _Ahead(_chunks(item, source, [*required, *optional]))
    number_columns = NumberColumns(
        item.uri,
        source,
        numbers,
        lambda names: (without_number_cells(chunk.table, numbers) for chunk in _chunks(item, source, names)),
    )
    for number, chunk in enumerate(chunks):
        only = partial(_is_only, number, chunks)
        table = ordinary_types(without_number_cells(chunk.table, numbers))
        table = number_columns.rewrite(_with_constants(item.uri, table, source), whole=only)
        table = with_number_cells(table, chunk.table, numbers)
        _check_columns(item, source, table.column_names, required, optional)
        for name in optional:
            if name not in table.column_names:
                table = table.append_column(name, pa.nulls(table.num_rows, pa.string()))
        remarks = (*chunk.remarks, *number_columns.remarks)
        yield replace(chunk, table=table.select([*required, *optional]), remarks=remarks)


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


def _check_columns(
    item: SourceInput, source: Source, present: Sequence[str], required: Sequence[str], optional: Sequence[str]
) -> None:
    uri = item.uri
    missing = [name for name in required if name not in present]
    if missing:
        hint = missing_columns_hint(item, source, missing)
        # What is read may be the requested columns alone.
        every = column_names(item, source)
        hint = hint or _spelling_hint(missing, every)
        raise SourceError(f"{uri}: no column {', '.join(missing)}; the file has {shown_names(every)}{hint}")
    repeated = [name for name, count in Counter(present).items() if count > 1 and name in {*required, *optional}]
    if repeated:
        raise SourceError(f"{uri}: column {', '.join(repeated)} is there more than once; rename all but one")


def _spelling_hint(missing: Sequence[str], present: Sequence[str]) -> str:
    """Say which columns differ from missing ones only in blanks or capitals."""
    written = {name.strip().casefold(): name for name in present}
    alike = [(name, written[name.casefold()]) for name in missing if name.casefold() in written]
    pairs = ", ".join(f"{shown(other)!r} is not {name!r}" for name, other in alike[:_MOST_ALIKE])
    return f"; blanks and capitals count: {pairs}" if pairs else ""


def missing_columns_hint(item: SourceInput, source: Source, missing: Sequence[str]) -> str:
    """Say where in the input the columns are, if its header is not the first line of a CSV file or row of a sheet."""
    if item.kind != "files":
        return ""
    with _read_errors(item.uri, source):
        format_ = format_of(item.uri, source)
        if isinstance(format_, CsvFormat):
            return header_hint(item.uri, source, missing)
        return sheet_header_hint(item.uri, source, missing) if isinstance(format_, ExcelFormat) else ""


def _chunks(item: SourceInput, source: Source, columns: Sequence[str]) -> Iterator[Chunk]:
    with _read_errors(item.uri, source):
        kind, melt = kind_of(item), _melt_of(item, source)
        if melt is None:
            yield from kind.chunks(item, source, columns)
            return
        names = [name for name in kind.names(item, source) if name and name not in melt.ignore]
        for chunk in kind.chunks(item, source, names):
            yield from melted_chunk(item.uri, melt, chunk)


def _melt_of(item: SourceInput, source: Source) -> Melt | None:
    """How the input is melted; columns that its place gives stay as they are."""
    melt = source.melt
    return melt and melt.model_copy(update={"keep": [*melt.keep, *item.columns]})


@contextmanager
def _read_errors(uri: str, source: Source) -> Iterator[None]:
    """Turn any failure to read a file into a SourceError that names the file."""
    try:
        yield
    except (*STORAGE_ERRORS, EOFError, zlib.error, csv.Error, pa.ArrowException, UnicodeError) as exc:
        cause = shown(str(exc), _MOST_CAUSE)
        if isinstance(exc, UnicodeError) or any(sign in str(exc) for sign in _NOT_THE_ENCODING):
            cause += f"; {_wrong_place(uri, source)}: set source.encoding to its encoding, such as cp1252 or utf-16"
        raise SourceError(f"{uri}: cannot be read: {cause}") from exc


def _wrong_place(uri: str, source: Source) -> str:
    with suppress(*STORAGE_ERRORS, EOFError, zlib.error, UnicodeError, SourceError):
        place = undecodable_line(uri, source)
        if place is not None:
            return f"line {place[0]:,} ({place[1]!r}) is not {source.encoding}"
    return f"it is not {source.encoding}"
