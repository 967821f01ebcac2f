"""Times of undescribed data: which column, in which format, and at which frequency."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from domain.arrays import BoolArray, IntArray
from domain.calendar.ordinals import ordinals
from domain.calendar.repeated_hour import repeats
from domain.calendar.time_parsing import EXCEL, OFFSET, parse_times
from domain.config.time_section import Time
from domain.scaffold.column_vocabulary import is_time_name, split_name
from domain.scaffold.columns import Column
from domain.scaffold.frequency_search import consecutive_frequency

__all__ = [
    "TimeColumn",
    "find_time_columns",
    "infer_frequency",
    "is_epoch",
    "parse_time_column",
    "regularity",
    "repeated_share",
]

_SNIFFED = 2_000
_REPEATED = 0.8
_ALMOST_ALL = 0.98
_MANY_REPEATED = 0.02
_DECISIVE, _LEAST_TIMES = 1.5, 4
_DAY_NUMBERS = (18_264, 91_313)
"""Days of 1950 and 2150 as spreadsheets count them."""
_FREQUENCIES = ("min", "5min", "10min", "15min", "30min", "h", "D", "W", "M", "Q", "Y")
_DIGITS = re.compile(r"\d")
_ISO = re.compile(
    r"^\d{4}-\d{1,2}(-\d{1,2})?([T ].*)?$|^\d{4}/\d{1,2}/\d{1,2}|^\d{4}[-_/ ]?Q[1-4]$|^Q[1-4][-_/ ]?\d{4}$"
    r"|^\d{4}[-_/ ]?W\d{1,2}$",
    re.IGNORECASE,
)
_DAYS = ("%d.%m.%Y", "%d.%m.%y", "%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y", "%d-%m-%Y", "%m-%d-%Y", "%Y.%m.%d",
         "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%B %d, %Y", "%d %B %Y")  # fmt: skip
_MONTHS = ("%m/%Y", "%m-%Y", "%m.%Y", "%Y/%m", "%Y.%m", "%b-%Y", "%b %Y", "%B %Y", "%b-%y")
_CLOCKS = (" %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", "T%H:%M:%S", " %H:%M:%S.%f")
_FORMATS = (
    *_DAYS,
    *_MONTHS,
    *(f"{day}{clock}" for day in _DAYS[:9] for clock in _CLOCKS),
    "%Y%m%d %H:%M",
    "%Y%m%d%H",
)
_NO_ZONE = {"UTC", "Etc/UTC", "GMT", "Z", "+00:00"}
_WEEK_NAME = {"week", "weeks", "woche", "kw", "semaine", "semana", "yearweek", "yyyyww", "isoweek", "calweek"}
_ZONES: dict[tuple[float, ...], str] = {
    (0.0, 1.0): "Europe/London", (1.0, 2.0): "Europe/Berlin", (2.0, 3.0): "Europe/Athens",
    (-5.0, -4.0): "America/New_York", (-6.0, -5.0): "America/Chicago", (-7.0, -6.0): "America/Denver",
    (-8.0, -7.0): "America/Los_Angeles", (10.0, 11.0): "Australia/Sydney", (12.0, 13.0): "Pacific/Auckland",
}  # fmt: skip
"""The best-known zone for a pair of winter and summer offsets."""


@dataclass(frozen=True, eq=False)
class TimeColumn:
    """A column of times and how to read it.

    format : None for ISO 8601. alternative : another format that reads all values.
    instants : the column's distinct values in UTC, to the microsecond, of shape (d,).
    wall_zone : zone whose clocks repeat and skip the hours that the times, which name no zone, repeat and skip.
    offsets : hours from UTC that appear in the text; empty where none does. unread : share of the rows whose value is
    not a time.
    """

    column: Column
    format: str | None
    alternative: str | None
    instants: npt.NDArray[np.datetime64]
    offsets: tuple[float, ...] = ()
    unread: float = 0.0
    wall_zone: str | None = None

    @property
    def name(self) -> str:
        return self.column.name

    def rows(self) -> npt.NDArray[np.datetime64]:
        """The instant of each row, of shape (n,); NaT where there is none."""
        padded = np.append(self.instants, np.datetime64("NaT", "us"))
        return padded[self.column.codes]

    @property
    def zone(self) -> str | None:
        """The zone whose clock the times follow, as far as the column's type or the offsets identify it."""
        named = getattr(self.column.distinct.type, "tz", None) if self.column.typed else None
        if named is not None:
            return None if named in _NO_ZONE else named
        return self.wall_zone or _ZONES.get(self.offsets)

    def on_wall_clock(self, segments: IntArray) -> "TimeColumn":
        """The column with the zone whose clock its times follow, if they repeat an hour as its clocks do in autumn.

        segments : of each row, -1 for none, of shape (n,).
        """
        if self.offsets or self.zone is not None:
            return self
        rows = self.rows()
        used = (segments >= 0) & ~np.isnat(rows)
        zone = next((zone for zone in _ZONES.values() if _follows(rows[used], segments[used], zone)), None)
        return replace(self, wall_zone=zone)

    @property
    def offset_texts(self) -> str:
        """Offsets from UTC that appear in the text, such as `+01:00, +02:00`."""
        minutes = [round(60 * hours) for hours in self.offsets]
        return ", ".join(f"{'-' if m < 0 else '+'}{abs(m) // 60:02d}:{abs(m) % 60:02d}" for m in minutes)


def _follows(wall: npt.NDArray[np.datetime64], segments: IntArray, zone: str) -> bool:
    """Return True if times have each hour that clocks of a zone repeat twice, and none that they skip."""
    distinct, place = np.unique(wall, return_inverse=True)
    twice = repeats(distinct, zone)[place]
    if not twice.any():
        return False
    _, counts = np.unique(np.stack([segments[twice], place[twice]]), axis=1, return_counts=True)
    index = pd.DatetimeIndex(distinct).tz_localize(zone, ambiguous=np.ones(len(distinct), bool), nonexistent="NaT")
    return bool(np.mean(counts == 2) >= _REPEATED and not index.isna().any())


def find_time_columns(columns: Sequence[Column]) -> list[TimeColumn]:
    """Columns that hold times, the most likely first: by name, then in the order of the file."""
    candidates = [times for column in columns if (times := parse_time_column(column))]
    varying = [times for times in candidates if len(np.unique(times.instants[~np.isnat(times.instants)])) > 2]
    return sorted(varying, key=lambda times: (not is_time_name(times.name), times.column.kind == "integer"))


def parse_time_column(column: Column, *, named_by_user: bool = False) -> TimeColumn | None:
    """Find out how to read a column's times; None if it holds none.

    named_by_user : accept numbers as times whatever the column's name.
    """
    if column.kind in ("empty", "other") or not column.values:
        return None
    if column.kind == "time":
        return _read_times(column, None, None)
    texts = _spread_texts(column)
    if column.kind in ("integer", "number"):
        named_so = named_by_user or is_time_name(column.name)
        number_format = _number_format(column) if named_so else _date_number_format(column)
        return None if number_format is None else _read_times(column, number_format, None)
    if sum(bool(_DIGITS.search(text)) for text in texts) < _ALMOST_ALL * len(texts):
        return None
    formats = list(_text_formats(texts))
    if not formats:
        return None
    if len(formats) > 1 and _swaps_day_and_month(formats[0], formats[1]):
        return _more_regular(*(_read_times(column, text_format, None) for text_format in formats[:2]))
    return _read_times(column, formats[0], None)


def _more_regular(*readings: "TimeColumn") -> TimeColumn:
    """The reading with by far fewer gaps; the first one, with the other as its alternative, where that is open."""
    best, other = sorted(readings, key=lambda times: -regularity(times.instants))
    if regularity(best.instants) >= _DECISIVE * regularity(other.instants):
        return best
    return replace(readings[0], alternative=readings[1].format)


def regularity(instants: npt.NDArray[np.datetime64]) -> float:
    """Share of the periods from the first to the last time that have one, at the frequency that fits the times."""
    known = np.unique(instants[~np.isnat(instants)])
    frequency = infer_frequency(np.zeros(len(known), np.int64), known)
    if frequency is None or len(known) < _LEAST_TIMES:
        return 0.0
    periods = ordinals(known, Time(column="", frequency=frequency))
    return len(known) / float(periods[-1] - periods[0] + 1)


def _spread_texts(column: Column) -> list[str]:
    """Some of the values, spread over all of them: those at the beginning of a file are often alike."""
    step = max(1, column.values // _SNIFFED)
    return list(column.texts[::step])


def _text_formats(texts: Sequence[str]) -> Iterator[str | None]:
    if sum(bool(_ISO.match(text)) for text in texts) >= _ALMOST_ALL * len(texts):
        if _fits(texts, None):
            yield None
        return
    first_texts = texts[:20]
    for text_format in _FORMATS:
        if _fits(first_texts, text_format) and _fits(texts, text_format):
            yield text_format


def _fits(texts: Sequence[str], text_format: str | None) -> bool:
    time = Time(column="", frequency="h", format=text_format)
    _, unread = parse_times(pa.chunked_array([pa.array(texts, pa.string())]), time)
    return bool(unread.mean() <= 1 - _ALMOST_ALL)


def _swaps_day_and_month(first: str | None, second: str | None) -> bool:
    """Return True if two formats have the same parts in a different order."""
    return first is not None and second is not None and sorted(first) == sorted(second)


def _number_format(column: Column) -> str | None:
    """Format of numbers that are years, months, days, or days as spreadsheets count them; None where they are not."""
    numbers = column.distinct_numbers
    if not len(numbers) or np.isnan(numbers).any():
        return None
    if column.kind == "integer" and np.all((numbers >= 1800) & (numbers <= 2200)):
        return "%Y"
    first, last = _DAY_NUMBERS
    if column.values >= _LEAST_TIMES and np.all((numbers >= first) & (numbers < last)):
        return EXCEL
    return _date_number_format(column)


def _date_number_format(column: Column) -> str | None:
    """Format of whole numbers that can hardly be anything but dates, such as 202401, 202453 (its week) and 20240131."""
    numbers = column.distinct_numbers
    if column.kind != "integer" or not len(numbers) or np.isnan(numbers).any() or column.values < 3:
        return None
    weeks_too = _WEEK_NAME.intersection(split_name(column.name))
    for number_format, unit, most in (("%Y%m", 100, 12), ("%G%V", 100, 53), ("%Y%m%d", 10_000, 12)):
        years, rest = numbers // unit, numbers % unit
        parts = rest if unit == 100 else rest // 100
        inside = (years >= 1900) & (years <= 2100) & (parts >= 1) & (parts <= most)
        if number_format == "%Y%m" and weeks_too:
            continue
        if inside.all() and _fits([f"{number:.0f}" for number in numbers[:_SNIFFED]], number_format):
            return number_format
    return None


def is_epoch(column: Column) -> bool:
    """Return True if a column's numbers look like seconds or milliseconds since 1970."""
    numbers = column.distinct_numbers if column.is_number else np.empty(0)
    if not len(numbers) or np.isnan(numbers).any():
        return False
    seconds = (numbers >= 6e8) & (numbers <= 2.2e9)
    milliseconds = (numbers >= 6e11) & (numbers <= 2.2e12)
    return is_time_name(column.name) and bool(seconds.all() or milliseconds.all())


def _read_times(column: Column, time_format: str | None, alternative: str | None) -> TimeColumn:
    time = Time(column=column.name, frequency="h", format=time_format)
    as_text = not column.typed or (column.kind == "integer" and time_format != EXCEL)
    values = pa.array(column.texts, pa.string()) if as_text else column.distinct
    parsed, unread = parse_times(pa.chunked_array([values]), time)
    instants = parsed.to_numpy(zero_copy_only=False).astype("datetime64[us]")
    present = column.codes[column.codes >= 0]
    unread_share = float(unread[present].mean()) if len(present) else 0.0
    return TimeColumn(column, time_format, alternative, instants, _offsets(column), unread_share)


def _offsets(column: Column) -> tuple[float, ...]:
    if column.typed:
        return (0.0,) if getattr(column.distinct.type, "tz", None) else ()
    offsets = {match["offset"] for text in _spread_texts(column) if (match := OFFSET.search(text))}
    return tuple(sorted({_hours(offset) for offset in offsets}))


def _hours(offset: str) -> float:
    if offset[0] not in "+-":
        return 0.0
    digits = offset[1:].replace(":", "")
    hours = int(digits) if len(digits) <= 2 else int(digits[:-2]) + int(digits[-2:]) / 60
    return -hours if offset[0] == "-" else hours


def infer_frequency(codes: IntArray, instants: npt.NDArray[np.datetime64]) -> str | None:
    """Find the coarsest frequency with at most one row per segment and period, a few repeated rows aside.

    If its periods are regularly empty, the one without empty periods, such as 2W, 6h or SM.

    Parameters
    ----------
    codes : segment of each row, of shape (n,).
    instants : time of each row in UTC, of shape (n,), none missing.

    Returns
    -------
    The frequency, or None where even minutes are too coarse.
    """
    for frequency in reversed(_FREQUENCIES):
        if repeated_share(codes, ordinals(instants, Time(column="", frequency=frequency))) <= _MANY_REPEATED:
            return consecutive_frequency(codes, instants, frequency) or frequency
    return None


def repeated_share(codes: IntArray, periods: IntArray) -> float:
    """Share of the rows whose segment has an earlier row in the same period; both arrays have shape (n,)."""
    order = np.lexsort((periods, codes))
    same: BoolArray = (np.diff(codes[order]) == 0) & (np.diff(periods[order]) == 0)
    return float(same.sum() / max(len(codes), 1))
