"""Periods that follow a series: closed weekdays and hours, and days of 23 and 25 hours."""

import numpy as np
import pandas as pd
import pytest

from domain.calendar.periods_ahead import find_period_pattern
from domain.calendar.zones import season_zone
from domain.config.time_section import Time


def pattern_of(times, frequency, **options):
    time = Time(column="t", frequency=frequency, **options)
    times = np.asarray(times, "datetime64[us]")
    return find_period_pattern(times, np.array([0]), np.array([len(times)]), time, season_zone(time)), times[-1:]


def ahead(times, frequency, steps, **options):
    pattern, last = pattern_of(times, frequency, **options)
    return pattern.ahead(last, steps)[0]


def instants(local):
    return local.tz_convert("UTC").tz_localize(None).to_numpy()


WORKDAYS = pd.date_range("2022-01-03", "2023-06-06", freq="B").to_numpy()


def test_weekdays_that_never_have_a_row_are_no_periods():
    result = ahead(WORKDAYS, "D", 14)
    assert (
        result.times.tolist()
        == pd.date_range("2023-06-07", periods=10, freq="B").to_numpy().astype("datetime64[us]").tolist()
    )
    assert result.steps.tolist() == [0, 1, 2, 5, 6, 7, 8, 9, 12, 13]
    assert len(result.periods) == 10


@pytest.mark.parametrize(
    ("times", "why"),
    [
        (WORKDAYS[:15], "three weeks are too short to tell"),
        (pd.date_range("2022-01-01", "2023-06-06").to_numpy(), "every day has rows"),
        (np.append(WORKDAYS, np.datetime64("2023-06-10")), "one Saturday has a row"),
        (WORKDAYS[np.random.default_rng(3).random(len(WORKDAYS)) < 0.03], "so few rows may miss a weekday by chance"),
    ],
)
def test_what_is_not_sure_to_be_closed_is_open(times, why):
    assert len(ahead(times, "D", 14).times) >= 12, why


def test_gaps_that_count_as_zero_are_periods():
    assert len(ahead(WORKDAYS, "D", 14, gaps="zero").times) == 14


def test_holidays_do_not_hide_the_closed_weekdays():
    kept = np.random.default_rng(1).random(len(WORKDAYS)) > 0.05
    assert len(ahead(WORKDAYS[kept | (np.arange(len(kept)) == len(kept) - 1)], "D", 14).times) == 10


def test_opening_hours():
    hours = pd.date_range("2024-01-01", "2024-02-29 17:30", freq="30min")
    opened = hours[(hours.hour >= 9) & (hours.hour < 18) & (hours.day_of_week < 6)]
    result = ahead(opened.to_numpy(), "30min", 96)
    expected = pd.date_range("2024-03-01 09:00", "2024-03-01 17:30", freq="30min")
    expected = expected.append(pd.date_range("2024-03-02 09:00", "2024-03-02 17:30", freq="30min"))
    assert result.times.tolist() == expected.to_numpy().astype("datetime64[us]").tolist()


def test_a_horizon_within_closed_time_is_forecast_all_the_same():
    assert len(ahead(WORKDAYS[: list(WORKDAYS).index(np.datetime64("2023-06-02")) + 1], "D", 1).times) == 1


@pytest.mark.parametrize("frequency", ["h", "15min"])
@pytest.mark.parametrize(
    ("end", "hours"), [("2024-03-30 23:00", 23), ("2024-10-26 23:00", 25), ("2024-06-01 23:00", 24)]
)
def test_a_day_on_which_clocks_change_has_23_or_25_hours(frequency, end, hours):
    a_day = pd.Timedelta(hours=24) // pd.Timedelta(pd.tseries.frequencies.to_offset(frequency))
    end = pd.Timestamp(end, tz="Europe/Berlin").floor("D") + pd.DateOffset(days=1)
    history = pd.date_range(end=end, periods=60 * a_day + 1, freq=frequency)[:-1]
    result = ahead(instants(history), frequency, a_day, zone="Europe/Berlin")
    local = pd.DatetimeIndex(result.times).tz_localize("UTC").tz_convert("Europe/Berlin")
    assert len(local) == hours * a_day // 24
    assert local.tolist() == pd.date_range(end, periods=len(local), freq=frequency).tolist()
    # Each step is a time of the day, however many hours have passed.
    assert ((local.hour * 60 + local.minute) // (1440 // a_day)).tolist() == result.steps.tolist()


def test_a_horizon_that_ends_within_the_repeated_hour_has_no_hole():
    history = pd.date_range(end="2024-10-26 02:15", periods=1000, freq="15min", tz="Europe/Berlin")
    result = ahead(instants(history), "15min", 96, zone="Europe/Berlin")
    assert result.times.tolist() == instants(pd.date_range(history[-1], periods=97, freq="15min")[1:]).tolist()


@pytest.mark.parametrize("hours", range(-3, 4))
def test_from_within_the_repeated_hour_none_is_left_out(hours):
    end = pd.Timestamp("2024-10-27 01:00", tz="UTC") + pd.Timedelta(hours=hours)
    history = pd.date_range(end=end, periods=1000, freq="h").tz_localize(None).to_numpy()
    result = ahead(history, "h", 24, zone="Europe/Berlin")
    assert set(np.diff(result.times).tolist()) == {np.timedelta64(1, "h").astype("timedelta64[us]").item()}
    assert result.times[0] == history[-1] + np.timedelta64(1, "h")
    assert result.steps.min() == 0
    assert result.steps.max() == 23
