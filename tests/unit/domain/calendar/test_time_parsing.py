"""Times of raw columns: what is a time, and which one."""

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.calendar.time_parsing import parse_times
from domain.config.time_section import Time


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
        ("2024-W5", at(2024, 1, 29)),
        ("2024-w05", at(2024, 1, 29)),
        # The date is the one that is written, whatever the offset.
        ("2024-02-29T23:30:00-05:00", at(2024, 2, 29)),
        ("2024-02-29T00:30:00+0500", at(2024, 2, 29)),
        ("2024-02-29 00:30:00+05", at(2024, 2, 29)),
        ("2024-02-29T00:30:00.5+05:30", at(2024, 2, 29)),
        ("2024-02-29 00:30:00 UTC", at(2024, 2, 29)),
        ("2024-02-29 24:00", at(2024, 3, 1)),
        ("2024-02-29T00:30:00Z", at(2024, 2, 29)),
    ],
)
def test_iso_text_is_the_date_that_it_writes(text, expected):
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


ZONED = [
    ("2024-02-29T23:30:00-05:00", at(2024, 3, 1)),
    ("2024-02-29T00:30:00+0500", at(2024, 2, 28)),
    ("2024-02-29T00:00:00+05", at(2024, 2, 28)),
    ("2024-02-29 23:30 GMT", at(2024, 2, 29)),
]


@pytest.mark.parametrize(("text", "expected"), ZONED)
def test_with_a_zone_of_the_fleet_the_date_is_that_of_the_zone(text, expected):
    assert parse([text], clock(zone="UTC")) == ([expected], [False])


@pytest.mark.parametrize("zone", ["Europe/London", "Europe/Berlin", "Asia/Kolkata", "America/New_York"])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_without_a_zone_of_the_fleet_dates_are_those_of_the_columns_zone(zone, unit):
    midnights = [datetime(2024, month, 1, tzinfo=ZoneInfo(zone)) for month in (1, 4, 7, 11)]
    values = pa.array(midnights, pa.timestamp("us", zone)).cast(pa.timestamp(unit, zone))
    assert parse(values, clock())[0] == [at(2024, month, 1) for month in (1, 4, 7, 11)]


@pytest.mark.parametrize("zone", ["auto", "Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize(
    "text",
    [
        "2024-01-05 9:00+02:00",
        "2024-01-05 7:00:00Z",
        "2024-01-05 07:00z",
        "2024-01-05 09:00+2",
        "2024-01-05 09:00 +2:00",
    ],
)
def test_an_offset_however_it_is_written_is_applied_once(text, zone):
    assert parse([text], clock("h", zone=zone)) == ([at(2024, 1, 5, 7)], [False])


def test_mixed_offsets_are_the_dates_that_they_write_and_the_instants_that_they_name():
    texts = ["2024-01-01T00:00+05:30", "2024-01-01T00:00+09:30", "2024-01-01T00:00-03:00"]
    assert parse(texts, clock())[0] == [at(2024, 1, 1)] * 3
    assert parse(texts, clock("h"))[0] == [at(2023, 12, 31, 18, 30), at(2023, 12, 31, 14, 30), at(2024, 1, 1, 3)]


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("2024-01-30 24:00", {}, at(2024, 1, 31)),
        ("2024-01-30T24:00:00", {}, at(2024, 1, 31)),
        ("2024-12-31T24:00:00Z", {}, at(2025, 1, 1)),
        ("2024-01-30 24:00", {"zone": "Europe/Berlin"}, at(2024, 1, 30, 23)),
        ("30.01.2024 24:00", {"format": "%d.%m.%Y %H:%M"}, at(2024, 1, 31)),
        ("2024-01-30 24:01", {}, None),
        ("2024-01-30 25:00", {}, None),
    ],
)
def test_hour_24_is_the_midnight_at_the_end_of_the_day(text, options, expected):
    assert parse([text], clock("h", **options))[0] == [expected]


@pytest.mark.parametrize(
    ("value", "frequency", "expected"),
    [
        (44562, "D", at(2022, 1, 1)),
        ("44562", "D", at(2022, 1, 1)),
        (44562.0, "D", at(2022, 1, 1)),
        (44562.75, "h", at(2022, 1, 1, 18)),
        ("44562.0416666667", "h", at(2022, 1, 1, 1)),
        (0, "D", None),
        (-5, "D", None),
        ("x", "D", None),
        (1e12, "D", None),
        (float("inf"), "D", None),
    ],
)
def test_days_of_a_spreadsheet(value, frequency, expected):
    assert parse([value], clock(frequency, format="excel"))[0] == [expected]


@pytest.mark.parametrize(
    ("value", "expected"), [(202101, at(2021, 1, 4)), ("202353", None), ("202052", at(2020, 12, 21)), ("202100", None)]
)
def test_a_year_with_its_week_is_the_monday_of_the_week(value, expected):
    assert parse([value], clock("W", format="%G%V"))[0] == [expected]


def test_whole_numbers_of_a_float_column_are_read_like_whole_numbers():
    assert parse([2024.0, None, 2023.5], clock("Y", format="%Y"), pa.float64())[0] == [at(2024, 1, 1), None, None]
