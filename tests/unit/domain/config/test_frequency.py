"""Frequencies are pandas' aliases that periods of a fleet can have."""

import pytest

from domain.config.frequency import frequency_rule


@pytest.mark.parametrize(
    ("text", "unit", "count", "begin", "seasons"),
    [
        ("min", "minute", 1, 0, (1440,)),
        ("5min", "minute", 5, 0, (288, 2016)),
        ("15T", "minute", 15, 0, (96, 672)),
        ("30min", "minute", 30, 0, (48, 336)),
        ("h", "minute", 60, 0, (24,)),
        ("H", "minute", 60, 0, (24,)),
        ("6h", "minute", 360, 0, (4, 28)),
        ("D", "day", 1, 0, (7,)),
        ("2D", "day", 2, 0, (1,)),
        ("B", "business_day", 1, 0, (5,)),
        ("W", "week", 1, 0, (52,)),
        ("W-SUN", "week", 1, 0, (52,)),
        ("W-FRI", "week", 1, 5, (52,)),
        ("2W", "week", 2, 0, (26,)),
        ("SM", "half_month", 1, 16, (24,)),
        ("SMS", "half_month", 1, 15, (24,)),
        ("M", "month", 1, 0, (12,)),
        ("BME", "month", 1, 0, (12,)),
        ("3M", "month", 3, 0, (4,)),
        ("Q-JAN", "month", 3, 1, (4,)),
        ("QS-FEB", "month", 3, 1, (4,)),
        ("Y-JUN", "month", 12, 6, (1,)),
        ("YS-JUL", "month", 12, 6, (1,)),
        ("A-DEC", "month", 12, 0, (1,)),
    ],
)
def test_aliases(text, unit, count, begin, seasons):
    rule = frequency_rule(text)
    assert (rule.unit, rule.count, rule.begin, rule.seasons) == (unit, count, begin, seasons)


@pytest.mark.parametrize("text", ["", "7min", "48h", "s", "C", "bh", "2B", "0D", "-1D", "D-MON", "1.5h", "99999D", "x"])
def test_others_are_refused_with_those_that_are_allowed(text):
    with pytest.raises(ValueError, match="allowed: 15min, 30min or other minutes"):
        frequency_rule(text)
