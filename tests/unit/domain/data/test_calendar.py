"""Times and periods: what is a time, which period it is in, and what comes next."""

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.config.fleet import Time
from domain.data.calendar import future_times, ordinals, parse_times

FREQUENCIES = ["h", "D", "W", "M", "Q", "Y"]
PERIOD = {"W": "W-SUN", "M": "M", "Q": "Q", "Y": "Y", "D": "D", "h": "h"}
days = st.dates(date(1900, 1, 1), date(2200, 12, 31))


def clock(frequency="D", **options):
    return Time.model_validate({"column": "t", "frequency": frequency} | options)


def parse(values, time, kind=None):
    times, unparsable = parse_times(pa.chunked_array([pa.array(values, kind)]), time)
    return [value and value.astimezone(UTC).replace(tzinfo=None) for value in times.to_pylist()], unparsable.tolist()


def at(*parts):
    return datetime(*parts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-02-29", at(2024, 2, 29)),
        (" 2024-02-29 ", at(2024, 2, 29)),
        ("2024-02-29T13:45", at(2024, 2, 29)),
        ("20240229", at(2024, 2, 29)),
        ("2024-02", at(2024, 2, 1)),
        ("2024-Q3", at(2024, 7, 1)),
        ("2024q1", at(2024, 1, 1)),
        ("Q4 2024", at(2024, 10, 1)),
        ("2024-W05", at(2024, 1, 29)),
        ("2025W01", at(2024, 12, 30)),
        ("2024", at(2024, 1, 1)),
        ("2024-02-29T23:30:00-05:00", at(2024, 3, 1)),
        ("2024-02-29T00:30:00+0500", at(2024, 2, 28)),
        ("2024-02-29T00:30:00Z", at(2024, 2, 29)),
    ],
)
def test_iso_text_is_a_date_in_the_fleets_zone(text, expected):
    assert parse([text], clock()) == ([expected], [False])


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2023-02-29", "2024-13-01", "29/02/2024", "1", "24-1", "now", "Today", "2024-W54", "2024-Q5"],
)
def test_what_is_no_time_is_said_so(text):
    assert parse([text], clock()) == ([None], [True])


def test_a_format_of_the_fleet_is_the_only_one():
    time = clock(format="%d/%m/%Y")
    assert parse(["29/02/2024", "2024-02-29", "02/29/2024"], time) == (
        [at(2024, 2, 29), None, None],
        [False, True, True],
    )


def test_missing_values_are_missing_not_unparsable():
    assert parse([None, "x", "2024-01-01"], clock()) == ([None, None, at(2024, 1, 1)], [False, True, False])
    assert parse([None, None], clock(), pa.null()) == ([None, None], [False, False])
    assert parse([], clock(), pa.string()) == ([], [])


@pytest.mark.parametrize(
    "values",
    [
        pa.array([date(2024, 2, 29)]),
        pa.array([date(2024, 2, 29)], pa.date64()),
        pa.array([datetime(2024, 2, 29, 13)], pa.timestamp("s")),
        pa.array([1709211600000000123], pa.timestamp("ns")),
        pa.array([20240229]),
        pa.array(["2024-02-29"]).dictionary_encode(),
        pa.array(["2024-02-29"], pa.large_string()),
        pa.array(["2024-02-29"], pa.string_view()),
        pa.array([datetime(2024, 2, 29, 23, 30, tzinfo=UTC)], pa.timestamp("us", "UTC")),
    ],
    ids=lambda values: str(values.type),
)
def test_typed_columns_mean_the_same_as_text(values):
    assert parse(values, clock()) == ([at(2024, 2, 29)], [False])


@pytest.mark.parametrize("values", [[1.5], [True], [[1]]])
def test_a_column_of_another_type_holds_no_times(values):
    assert parse([None, *values], clock()) == ([None, None], [False, True])


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize("frequency", ["h", "D", "M"])
def test_times_before_1970_and_after_2100_are_times_and_sentinels_are_not(frequency, zone):
    time = clock(frequency, zone=zone)
    good = ["1066-10-14", "1582-10-15", "1899-12-30", "1969-12-31", "2101-01-01", "2500-06-01", "8999-12-30"]
    bad = ["0001-01-01", "9999-12-31", "9999-12-31T23:30-05:00", "0001-01-01T00:30+05:00", "-0044-03-15", "12000-01-01"]
    assert parse(good + bad, time)[1] == [False] * len(good) + [True] * len(bad)


@pytest.mark.parametrize("tz", [None, "Asia/Kolkata"])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@given(number=st.integers(-(2**63) + 1, 2**63 - 1))
def test_any_timestamp_is_kept_or_no_time_but_never_another_one(unit, tz, number):
    values = pa.array([number], pa.int64()).cast(pa.timestamp(unit, tz))
    (parsed,), (unparsable,) = parse(values, clock("h"))
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    if unparsable:
        assert not 1 < 1970 + number / per_second / 31_556_952 < 8999
    else:
        assert parsed == at(1970, 1, 1) + timedelta(seconds=number // per_second) + timedelta(
            microseconds=number % per_second * 10**6 // per_second
        )


@pytest.mark.parametrize("days", [-(2**31), 2**31 - 1, 2**30])
def test_dates_beyond_all_years_are_no_times(days):
    assert parse(pa.array([days], pa.int32()).cast(pa.date32()), clock("h", zone="Europe/Berlin")) == ([None], [True])


@pytest.mark.parametrize("number", [1_700_000_000, 1_700_000_000_000, 45_292, 0, -1])
def test_seconds_since_1970_and_day_numbers_are_no_times(number):
    assert parse([number], clock()) == ([None], [True])


def test_days_of_instants_are_those_of_the_fleets_zone():
    late = pa.array([datetime(2024, 2, 28, 23, 30, tzinfo=UTC)], pa.timestamp("us", "UTC"))
    assert parse(late, clock(zone="Europe/Berlin")) == ([at(2024, 2, 29)], [False])
    assert parse(["2024-02-28T23:30:00Z", "2024-02-28T23:30:00"], clock(zone="Europe/Berlin"))[0] == [
        at(2024, 2, 29),
        at(2024, 2, 28),
    ]


def test_hours_without_offset_are_in_the_fleets_zone():
    time = clock("h", zone="Europe/Berlin")
    texts = ["2024-01-01T12:00", "2024-07-01T12:00", "2024-07-01T12:00Z", "2024-07-01 12:00:00-03:00"]
    assert parse(texts, time)[0] == [at(2024, 1, 1, 11), at(2024, 7, 1, 10), at(2024, 7, 1, 12), at(2024, 7, 1, 15)]


def test_hours_that_a_clock_change_skips_or_repeats_are_not_times_unless_they_name_an_offset():
    time = clock("h", zone="Europe/Berlin")
    texts = ["2024-03-31T02:30", "2024-10-27T02:30", "2024-10-27T02:30+02:00", "2024-10-27T02:30+01:00"]
    times, unparsable = parse(texts, time)
    assert times == [None, None, at(2024, 10, 27, 0, 30), at(2024, 10, 27, 1, 30)]
    assert unparsable == [True, True, False, False]


@given(st.lists(st.datetimes(at(1971, 1, 1), at(2100, 1, 1)), min_size=1), st.sampled_from(range(-14, 15)))
def test_an_instant_is_the_same_whatever_its_offset(instants, offset):
    zone = timezone(timedelta(hours=offset))
    texts = [moment.replace(tzinfo=UTC).astimezone(zone).isoformat() for moment in instants]
    assert parse(texts, clock("h"))[0] == instants
    assert parse(texts, clock("h", zone="America/New_York"))[0] == instants


@pytest.mark.parametrize("frequency", FREQUENCIES)
@given(st.lists(days, min_size=1))
def test_ordinals_are_pandas_periods(frequency, dates):
    times = np.array(dates, dtype="datetime64[us]")
    periods = pd.DatetimeIndex(times).to_period(PERIOD[frequency])
    expected = [period.ordinal for period in periods]
    origin = pd.Timestamp("1970-01-01").to_period(PERIOD[frequency]).ordinal
    assert (ordinals(times, frequency)).tolist() == [value - origin for value in expected]


def test_weeks_start_on_monday_and_hours_on_the_hour():
    sunday_monday = np.array(["2024-03-03", "2024-03-04", "1969-12-28", "1969-12-29"], "datetime64[us]")
    assert np.diff(ordinals(sunday_monday, "W")).tolist() == [
        1,
        ordinals(sunday_monday[2:3], "W")[0] * 1 - ordinals(sunday_monday[1:2], "W")[0],
        1,
    ]
    hours = np.array(["2024-03-03T09:59:59", "2024-03-03T10:00", "2024-03-03T10:59"], "datetime64[us]")
    assert np.diff(ordinals(hours, "h")).tolist() == [1, 0]


@pytest.mark.parametrize("frequency", FREQUENCIES)
@given(st.lists(days, min_size=1, max_size=5), st.integers(1, 40))
def test_future_times_lie_in_the_next_periods(frequency, dates, steps):
    origins = np.array(dates, dtype="datetime64[us]")
    ahead = future_times(origins, steps, frequency)
    assert ahead.shape == (len(dates), steps)
    expected = ordinals(origins, frequency)[:, None] + np.arange(1, steps + 1)
    assert np.array_equal(ordinals(ahead.ravel(), frequency).reshape(ahead.shape), expected)


@pytest.mark.parametrize(
    ("origin", "frequency", "expected"),
    [
        ("2023-12-31", "M", ["2024-01-31", "2024-02-29", "2024-03-31"]),
        ("2023-11-30", "M", ["2023-12-31", "2024-01-31", "2024-02-29"]),
        ("2022-12-30", "M", ["2023-01-30", "2023-02-28", "2023-03-30"]),
        ("2023-01-01", "M", ["2023-02-01", "2023-03-01", "2023-04-01"]),
        ("2023-06-30", "Q", ["2023-09-30", "2023-12-31", "2024-03-31"]),
        ("2023-01-15", "Q", ["2023-04-15", "2023-07-15", "2023-10-15"]),
        ("2024-02-29", "Y", ["2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"]),
        ("2023-01-01", "Y", ["2024-01-01", "2025-01-01"]),
        ("2024-02-26", "W", ["2024-03-04", "2024-03-11"]),
        ("2024-02-28", "D", ["2024-02-29", "2024-03-01"]),
        ("2024-02-28T23", "h", ["2024-02-29T00", "2024-02-29T01"]),
    ],
)
def test_future_times_keep_the_day_or_the_months_end(origin, frequency, expected):
    ahead = future_times(np.array([origin], "datetime64[us]"), len(expected), frequency)
    assert ahead[0].tolist() == np.array(expected, "datetime64[us]").tolist()


@pytest.mark.parametrize("frequency", FREQUENCIES)
@given(days, st.integers(2, 12))
def test_a_chain_of_next_times_never_leaves_a_period_out(frequency, origin, steps):
    times = np.array([origin], dtype="datetime64[us]")
    first = ordinals(times, frequency)[0]
    for step in range(1, steps + 1):
        times = future_times(times, 1, frequency)[0]
        assert ordinals(times, frequency)[0] == first + step
