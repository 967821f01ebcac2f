import pytest
from reports import NAN

from domain.reporting.formatting import (
    format_change,
    format_count,
    format_difference,
    format_duration,
    format_metric,
    format_number,
    format_percent,
    format_timestamp,
)


def test_figures_never_claim_more_than_they_know():
    assert [format_percent(share) for share in (0.0, 0.0004, 0.004, 0.5, 0.996, 0.99999, 1.0, NAN)] == [
        *("0 %", "<0.1 %", "0.4 %", "50 %", "99.6 %", ">99.9 %", "100 %", "–")
    ]
    assert [format_number(value) for value in (None, NAN, 0.0, 0.131, 13.517, 1234567.0, float("inf"))] == [
        *("–", "–", "0", "0.1310", "13.52", "1,234,567", "∞")
    ]
    assert [format_duration(seconds) for seconds in (1.5, 38.4, 125, 4_020)] == [
        "1.50 s",
        "38.4 s",
        "2 min 05 s",
        "1 h 07 min",
    ]


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        *(
            (10.0, 11.0, "+10.0 %"),
            (10.0, 9.0, "−10.0 %"),
            (3, 3, "same"),
            (10.0, 10.001, "about the same"),
            (0.0, 2.0, "–"),
            (-2.0, -1.0, "+50.0 %"),
        ),
        *((None, 1.0, "–"), (1.0, NAN, "–")),
    ],
)
def test_changes_are_relative_to_what_was(before, after, text):
    assert format_change(before, after) == text


def test_counts_moments_and_metrics_read_like_text():
    assert [format_difference(5, after) for after in (5, 1_029, 2)] == ["same", "+1,024", "−3"]
    assert [format_count(count, "segment") for count in (0, 1, 1_428)] == ["0 segments", "1 segment", "1,428 segments"]
    assert [format_count(count, "file", zero="no") for count in (0, 1, 2_000)] == ["no files", "1 file", "2,000 files"]
    assert [format_metric(name, "minutes") for name in ("smape", "mae", "wape", "own")] == [
        *("sMAPE (%)", "MAE (minutes)", "WAPE", "own")
    ]
    assert format_timestamp("2026-01-07T10:15:02+00:00") == "7 Jan 2026, 10:15 UTC"
    assert format_timestamp("yesterday") == "yesterday"
