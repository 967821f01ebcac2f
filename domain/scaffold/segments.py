"""Segments of undescribed data: the fewest columns that, together with the time, identify a row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from domain.arrays import BoolArray, IntArray
from domain.calendar.closed_times import closed_slots
from domain.calendar.ordinals import ordinals
from domain.config.time_section import Time
from domain.reporting.formatting import format_count
from domain.scaffold.columns import Column
from domain.scaffold.timestamps import TimeColumn, infer_frequency, repeated_share

__all__ = [
    "MOST_REPEATED",
    "Grouping",
    "constant_columns",
    "grouping_of",
    "jittered_grouping",
    "key_columns",
    "regression_groupings",
    "series_grouping",
    "series_groupings",
]

MOST_COLUMNS = 3
MOST_REPEATED = 0.02
_MOST_KEYS = 10
_TESTED_ROWS = 50_000
_LEAST_ROWS = 4
_LEAST_FILLED = 0.1
_GOOD_ROWS = (50, 20)
_MOST_MISSING = 0.02
_JITTER_FILLED = 0.9


@dataclass(frozen=True, eq=False)
class Grouping:
    """Columns whose combinations are the segments; without a column, all rows are one segment.

    codes : segment of each row, -1 where a column has no value, of shape (n,).
    counts : rows per segment, of shape (S,).
    frequency : of the series; None for rows that are not series.
    filled : share of the periods between first and last row that have a row, over all segments; weekdays and hours
    that never have one are no periods. closed : share of such times.
    repeated : share of the rows that repeat the segment and period of another row.
    """

    columns: tuple[str, ...]
    codes: IntArray
    counts: IntArray
    frequency: str | None = None
    filled: float = 1.0
    repeated: float = 0.0
    closed: float = 0.0

    @property
    def segments(self) -> int:
        return len(self.counts)

    @property
    def median_rows(self) -> float:
        return float(np.median(self.counts)) if len(self.counts) else 0.0

    @property
    def label(self) -> str:
        """Such as `store, item: 50 segments`."""
        return f"{', '.join(self.columns) or 'no column'}: {self.segments_text}"

    @property
    def size_text(self) -> str:
        """Such as `50 segments of 100 to 120 rows`."""
        shortest, longest = int(self.counts.min()), int(self.counts.max())
        rows = f"{shortest:,}" if shortest == longest else f"{shortest:,} to {longest:,}"
        return f"{self.segments_text} of {rows} rows"

    @property
    def segments_text(self) -> str:
        """Such as `50 segments`."""
        return format_count(self.segments, "segment")


def grouping_of(columns: Sequence[Column], n_rows: int) -> Grouping:
    """The grouping by some columns, whatever its segments look like."""
    return Grouping(tuple(column.name for column in columns), *_group_rows(columns, n_rows))


def _group_rows(columns: Sequence[Column], n_rows: int) -> tuple[IntArray, IntArray]:
    """Segment of each row, -1 where a value is missing, and rows per segment."""
    codes = np.zeros(n_rows, np.int64)
    missing = np.zeros(n_rows, bool)
    for column in columns:
        codes = codes * (column.values + 1) + column.codes + 1
        _, codes = np.unique(codes, return_inverse=True)
        missing |= column.codes < 0
    if not columns:
        return codes, np.array([n_rows])
    segments, codes[~missing] = np.unique(codes[~missing], return_inverse=True)
    codes[missing] = -1
    return codes, np.bincount(codes[~missing], minlength=len(segments))


def key_columns(columns: Sequence[Column], taken: Sequence[str]) -> list[Column]:
    """Columns that may identify segments, the most likely first; `taken` ones have another role."""
    keys = [column for column in columns if column.name not in taken and _is_key(column)]
    return sorted(keys, key=_key_rank)[:_MOST_KEYS]


def _is_key(column: Column) -> bool:
    if column.values < 2 or column.missing > _MOST_MISSING or column.values > column.rows / _LEAST_ROWS:
        return False
    if column.kind == "text" or column.padded:
        return column.meaning != "flag" and not column.looks_formatted
    if column.kind != "integer":
        return False
    return column.meaning in ("id", "group") or (column.meaning == "" and column.values <= column.rows / 50)


def _key_rank(column: Column) -> int:
    """0 : named as a key. 1 : text. 2 : whole numbers under a name without a known word."""
    if column.meaning in ("id", "group"):
        return 0
    return 1 if column.kind == "text" or column.padded else 2


def series_groupings(keys: Sequence[Column], times: TimeColumn) -> tuple[list[Grouping], Grouping | None]:
    """Find the groupings into series with one row per period that use the fewest columns.

    Returns
    -------
    The groupings, the best first, and a grouping into series whose rows are less than a minute apart, if any.
    """
    instants = times.rows()
    tested_rows = _rows_of_spread_times(times, ~np.isnat(instants))
    ranks = {column.name: _key_rank(column) for column in keys}
    for size in range(MOST_COLUMNS + 1):
        groupings: list[Grouping] = []
        too_fine: Grouping | None = None
        for columns in combinations(keys, size):
            if not _identifies_rows(columns, instants, tested_rows):
                continue
            grouping = series_grouping(columns, times)
            if grouping.repeated > MOST_REPEATED or grouping.median_rows < _LEAST_ROWS:
                continue
            if grouping.frequency is None:
                too_fine = too_fine or grouping
            elif grouping.filled >= _LEAST_FILLED:
                groupings.append(grouping)
        if groupings or (too_fine and size <= 1):
            groupings.sort(key=lambda grouping: (sum(ranks[name] for name in grouping.columns), grouping.segments))
            return groupings, too_fine
    return [], None


def _rows_of_spread_times(times: TimeColumn, known: BoolArray) -> IntArray:
    """Rows of evenly spread times: of rows that share segment and time either all are included or none."""
    codes = times.column.codes
    step = max(1, int(known.sum()) // _TESTED_ROWS)
    return np.flatnonzero(known & (codes % step == 0))


def _identifies_rows(columns: Sequence[Column], instants: npt.NDArray[np.datetime64], tested_rows: IntArray) -> bool:
    codes = np.zeros(len(tested_rows), np.int64)
    for column in columns:
        codes = codes * (column.values + 1) + column.codes[tested_rows] + 1
    return repeated_share(codes, instants[tested_rows].astype(np.int64)) <= MOST_REPEATED


def series_grouping(columns: Sequence[Column], times: TimeColumn) -> Grouping:
    """The grouping by some columns, with its frequency and regularity.

    Where rows are less than a minute apart, `repeated` counts rows of the same instant.
    """
    instants = times.rows()
    codes, counts = _group_rows(columns, len(instants))
    used = ~np.isnat(instants) & (codes >= 0)
    segments, instants = codes[used], instants[used]
    frequency = infer_frequency(segments, instants)
    names = tuple(column.name for column in columns)
    if frequency is None:
        return Grouping(names, codes, counts, None, 0.0, repeated_share(segments, instants.astype(np.int64)))
    time = Time(column="", frequency=frequency)
    periods = ordinals(instants, time)
    repeated = repeated_share(segments, periods)
    closed = closed_slots(periods, segments, len(counts), time.rule).mean(axis=1)
    spans = _spanned_periods(segments, periods, len(counts))
    filled = len(segments) * (1 - repeated) / max(float((spans * (1 - closed)).sum()), 1.0)
    share = float((spans * closed).sum() / max(spans.sum(), 1))
    return Grouping(names, codes, counts, frequency, min(filled, 1.0), repeated, share)


def jittered_grouping(keys: Sequence[Column], times: TimeColumn) -> tuple[Grouping, str] | None:
    """Find columns whose segments have a row near every full period, such as 00:59:58, 02:00:12.

    Returns the grouping and the frequency to round to; None where times are no such series.
    """
    instants = times.rows()
    for frequency in ("D", "h", "30min", "15min", "10min", "5min", "min"):
        time = Time(column="", frequency=frequency)
        half = np.timedelta64(round(time.rule.days * 86_400_000_000 / 2), "us")
        for columns in (columns for size in (0, 1, 2) for columns in combinations(keys, size)):
            codes, counts = _group_rows(columns, len(instants))
            used = ~np.isnat(instants) & (codes >= 0)
            segments, nearest = codes[used], ordinals(instants[used] + half, time)
            if repeated_share(segments, nearest) <= MOST_REPEATED:
                filled = len(segments) / max(int(_spanned_periods(segments, nearest, len(counts)).sum()), 1)
                if filled >= _JITTER_FILLED:
                    return Grouping(tuple(column.name for column in columns), codes, counts, None, filled), frequency
    return None


def _spanned_periods(segments: IntArray, periods: IntArray, n_segments: int) -> IntArray:
    """Periods from the first to the last row of each segment, of shape (S,)."""
    first = np.full(n_segments, np.iinfo(np.int64).max)
    last = np.full(n_segments, np.iinfo(np.int64).min)
    np.minimum.at(first, segments, periods)
    np.maximum.at(last, segments, periods)
    present = np.bincount(segments, minlength=n_segments) > 0
    return np.where(present, last - first + 1, 0)


def regression_groupings(keys: Sequence[Column], n_rows: int) -> list[Grouping]:
    """Columns, and pairs of them, whose segments have enough rows to learn from, the best first.

    Single columns come before pairs, and columns named as groups before others; after that, more segments win.
    """
    ranks = {column.name: _key_rank(column) - (column.meaning == "group") for column in keys}
    groupings = [grouping_of(columns, n_rows) for size in (1, 2) for columns in combinations(keys, size)]
    for least in _GOOD_ROWS:
        large = [grouping for grouping in groupings if grouping.median_rows >= least]
        if large:
            return sorted(large, key=lambda g: (len(g.columns), max(ranks[name] for name in g.columns), -g.segments))
    return []


def constant_columns(columns: Sequence[Column], grouping: Grouping) -> Iterator[Column]:
    """Columns with one value in each segment, and fewer values than there are segments."""
    used = grouping.codes >= 0
    for column in columns:
        if column.name in grouping.columns or not 1 < column.values < grouping.segments:
            continue
        pairs = np.unique(grouping.codes[used] * (column.values + 1) + column.codes[used] + 1)
        if len(pairs) == grouping.segments:
            yield column
