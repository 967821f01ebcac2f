"""Rows whose time cannot be meant: a year that was mistyped, in the future or far from all other rows."""

from datetime import UTC, date, datetime, timedelta

import numpy as np

from domain.arrays import BoolArray, IntArray
from domain.calendar.ordinals import Times
from domain.config.fleet import Fleet

__all__ = ["STRAY", "beyond_range", "stray_rows"]

STRAY = "a gap of many times the segment's history separates it from the other rows; see validation.time_range"
"""Reason to reject a row that `stray_rows` finds."""
_LEAST_ROWS = 10
_MOST_SHARE = 0.02
_MANY_TIMES = 5
_LEAST_GAP = np.timedelta64(366, "D")


def beyond_range(times: Times, fleet: Fleet, now: datetime) -> tuple[BoolArray, str]:
    """Mask of the rows outside of `validation.time_range`, and the reason to reject them; times : NaT where missing.

    By default, rows later than now by more than the horizon, which cannot have been observed yet.
    """
    allowed, column = fleet.validation.time_range, fleet.time.column if fleet.time else ""
    if allowed == "off" or fleet.time is None:
        return np.zeros(len(times), dtype=bool), ""
    if isinstance(allowed, list):
        first, last = (np.datetime64(date.fromisoformat(text), "us") for text in allowed)
        outside = (times < first) | (times >= last + np.timedelta64(1, "D"))
        return outside, f"{column} is outside of validation.time_range, {allowed[0]} to {allowed[1]}"
    days = 2 + fleet.steps * fleet.time.rule.days
    latest = now.astimezone(UTC).replace(tzinfo=None) + timedelta(days=days)
    detail = f"{column} is later than now by more than the horizon; see validation.time_range"
    return times > np.datetime64(latest, "us"), detail


def stray_rows(times: Times, starts: IntArray, lengths: IntArray, fleet: Fleet) -> BoolArray:
    """Mask of the few rows at the beginning or end of a series that lie far from all others, [n].

    A series has at least ten other rows, the gap is a year or more, and five times as long as all of them together.

    Parameters
    ----------
    times : of all rows, sorted within each series, [n].
    starts, lengths : of each series in `times`, [S].
    """
    stray = np.zeros(len(times), dtype=bool)
    if fleet.validation.time_range != "auto" or len(times) < _LEAST_ROWS:
        return stray
    gaps = np.diff(times)
    # Few series have such a gap at all.
    candidates = np.flatnonzero(gaps >= _LEAST_GAP)
    series = np.unique(np.searchsorted(starts, candidates, side="right") - 1)
    for start, length in zip(starts[series].tolist(), lengths[series].tolist(), strict=True):
        if length > _LEAST_ROWS:
            first, end = _main_part(times[start : start + length])
            stray[start : start + first] = True
            stray[start + end : start + length] = True
    return stray


def _main_part(times: Times) -> tuple[int, int]:
    """First index of the rows that belong together, and the index after the last one."""
    most = max(1, int(_MOST_SHARE * len(times)))
    first, end = 0, len(times)
    for cut in range(1, most + 1):
        if _is_far(times[cut] - times[cut - 1], times[cut : len(times) - most]):
            first = cut
        if _is_far(times[-cut] - times[-cut - 1], times[first : len(times) - cut]):
            end = len(times) - cut
    return first, end


def _is_far(gap: np.timedelta64, others: Times) -> bool:
    return bool(gap >= _LEAST_GAP and gap > _MANY_TIMES * (others[-1] - others[0]))
