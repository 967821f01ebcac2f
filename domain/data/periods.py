"""Time spans that users name by a date, and the periods between two of them.

As everywhere, frequencies of a day or longer use dates (midnight UTC, taken in the fleet's zone); hours are UTC
instants.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from domain.config.fleet import Frequency, Time
from domain.data.calendar import ordinals
from domain.errors import RequestError

__all__ = ["TimeSpan", "parse_time_span", "period_ends", "period_of", "period_starts", "time_span_text"]

_YEAR, _MONTH = re.compile(r"^(\d{4})$"), re.compile(r"^(\d{4})-(\d{1,2})$")
_QUARTER, _WEEK = re.compile(r"^(\d{4})-?Q([1-4])$"), re.compile(r"^(\d{4})-?W(\d{1,2})$")
_ALLOWED = "2024, 2024-Q2, 2024-06, 2024-W26, 2024-06-30, 2024-06-30T17:00 or 2024-06-30T17:00+02:00"
_MONTHS: dict[str, int] = {"M": 1, "Q": 3, "Y": 12}
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class TimeSpan:
    """Span of a date such as `2024-06`: its first and its last time, both inclusive."""

    first: datetime
    last: datetime


def parse_time_span(text: str, time: Time, name: str) -> TimeSpan:
    """Parse a date in the fleet's zone as the span from its beginning to its end; a time of day is an instant.

    As of `2024-06` therefore includes all of June.

    Parameters
    ----------
    name : name of the option, for messages.

    Raises
    ------
    RequestError
        If the text is not a date.
    """
    try:
        return _parse(text.strip(), time)
    except (ValueError, OverflowError) as exc:
        raise RequestError(
            f"{name}: {text!r} is not a date; allowed: {_ALLOWED}; "
            f"without an offset it is taken in the fleet's zone, {time.zone}"
        ) from exc


def _parse(text: str, time: Time) -> TimeSpan:
    span = _span(text)
    if span is not None:
        first, after = span
        if time.frequency == "h":
            zone = ZoneInfo(time.zone)
            start, end = (datetime(d.year, d.month, d.day, tzinfo=zone).astimezone(UTC) for d in (first, after))
            return TimeSpan(start, end - _MICROSECOND)
        return TimeSpan(_midnight(first), _midnight(after - timedelta(days=1)))
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=ZoneInfo(time.zone))
    instant = instant.astimezone(UTC if time.frequency == "h" else ZoneInfo(time.zone))
    instant = instant if time.frequency == "h" else _midnight(instant.date())
    return TimeSpan(instant, instant)


def _span(text: str) -> tuple[date, date] | None:
    """First day of the date and first day after it; None for a time of day."""
    if match := _YEAR.match(text):
        return _months(int(match[1]), 1, 12)
    if match := _QUARTER.match(text):
        return _months(int(match[1]), 3 * int(match[2]) - 2, 3)
    if match := _MONTH.match(text):
        return _months(int(match[1]), int(match[2]), 1)
    if match := _WEEK.match(text):
        monday = date.fromisocalendar(int(match[1]), int(match[2]), 1)
        return monday, monday + timedelta(days=7)
    if "T" in text or " " in text:
        return None
    day = date.fromisoformat(text)
    return day, day + timedelta(days=1)


def _months(year: int, month: int, count: int) -> tuple[date, date]:
    after = month - 1 + count
    return date(year, month, 1), date(year + after // 12, after % 12 + 1, 1)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def period_of(time: datetime, frequency: Frequency) -> int:
    """Return the ordinal of the period that contains a time."""
    naive = time.astimezone(UTC).replace(tzinfo=None)
    return int(ordinals(np.array([naive], "datetime64[us]"), frequency)[0])


def period_starts(periods: npt.NDArray[np.int64], frequency: Frequency) -> npt.NDArray[np.datetime64]:
    """Return the first time of each period: the inverse of `ordinals`."""
    if frequency in _MONTHS:
        return (periods * _MONTHS[frequency]).astype("datetime64[M]").astype("datetime64[us]")
    if frequency == "h":
        return periods.astype("datetime64[h]").astype("datetime64[us]")
    days = periods if frequency == "D" else 7 * periods - 3
    return days.astype("datetime64[D]").astype("datetime64[us]")


def period_ends(first: TimeSpan, last: TimeSpan, frequency: Frequency) -> list[datetime]:
    """Return the last time of every period, from the period at the start of `first` to the one at the end of `last`."""
    numbers = np.arange(period_of(first.first, frequency), period_of(last.last, frequency) + 1) + 1
    step = _MICROSECOND if frequency == "h" else timedelta(days=1)
    return [start.replace(tzinfo=UTC) - step for start in period_starts(numbers, frequency).tolist()]


def time_span_text(time: datetime, frequency: Frequency) -> str:
    """Format a time to the precision of the fleet's periods: `2024-06`, `2024-06-30`, `2024-06-30 17:00 UTC`."""
    if frequency in _MONTHS:
        return f"{time:%Y-%m}"
    return f"{time:%Y-%m-%d}" if frequency != "h" else f"{time:%Y-%m-%d %H:%M UTC}"
