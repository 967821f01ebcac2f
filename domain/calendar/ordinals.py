"""Periods as whole numbers, so that consecutive periods differ by 1.

An ordinal tells a segment's rows apart: no two rows have the same. A position is the column of a series: it differs
from the ordinal only for hours and minutes in a zone whose clocks change, where it follows the clock on the wall, so
that 08:00 keeps its place in the day; the seasonal phase of a period is `position % season`. Periods of a day or longer
are dates (midnight UTC), shorter ones begin at instants in UTC.
"""

import numpy as np
import numpy.typing as npt

from domain.arrays import BoolArray, IntArray
from domain.calendar.zones import instants_of, wall_times
from domain.config.frequency import FrequencyRule
from domain.config.time_section import Time

__all__ = ["MINUTE_US", "Times", "months_and_days", "ordinals", "period_starts", "positions", "skipped_positions"]

Times = npt.NDArray[np.datetime64]
MINUTE_US = 60_000_000
_DAY_US = 86_400_000_000
_EPOCH = np.datetime64("1970-01-01", "D")
_EPOCH_WEEKDAY = 3  # Thursday


def ordinals(times: Times, time: Time) -> IntArray:
    """Return the ordinal of the period of every time, shape (n,). Plain weeks begin on Monday."""
    rule = time.rule
    if rule.on_wall_clock:
        times = wall_times(times, time.zone_name)
    return _ordinals(times, rule)


def positions(times: Times, time: Time, zone: str | None) -> IntArray:
    """Return the position of every time, shape (n,); zone : by whose clock hours are counted, as `season_zone` says."""
    return ordinals(times, time) if zone is None else _ordinals(wall_times(times, zone), time.rule)


def skipped_positions(places: IntArray, time: Time, zone: str) -> BoolArray:
    """Mask of the positions whose time on the wall clocks of the zone skip, shape (n,)."""
    wall = (places * (time.rule.minutes * MINUTE_US)).astype("datetime64[us]")
    mask: BoolArray = wall_times(instants_of(wall, zone), zone) != wall
    return mask


def _ordinals(times: Times, rule: FrequencyRule) -> IntArray:
    micros = times.astype("datetime64[us]").astype(np.int64)
    if rule.is_clock:
        return micros // (rule.minutes * MINUTE_US)
    if rule.unit == "month":
        return (times.astype("datetime64[M]").astype(np.int64) - rule.begin) // rule.count
    days = micros // _DAY_US
    if rule.unit == "day":
        return days // rule.count
    if rule.unit == "week":
        return (days + _EPOCH_WEEKDAY - rule.begin) // 7 // rule.count
    if rule.unit == "business_day":
        return np.asarray(np.busday_count(_EPOCH, days.astype("datetime64[D]")), dtype=np.int64)
    months, day = months_and_days(times)
    return 2 * months + (day >= rule.begin)


def months_and_days(times: Times) -> tuple[IntArray, IntArray]:
    """Return months since 1970 and the day of the month, from 1, of every time; two arrays of shape (n,)."""
    months = times.astype("datetime64[M]")
    day = (times.astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64) + 1
    return months.astype(np.int64), day


def period_starts(periods: IntArray, time: Time) -> Times:
    """Return the first time of each period: the inverse of `ordinals`, of the same shape."""
    rule = time.rule
    if rule.is_clock:
        starts = (periods * (rule.minutes * MINUTE_US)).astype("datetime64[us]")
        return instants_of(starts, time.zone_name) if rule.on_wall_clock else starts
    if rule.unit == "month":
        days = (periods * rule.count + rule.begin).astype("datetime64[M]").astype("datetime64[D]")
    elif rule.unit == "week":
        days = (7 * rule.count * periods - _EPOCH_WEEKDAY + rule.begin).astype("datetime64[D]")
    elif rule.unit == "business_day":
        days = np.busday_offset(_EPOCH, periods, roll="forward")
    elif rule.unit == "half_month":
        days = (periods // 2).astype("datetime64[M]").astype("datetime64[D]") + (periods % 2) * (rule.begin - 1)
    else:
        days = (periods * rule.count).astype("datetime64[D]")
    return days.astype("datetime64[us]")
