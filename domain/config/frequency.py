"""Frequencies of forecast fleets: how long a period is, and where periods begin.

A frequency is written as one of pandas' aliases, such as `15min`, `h`, `D`, `B`, `W-FRI`, `MS` or `QE-JAN`. `M`, `Q`
and `Y` stand for the period alone: on which of its days a row is dated is found from the history.
"""

import re
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

__all__ = ["FrequencyRule", "frequency_rule"]

Unit = Literal["minute", "day", "business_day", "week", "half_month", "month"]
_DAY, _WEEK = 1_440, 10_080
_LONGEST_SEASON = 2_016
"""Periods of the longest season that `auto` looks for: a week of five minutes."""
_LONGEST_PERIOD = 10_000
_FORMER = {
    "H": "h",
    "T": "min",
    "M": "ME",
    "Q": "QE",
    "Y": "YE",
    "A": "YE",
    "AS": "YS",
    "SM": "SME",
    "BM": "BME",
    "BQ": "BQE",
    "BA": "BYE",
    "BY": "BYE",
    "BAS": "BYS",
}
"""Aliases that pandas has renamed."""
_ALIAS = re.compile(r"^(\d*)([A-Za-z]+)(-[A-Za-z]{3})?$")
_ALLOWED = (
    "allowed: 15min, 30min or other minutes and hours (h, 6h) that divide a day; D, B (Monday to Friday), W or W-FRI "
    "(weeks that end on Friday), SM or SMS (half months), M, Q or Q-JAN, Y or Y-JUN, their other pandas names (MS, ME, "
    "BME, QS, YS ...), and multiples such as 2W or 3M"
)


@dataclass(frozen=True)
class FrequencyRule:
    """Length and beginning of periods.

    Parameters
    ----------
    text : as the fleet file has it.
    count : units in a period.
    begin : weeks: weekday on which they begin, Monday is 0. Half months: first day of the second half. Months: months
        after January with which a period begins.
    """

    text: str
    unit: Unit
    count: int = 1
    begin: int = 0

    @property
    def is_clock(self) -> bool:
        """Whether periods are shorter than a day, so that rows have a time of day."""
        return self.unit == "minute"

    @property
    def minutes(self) -> int:
        """Minutes of a period that is shorter than a day; 0 of others."""
        return self.count if self.unit == "minute" else 0

    @property
    def on_wall_clock(self) -> bool:
        """Whether periods are counted by the clock on the wall: those of several hours, which end at midnight."""
        return self.minutes > 60

    @property
    def on_workdays(self) -> bool:
        """Whether the fleet file asks for the first or the last workday of months, quarters or years, such as `BME`."""
        return self.unit == "month" and self.text.lstrip("0123456789").startswith("B")

    @property
    def days(self) -> float:
        """Length of a period in days, on average."""
        per_unit = {"minute": 1 / _DAY, "day": 1.0, "business_day": 1.4, "week": 7.0, "half_month": 15.22}
        return self.count * per_unit.get(self.unit, 30.4375)

    @property
    def seasons(self) -> tuple[int, ...]:
        """Periods of the usual seasons, the shortest first: a day and a week, a week, or a year."""
        if self.unit == "minute":
            day, week = _DAY // self.count, _WEEK // self.count
            # Hours have a day alone, as they always had.
            return (day, week) if self.count != 60 and week <= _LONGEST_SEASON else (day,)
        whole = {"day": 7, "business_day": 5, "week": 52, "half_month": 24, "month": 12}[self.unit]
        return (whole // self.count if whole % self.count == 0 else 1,)

    @property
    def noun(self) -> str:
        """Its periods in words, such as `weeks`, `15 minutes each` or `months`."""
        named = {("minute", 60): "hours", ("month", 3): "quarters", ("month", 12): "years"}
        plural = {"minute": "minutes", "day": "days", "business_day": "business days", "week": "weeks"}
        plural |= {"half_month": "half months", "month": "months"}
        if name := named.get((self.unit, self.count)):
            return name
        if self.unit == "minute" and self.count % 60 == 0:
            return f"periods of {self.count // 60} hours"
        return plural[self.unit] if self.count == 1 else f"periods of {self.count} {plural[self.unit]}"


_PLAIN = {
    "h": FrequencyRule("h", "minute", 60),
    "D": FrequencyRule("D", "day"),
    "W": FrequencyRule("W", "week"),
    "M": FrequencyRule("M", "month"),
    "Q": FrequencyRule("Q", "month", 3),
    "Y": FrequencyRule("Y", "month", 12),
}


@lru_cache
def frequency_rule(text: str) -> FrequencyRule:
    """Parse a frequency.

    Raises
    ------
    ValueError
        If it is not an alias of pandas, or none that periods of a fleet can have.
    """
    if text in _PLAIN:
        return _PLAIN[text]
    # Only here: commands that read a fleet file with a plain frequency do not wait for pandas.
    from pandas.tseries.frequencies import to_offset

    match = _ALIAS.match(text)
    if not match:
        raise ValueError(_ALLOWED)
    alias = _FORMER.get(match[2], match[2])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            offset = to_offset(f"{match[1]}{alias}{match[3] or ''}")
    except ValueError as exc:
        raise ValueError(_ALLOWED) from exc
    rule = _rule_of(text, offset)
    if rule is None or not 1 <= rule.count <= _LONGEST_PERIOD or (rule.is_clock and _DAY % rule.count):
        raise ValueError(_ALLOWED)
    return rule


def _rule_of(text: str, offset: Any) -> FrequencyRule | None:
    """The rule of an offset of pandas; None for one that has no periods of its own."""
    kind, n = type(offset).__name__, int(offset.n)
    if kind in ("Minute", "Hour"):
        return FrequencyRule(text, "minute", n * (60 if kind == "Hour" else 1))
    if kind == "Day":
        return FrequencyRule(text, "day", n)
    if kind == "Week":
        last = 6 if offset.weekday is None else offset.weekday
        return FrequencyRule(text, "week", n, (last + 1) % 7)
    if kind == "BusinessDay":
        return FrequencyRule(text, "business_day") if n == 1 else None
    if kind in ("SemiMonthEnd", "SemiMonthBegin"):
        return FrequencyRule(text, "half_month", begin=16 if kind == "SemiMonthEnd" else 15) if n == 1 else None
    begins_there = kind.endswith("Begin")
    if kind.endswith(("MonthEnd", "MonthBegin")) and not kind.startswith("Custom"):
        return FrequencyRule(text, "month", n)
    if kind.endswith(("QuarterEnd", "QuarterBegin")) and "FY" not in kind:
        return FrequencyRule(text, "month", 3 * n, (offset.startingMonth - begins_there) % 3)
    if kind.endswith(("YearEnd", "YearBegin")):
        return FrequencyRule(text, "month", 12 * n, (offset.month - begins_there) % 12)
    return None
