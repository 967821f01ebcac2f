"""Dialect of a CSV file, inferred from its beginning: encoding, separator, header."""

import csv
import re
from collections import Counter
from dataclasses import dataclass

__all__ = ["Dialect", "sniff_dialect", "sniff_encoding"]

_DELIMITERS = ",;\t|"
_LINES = 200
_VALUE = re.compile(r"^[+-]?[\d.,:/ TZ+-]+$")


@dataclass(frozen=True)
class Dialect:
    """Format of a CSV file.

    header : False where the first row looks like data. names : the first row.
    """

    delimiter: str
    header: bool
    names: tuple[str, ...]


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
    lines = [line for line in text.lstrip("\ufeff").splitlines() if line.strip()]
    lines = lines[: max(1, min(len(lines) - 1, _LINES))]
    delimiter = max(_DELIMITERS, key=lambda mark: _fit(lines, mark))
    rows = list(csv.reader(lines, delimiter=delimiter))
    names = tuple(name.strip() for name in rows[0]) if rows else ()
    header = not any(_VALUE.match(name) for name in names[:1]) or not all(_VALUE.match(name) for name in names)
    return Dialect(delimiter, header, names)


def _fit(lines: list[str], delimiter: str) -> tuple[float, int]:
    """Score of a separator: the share of rows with the most common number of columns, 0 for a single column."""
    widths = Counter(len(row) for row in csv.reader(lines, delimiter=delimiter))
    width, count = widths.most_common(1)[0] if widths else (1, 0)
    share = count / max(sum(widths.values()), 1)
    # A decimal comma splits as regularly as a real separator, but no header has it.
    head = len(next(csv.reader(lines[:1], delimiter=delimiter), []))
    return (share if width > 1 and head == width else 0.0, width)
