"""The periods that follow a series: when they are, and which steps of a forecast they are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from domain.arrays import BoolArray, IntArray
from domain.calendar.closed_times import closed_columns, closed_slots
from domain.calendar.date_pattern import DatePattern, find_date_pattern
from domain.calendar.ordinals import Times, ordinals, positions
from domain.config.time_section import Time

__all__ = ["PeriodPattern", "PeriodsAhead", "find_period_pattern"]


@dataclass(frozen=True)
class PeriodsAhead:
    """Periods after the end of one series, [n]: their times, their ordinals, and the steps of a forecast, from 0.

    Usually one for each step. An hour that clocks skip, or a weekday that is closed, has no period, and an hour that
    clocks repeat has two of one step.
    """

    times: Times
    periods: IntArray
    steps: IntArray


@dataclass(frozen=True)
class PeriodPattern:
    """When S series have rows.

    zone : by whose clock positions are counted, as `season_zone` says. closed : slots that never have a row,
    [S, slots].
    """

    dates: DatePattern
    zone: str | None
    closed: BoolArray

    def take(self, index: IntArray) -> "PeriodPattern":
        """The pattern of some series."""
        return PeriodPattern(self.dates.take(index), self.zone, self.closed[index])

    @classmethod
    def join(cls, patterns: Sequence["PeriodPattern"]) -> "PeriodPattern":
        """The series of several patterns of one fleet, one after another."""
        dates = DatePattern.join([pattern.dates for pattern in patterns])
        return cls(dates, patterns[0].zone, np.concatenate([pattern.closed for pattern in patterns]))

    def closed_columns(self, ends: IntArray, width: int) -> BoolArray:
        """Mask [S, width] of the columns that are no periods; ends : position of the last column, [S]."""
        return closed_columns(self.closed, ends, width, self.dates.time.rule)

    def ahead(self, last: Times, horizon: int) -> list[PeriodsAhead]:
        """The next periods of each series; last : time of its newest row, [S]."""
        time = self.dates.time
        begin = ordinals(last, time)
        # Two hours of the clock on the wall may be three that pass.
        more = 0 if self.zone is None else max(1, 60 // time.rule.minutes)
        periods = begin[:, None] + np.arange(1, horizon + more + 1)[None, :]
        times = self.dates.times(periods)
        if self.zone is None:
            steps = np.broadcast_to(np.arange(horizon), times.shape)
            kept = np.ones(times.shape, dtype=bool)
        else:
            end = positions(last, time, self.zone)
            place = positions(times.ravel(), time, self.zone).reshape(times.shape) - end[:, None]
            # The second of two equal hours at the very beginning is forecast like the hour that follows.
            # Of an hour that clocks repeat, nothing counts after the end of the horizon: it would leave a hole.
            steps, kept = np.maximum(place, 1) - 1, np.logical_and.accumulate(place <= horizon, axis=1)
        if self.closed.any():
            ends = positions(last, time, self.zone)
            by_step = closed_columns(self.closed, ends, horizon, time.rule, ahead=horizon)
            is_open = ~np.take_along_axis(by_step, np.minimum(steps, horizon - 1), axis=1)
            # A horizon that ends before the next open period is forecast all the same: no segment goes missing.
            kept &= is_open | ~(kept & is_open).any(axis=1, keepdims=True)
        return [PeriodsAhead(times[s][kept[s]], periods[s][kept[s]], steps[s][kept[s]]) for s in range(len(last))]


def find_period_pattern(
    times: Times, starts: IntArray, lengths: IntArray, time: Time, zone: str | None
) -> PeriodPattern:
    """Find when several series have rows.

    Parameters
    ----------
    times : of all rows, sorted within each series, [n].
    starts, lengths : of each series in `times`, [S].
    zone : by whose clock positions are counted.
    """
    code = np.repeat(np.arange(len(starts)), lengths)
    slots = np.zeros((len(starts), 1), dtype=bool)
    if time.gaps != "zero":
        slots = closed_slots(positions(times, time, zone), code, len(starts), time.rule)
    return PeriodPattern(find_date_pattern(times, starts, lengths, time), zone, slots)
