"""Times of a training sample: their range, and whether the fleet's frequency fits them."""

from collections.abc import Iterator

import numpy as np

from domain.checks.findings import Problem, TimeFacts
from domain.checks.segments import SegmentRows

__all__ = ["fitting_frequency", "time_facts", "time_problems"]

DAYS: dict[str, float] = {"h": 1 / 24, "D": 1, "W": 7, "M": 30.44, "Q": 91.3, "Y": 365.25}
_DAY_US = 86_400_000_000.0
_RARE_SHARE = 0.1


def fitting_frequency(rows: SegmentRows) -> tuple[float | None, str | None]:
    """Median distance of consecutive rows of a segment in days, and the frequency whose period is nearest.

    A distance of 0 says nothing: times have been rounded to the fleet's frequency.
    """
    distance = np.diff(rows.times).astype(np.int64)[np.diff(rows.codes) == 0] / _DAY_US
    if not len(distance):
        return None, None
    median = float(np.median(distance))
    if median == 0:
        return median, None
    return median, min(DAYS, key=lambda name: abs(np.log(median / DAYS[name])))


def time_facts(rows: SegmentRows, unrounded: SegmentRows) -> TimeFacts | None:
    """unrounded : the same rows with times to the microsecond; only they tell a frequency finer than the fleet's."""
    time = rows.fleet.time
    if time is None:
        return None
    median, fitting = fitting_frequency(unrounded) if rows.fleet.task_type.periodic else (None, None)
    first, last = (np.datetime_as_string(end, "m").replace("T", " ") for end in (rows.times.min(), rows.times.max()))
    return TimeFacts(first.removesuffix(" 00:00"), last.removesuffix(" 00:00"), time.frequency, median, fitting)


def time_problems(facts: TimeFacts, rows: SegmentRows) -> Iterator[Problem]:
    """A frequency that the distances between rows do not fit."""
    told, fits = facts.frequency, facts.fitting
    if facts.distance_days is None or fits is None:
        return
    apart = f"rows of a segment are {_days(facts.distance_days)} apart (median)"
    if facts.distance_days < DAYS["h"] / 2:
        yield Problem("warning", "time.frequency", f"{apart}, finer than any frequency; sum them up before")
    elif fits != told and DAYS[fits] < DAYS[told]:
        yield Problem(
            "warning", "time.frequency", f"{told} is coarser than the data: {apart}; use {fits}, or sum rows up before"
        )
    elif fits != told:
        step = np.diff(rows.periods)[np.diff(rows.codes) == 0]
        # Rows that are there only when something was sold are far apart too, but some of them follow each other.
        if np.mean(step == 1) < _RARE_SHARE:
            yield Problem("warning", "time.frequency", f"{told} is finer than the data: {apart}; use {fits}")


def _days(days: float) -> str:
    if days < 1 / 24:
        return f"{days * 24 * 60:.3g} minutes"
    return f"{days * 24:.3g} hours" if days < 1 else f"{days:.4g} days"
