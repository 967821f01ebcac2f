"""The time of undescribed data: which column, how it is written, and how long a period is."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from domain.arrays import BoolArray, IntArray
from domain.config.fleet import Frequency, Time
from domain.data.calendar import ordinals, parse_times
from domain.scaffold.column_vocabulary import is_time_name
from domain.scaffold.columns import Column

__all__ = ["TimeColumn", "find_time_columns", "infer_frequency", "is_epoch", "parse_time_column", "repeated_share"]

_SNIFFED = 2_000
_ALMOST_ALL = 0.98
_MANY_REPEATED = 0.02
_OFFSET = re.compile(r"[T ].*(Z|[+-]\d{2}:?\d{2})$")
_DIGITS = re.compile(r"\d")
_ISO = re.compile(
    r"^\d{4}-\d{1,2}(-\d{1,2})?([T ].*)?$|^\d{4}/\d{1,2}/\d{1,2}|^\d{4}[-_/ ]?Q[1-4]$|^Q[1-4][-_/ ]?\d{4}$"
    r"|^\d{4}-?W\d{2}$",
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
_ZONES: dict[tuple[float, ...], str] = {
    (0.0, 1.0): "Europe/London", (1.0, 2.0): "Europe/Berlin", (2.0, 3.0): "Europe/Athens",
    (-5.0, -4.0): "America/New_York", (-6.0, -5.0): "America/Chicago", (-7.0, -6.0): "America/Denver",
    (-8.0, -7.0): "America/Los_Angeles", (10.0, 11.0): "Australia/Sydney", (12.0, 13.0): "Pacific/Auckland",
}  # fmt: skip
"""The best-known zone of a pair of winter and summer offsets."""


@dataclass(frozen=True, eq=False)
class TimeColumn:
    """A time column as it can be read.

    format : None for ISO 8601. also : another format that reads all values. instants : UTC, to the microsecond, of
    the column's distinct values [d]. offsets : hours from UTC that the texts name; empty where they name none.
    """

    column: Column
    format: str | None
    also: str | None
    instants: npt.NDArray[np.datetime64]
    offsets: tuple[float, ...] = ()
    unread: float = 0.0

    def rows(self) -> npt.NDArray[np.datetime64]:
        """The instant of each row [n]; NaT where there is none."""
        padded = np.append(self.instants, np.datetime64("NaT", "us"))
        return padded[self.column.codes]

    @property
    def zone(self) -> str:
        """The zone whose days the texts mean, as well as their offsets tell it."""
        if self.offsets in ((), (0.0,)):
            return "UTC"
        if self.offsets in _ZONES:
            return _ZONES[self.offsets]
        hours = self.offsets[0]
        return f"Etc/GMT{-int(hours):+d}" if len(self.offsets) == 1 and hours.is_integer() else "UTC"


def find_time_columns(columns: Sequence[Column]) -> list[TimeColumn]:
    """Columns that hold times, the likeliest first: by name, then in the order of the file."""
    found = [times for column in columns if (times := parse_time_column(column))]
    found = [times for times in found if len(np.unique(times.instants[~np.isnat(times.instants)])) > 2]
    return sorted(found, key=lambda times: (not is_time_name(times.column.name), times.column.kind == "integer"))


def parse_time_column(column: Column, *, asked: bool = False) -> TimeColumn | None:
    """How a column's times are read; None where they are none.

    asked : the user says that these are times, so that numbers need no name that says it.
    """
    if column.kind in ("empty", "other") or not column.values:
        return None
    if column.kind == "time":
        return _time_column(column, None, None)
    texts = _sniffed(column)
    if column.typed and pa.types.is_floating(column.distinct.type):
        return None
    if column.kind in ("integer", "number"):
        form = _number_format(column, texts) if asked or is_time_name(column.name) else _certain(column, texts)
        return None if form == "" else _time_column(column, form, None)
    if sum(bool(_DIGITS.search(text)) for text in texts) < _ALMOST_ALL * len(texts):
        return None
    fitting = list(_text_formats(texts))
    if not fitting:
        return None
    also = fitting[1] if len(fitting) > 1 and _swapped(fitting[0], fitting[1]) else None
    return _time_column(column, fitting[0], also)


def _sniffed(column: Column) -> list[str]:
    """Values spread over all: those at the beginning of a file are often alike."""
    step = max(1, column.values // _SNIFFED)
    return list(column.texts[::step])


def _text_formats(texts: Sequence[str]) -> Iterator[str | None]:
    if sum(bool(_ISO.match(text)) for text in texts) >= _ALMOST_ALL * len(texts):
        if _reads(texts, None):
            yield None
        return
    few = texts[:20]
    for form in _FORMATS:
        if _reads(few, form) and _reads(texts, form):
            yield form


def _reads(texts: Sequence[str], form: str | None) -> bool:
    _, unread = parse_times(
        pa.chunked_array([pa.array(texts, pa.string())]), Time(column="", frequency="h", format=form)
    )
    return bool(unread.mean() <= 1 - _ALMOST_ALL)


def _swapped(first: str | None, second: str | None) -> bool:
    """Whether two formats differ in the order of day and month."""
    return first is not None and second is not None and sorted(first) == sorted(second)


def _number_format(column: Column, texts: Sequence[str]) -> str | None:
    """Format of whole numbers that are years, months or days; empty where they are none."""
    numbers = column.distinct_numbers
    if column.kind != "integer" or not len(numbers) or np.isnan(numbers).any():
        return ""
    if np.all((numbers >= 1800) & (numbers <= 2200)):
        return "%Y"
    return _certain(column, texts)


def _certain(column: Column, texts: Sequence[str]) -> str | None:
    """As `_number_format`, but only what hardly is anything else: years with their months."""
    numbers = column.distinct_numbers
    if column.kind != "integer" or not len(numbers) or np.isnan(numbers).any() or column.values < 3:
        return ""
    for form, unit in (("%Y%m", 100), ("%Y%m%d", 10_000)):
        years, rest = numbers // unit, numbers % unit
        months = rest if unit == 100 else rest // 100
        inside = (years >= 1900) & (years <= 2100) & (months >= 1) & (months <= 12)
        if inside.all() and _reads([f"{number:.0f}" for number in numbers[:_SNIFFED]], form):
            return form
    return ""


def is_epoch(column: Column) -> bool:
    """Whether a column's numbers look like seconds or milliseconds since 1970."""
    numbers = column.distinct_numbers if column.is_number else np.empty(0)
    if not len(numbers) or np.isnan(numbers).any():
        return False
    seconds = (numbers >= 6e8) & (numbers <= 2.2e9)
    millis = (numbers >= 6e11) & (numbers <= 2.2e12)
    return is_time_name(column.name) and bool(seconds.all() or millis.all())


def _time_column(column: Column, form: str | None, also: str | None) -> TimeColumn:
    time = Time(column=column.name, frequency="h", format=form)
    values = column.distinct if column.typed else pa.array(column.texts, pa.string())
    if column.typed and column.kind == "integer":
        values = pa.array(column.texts, pa.string())
    read, unread = parse_times(pa.chunked_array([values]), time)
    instants = read.to_numpy(zero_copy_only=False).astype("datetime64[us]")
    known = column.codes[column.codes >= 0]
    return TimeColumn(
        column, form, also, instants, _offsets(column), float(unread[known].mean()) if len(known) else 0.0
    )


def _offsets(column: Column) -> tuple[float, ...]:
    if column.typed:
        return (0.0,) if getattr(column.distinct.type, "tz", None) else ()
    found = [match[1] for text in _sniffed(column) if (match := _OFFSET.search(text))]
    return tuple(sorted({_hours(text) for text in set(found)}))


def _hours(offset: str) -> float:
    if offset == "Z":
        return 0.0
    digits = offset[1:].replace(":", "")
    hours = int(digits[:2]) + int(digits[2:]) / 60
    return -hours if offset[0] == "-" else hours


def infer_frequency(codes: IntArray, instants: npt.NDArray[np.datetime64]) -> Frequency | None:
    """The coarsest frequency whose periods hold at most one row of a segment; None where hours are too coarse.

    codes : segment of each row [n]. instants : [n], none missing. A few repeated rows are overlooked.
    """
    for frequency in reversed(get_args(Frequency)):
        if repeated_share(codes, ordinals(instants, frequency)) <= _MANY_REPEATED:
            found: Frequency = frequency
            return found
    return None


def repeated_share(codes: IntArray, periods: IntArray) -> float:
    """Share of the rows whose segment has another row in the same period."""
    order = np.lexsort((periods, codes))
    same: BoolArray = (np.diff(codes[order]) == 0) & (np.diff(periods[order]) == 0)
    return float(same.sum() / max(len(codes), 1))
