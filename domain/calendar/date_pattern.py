"""How the rows of a series are dated within their periods, found from its whole history.

A monthly row may be dated on the first, on the 28th, on the last business day; a weekly one on Fridays; an hourly one
at half past. The periods to come are dated alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from domain.arrays import BoolArray, FloatArray, IntArray
from domain.calendar.ordinals import Times, months_and_days, ordinals, period_starts
from domain.calendar.zones import instants_of, wall_times
from domain.config.frequency import FrequencyRule
from domain.config.time_section import Time

__all__ = ["DatePattern", "find_date_pattern"]

_USUAL = 0.8
"""Share of the rows that a pattern must fit; otherwise the newest row is the pattern."""
_END = 31
"""A day of the month that stands for its last one."""
LAST_WORKDAY, FIRST_WORKDAY, LAST_WEEKDAY, NTH_WEEKDAY = 101, 102, 110, 200
"""Days of the month by rule: the last and the first one from Monday to Friday; 110 + weekday for the last such day, and
200 + 7 n + weekday for the n-th."""


@dataclass(frozen=True)
class DatePattern:
    """Dates of S series within their periods.

    Parameters
    ----------
    within : offset from the start of the period in microseconds, or, for periods of months, in months, [S].
    days : day of the month, a rule or a number from 1 to 31, in the first and the second half of a month, [S, 2]; both
        are the same for whole months, and 0 where periods are not made of months.
    """

    time: Time
    within: IntArray
    days: IntArray

    def take(self, index: IntArray) -> "DatePattern":
        """The pattern of some series."""
        return DatePattern(self.time, self.within[index], self.days[index])

    @classmethod
    def join(cls, patterns: Sequence["DatePattern"]) -> "DatePattern":
        """The series of several patterns of one fleet, one after another."""
        within, days = (np.concatenate([getattr(pattern, name) for pattern in patterns]) for name in ("within", "days"))
        return cls(patterns[0].time, within, days)

    def times(self, periods: IntArray) -> Times:
        """Times of the rows of periods, by ordinals [S, n]."""
        rule = self.time.rule
        if rule.unit == "month":
            months = periods * rule.count + rule.begin + self.within[:, None]
            return dated(months, np.broadcast_to(self.days[:, :1], months.shape))
        if rule.unit == "half_month":
            half = (periods % 2).astype(bool)
            return dated(periods // 2, np.where(half, self.days[:, 1:], self.days[:, :1]))
        if rule.on_wall_clock:
            starts = wall_times(period_starts(periods.ravel(), self.time), self.time.zone_name).reshape(periods.shape)
            return instants_of(starts + self.within[:, None].astype("timedelta64[us]"), self.time.zone_name)
        shifted: Times = period_starts(periods, self.time) + self.within[:, None].astype("timedelta64[us]")
        return shifted


def dated(months: IntArray, days: IntArray) -> Times:
    """Dates of months since 1970 by day or rule, both of one shape; a day that a month lacks is its last one."""
    first = months.astype("datetime64[M]").astype("datetime64[D]")
    last = (months + 1).astype("datetime64[M]").astype("datetime64[D]") - 1
    result = np.minimum(first + (np.clip(days, 1, _END) - 1), last)
    result = np.where(days == LAST_WORKDAY, np.busday_offset(last, 0, roll="backward"), result)
    result = np.where(days == FIRST_WORKDAY, np.busday_offset(first, 0, roll="forward"), result)
    from_end = np.clip(days - LAST_WEEKDAY, 0, 6)
    by_end = last - ((last.astype(np.int64) + 3) - from_end) % 7
    result = np.where((days >= LAST_WEEKDAY) & (days < NTH_WEEKDAY), by_end, result)
    nth, weekday = np.divmod(np.maximum(days - NTH_WEEKDAY, 0), 7)
    begin = (first.astype(np.int64) + 3) % 7
    by_weekday = first + (weekday - begin) % 7 + 7 * nth
    dates: Times = np.where(days >= NTH_WEEKDAY, by_weekday, result).astype("datetime64[us]")
    return dates


def find_date_pattern(times: Times, starts: IntArray, lengths: IntArray, time: Time) -> DatePattern:
    """Find the pattern of several series.

    Parameters
    ----------
    times : of all rows, sorted within each series, [n].
    starts, lengths : of each series in `times`, [S].
    """
    rule, n_series = time.rule, len(starts)
    code = np.repeat(np.arange(n_series), lengths)
    last = starts + lengths - 1
    if rule.unit not in ("month", "half_month"):
        begin = period_starts(ordinals(times, time), time)
        if rule.on_wall_clock:
            begin, times = wall_times(begin, time.zone_name), wall_times(times, time.zone_name)
        within = _usual((times.astype("datetime64[us]") - begin).astype(np.int64), starts, lengths)
        return DatePattern(time, within, np.zeros((n_series, 2), np.int64))
    months, day = months_and_days(times)
    if rule.unit == "month":
        within = _usual((months - rule.begin) % rule.count, starts, lengths)
        days = _days(months, day, code, last, np.ones(len(times), bool), rule)
        return DatePattern(time, within, np.column_stack([days, days]))
    second = day >= rule.begin
    halves = [_days(months, day, code, last, second == later, rule) for later in (False, True)]
    # Without a row in one half, its date is the first day of that half.
    halves = [
        np.where(np.bincount(code[second == later], minlength=n_series) > 0, half, default)
        for later, half, default in zip((False, True), halves, (1, rule.begin), strict=True)
    ]
    return DatePattern(time, np.zeros(n_series, np.int64), np.column_stack(halves))


def _usual(values: IntArray, starts: IntArray, lengths: IntArray) -> IntArray:
    """The usual value of each series, [S]; the last one where none is usual."""
    usual = values[starts + lengths - 1].copy() if len(starts) else np.zeros(0, np.int64)
    if not len(starts):
        return usual
    varies = np.flatnonzero(np.minimum.reduceat(values, starts) != np.maximum.reduceat(values, starts))
    for series in varies.tolist():
        own, counts = np.unique(values[starts[series] : starts[series] + lengths[series]], return_counts=True)
        if counts.max() >= _USUAL * lengths[series]:
            usual[series] = own[np.argmax(counts)]
    return usual


def _days(
    months: IntArray, day: IntArray, code: IntArray, last: IntArray, used: BoolArray, rule: FrequencyRule
) -> IntArray:
    """Day or rule of each series, [S]: the first of those that fit most rows; used : mask of the rows that count."""
    n_series = len(last)
    newest = _newest_used(code, used, last)
    candidates = _candidates(months, day, code, used, newest, rule)
    dates = (months.astype("datetime64[M]").astype("datetime64[D]") + (day - 1)).astype("datetime64[us]")
    count = np.maximum(np.bincount(code[used], minlength=n_series), 1)
    fits: list[FloatArray] = []
    for days in candidates:
        same = used & (dated(months, days[code]) == dates)
        fits.append(np.bincount(code[same], minlength=n_series) / count)
    share = np.stack(fits)
    best = np.argmax(share, axis=0)  # The first of equals.
    chosen = np.take_along_axis(np.stack(candidates), best[None], axis=0)[0]
    return np.where(share.max(axis=0) >= _USUAL, chosen, day[newest])


def _newest_used(code: IntArray, used: BoolArray, last: IntArray) -> IntArray:
    """Index of the newest row of each series that counts; the newest of all where none does."""
    newest = np.full(len(last), -1)
    np.maximum.at(newest, code, np.where(used, np.arange(len(code)), -1))
    return np.where(newest >= 0, newest, last)


def _candidates(
    months: IntArray, day: IntArray, code: IntArray, used: BoolArray, newest: IntArray, frequency: FrequencyRule
) -> list[IntArray]:
    """Days and rules to try, each of shape [S], in the order in which equals are chosen."""
    n_series = len(newest)
    latest = np.zeros(n_series, np.int64)
    np.maximum.at(latest, code[used], day[used])
    dates = months[newest].astype("datetime64[M]").astype("datetime64[D]") + (day[newest] - 1)
    weekday = (dates.astype(np.int64) + 3) % 7
    nth_weekday = NTH_WEEKDAY + 7 * ((day[newest] - 1) // 7) + weekday
    rules = [np.full(n_series, rule) for rule in (_END, LAST_WORKDAY, FIRST_WORKDAY)]
    end, last_workday, first_workday = rules
    if frequency.on_workdays:
        return [last_workday, first_workday, end, latest, day[newest]]
    return [end, latest, day[newest], last_workday, first_workday, nth_weekday, LAST_WEEKDAY + weekday]
