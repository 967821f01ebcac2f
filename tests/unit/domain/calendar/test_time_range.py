"""Rows whose year was mistyped are told apart from series that pause, begin and end."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from domain.calendar.time_range import beyond_range, stray_rows

NOW = datetime(2024, 1, 1, tzinfo=UTC)
WEEKS = pd.date_range("2022-01-03", periods=100, freq="W-MON").to_numpy().astype("datetime64[us]")


def of(*texts):
    return np.array(texts, "datetime64[us]")


def strays(fleet, *series):
    series = [np.sort(times) for times in series]
    lengths = np.array([len(times) for times in series])
    times = np.concatenate(series)
    return (
        times[stray_rows(times, np.cumsum(lengths) - lengths, lengths, fleet)]
        .astype("datetime64[D]")
        .astype(str)
        .tolist()
    )


@pytest.mark.parametrize("year", ["1024-01-01", "1923-06-01", "2099-12-21", "2204-12-25", "8888-01-01"])
def test_a_mistyped_year_is_found_in_its_segment_alone(fleet, year):
    assert strays(fleet.forecast(), WEEKS, np.append(WEEKS, of(year)), WEEKS) == [year]


def test_both_ends_and_two_of_a_hundred(fleet):
    assert strays(fleet.forecast(), np.append(WEEKS, of("1922-01-03", "2122-01-03"))) == ["1922-01-03", "2122-01-03"]
    assert strays(fleet.forecast(), np.append(WEEKS, of("2122-01-03", "2122-01-10"))) == ["2122-01-03", "2122-01-10"]


@pytest.mark.parametrize(
    ("times", "why"),
    [
        (WEEKS, "nothing is far"),
        (np.append(WEEKS, of("2024-12-02")), "a pause shorter than the history"),
        (np.append(WEEKS[:20], of("2023-01-02")), "a pause of less than a year"),
        (np.append(WEEKS[:9], of("2204-12-25")), "too few rows to tell which of them are right"),
        (np.append(WEEKS[:20], WEEKS[:20] + np.timedelta64(20_000, "D")), "half of the rows are no typing error"),
        (np.append(WEEKS[:50], WEEKS[:2] + np.timedelta64(20_000, "D")), "two of fifty may be a new beginning"),
    ],
)
def test_what_can_be_meant_stays(fleet, times, why):
    assert strays(fleet.forecast(), times) == [], why


def test_the_rule_can_be_switched_off(fleet):
    assert strays(fleet.forecast(validation={"time_range": "off"}), np.append(WEEKS, of("2204-12-25"))) == []


def test_rows_later_than_now_and_the_horizon_cannot_have_been_observed(fleet):
    daily = fleet.forecast(horizon=14)
    times = of("2023-12-31", "2024-01-02", "2024-01-16", "2024-01-20", "2123-01-01", "NaT")
    mask, detail = beyond_range(times, daily, NOW)
    assert mask.tolist() == [False, False, False, True, True, False]
    assert detail == "day is later than now by more than the horizon; see validation.time_range"
    assert not beyond_range(times, fleet.forecast(validation={"time_range": "off"}), NOW)[0].any()


def test_two_dates_are_the_first_and_the_last(fleet):
    bounded = fleet.forecast(validation={"time_range": ["2023-01-01", "2023-12-31"]})
    times = of("2022-12-31T23:59", "2023-01-01", "2023-12-31T23:59", "2024-01-01")
    mask, detail = beyond_range(times, bounded, NOW)
    assert mask.tolist() == [True, False, False, True]
    assert detail == "day is outside of validation.time_range, 2023-01-01 to 2023-12-31"
