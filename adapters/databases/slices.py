"""Cut the rows of a query into slices between two values of its watermark, and find slices that have changed.

Slices are half-open, (lower, upper], and lie side by side, so that every row is in exactly one. A row that is updated
gets a newer watermark and moves to a new slice; the slice that it has left has one row less, and is read again. So are
slices that rows have been added to, late or with the same watermark, or deleted from.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from adapters.databases.query import Query, Watermark
from domain.errors import DatabaseError

__all__ = ["SLICE_ROWS", "Slice", "find_slices", "no_rows", "slice_condition"]

SLICE_ROWS = 1_000_000
"""Rows of a slice, about: larger ones are cut, so that several workers read them and a change costs one of them."""
_NO_BOUNDS = frozenset({"infinity", "-infinity", "nan"})
"""Texts of times and numbers after which nothing could be newer."""


@dataclass(frozen=True)
class Slice:
    """Rows with a watermark above `lower` (None: no limit) and at most `upper`. rows : their number."""

    lower: str | None
    upper: str
    rows: int


def slice_condition(watermark: Watermark, lower: str | None, upper: str) -> tuple[str, list[str]]:
    """Return the SQL condition of a slice, and its bounds."""
    first, second = watermark.bounds
    if lower is None:
        return f"{watermark.column} <= {first}", [upper]
    return f"{watermark.column} > {first} AND {watermark.column} <= {second}", [lower, upper]


def find_slices(query: Query, name: str, known: Sequence[Slice], overlap: int | None) -> list[Slice]:
    """Return all slices of a query: known ones, with their number of rows now, and new ones.

    Parameters
    ----------
    known : slices whose rows are in the lake, with the rows that they had then.
    overlap : number of the last known slices that are counted again; None: all.

    Raises
    ------
    DatabaseError : the watermark has no values in some rows, or the query has no rows although it had some.
    """
    watermark = query.watermark(name)
    ordered = sorted(known, key=lambda part: _key(watermark, part.lower))
    if any(_key(watermark, later.lower) < _key(watermark, earlier.upper) for earlier, later in pairwise(ordered)):
        ordered = []  # Slices of two readings; begin anew.
    newest, rows = _newest(query, name, watermark, ordered[-1].upper if ordered else None)
    if newest is None and not ordered:
        raise DatabaseError(no_rows(query.reader.address.shown, had_rows=False))
    checked = _checked(query, watermark, ordered, overlap)
    if newest is None and not sum(part.rows for part in checked):
        raise DatabaseError(no_rows(query.reader.address.shown, had_rows=True))
    missing = [part for lower, upper in _gaps(ordered) for part in _cut(query, watermark, lower, upper)]
    new = _cut(query, watermark, ordered[-1].upper if ordered else None, newest, rows) if newest is not None else []
    return [*checked, *missing, *new]


def no_rows(shown: str, *, had_rows: bool) -> str:
    """Return the message for a query without rows: an empty table is more often a mistake than a wish."""
    if not had_rows:
        return f"{shown}: the query has no rows"
    return f"{shown}: the query has no rows any more; nothing was changed. If that is right, empty the fleet's tables"


def _key(watermark: Watermark, value: str | None) -> tuple[bool, Decimal, str]:
    """Sort key of a bound; the open end of the first slice comes first."""
    if value is None:
        return False, Decimal(0), ""
    return (True, Decimal(value), "") if watermark.is_number else (True, Decimal(0), value)


def _newest(query: Query, name: str, watermark: Watermark, last: str | None) -> tuple[str | None, int]:
    """Return the newest watermark after `last` (None without newer rows), and the number of newer rows."""
    column = watermark.column
    condition = f" WHERE {column} > {watermark.bounds[0]} OR {column} IS NULL" if last is not None else ""
    newest = watermark.text.format(f"max({column})")
    statement = f"SELECT {newest}, count(*), count({column}) FROM {query.source}{condition}"  # noqa: S608
    value, rows, filled = query.reader.fetch(statement, [last] if last is not None else [])[0]
    if rows > filled:
        raise DatabaseError(
            f"{query.reader.address.shown}: source.watermark: {name}: has no value in {rows - filled:,} rows, which "
            "would never be read; leave them out of the query, or give them one with coalesce()"
        )
    if str(value).lower() in _NO_BOUNDS:
        raise DatabaseError(f"{query.reader.address.shown}: source.watermark: {name}: is infinite in some rows")
    return None if value is None else str(value), int(rows)


def _gaps(ordered: Sequence[Slice]) -> Iterator[tuple[str | None, str]]:
    """Yield the ranges between known slices, which could not be read."""
    position: str | None = None
    for part in ordered:
        if part.lower is not None and part.lower != position:
            yield position, part.lower
        position = part.upper


def _cut(query: Query, watermark: Watermark, lower: str | None, upper: str, rows: int | None = None) -> list[Slice]:
    """Cut a range into slices of about SLICE_ROWS; rows of one watermark stay together. rows : default: counted."""
    rows = _count(query, watermark, lower, upper) if rows is None else rows
    if rows <= SLICE_ROWS * 3 // 2:
        return [Slice(lower, upper, rows)]
    condition, bounds = slice_condition(watermark, lower, upper)
    numbered = f"SELECT {watermark.column} AS w, row_number() OVER (ORDER BY {watermark.column}) AS place"
    value = watermark.text.format("w")
    statement = (
        f"SELECT {value} FROM ({numbered} FROM {query.source} WHERE {condition}) AS numbered "  # noqa: S608
        f"WHERE place % {SLICE_ROWS} = 0 AND place <= {rows - SLICE_ROWS // 2} ORDER BY place"
    )
    cuts = dict.fromkeys([*(str(row[0]) for row in query.reader.fetch(statement, bounds)), upper])
    pairs = pairwise([lower, *cuts])
    return [Slice(first, second, _count(query, watermark, first, second)) for first, second in pairs if second]


def _checked(query: Query, watermark: Watermark, ordered: Sequence[Slice], overlap: int | None) -> list[Slice]:
    """Return known slices with the rows that they have now, as far as the overlap reaches."""
    start = 0 if overlap is None else max(0, len(ordered) - overlap)
    return [*ordered[:start], *_recounted(query, watermark, ordered[start:])]


def _recounted(query: Query, watermark: Watermark, parts: Sequence[Slice]) -> list[Slice]:
    """Count the rows of slices together, and of their halves if there is a difference; mostly, one query suffices."""
    if not parts:
        return []
    rows = _count(query, watermark, parts[0].lower, parts[-1].upper)
    if rows == sum(part.rows for part in parts) and _are_adjacent(parts):
        return list(parts)
    if len(parts) == 1:
        return [Slice(parts[0].lower, parts[0].upper, rows)]
    half = len(parts) // 2
    return [*_recounted(query, watermark, parts[:half]), *_recounted(query, watermark, parts[half:])]


def _are_adjacent(parts: Sequence[Slice]) -> bool:
    return all(later.lower == earlier.upper for earlier, later in pairwise(parts))


def _count(query: Query, watermark: Watermark, lower: str | None, upper: str) -> int:
    condition, bounds = slice_condition(watermark, lower, upper)
    return int(query.reader.fetch(f"SELECT count(*) FROM {query.source} WHERE {condition}", bounds)[0][0])  # noqa: S608
