"""Dialect of a CSV file, inferred from its beginning: encoding, separator, header."""

import csv
import re
from collections import Counter
from dataclasses import dataclass

__all__ = ["Dialect", "sniff_dialect", "sniff_encoding"]

_DELIMITERS = ",;\t|"
_LINES = 200
_LEAST_ROWS, _ALMOST_ALL = 4, 0.95
"""Lines of a table after a title, and share of them that have as many columns as the header."""
_VALUE = re.compile(r"^[+-]?[\d.,:/ TZ+-]+$")


@dataclass(frozen=True)
class Dialect:
    """Format of a CSV file.

    header : False where the first row looks like data. names : the first row. skip_rows : lines before it.
    """

    delimiter: str
    header: bool
    names: tuple[str, ...]
    skip_rows: int = 0


def sniff_encoding(start: bytes) -> str:
    """Infer a file's encoding from its first bytes: utf-16 by its mark, utf-8 where it decodes, else cp1252."""
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    try:
        # The last character may be cut off.
        start[: max(len(start) - 4, 0)].decode("utf-8")
    except UnicodeDecodeError as exc:
        # The first bytes of a file may also end in the middle of a character.
        return "utf-8" if exc.start > len(start) - 8 else "cp1252"
    return "utf-8"


def sniff_dialect(text: str) -> Dialect:
    """Infer the dialect from the beginning of a file, decoded; its last line may be incomplete."""
    every = text.lstrip("\ufeff").splitlines()
    numbers = [number for number, line in enumerate(every) if line.strip()]
    numbers = numbers[: max(1, min(len(numbers) - 1, _LINES))]
    lines, skip_rows = [every[number] for number in numbers], 0
    delimiter = max(_DELIMITERS, key=lambda mark: _fit(lines, mark))
    if _fit(lines, delimiter)[0] == 0:
        # Nothing fits from the first line on: perhaps a title comes before the header.
        starts = {mark: _table_start(lines, mark) for mark in _DELIMITERS}
        later = {mark: start for mark, start in starts.items() if start}
        if later:
            delimiter = max(later, key=lambda mark: _fit(lines[later[mark] :], mark))
            skip_rows = numbers[later[delimiter]]
            lines = lines[later[delimiter] :]
    rows = list(csv.reader(lines, delimiter=delimiter))
    names = tuple(name.strip() for name in rows[0]) if rows else ()
    header = not any(_VALUE.match(name) for name in names[:1]) or not all(_VALUE.match(name) for name in names)
    return Dialect(delimiter, header, names, skip_rows)


def _fit(lines: list[str], delimiter: str) -> tuple[float, int]:
    """Score of a separator: the share of rows with the most common number of columns, 0 for a single column."""
    widths = Counter(map(len, _rows(lines, delimiter)))
    width, count = widths.most_common(1)[0] if widths else (1, 0)
    share = count / max(sum(widths.values()), 1)
    # A decimal comma splits as regularly as a real separator, but no header has it.
    head = len(next(csv.reader(lines[:1], delimiter=delimiter), []))
    return (share if width > 1 and head == width else 0.0, width)


def _rows(lines: list[str], delimiter: str) -> list[list[str]]:
    """The rows of lines; a delimiter too many at the end of all rows but the header is left out."""
    rows = list(csv.reader(lines, delimiter=delimiter))
    head, following = rows[:1], rows[1:]
    longer = bool(following) and all(len(row) == len(head[0]) + 1 and not row[-1].strip() for row in following)
    return [*head, *(row[:-1] for row in following)] if longer else rows


def _table_start(lines: list[str], delimiter: str) -> int:
    """Place of the first line from which on almost all have the same number of columns, more than one; 0 without."""
    widths = [len(row) for row in csv.reader(lines, delimiter=delimiter)]
    if len(widths) != len(lines):  # Line breaks within quotes.
        return 0
    width = Counter(widths).most_common(1)[0][0] if widths else 1
    start = widths.index(width) if width > 1 else 0
    rows = widths[start:]
    return start if len(rows) >= _LEAST_ROWS and rows.count(width) >= _ALMOST_ALL * len(rows) else 0
