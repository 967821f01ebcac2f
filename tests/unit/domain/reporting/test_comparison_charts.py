import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from reports import NAN, measured_rows, rows_example, series_example

from domain.reporting.comparison_charts import compare_errors, ecdf_chart, ratio_chart
from domain.reporting.row_charts import TestRows, calibration_bins, calibration_chart, residual_chart, rows_chart
from domain.reporting.series_charts import forecast_chart


def test_comparison_counts_every_segment_once():
    comparison = compare_errors([0.5, 1.0, 1.02, 2.0, 0.0, 3.0, None, NAN], [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0])
    assert (comparison.better, comparison.equal, comparison.worse, comparison.missing) == (1, 3, 2, 2)
    assert comparison.quantiles(0.5) == (1.0, 1.0, 1.0)


def test_ratio_chart_draws_every_segment_in_its_class():
    ratios = np.array([0.0, 0.2, 0.974, 0.976, 1.0, 1.024, 1.026, 1.9, 2.5, 80.0, np.inf])
    chart = ratio_chart(
        compare_errors(list(np.where(np.isinf(ratios), 1.0, ratios)), list(np.where(np.isinf(ratios), 0.0, 1.0)))
    )
    bars = re.findall(r'"bar (\w+)".*?<title>.*?: (\d+) segments', chart)
    counts = {kind: sum(int(n) for name, n in bars if name == kind) for kind in ("better", "same", "worse")}
    assert counts == {"better": 3, "same": 3, "worse": 5}
    assert "above 1.975: 3 segments" in chart


def test_ecdf_rises_to_all_segments():
    chart = ecdf_chart(compare_errors(list(np.linspace(0.1, 1, 500)), list(np.linspace(0.2, 2, 500))), "wape")
    for kind, share in (("baseline", 0.94), ("champion", 1.0)):
        points = re.search(rf'"line {kind}" d="([^"]+)"', chart)[1].replace("h0", "")
        heights = [float(pair.split(",")[1]) for pair in re.split("[ML]", points)[1:]]
        assert len(heights) < 250
        assert heights == sorted(heights, reverse=True)
        assert heights[-1] == pytest.approx(256 - share * 228, abs=0.5)


def test_forecast_chart_interrupts_lines_where_nothing_is_known():
    chart = forecast_chart(series_example(history=(3.0, NAN, 4.0, 5.0), actual=(NAN, NAN)))
    paths = dict(re.findall(r'<path class="([\w ]+)" d="([^"]*)"', chart))
    assert paths["line history"].count("M") == 2
    assert paths["line champion"].count("M") == 1
    assert paths["line actual"] == ""
    assert "nan" not in chart


def test_forecast_chart_is_not_dwarfed_by_a_huge_interval():
    chart = forecast_chart(series_example(upper=(1e12, 1e12)))
    assert "G<" not in chart
    assert (
        forecast_chart(series_example(history=(), times=(), forecast_times=(), prediction=(), lower=(), upper=())) == ""
    )


def test_forecast_chart_tells_its_figures_when_pointed_at():
    chart = forecast_chart(series_example(actual=(5.5, NAN)))
    assert re.findall(r'class="hit".*?<title>(.*?)</title>', chart) == [
        "22 Jan: forecast 5.000 (4.000 to 6.000), actual 5.500",
        "29 Jan: forecast 6.000 (4.500 to 7.500)",
    ]


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (timedelta(hours=9), r"1 Mar \d\d:00"),
        (timedelta(days=10), r"\d+ Mar"),
        (timedelta(days=400), r"(Apr|Jul|Oct|Jan) \d{4}"),
        (timedelta(days=4_000), r"\d{4}"),
        (timedelta(days=70_000), r"\d{4}"),
    ],
)
def test_time_axis_has_a_few_round_times(length, expected):
    start = datetime(2024, 3, 1, tzinfo=UTC)
    times = [start + length * share for share in (0.0, 0.4, 0.8, 1.0)]
    chart = forecast_chart(series_example(times=times[:2], history=(1.0, 2.0), forecast_times=times[2:]))
    names = re.findall(r'class="tick (?:mid|end)"[^>]*y="183.0">(.*?)<', chart)
    assert 1 <= len(names) <= 6
    assert all(re.fullmatch(expected, name) for name in names)


def test_slices_hold_every_row_once_in_order_of_the_prediction():
    groups = calibration_bins(measured_rows(1_003))
    assert sum(group.rows for group in groups) == 1_003
    assert all(a.prediction < b.prediction for a, b in pairwise(groups))
    assert all(group.low < group.actual < group.high for group in groups)
    assert np.mean([group.coverage for group in groups]) == pytest.approx(0.95, abs=0.02)
    [few] = calibration_bins(TestRows(*(np.array([value]) for value in (1.0, 2.0, NAN, NAN))))
    assert (few.rows, few.error) == (1, 1.0)
    assert np.isnan(few.coverage)


def test_residual_chart_holds_every_row():
    rows = measured_rows(5_000)
    rows.actual[0] = 1e9
    shares = [float(share) for share in re.findall(r"<title>[^<]*: ([\d.]+) %</title>", residual_chart(rows, "delay"))]
    assert len(shares) == 40
    assert sum(shares) == pytest.approx(100, abs=2.5)


@pytest.mark.parametrize("count", [1, 2, 5_000])
def test_charts_of_rows_cope_with_few_many_and_constant_rows(count):
    constant = TestRows(*(np.full(count, value) for value in (3.0, 3.0, NAN, NAN)))
    for rows in (constant, measured_rows(count)):
        assert "nan" not in calibration_chart(calibration_bins(rows), "delay") + residual_chart(rows, "delay")
    chart = rows_chart(rows_example(rows=count))
    assert chart.count("h0") <= 250
    assert rows_chart(rows_example(rows=0)) == ""
