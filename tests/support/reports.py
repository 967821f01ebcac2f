"""Values of a report as tests need them: small, full, hostile."""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np

from domain.checks.findings import Estimate
from domain.reporting.accuracy import LiveAccuracy, PastAccuracy
from domain.reporting.changes import ChampionFigures, InputFile, changes_between
from domain.reporting.page import RunReport
from domain.reporting.row_charts import RowsExample, TestRows
from domain.reporting.series_charts import SeriesExample
from domain.reporting.summary import (
    BacktestMetric,
    EstimatedFigure,
    GateCount,
    HeldSegment,
    OutcomeCounts,
    OutcomeReason,
    QuarantineReason,
    RowCounts,
    SegmentError,
    StageTime,
    Summary,
    TestMetric,
)

NAN = float("nan")


def summary(**changes):
    plain = Summary(
        fleet="m3",
        run_id="20260107-1",
        release=3,
        segments=6,
        outcomes=OutcomeCounts(trained=3, reused=1, fallback=1, failed=1),
        registered=4,
        promoted=2,
        held=1,
        predictions=108,
        metric=BacktestMetric("smape", 13.5, 16.0, TestMetric("smape", 13.25, 16.5, 0.893, 100, 5, "test/*.csv")),
        stages=(StageTime("ingest", 1.5, 700), StageTime("train", 8.25, 690)),
        peak_rss_bytes=3 * 2**30,
        rows=RowCounts(700, 690, 10),
        tables={"outcomes": "/lake/m3/outcomes", "predictions": "/lake/m3/predictions"},
        started_at="2026-01-07T10:15:02+00:00",
        finished_at="2026-01-07T10:15:12+00:00",
        config={"task": "forecast", "gates.keep_releases": "10"},
        versions={"python": "3.11"},
        description="Monthly series",
        champions=5,
        unchanged=1,
        level_models=1,
        statuses={"ok": 100, "no_model": 8},
        fallbacks={"": 90, "global": 10},
        estimate=Estimate(4, 1, 12, 10.0, 2.0, 2 * 2**30, 1000, 2),
        against_estimate={
            "train_seconds": EstimatedFigure(10.0, 8.25, 0.825),
            "peak_memory_bytes": EstimatedFigure(2 * 2**30, 3 * 2**30, 1.5),
        },
    )
    return replace(plain, **changes)


def series_example(segment="series=n1", actual=(), history=(3.0, 4.0, 5.0), **changes):
    start = datetime(2024, 1, 1)
    times = [start + timedelta(days=7 * week) for week in range(len(history) + 2)]
    past, future = times[: len(history)], times[len(history) :]
    plain = SeriesExample(segment, "Best", past, history, future, (5.0, 6.0), (4.0, 4.5), (6.0, 7.5), actual, "theta")
    return replace(plain, **changes)


def long_example(number, points=1000):
    """As much as one chart can hold."""
    times = [datetime(2000, 1, 1) + timedelta(hours=hour) for hour in range(2 * points)]
    values = np.random.default_rng(number).normal(1e6, 1e5, points)
    forecast = (values, values - 1e5, values + 1e5, values + 1.0)
    return SeriesExample(f"series=n{number}", "Long", times[:points], values, times[points:], *forecast, "ridge")


def rows_example(segment="route=a", rows=100):
    return RowsExample(segment, "Worst", measured_rows(rows), "ridge", "RMSE 3.2")


def measured_rows(count, seed=0):
    random = np.random.default_rng(seed)
    prediction = random.normal(20, 5, count)
    actual = prediction + random.normal(0, 2, count)
    return TestRows(actual, prediction, prediction - 4, prediction + 4)


def errors(count):
    random = np.random.default_rng(1)
    figures = zip(random.lognormal(0, 1, count), random.lognormal(0, 1, count), strict=True)
    return tuple(SegmentError(f"series=n{i}", "ridge", ours, naive, 60) for i, (ours, naive) in enumerate(figures))


def champion(error, candidate="theta", fingerprint=None):
    return ChampionFigures(candidate, error, fingerprint or f"{candidate}-{error}")


def changes(segment="series=n1", now=None):
    """Everything that can change did."""
    former = summary(
        run_id="20260106-1", release=2, config={"task": "forecast"}, metric=BacktestMetric("smape", 12.0, 16.0, None)
    )
    champions = ({segment: champion(1.0), "b": champion(1.0)}, {segment: champion(2.0, segment), "b": champion(0.5)})
    outcomes = ({segment: "trained", "b": "trained", "old": "reused"}, {segment: "failed", "b": "reused"})
    return changes_between(former, now or summary(), outcomes, champions, [InputFile(f"/in/{segment}.csv", 700, 10)])


def full(segment="series=n1"):
    """A report with something in every section."""
    return RunReport(
        summary(former_run="20260106-1"),
        (SegmentError(segment, segment, 2.5, 2.0, 77), SegmentError("series=n2", "ridge", 0.5, 1.0, 77)),
        {segment: 3, "ridge": 1},
        {segment: 0.75, "ridge": 0.25},
        (OutcomeReason("failed", f"{segment}: not finite", 1, (segment,)),),
        (GateCount("beats_baseline", 3, 1), GateCount("latency", 2, 2, decisive=False)),
        (HeldSegment(segment, f"{segment} is worse"),),
        (series_example(segment, actual=(5.5, NAN)),),
        (series_example(segment),),
        (QuarantineReason("observations", "unparsable", 10, (f"a.csv:3: units: {segment}",)),),
        None,
        PastAccuracy(
            "smape",
            tuple(LiveAccuracy(step, 100, 2.0 * step, -1.0, 0.9) for step in range(1, 9)),
            (LiveAccuracy(1, 60, 12.0, 0.5, NAN), LiveAccuracy(2, 40, NAN, 0.25, 0.95)),
        ),
        changes(segment),
    )
