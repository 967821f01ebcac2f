"""Dates as people write them, and the periods between two of them."""

from datetime import UTC, datetime

import pytest

from domain.calendar.time_spans import parse_time_span, period_ends, period_of, time_span_text
from domain.config.time_section import Time
from domain.errors import RequestError


def clock(frequency, zone="UTC"):
    return Time(column="t", frequency=frequency, zone=zone)


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2024", (2024, 1, 1), (2024, 12, 31)),
        ("2024-Q2", (2024, 4, 1), (2024, 6, 30)),
        ("2024-Q4", (2024, 10, 1), (2024, 12, 31)),
        ("2024-02", (2024, 2, 1), (2024, 2, 29)),
        ("2024-12", (2024, 12, 1), (2024, 12, 31)),
        ("2024-W01", (2024, 1, 1), (2024, 1, 7)),
        (" 2024-06-30 ", (2024, 6, 30), (2024, 6, 30)),
        ("20240630", (2024, 6, 30), (2024, 6, 30)),
        ("2024-06-30T17:00", (2024, 6, 30), (2024, 6, 30)),
        # In Berlin it is the next day already.
        ("2024-06-30T23:30+00:00", (2024, 7, 1), (2024, 7, 1)),
    ],
)
def test_a_date_covers_all_of_what_it_names(text, first, last):
    span = parse_time_span(text, clock("D", "Europe/Berlin"), "as_of")
    assert (span.first, span.last) == (utc(*first), utc(*last))


def test_hours_are_instants_and_a_day_is_that_of_the_zone():
    hourly = clock("h", "America/New_York")
    day = parse_time_span("2024-03-10", hourly, "as_of")
    # The clocks go forward: the day has 23 hours.
    assert (day.first, day.last) == (utc(2024, 3, 10, 5), utc(2024, 3, 11, 3, 59, 59, 999999))
    assert parse_time_span("2024-06-30T17:00", hourly, "as_of").last == utc(2024, 6, 30, 21)
    assert parse_time_span("2024-06-30 17:00+02:00", hourly, "as_of").last == utc(2024, 6, 30, 15)


@pytest.mark.parametrize("text", ["", "soon", "30.06.2024", "2024-13", "2024-W60", "0000", "9999", "2024-06-31", "24"])
def test_what_is_no_date_is_refused_with_what_is(text):
    with pytest.raises(RequestError, match=r"as_of: .* is not a date; allowed: 2024, 2024-Q2, .*zone, Europe/Berlin"):
        parse_time_span(text, clock("h", "Europe/Berlin"), "as_of")


@pytest.mark.parametrize(
    ("frequency", "first", "last", "ends"),
    [
        ("D", "2024-02-28", "2024-03-01", ["2024-02-28", "2024-02-29", "2024-03-01"]),
        ("W", "2024-06-26", "2024-07-01", ["2024-06-30", "2024-07-07"]),
        ("M", "2023-12", "2024-02", ["2023-12-31", "2024-01-31", "2024-02-29"]),
        ("Q", "2024-02", "2024-05", ["2024-03-31", "2024-06-30"]),
        ("Y", "2023", "2024", ["2023-12-31", "2024-12-31"]),
    ],
)
def test_a_range_has_the_end_of_every_period_that_it_touches(frequency, first, last, ends):
    first, last = (parse_time_span(text, clock(frequency), "from") for text in (first, last))
    assert [f"{end:%Y-%m-%d}" for end in period_ends(first, last, clock(frequency))] == ends


def test_a_range_of_hours_ends_with_each_hour():
    day = parse_time_span("2024-06-30", clock("h"), "from")
    ends = period_ends(day, day, clock("h"))
    assert (len(ends), ends[0], ends[-1]) == (24, utc(2024, 6, 30, 0, 59, 59, 999999), day.last)


def test_times_are_told_as_precisely_as_the_periods():
    moment = utc(2024, 6, 30, 17)
    assert [time_span_text(moment, clock(name)) for name in ("M", "W", "h")] == [
        "2024-06",
        "2024-06-30",
        "2024-06-30 17:00 UTC",
    ]
    assert period_of(moment, clock("M")) == 12 * 54 + 5
