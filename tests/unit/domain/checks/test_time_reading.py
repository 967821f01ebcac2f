"""Doubts about times that a check raises."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from domain.checks.segments import SegmentRows
from domain.checks.time_reading import frequency_changes, reading_problems


def problems(fleet, values, **time):
    if not isinstance(values, pa.Array):
        values = pa.array(list(values), pa.string())
    shop = fleet.forecast(time={"column": "day", "frequency": "D"} | time)
    return [(problem.key, problem.message) for problem in reading_problems([pa.table({"day": values})], shop)]


MONTHS = pd.date_range("2018-01-01", periods=72, freq="MS")


def test_day_and_month_that_leave_gaps_if_read_as_the_fleet_says(fleet):
    texts = MONTHS.strftime("%d/%m/%Y")
    ((key, message),) = problems(fleet, texts, format="%m/%d/%Y")
    assert key == "time.format"
    assert "read as %d/%m/%Y, 100%" in message
    assert problems(fleet, texts, format="%d/%m/%Y") == []
    # A day above 12 leaves no doubt.
    assert problems(fleet, [*texts, "13/01/2024"], format="%d/%m/%Y") == []


@pytest.mark.parametrize(
    ("offset", "frequency", "warns"),
    [("+05:30", "h", True), ("Z", "h", False), ("", "h", False), ("+05:30", "D", False)],
)
def test_hours_with_an_offset_need_a_zone_and_dates_do_not(fleet, offset, frequency, warns):
    texts = [f"2024-01-{day:02d}T00:00{offset}" for day in range(1, 29)]
    told = problems(fleet, texts, frequency=frequency)
    assert [key for key, _ in told] == ["time.zone"] * warns
    assert problems(fleet, texts, frequency=frequency, zone="Asia/Kolkata") == []


def test_hours_of_a_zoned_column_are_warned_of_with_its_zone(fleet):
    times = pa.array(
        [datetime(2024, 1, 1, hour, tzinfo=UTC) for hour in range(24)], pa.timestamp("us", "Europe/London")
    )
    ((_, message),) = problems(fleet, times, frequency="h")
    assert message.endswith("such as Europe/London")
    assert problems(fleet, times) == []


def test_mixed_offsets_of_dates_are_told(fleet):
    texts = [f"2024-01-{day:02d}T00:00{('+05:30', '+09:30', '-03:00')[day % 3]}" for day in range(1, 29)]
    ((key, message),) = problems(fleet, texts)
    assert key == "time.zone"
    assert "+05:30, +09:30, -03:00" in message


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kolkata"])
def test_dates_that_are_midnights_of_another_zone(fleet, zone):
    days = pd.date_range("2024-01-01", periods=200, tz=zone).tz_convert("UTC")
    ((_, message),) = problems(fleet, pa.array(days.to_list(), pa.timestamp("us", "UTC")))
    assert "midnights of another zone" in message
    ((_, message),) = problems(fleet, [day.isoformat().replace("+00:00", "Z") for day in days])
    assert "off by one" in message
    assert problems(fleet, pa.array(days.to_list(), pa.timestamp("us", "UTC")), zone=zone) == []
    utc = pd.date_range("2024-01-01", periods=200, tz="UTC").to_list()
    assert problems(fleet, pa.array(utc, pa.timestamp("us", "UTC"))) == []


def rows_of(fleet, *series):
    times = np.concatenate([np.asarray(part, "datetime64[us]") for part in series])
    codes = np.repeat(np.arange(len(series)), [len(part) for part in series])
    keys = tuple(f"store={number}" for number in range(len(series)))
    return SegmentRows(keys, codes, times, np.ones(len(times)), fleet.forecast())


def test_a_history_that_goes_on_at_another_frequency(fleet):
    weekly, daily = pd.date_range("2020-01-06", periods=60, freq="7D"), pd.date_range("2021-03-01", periods=60)
    (problem,) = frequency_changes(rows_of(fleet, weekly.append(daily), daily))
    assert problem.key == "time.frequency"
    assert "store=0: 7 days apart, later 1 day apart" in problem.message
    assert list(frequency_changes(rows_of(fleet, weekly, daily))) == []
    assert list(frequency_changes(rows_of(fleet, pd.bdate_range("2020-01-06", periods=200)))) == []
    assert list(frequency_changes(rows_of(fleet, pd.date_range("2020-01-31", periods=50, freq="ME")))) == []
