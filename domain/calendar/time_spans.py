"""Time spans that users name by a date, and the periods between two of them.

As everywhere, frequencies of a day or longer use dates (midnight UTC, taken in the fleet's zone); hours are UTC
instants.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from domain.calendar.ordinals import ordinals, period_starts
from domain.config.time_section import Time
from domain.errors import RequestError

__all__ = ["TimeSpan", "parse_time_span", "period_ends", "period_of", "time_span_text"]

_YEAR, _MONTH = re.compile(r"^(\d{4})$"), re.compile(r"^(\d{4})-(\d{1,2})$")
_QUARTER, _WEEK = re.compile(r"^(\d{4})-?Q([1-4])$"), re.compile(r"^(\d{4})-?W(\d{1,2})$")
_ALLOWED = "2024, 2024-Q2, 2024-06, 2024-W26, 2024-06-30, 2024-06-30T17:00 or 2024-06-30T17:00+02:00"
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
            f"without an offset it is taken in the fleet's zone, {time.zone_name}"
        ) from exc


def _parse(text: str, time: Time) -> TimeSpan:
    span = _span(text)
    if span is not None:
        first, after = span
        if time.rule.is_clock:
            zone = ZoneInfo(time.zone_name)
            start, end = (datetime(d.year, d.month, d.day, tzinfo=zone).astimezone(UTC) for d in (first, after))
            return TimeSpan(start, end - _MICROSECOND)
        return TimeSpan(_midnight(first), _midnight(after - timedelta(days=1)))
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=ZoneInfo(time.zone_name))
    if time.rule.is_clock:
        instant = instant.astimezone(UTC)
    else:
        instant = _midnight((instant if time.zone == "auto" else instant.astimezone(ZoneInfo(time.zone))).date())
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


def period_of(moment: datetime, time: Time) -> int:
    """Return the ordinal of the period that contains a moment."""
    naive = moment.astimezone(UTC).replace(tzinfo=None)
    return int(ordinals(np.array([naive], "datetime64[us]"), time)[0])


def period_ends(first: TimeSpan, last: TimeSpan, time: Time) -> list[datetime]:
    """Return the last time of every period, from the period at the start of `first` to the one at the end of `last`."""
    numbers = np.arange(period_of(first.first, time), period_of(last.last, time) + 1) + 1
    step = _MICROSECOND if time.rule.is_clock else timedelta(days=1)
    return [start.replace(tzinfo=UTC) - step for start in period_starts(numbers, time).tolist()]


def time_span_text(moment: datetime, time: Time) -> str:
    """Format a moment to the precision of the fleet's periods: `2024-06`, `2024-06-30`, `2024-06-30 17:00 UTC`."""
    if time.rule.unit == "month":
        return f"{moment:%Y-%m}"
    return f"{moment:%Y-%m-%d %H:%M UTC}" if time.rule.is_clock else f"{moment:%Y-%m-%d}"
