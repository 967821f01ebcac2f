"""Times of a training sample: their range, and how well the fleet's frequency fits."""

from collections.abc import Iterator

import numpy as np

from domain.calendar.ordinals import ordinals
from domain.checks.findings import Problem, TimeFacts
from domain.checks.segments import SegmentRows
from domain.config.frequency import frequency_rule
from domain.config.time_section import Time
from domain.scaffold.frequency_search import consecutive_frequency
from domain.scaffold.timestamps import repeated_share

__all__ = ["fitting_frequency", "time_facts", "time_problems"]

_FREQUENCIES = ("min", "5min", "10min", "15min", "30min", "h", "D", "W", "M", "Q", "Y")
_FINER, _COARSER = 0.7, 1.5
"""Distance between rows over the length of a period, from which on another frequency is meant."""
_DAY_US = 86_400_000_000.0
_RARE_SHARE, _FEW_REPEATED = 0.1, 0.02


def fitting_frequency(rows: SegmentRows) -> tuple[float | None, str | None]:
    """Median distance between consecutive rows of a segment in days, and the frequency with the nearest period.

    A distance of 0 fits no frequency: the times have been rounded to the fleet's own.
    """
    distance = np.diff(rows.times).astype(np.int64)[np.diff(rows.codes) == 0] / _DAY_US
    if not len(distance):
        return None, None
    median = float(np.median(distance))
    if median == 0:
        return median, None
    return median, min(_FREQUENCIES, key=lambda name: abs(np.log(median / frequency_rule(name).days)))


def time_facts(rows: SegmentRows, unrounded: SegmentRows) -> TimeFacts | None:
    """Facts about the times of the rows; None without a time column.

    unrounded : the same rows with times to the microsecond, which reveal a frequency finer than the fleet's.
    """
    time = rows.fleet.time
    if time is None:
        return None
    median, fitting = fitting_frequency(unrounded) if rows.fleet.task_type.periodic else (None, None)
    first, last = (np.datetime_as_string(end, "m").replace("T", " ") for end in (rows.times.min(), rows.times.max()))
    return TimeFacts(first.removesuffix(" 00:00"), last.removesuffix(" 00:00"), time.frequency, median, fitting)


def time_problems(facts: TimeFacts, rows: SegmentRows) -> Iterator[Problem]:
    """Warn of a frequency that does not fit the distance between rows."""
    frequency, fitting = facts.frequency, facts.fitting
    period = frequency_rule(frequency).days
    if facts.distance_days is None or fitting is None:
        return
    apart = f"rows of a segment are {_days(facts.distance_days)} apart (median)"
    if facts.distance_days < frequency_rule("min").days / 2:
        yield Problem("warning", "time.frequency", f"{apart}, finer than any frequency; sum them up first")
    elif max(facts.distance_days, frequency_rule(fitting).days) < _FINER * period:
        coarser = f"{frequency} is coarser than the data: {apart}"
        yield Problem("warning", "time.frequency", f"{coarser}; use {fitting}, or sum the rows up first")
    elif facts.distance_days > _COARSER * period:
        step = np.diff(rows.periods)[np.diff(rows.codes) == 0]
        # Rows that record only sales are far apart too, but some of them fall in consecutive periods.
        if np.mean(step == 1) < _RARE_SHARE:
            finer = f"{frequency} is finer than the data: {apart}"
            yield Problem("warning", "time.frequency", f"{finer}; {_way_out(rows, frequency, fitting)}")


def _way_out(rows: SegmentRows, frequency: str, usual: str) -> str:
    """A frequency that leaves no period empty, if there is one."""
    if fitting := consecutive_frequency(rows.codes, rows.times, frequency, usual):
        return f"use {fitting}"
    if repeated_share(rows.codes, ordinals(rows.times, Time(column="", frequency=usual))) <= _FEW_REPEATED:
        return f"use {usual}"
    # Such as a calendar of 4, 4 and 5 weeks.
    return (
        f"no frequency has a row in each period, and {usual} has several in some; number the periods by months in a "
        "column of its own (2024-01 for the first), and use M"
    )


def _days(days: float) -> str:
    if days < 1 / 24:
        return f"{days * 24 * 60:.3g} minutes"
    return f"{days * 24:.3g} hours" if days < 1 else f"{days:.4g} days"
