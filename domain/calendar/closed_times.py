"""Weekdays and hours that never have a row: a depot that is closed on Sundays, a shop that opens at nine.

Such periods are no gaps. They keep their columns in a series, so that a week stays a week, but nothing is learnt from
them or judged by them, and nothing is forecast for them.
"""

import numpy as np

from domain.arrays import BoolArray, FloatArray, IntArray
from domain.config.frequency import FrequencyRule

__all__ = ["closed_columns", "closed_slots", "slots_of"]

_DAYS, _HOURS, _WEEK_HOURS = 7, 24, 168
_EPOCH_WEEKDAY = 3  # Thursday
_LEAST_WEEKS, _LEAST_DAYS = 4, 10
_CHANCE = 1e-4
"""Chance of so many empty periods, were they as often filled as the others, below which a slot is closed."""


def slots_of(positions: IntArray, rule: FrequencyRule) -> IntArray:
    """Weekday (Monday is 0) or hour of the week of positions, of the same shape; 0 where periods have neither."""
    if rule.unit == "day" and rule.count == 1:
        return (positions + _EPOCH_WEEKDAY) % _DAYS
    if rule.is_clock:
        return (positions * rule.minutes // 60 + _HOURS * _EPOCH_WEEKDAY) % _WEEK_HOURS
    return np.zeros_like(positions)


def closed_slots(positions: IntArray, code: IntArray, n_series: int, rule: FrequencyRule) -> BoolArray:
    """Slots of each series that never have a row although its history is long enough to tell, [S, slots].

    positions : of all rows, sorted within each series, [n]. code : series of each row, [n].
    """
    width = _DAYS if rule.unit == "day" and rule.count == 1 else _WEEK_HOURS if rule.is_clock else 1
    if width == 1 or not n_series:
        return np.zeros((n_series, width), dtype=bool)
    slots = slots_of(positions, rule)
    rows = np.bincount(code * width + slots, minlength=n_series * width).reshape(n_series, width).astype(np.float64)
    first, last = np.full(n_series, np.iinfo(np.int64).max), np.full(n_series, np.iinfo(np.int64).min)
    np.minimum.at(first, code, positions)
    np.maximum.at(last, code, positions)
    periods_a_week = _DAYS if width == _DAYS else _WEEK_HOURS * 60 // rule.minutes
    weeks = (last - first + 1) / periods_a_week
    if width == _DAYS:
        return _never(rows, weeks, 1.0, _LEAST_WEEKS)
    in_slot = max(1.0, 60 / rule.minutes)
    hourly = rows.reshape(n_series, _DAYS, _HOURS).sum(axis=1)
    by_hour = _never(hourly, weeks * _DAYS, in_slot, _LEAST_DAYS)
    if rule.minutes > 60:  # Most hours begin no period.
        begins = np.isin(np.arange(width), slots_of(np.arange(periods_a_week), rule))
        rows = np.where(begins, rows, np.inf)
        by_hour &= begins[:_HOURS]
    return _never(rows, weeks, in_slot, _LEAST_WEEKS) | np.tile(by_hour, _DAYS)


def _never(rows: FloatArray, times: FloatArray, in_slot: float, least: int) -> BoolArray:
    """Slots without a row, [S, slots]. times : how often each slot comes by, [S]. in_slot : periods at each time."""
    expected = (times * in_slot)[:, None]
    used = (rows > 0) & np.isfinite(rows)
    share = np.where(used, rows, 0.0).sum(axis=1) / np.maximum(used.sum(axis=1) * expected[:, 0], 1.0)
    by_chance = np.power(1.0 - np.clip(share, 0.0, 1.0), np.floor(times))
    closed: BoolArray = (rows == 0) & ((by_chance < _CHANCE) & (np.floor(times) >= least))[:, None]
    return closed


def closed_columns(closed: BoolArray, ends: IntArray, width: int, rule: FrequencyRule, ahead: int = 0) -> BoolArray:
    """Mask of the columns of right-aligned series that are closed, [S, width].

    closed : of `closed_slots`, [S, slots]. ends : position of the last column, [S]. ahead : columns after that.
    """
    if not closed.any():
        return np.zeros((len(ends), width), dtype=bool)
    positions = ends[:, None] + ahead - width + 1 + np.arange(width)[None, :]
    return np.take_along_axis(closed, slots_of(positions, rule), axis=1)
