"""Read a CSV file, also gzip, in chunks of text columns, within the limits of `limits`."""

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from adapters.sources import limits
from adapters.sources.chunk import Chunk
from adapters.sources.text_stream import text_bytes
from domain.config.fleet import Source
from domain.errors import SourceError

__all__ = ["CsvFormat"]

_BLOCK_BYTES = 64 << 20
_CHUNK_ROWS = 1_000_000
_MOST_KEPT_TEXT = 1 << 16
"""Characters kept of a row that cannot be split."""


class CsvFormat:
    """CSV files, also gzip; all columns are text."""

    suffixes = (".csv", ".tsv", ".txt")
    packed = False

    def names(self, uri: str, source: Source) -> list[str]:
        """Names of the columns, from the header alone."""
        with _csv_stream(uri, source) as (stream, delimiter):
            return _header(uri, stream, delimiter, source.encoding)[0]

    def head(self, uri: str, source: Source, rows: int) -> pa.Table:
        """The first rows of the file."""
        return next(_chunks(uri, source, ())).table.slice(0, rows)

    def chunks(self, uri: str, source: Source, columns: Sequence[str]) -> Iterator[Chunk]:
        """Read all columns; values of the requested ones are checked for their size."""
        return _chunks(uri, source, columns)


def _chunks(uri: str, source: Source, requested: Sequence[str]) -> Iterator[Chunk]:
    broken = _BrokenRows()
    with _csv_stream(uri, source) as (stream, delimiter):
        names, has_rows = _header(uri, stream, delimiter, source.encoding)
        if not has_rows:
            # Arrow requires a line break after the header; not every file has one.
            yield Chunk(pa.schema([(name, pa.string()) for name in names]).empty_table(), np.arange(0))
            return
        with _row_errors(uri, broken):
            reader = _open_csv(stream, source, delimiter, names, broken)
            for batch in reader:
                if batch.num_rows:
                    table = pa.Table.from_batches([batch])
                    _check_values(uri, table, requested)
                    numbers, skipped = broken.number(batch.num_rows)
                    # A block of very short rows has tens of millions of them, each with the cost of a row.
                    for start in range(0, table.num_rows, _CHUNK_ROWS):
                        end = start + _CHUNK_ROWS
                        yield Chunk(table.slice(start, _CHUNK_ROWS), numbers[start:end], () if start else skipped)
            rest = broken.rest()
            if rest or not broken.start:
                yield Chunk(reader.schema.empty_table(), np.arange(0), rest)


def _open_csv(
    stream: BinaryIO, source: Source, delimiter: str, names: Sequence[str], broken: "_BrokenRows"
) -> pacsv.CSVStreamingReader:
    return pacsv.open_csv(
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


@dataclass
class _BrokenRows:
    """Collect rows that pyarrow cannot split into the header's number of columns.

    Arrow reads ahead: a row may arrive here before the batch that precedes it is returned.
    """

    pending: list[tuple[int, str]] = field(default_factory=list)
    start: int = 0
    size: int = 0
    too_many: bool = False

    def __call__(self, row: Any) -> str:
        text = str(row.text)
        self.size += len(text)
        if len(self.pending) >= limits.MOST_BROKEN_ROWS or self.size > limits.MOST_BROKEN_BYTES:
            self.too_many = True
            return "error"
        # Arrow counts rows from 1, and the header is one of them.
        self.pending.append((row.number - 2, text[:_MOST_KEPT_TEXT]))
        return "skip"

    def number(self, n_rows: int) -> tuple[npt.NDArray[np.int64], tuple[tuple[int, str], ...]]:
        """Numbers of the next good rows, and the broken rows between them."""
        numbers = np.arange(self.start, self.start + n_rows + len(self.pending))
        if self.pending:
            numbers = np.setdiff1d(numbers, [row for row, _ in self.pending])[:n_rows]
        self.start = int(numbers[-1]) + 1 if n_rows else self.start
        return numbers, self._take(self.start)

    def rest(self) -> tuple[tuple[int, str], ...]:
        """Broken rows after the last good one."""
        return self._take(None)

    def _take(self, end: int | None) -> tuple[tuple[int, str], ...]:
        rows = tuple(item for item in self.pending if end is None or item[0] < end)
        self.pending = self.pending[len(rows) :]
        self.size = sum(len(text) for _, text in self.pending)
        return rows


@contextmanager
def _row_errors(uri: str, broken: _BrokenRows) -> Iterator[None]:
    try:
        yield
    except pa.ArrowInvalid as exc:
        if broken.too_many:
            raise SourceError(
                f"{uri}: {len(broken.pending):,} rows in a row have another number of columns than the header; at most "
                f"{limits.MOST_BROKEN_ROWS:,} are set aside: check the separator and the header"
            ) from exc
        if "straddling" in str(exc):
            raise SourceError(
                f"{uri}: a row is longer than {_BLOCK_BYTES:,} bytes; check the line breaks and the quotes"
            ) from exc
        raise


def _check_values(uri: str, table: pa.Table, requested: Sequence[str]) -> None:
    for name in dict.fromkeys(requested):
        for place in table.schema.get_all_field_indices(name):
            limits.check_value(uri, name, pc.max(pc.binary_length(table.column(place))).as_py() or 0)


@contextmanager
def _csv_stream(uri: str, source: Source) -> Iterator[tuple[BinaryIO, str]]:
    """Open a file's text as uncompressed bytes, with the separator of its columns."""
    name = uri.lower()
    tabs = name.removesuffix(".gz").endswith(".tsv") and source.delimiter == ","
    with text_bytes(uri) as stream:
        yield stream, "\t" if tabs else source.delimiter


def _header(uri: str, stream: BinaryIO, delimiter: str, encoding: str) -> tuple[list[str], bool]:
    """The first row that is not blank, and whether another row follows; the stream is rewound to its start."""
    start = stream.read(limits.MOST_HEADER_BYTES)
    cut = len(start) == limits.MOST_HEADER_BYTES
    stream.seek(0)
    plain = encoding.lower().replace("_", "-") in ("utf-8", "utf8")
    # Strictly: Arrow takes a header of another encoding as it is, and fails at each use of its names.
    decoder = codecs.getincrementaldecoder("utf-8-sig" if plain else encoding)()
    text = io.StringIO(decoder.decode(start, final=not cut), newline="")
    rows = (row for row in csv.reader(text, delimiter=delimiter) if row)
    names = next(rows, [])
    follows = next(rows, None) is not None
    if cut and not follows:
        raise SourceError(
            f"{uri}: the header does not end within {limits.MOST_HEADER_BYTES:,} bytes, which is the most that is read "
            "of it; check the line breaks, the quotes and the separator"
        )
    if not names:
        raise SourceError(f"{uri}: the file is empty")
    limits.check_columns(uri, len(names))
    return names, follows
