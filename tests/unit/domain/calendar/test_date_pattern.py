"""The dates of the periods to come continue those of the whole history."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.calendar.date_pattern import find_date_pattern
from domain.calendar.ordinals import ordinals
from domain.config.time_section import Time

ALIASES = {"M": ["ME", "MS", "BME", "BMS", "WOM-3FRI", "WOM-1MON", "LWOM-FRI"], "Q": ["QE", "QS", "BQE", "QE-JAN"]}
ALIASES |= {"Y": ["YE", "YS", "YE-JUN"], "W": ["W-MON", "W-FRI", "W-SUN"], "W-MON": ["W-MON"], "2W": ["2W-WED"]}
ALIASES |= {"SM": ["SME"], "SMS": ["SMS", "SMS-20"], "B": ["B"], "D": ["D"], "15min": ["15min"], "6h": ["6h"]}
CASES = [(frequency, alias) for frequency, aliases in ALIASES.items() for alias in aliases]


def ahead(times, frequency, steps, zone="auto"):
    time = Time(column="t", frequency=frequency, zone=zone)
    times = np.asarray(times, "datetime64[us]")
    pattern = find_date_pattern(times, np.array([0]), np.array([len(times)]), time)
    result = pattern.times(ordinals(times[-1:], time)[:, None] + np.arange(1, steps + 1))[0]
    assert ordinals(result, time).tolist() == (ordinals(times[-1:], time) + np.arange(1, steps + 1)).tolist()
    return result


@pytest.mark.parametrize(("frequency", "alias"), CASES)
@given(start=st.dates(pd.Timestamp("1950-01-01").date(), pd.Timestamp("2100-01-01").date()))
def test_what_pandas_would_date(frequency, alias, start):
    dates = pd.date_range(start, periods=40, freq=alias).to_numpy()
    assert ahead(dates[:26], frequency, 14).tolist() == dates[26:].astype("datetime64[us]").tolist()


@pytest.mark.parametrize("day", range(1, 32))
@pytest.mark.parametrize("end", ["2023-02", "2024-02", "2023-04", "2023-12"])
def test_a_day_of_the_month_is_kept_wherever_the_history_ends(day, end):
    months = pd.period_range(end=pd.Period(end, "M") + 14, periods=50, freq="M")
    dates = [f"{month}-{min(day, month.days_in_month):02d}" for month in months]
    assert ahead(dates[:36], "M", 14).astype("datetime64[D]").astype(str).tolist() == dates[36:]


@pytest.mark.parametrize(
    ("history", "frequency", "expected"),
    [
        # A single date: its day, or the end of the month if it is one.
        (["2022-12-30"], "M", ["2023-01-30", "2023-02-28", "2023-03-30"]),
        (["2023-11-30"], "M", ["2023-12-31", "2024-01-31", "2024-02-29"]),
        (["2023-01-15"], "Q", ["2023-04-15", "2023-07-15"]),
        (["2024-02-26"], "W", ["2024-03-04", "2024-03-11"]),
        (["2024-02-28T23:30"], "h", ["2024-02-29T00:30", "2024-02-29T01:30"]),
        # One row on another day does not move the others.
        (["2024-01-05", "2024-01-12", "2024-01-19", "2024-01-26", "2024-02-02", "2024-02-08"], "W", ["2024-02-16"]),
        ([f"2023-{month:02d}-15" for month in range(1, 12)] + ["2023-12-14"], "M", ["2024-01-15", "2024-02-15"]),
        # The fleet file asks for workdays: dates that happen to be ends of months do not say more.
        (["2023-10-31", "2023-11-30"], "BME", ["2023-12-29", "2024-01-31", "2024-02-29", "2024-03-29"]),
        (["2024-01-01", "2024-04-01"], "BQS", ["2024-07-01", "2024-10-01", "2025-01-01", "2025-04-01", "2025-07-01"]),
        (["2026-01-01"], "2BMS", ["2026-03-02", "2026-05-01"]),
        # No usual day: that of the newest row.
        (["2024-01-03", "2024-02-17", "2024-03-09", "2024-04-22"], "M", ["2024-05-22", "2024-06-22"]),
        # Half months: each half has its day.
        (["2024-01-05", "2024-01-20", "2024-02-05"], "SM", ["2024-02-20", "2024-03-05"]),
    ],
)
def test_short_and_irregular_histories(history, frequency, expected):
    assert ahead(history, frequency, len(expected)).tolist() == np.array(expected, "datetime64[us]").tolist()


def test_each_series_has_a_pattern_of_its_own():
    ends, firsts = (pd.date_range("2022-01-01", periods=15, freq=alias).to_numpy() for alias in ("ME", "MS"))
    time = Time(column="t", frequency="M")
    times = np.concatenate([ends, firsts, ends]).astype("datetime64[us]")
    pattern = find_date_pattern(times, np.array([0, 15, 30]), np.array([15, 15, 15]), time)
    next_period = ordinals(ends[-1:].astype("datetime64[us]"), time)[:, None] + 1
    dates = pattern.times(np.repeat(next_period, 3, axis=0))[:, 0].astype("datetime64[D]").astype(str)
    assert dates.tolist() == ["2023-04-30", "2023-04-01", "2023-04-30"]
    assert pattern.take(np.array([1])).times(next_period)[0, 0] == np.datetime64("2023-04-01")
