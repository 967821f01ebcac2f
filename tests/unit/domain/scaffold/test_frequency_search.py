"""The frequency that undescribed times follow, and the advice where a fleet has another."""

import numpy as np
import pandas as pd
import pytest

from domain.checks.segments import SegmentRows
from domain.checks.times import time_facts, time_problems
from domain.scaffold.timestamps import infer_frequency

WEEKS_445 = pd.Timestamp("2018-01-01") + pd.to_timedelta(7 * np.cumsum([0, *[4, 4, 5] * 20]), unit="D")


def dates(alias, periods=60):
    return pd.date_range("2019-01-10", periods=periods, freq=alias)


def instants(times):
    return pd.DatetimeIndex(times).to_numpy().astype("datetime64[us]")


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (dates("2W-WED"), "2W"),
        (dates("28D"), "4W"),
        (dates("6h", 300), "6h"),
        (dates("45min", 300), "45min"),
        (dates("20min", 300), "20min"),
        (dates("3h", 300), "3h"),
        (dates("2D"), "2D"),
        (dates("2MS"), "2M"),
        (dates("6ME", 20), "2Q"),
        (dates("SMS"), "SMS"),
        (dates("SME"), "SM"),
        (dates("91D", 40), "13W"),
        (dates("15D", 100), "15D"),
        # Nothing regular is left out.
        (dates("B", 300), "D"),
        (dates("D", 300), "D"),
        (dates("W-FRI"), "W"),
        (dates("BME"), "M"),
        (dates("QE-JAN"), "Q"),
        (WEEKS_445, "W"),
        (dates("D", 900)[np.random.default_rng(0).random(900) < 0.4], "D"),
        (dates("h", 24 * 60)[dates("h", 24 * 60).hour.isin(range(9, 18))], "h"),
    ],
)
def test_the_frequency_that_leaves_no_period_empty(times, expected):
    codes = np.repeat([0, 1], len(times))
    assert infer_frequency(codes, np.tile(instants(times), 2)) == expected


def warnings(fleet, times, frequency):
    forecast = fleet.forecast(time={"column": "day", "frequency": frequency})
    rows = SegmentRows(("a",), np.zeros(len(times), np.int64), instants(times), np.ones(len(times)), forecast)
    return [problem.message for problem in time_problems(time_facts(rows, rows), rows)]


@pytest.mark.parametrize(
    ("times", "frequency", "advice"),
    [
        (dates("2W-WED"), "W", "W is finer than the data: rows of a segment are 14 days apart (median); use 2W"),
        (dates("28D"), "W", "use 4W"),
        (dates("6h", 300), "h", "use 6h"),
        (dates("SME"), "W", "use SM"),
        (dates("W-MON"), "D", "use W"),
        (dates("MS"), "D", "use M"),
        (WEEKS_445, "W", "no frequency has a row in each period"),
        (dates("D", 300), "W", "W is coarser than the data: rows of a segment are 1 days apart (median); use D"),
    ],
)
def test_advice_is_a_frequency_that_fits(fleet, times, frequency, advice):
    (message,) = warnings(fleet, times, frequency)
    assert advice in message


@pytest.mark.parametrize(
    ("alias", "frequency"),
    [
        ("2W-WED", "2W"),
        ("28D", "4W"),
        ("SME", "SM"),
        ("SMS", "SMS"),
        ("6h", "6h"),
        ("12h", "12h"),
        ("2MS", "2M"),
        ("B", "B"),
        ("B", "D"),
        ("45min", "45min"),
        ("6ME", "2Q"),
        ("2D", "2D"),
        ("BME", "BME"),
    ],
)
def test_a_frequency_that_fits_raises_no_doubt(fleet, alias, frequency):
    assert warnings(fleet, dates(alias, 30), frequency) == []
