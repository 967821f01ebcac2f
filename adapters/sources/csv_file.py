"""Read a CSV file, also gzip, in chunks of text columns, within the limits of `limits`."""

import codecs
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
from adapters.sources.text.csv_header import Header, lines_before, read_header
from adapters.sources.text_stream import text_bytes
from domain.config.source import Source
from domain.errors import SourceError

__all__ = ["CsvFormat", "header_hint", "undecodable_line"]

_BLOCK_BYTES = 64 << 20
_CHUNK_ROWS = 1_000_000
_MOST_KEPT_TEXT = 1 << 16
"""Characters kept of a row that cannot be split."""
_PIECE_BYTES, _SHOWN = 1 << 20, 80
_MANY_LINES, _LONG_TEXT, _MOST_REMARKS = 5, 40, 3
"""Line breaks in a row that are told, bytes that a value with so many has at least, and rows that are told."""


class CsvFormat:
    """CSV files, also gzip; all columns are text."""

    suffixes = (".csv", ".tsv", ".txt")
    packed = False

    def names(self, uri: str, source: Source) -> list[str]:
        """Names of the columns, from the header alone."""
        with _csv_stream(uri, source) as (stream, delimiter):
            return list(read_header(uri, stream, delimiter, source.encoding, source.skip_rows).names)

    def head(self, uri: str, source: Source, rows: int) -> pa.Table:
        """The first rows of the file."""
        return next(_chunks(uri, source, ())).table.slice(0, rows)

    def chunks(self, uri: str, source: Source, columns: Sequence[str]) -> Iterator[Chunk]:
        """Read all columns; values of the requested ones are checked for their size."""
        return _chunks(uri, source, columns)


def header_hint(uri: str, source: Source, missing: Sequence[str]) -> str:
    """Say which later line of a file has the missing columns; empty if none does."""
    with _csv_stream(uri, source) as (stream, delimiter):
        lines = lines_before(stream, delimiter, source.encoding, set(missing))
    if lines is None or lines == source.skip_rows:
        return ""
    return f"; line {lines + 1} has {', '.join(missing)}: set source.skip_rows: {lines}"


def undecodable_line(uri: str, source: Source) -> tuple[int, str] | None:
    """Number of the first line that is not in the source's encoding, and its text; None if there is none."""
    decoder, lines = codecs.getincrementaldecoder(source.encoding)(), 1
    with _csv_stream(uri, source) as (stream, _):
        while piece := stream.read(_PIECE_BYTES):
            try:
                lines += decoder.decode(piece).count("\n")
            except UnicodeDecodeError as exc:
                # The decoder may still hold the first bytes of a character from before this piece.
                start, whole = exc.start, exc.object
                text = whole[:start].decode(source.encoding, errors="replace")
                line = whole[whole.rfind(b"\n", 0, start) + 1 :].split(b"\n", 1)[0]
                return lines + text.count("\n"), line.decode(source.encoding, errors="replace")[:_SHOWN]
    return None


def _chunks(uri: str, source: Source, requested: Sequence[str]) -> Iterator[Chunk]:
    with _csv_stream(uri, source) as (stream, delimiter):
        header = read_header(uri, stream, delimiter, source.encoding, source.skip_rows)
        if not header.has_rows:
            # Arrow requires a line break after the header; not every file has one.
            yield Chunk(pa.schema([(name, pa.string()) for name in header.names]).empty_table(), np.arange(0))
            return
        broken = _BrokenRows(header.lines if header.extra else source.skip_rows + 1)
        with _row_errors(uri, broken):
            reader = _open_csv(stream, source, delimiter, header, broken)
            for batch in reader:
                if batch.num_rows:
                    table = pa.Table.from_batches([batch])
                    long = _long_columns(uri, table, requested)
                    numbers, skipped = broken.number(batch.num_rows)
                    if header.extra:
                        table, numbers, longer = _without_extra(table, numbers, delimiter)
                        skipped = tuple(sorted((*skipped, *longer)))
                    remarks = (*_header_remarks(header), *_quote_remarks(table, numbers, skipped, long))
                    # A block of very short rows has tens of millions of them, each with the cost of a row.
                    for start in range(0, max(table.num_rows, 1), _CHUNK_ROWS):
                        end = start + _CHUNK_ROWS
                        part = table.slice(start, _CHUNK_ROWS)
                        yield Chunk(part, numbers[start:end], () if start else skipped, remarks)
            rest = broken.rest()
            if rest or not broken.start:
                empty = reader.schema.empty_table().select(list(header.names))
                yield Chunk(empty, np.arange(0), rest, tuple(_quote_remarks(empty, np.arange(0), rest, ())))


def _without_extra(
    table: pa.Table, numbers: npt.NDArray[np.int64], delimiter: str
) -> tuple[pa.Table, npt.NDArray[np.int64], list[tuple[int, str]]]:
    """The table without its last column, which is empty; rows with a value there are returned as broken ones."""
    extra, kept = table.column(table.num_columns - 1), table.select(list(range(table.num_columns - 1)))
    filled = np.asarray(pc.fill_null(pc.not_equal(extra, ""), False).to_numpy(), dtype=bool)
    if not filled.any():
        return kept, numbers, []
    rows = [list(row.values()) for row in table.filter(pa.array(filled)).to_pylist()]
    texts = [delimiter.join("" if value is None else value for value in row)[:_MOST_KEPT_TEXT] for row in rows]
    longer = list(zip(numbers[filled].tolist(), texts, strict=True))
    return kept.filter(pa.array(~filled)), numbers[~filled], longer


def _header_remarks(header: Header) -> tuple[str, ...]:
    if not header.extra:
        return ()
    return ("the ends of the rows: each has one delimiter more than the header, with nothing after it; it is ignored",)


def _quote_remarks(
    table: pa.Table,
    numbers: npt.NDArray[np.int64],
    broken: Sequence[tuple[int, str]],
    long: Sequence[int],
) -> list[str]:
    """Remarks on rows that have swallowed many lines, as if a quote is never closed. long : places of columns."""
    swallowed = {row: text.count("\n") for row, text in broken}
    for place in long:
        breaks = pc.fill_null(pc.count_substring(table.column(place), "\n"), 0).to_numpy()
        swallowed |= {int(numbers[at]): int(breaks[at]) for at in np.flatnonzero(breaks >= _MANY_LINES)}
    return [
        f"row {row + 1:,}: it has {lines:,} line breaks between quotes, as if a quote is never closed; these lines are "
        "no rows of their own. Close the quote, or double one that is part of the text"
        for row, lines in sorted(swallowed.items())
        if lines >= _MANY_LINES
    ][:_MOST_REMARKS]


def _open_csv(
    stream: BinaryIO, source: Source, delimiter: str, header: Header, broken: "_BrokenRows"
) -> pacsv.CSVStreamingReader:
    read_options = pacsv.ReadOptions(
        use_threads=False, block_size=_BLOCK_BYTES, encoding=source.encoding, skip_rows=source.skip_rows
    )
    if header.extra:
        read_options.skip_rows, read_options.column_names = header.lines, header.columns
    return pacsv.open_csv(
        pa.PythonFile(stream, mode="r"),
        read_options=read_options,
        parse_options=pacsv.ParseOptions(delimiter=delimiter, invalid_row_handler=broken, newlines_in_values=True),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(header.columns, pa.string()),
            null_values=source.null_values,
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
    )


@dataclass
class _BrokenRows:
    """Collect rows that pyarrow cannot split into the header's number of columns.

    before : lines before the first row.

    Arrow reads ahead: a row may arrive here before the batch that precedes it is returned.
    """

    before: int
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
        # Arrow counts rows from 1, and what comes before them as well.
        self.pending.append((row.number - 1 - self.before, text[:_MOST_KEPT_TEXT]))
        return "skip"

    def number(self, n_rows: int) -> tuple[npt.NDArray[np.int64], tuple[tuple[int, str], ...]]:
        """Numbers of the next good rows, and the broken rows between them."""
        numbers = np.arange(self.start, self.start + n_rows + len(self.pending))
        if self.pending:
            # Not setdiff1d, which takes several times as long as to read the rows.
            places = np.array([row for row, _ in self.pending]) - self.start
            numbers = np.delete(numbers, places[places < len(numbers)])[:n_rows]
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


def _long_columns(uri: str, table: pa.Table, requested: Sequence[str]) -> list[int]:
    """Places of the requested columns with long values. Raises SourceError for one that is too long."""
    long = list[int]()
    for name in dict.fromkeys(requested):
        for place in table.schema.get_all_field_indices(name):
            longest = pc.max(pc.binary_length(table.column(place))).as_py() or 0
            limits.check_value(uri, name, longest)
            if longest >= _LONG_TEXT:
                long.append(place)
    return long


@contextmanager
def _csv_stream(uri: str, source: Source) -> Iterator[tuple[BinaryIO, str]]:
    """Open a file's text as uncompressed bytes, with the separator of its columns."""
    name = uri.lower()
    tabs = name.removesuffix(".gz").endswith(".tsv") and source.delimiter == ","
    with text_bytes(uri) as stream:
        yield stream, "\t" if tabs else source.delimiter
