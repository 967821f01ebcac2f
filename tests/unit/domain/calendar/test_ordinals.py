"""Ordinals and positions of times, against the periods of pandas."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.calendar.ordinals import ordinals, period_starts, positions
from domain.calendar.zones import season_zone
from domain.config.time_section import Time

PERIODS = {"W-FRI": "W-FRI", "W-MON": "W-MON", "Q-JAN": "Q-JAN", "Y-JUN": "Y-JUN", "15min": "15min", "5min": "5min"}
PERIODS |= {"W": "W-SUN", "M": "M", "ME": "M", "Q": "Q", "Y": "Y", "D": "D", "h": "h", "6h": "6h", "3D": "3D"}
OTHERS = ["B", "SM", "SMS", "2W", "4W", "2M", "6M", "3D"]
days = st.dates(date(1900, 1, 1), date(2200, 12, 31))
moments = st.datetimes(pd.Timestamp("1950-01-01"), pd.Timestamp("2150-01-01"))


def clock(frequency, zone="auto"):
    return Time(column="t", frequency=frequency, zone=zone)


def of(*texts):
    return np.array(texts, "datetime64[us]")


@pytest.mark.parametrize("frequency", [name for name in PERIODS if name not in ("6h", "3D", "15min", "5min")])
@given(st.lists(days, min_size=1))
def test_ordinals_are_pandas_periods(frequency, dates):
    times = np.array(dates, dtype="datetime64[us]")
    numbers = pd.DatetimeIndex(times).to_period(PERIODS[frequency]).asi8
    difference = ordinals(times, clock(frequency)) - numbers
    assert len(set(difference.tolist())) == 1


@pytest.mark.parametrize("frequency", ["h", "15min", "5min", "min", "6h", "2h"])
@given(st.lists(moments, min_size=1))
def test_ordinals_of_minutes_and_hours_count_from_1970(frequency, times):
    times = np.array(times, dtype="datetime64[us]")
    step = pd.Timedelta(pd.tseries.frequencies.to_offset(frequency))
    expected = (pd.DatetimeIndex(times) - pd.Timestamp(0)) // step
    assert ordinals(times, clock(frequency)).tolist() == expected.tolist()


@pytest.mark.parametrize("frequency", [*PERIODS, *OTHERS])
@given(st.integers(-1_000, 50_000))
def test_a_period_starts_where_its_ordinal_does(frequency, period):
    time = clock(frequency)
    period = period % 2_400 if time.rule.days > 20 else period
    start = period_starts(np.array([period]), time)
    assert ordinals(start, time).tolist() == [period]
    before = start - np.timedelta64(1, "us")
    # A weekend belongs to no business day; it counts with the next one.
    assert frequency == "B" or ordinals(before, time).tolist() == [period - 1]


def test_business_days_follow_each_other():
    times = pd.date_range("1960-01-01", "2040-01-01", freq="B").to_numpy()
    assert set(np.diff(ordinals(times, clock("B"))).tolist()) == {1}


@pytest.mark.parametrize(("frequency", "alias"), [("SM", "SME"), ("SMS", "SMS"), ("2W", "2W"), ("Y-JUN", "YE-JUN")])
def test_periods_of_pandas_follow_each_other(frequency, alias):
    times = pd.date_range("1960-01-01", "2040-01-01", freq=alias).to_numpy()
    assert set(np.diff(ordinals(times, clock(frequency))).tolist()) == {1}


@pytest.mark.parametrize("zone", ["Europe/London", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize("frequency", ["6h", "3h", "12h"])
def test_several_hours_are_counted_by_the_clock_on_the_wall(zone, frequency):
    local = pd.date_range("2023-01-01", "2024-12-31", freq=frequency)
    times = local.tz_localize(zone, ambiguous=True, nonexistent="shift_forward").tz_convert("UTC").tz_localize(None)
    assert set(np.diff(ordinals(times.to_numpy(), clock(frequency, zone))).tolist()) == {1}


@pytest.mark.parametrize("frequency", ["h", "30min", "15min"])
def test_hours_keep_their_place_in_the_day_when_clocks_change(frequency):
    time = clock(frequency, "Europe/Berlin")
    zone, a_day = season_zone(time), 1440 // time.rule.minutes
    eights = pd.date_range("2024-01-01 08:00", "2024-12-31 08:00", freq="D", tz="Europe/Berlin")
    times = eights.tz_convert("UTC").tz_localize(None).to_numpy()
    assert set((positions(times, time, zone) % a_day).tolist()) == {8 * a_day // 24}
    assert len(set((ordinals(times, time) % a_day).tolist())) == 2
    repeated = of("2024-10-27T00:30", "2024-10-27T01:30")
    assert len(set(positions(repeated, time, zone).tolist())) == 1
    assert len(set(ordinals(repeated, time).tolist())) == 2


@pytest.mark.parametrize(
    ("frequency", "zone", "expected"),
    [
        ("h", "Europe/Berlin", "Europe/Berlin"),
        ("15min", "America/New_York", "America/New_York"),
        ("h", "Asia/Kolkata", None),
        ("h", "UTC", None),
        ("h", "auto", None),
        ("D", "Europe/Berlin", None),
        ("6h", "Europe/Berlin", None),
    ],
)
def test_only_hours_and_minutes_of_zones_with_clock_changes_follow_the_wall(frequency, zone, expected):
    assert season_zone(clock(frequency, zone)) == expected
