"""Segments of undescribed data: the fewest columns that, with the time, tell the rows apart."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from domain.arrays import IntArray
from domain.config.fleet import Frequency
from domain.data.calendar import ordinals
from domain.reporting.formatting import format_count
from domain.scaffold.columns import Column
from domain.scaffold.timestamps import TimeColumn, infer_frequency, repeated_share

__all__ = ["Grouping", "group_rows", "key_columns", "regression_groupings", "series_groupings"]

MOST_COLUMNS = 3
MOST_REPEATED = 0.02
_MOST_KEYS = 10
_TRIED_ROWS = 50_000
_LEAST_ROWS = 4
_LEAST_FILLED = 0.1
_GOOD_ROWS = (50, 20)
_MOST_MISSING = 0.02


@dataclass(frozen=True, eq=False)
class Grouping:
    """Columns whose combinations are the segments; no column stands for one single series.

    codes : segment of each row [n], -1 where a column has no value. counts : rows a segment [S].
    frequency : of a series; None for rows without one. filled : share of the periods between first and last row that
    have one, over all segments. repeated : share of the rows whose segment and period another row has.
    """

    columns: tuple[str, ...]
    codes: IntArray
    counts: IntArray
    frequency: Frequency | None = None
    filled: float = 1.0
    repeated: float = 0.0

    @property
    def segments(self) -> int:
        return len(self.counts)

    @property
    def median_rows(self) -> float:
        return float(np.median(self.counts)) if len(self.counts) else 0.0

    @property
    def told(self) -> str:
        """Such as `store, item: 50 segments`."""
        return f"{', '.join(self.columns) or 'no column'}: {self.counted}"

    @property
    def described(self) -> str:
        """Such as `50 segments of 100 to 120 rows`."""
        shortest, longest = int(self.counts.min()), int(self.counts.max())
        rows = f"{shortest:,}" if shortest == longest else f"{shortest:,} to {longest:,}"
        return f"{self.counted} of {rows} rows"

    @property
    def counted(self) -> str:
        """Such as `50 segments`."""
        return format_count(self.segments, "segment")


def group_rows(columns: Sequence[Column], n_rows: int) -> tuple[IntArray, IntArray]:
    """Segment of each row [n], -1 where a value is missing, and rows a segment [S]."""
    codes = np.zeros(n_rows, np.int64)
    missing = np.zeros(n_rows, bool)
    for column in columns:
        codes = codes * (column.values + 1) + column.codes + 1
        _, codes = np.unique(codes, return_inverse=True)
        missing |= column.codes < 0
    if not columns:
        return codes, np.array([n_rows])
    found, codes[~missing] = np.unique(codes[~missing], return_inverse=True)
    codes[missing] = -1
    return codes, np.bincount(codes[~missing], minlength=len(found))


def key_columns(columns: Sequence[Column], taken: Sequence[str]) -> list[Column]:
    """Columns that may tell segments apart, the likeliest first."""
    keys = [column for column in columns if column.name not in taken and _is_key(column)]
    return sorted(keys, key=_doubt)[:_MOST_KEYS]


def _is_key(column: Column) -> bool:
    if column.values < 2 or column.missing > _MOST_MISSING or column.values > column.rows / _LEAST_ROWS:
        return False
    if column.kind == "text" or column.padded:
        return column.meaning != "flag" and not column.looks_formatted
    if column.kind != "integer":
        return False
    return column.meaning in ("id", "group") or (column.meaning == "" and column.values <= column.rows / 50)


def _doubt(column: Column) -> int:
    """0 : named as a key, 1 : text, 2 : whole numbers whose name says nothing."""
    if column.meaning in ("id", "group"):
        return 0
    return 1 if column.kind == "text" or column.padded else 2


def series_groupings(keys: Sequence[Column], times: TimeColumn) -> tuple[list[Grouping], Grouping | None]:
    """Groupings whose segments are series with one row a period, the best first; all of the fewest columns.

    The second is a grouping that would be one, if its rows were not closer than an hour.
    """
    instants = times.rows()
    known = ~np.isnat(instants)
    tried = _few_times(times, known)
    for size in range(MOST_COLUMNS + 1):
        found: list[Grouping] = []
        too_fine: Grouping | None = None
        for columns in combinations(keys, size):
            if not _tells_apart(columns, instants, tried):
                continue
            grouping = series_grouping(columns, times)
            if grouping.repeated > MOST_REPEATED or grouping.median_rows < _LEAST_ROWS:
                continue
            if grouping.frequency is None:
                too_fine = too_fine or grouping
            elif grouping.filled >= _LEAST_FILLED:
                found.append(grouping)
        if found or (too_fine and size <= 1):
            doubts = {column.name: _doubt(column) for column in keys}
            found.sort(key=lambda grouping: (sum(doubts[name] for name in grouping.columns), grouping.segments))
            return found, too_fine
    return [], None


def _few_times(times: TimeColumn, known: npt.NDArray[np.bool_]) -> IntArray:
    """Rows of evenly spread times: rows that repeat a segment and a time are all among them or not."""
    codes = times.column.codes
    step = max(1, int(known.sum()) // _TRIED_ROWS)
    return np.flatnonzero(known & (codes % step == 0))


def _tells_apart(columns: Sequence[Column], instants: npt.NDArray[np.datetime64], tried: IntArray) -> bool:
    codes = np.zeros(len(tried), np.int64)
    for column in columns:
        codes = codes * (column.values + 1) + column.codes[tried] + 1
    return repeated_share(codes, instants[tried].astype(np.int64)) <= MOST_REPEATED


def series_grouping(columns: Sequence[Column], times: TimeColumn, frequency: Frequency | None = None) -> Grouping:
    """A grouping with its frequency, and how regular it is. frequency : if it is known already.

    Where rows are closer than an hour, `repeated` counts rows of the same instant.
    """
    instants = times.rows()
    codes, counts = group_rows(columns, len(instants))
    used = ~np.isnat(instants) & (codes >= 0)
    segment, instants = codes[used], instants[used]
    frequency = frequency or infer_frequency(segment, instants)
    names = tuple(column.name for column in columns)
    if frequency is None:
        return Grouping(names, codes, counts, None, 0.0, repeated_share(segment, instants.astype(np.int64)))
    periods = ordinals(instants, frequency)
    first = np.full(len(counts), np.iinfo(np.int64).max)
    last = np.full(len(counts), np.iinfo(np.int64).min)
    np.minimum.at(first, segment, periods)
    np.maximum.at(last, segment, periods)
    alive = np.bincount(segment, minlength=len(counts)) > 0
    spans = int((last[alive] - first[alive] + 1).sum())
    repeated = repeated_share(segment, periods)
    return Grouping(names, codes, counts, frequency, len(segment) * (1 - repeated) / max(spans, 1), repeated)


def regression_groupings(keys: Sequence[Column], n_rows: int) -> list[Grouping]:
    """Columns, and pairs of them, that give segments with enough rows to learn from; the best first.

    Single columns come before pairs, and columns named as groups before others; among equals more segments.
    """
    doubts = {column.name: _doubt(column) - (column.meaning == "group") for column in keys}
    groupings = [_grouping(pair, n_rows) for size in (1, 2) for pair in combinations(keys, size)]
    for least in _GOOD_ROWS:
        found = [grouping for grouping in groupings if grouping.median_rows >= least]
        if found:
            return sorted(found, key=lambda g: (len(g.columns), max(doubts[name] for name in g.columns), -g.segments))
    return []


def _grouping(columns: Sequence[Column], n_rows: int) -> Grouping:
    return Grouping(tuple(column.name for column in columns), *group_rows(columns, n_rows))


def grouping_of(columns: Sequence[Column], n_rows: int) -> Grouping:
    """The grouping of given columns, whatever it is like."""
    return _grouping(columns, n_rows)


def constant_columns(columns: Sequence[Column], grouping: Grouping) -> Iterator[Column]:
    """Columns that have one value in each segment, and fewer values than there are segments."""
    used = grouping.codes >= 0
    for column in columns:
        if column.name in grouping.columns or not 1 < column.values < grouping.segments:
            continue
        pairs = np.unique(grouping.codes[used] * (column.values + 1) + column.codes[used] + 1)
        if len(pairs) == grouping.segments:
            yield column
