"""The header of a CSV file: names of the columns, where the rows begin, and a delimiter too many in each of them."""

import codecs
import csv
import io
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

from adapters.sources import limits
from domain.errors import SourceError

__all__ = ["Header", "lines_before", "read_header"]

_ROWS = 200
"""Rows by which a delimiter too many is recognised."""
_EXTRA = "\x00extra"
"""Name of the column after the last delimiter of rows that have one too many."""


@dataclass(frozen=True)
class Header:
    """The header of a file.

    names : of the columns. has_rows : whether a row follows. lines : up to its end. extra : each row ends with one
    delimiter more than the header, with nothing after it.
    """

    names: tuple[str, ...]
    has_rows: bool
    lines: int
    extra: bool = False

    @property
    def columns(self) -> list[str]:
        """Names of all columns that a row is split into."""
        return [*self.names, _EXTRA] if self.extra else list(self.names)


def read_header(uri: str, stream: BinaryIO, delimiter: str, encoding: str, skip: int) -> Header:
    """Read the first row that is not blank after some lines; the stream is rewound to its start. skip : lines."""
    text, cut = _first_text(stream, encoding)
    reader = csv.reader(_after(text, skip), delimiter=delimiter)
    rows = (row for row in reader if row)
    names = next(rows, [])
    lines = skip + reader.line_num
    following: list[list[str]] = []
    with suppress(csv.Error):  # Such as a quote that is never closed.
        following += islice(rows, _ROWS)
    if cut and not following:
        raise SourceError(
            f"{uri}: the header does not end within {limits.MOST_HEADER_BYTES:,} bytes, which is the most that is read "
            "of it; check the line breaks, the quotes and the separator"
        )
    if not names:
        after = f" after source.skip_rows: {skip}" if skip else ""
        raise SourceError(f"{uri}: the file is empty{after}")
    limits.check_columns(uri, len(names))
    # The last row may be cut off.
    whole = following[:-1] if cut else following
    extra = bool(whole) and all(len(row) == len(names) + 1 and not row[-1].strip() for row in whole)
    return Header(tuple(names), bool(following), lines, extra)


def lines_before(stream: BinaryIO, delimiter: str, encoding: str, names: set[str]) -> int | None:
    """Number of lines before the first one that has all these names, which is no header of the file; None without."""
    text, _ = _first_text(stream, encoding)
    for number, line in enumerate(_after(text, 0)):
        if number and names <= set(next(csv.reader([line], delimiter=delimiter), [])):
            return number
    return None


def _first_text(stream: BinaryIO, encoding: str) -> tuple[str, bool]:
    """The beginning of a file, decoded strictly, and whether it is cut off."""
    start = stream.read(limits.MOST_HEADER_BYTES)
    cut = len(start) == limits.MOST_HEADER_BYTES
    stream.seek(0)
    plain = encoding.lower().replace("_", "-") in ("utf-8", "utf8")
    # Strictly: Arrow takes a header of another encoding as it is, and fails at each use of its names.
    decoder = codecs.getincrementaldecoder("utf-8-sig" if plain else encoding)()
    return decoder.decode(start, final=not cut), cut


def _after(text: str, skip: int) -> io.StringIO:
    lines = io.StringIO(text, newline="")
    for _ in range(skip):
        lines.readline()
    return lines
