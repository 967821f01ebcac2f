"""Choose the segments that the report shows as charts, and read their rows and the rows of the test part."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from domain.config.task_types import ForecastTask, RegressionTask, TaskBindings
from domain.data.parts import bucket_part, is_input_part
from domain.data.tables import PREDICTIONS, SEGMENTS, key_column, landed, observations
from domain.reporting.examples import Example, SegmentProfile, choose_examples, worst_segments
from domain.reporting.formatting import format_metric, format_number
from domain.reporting.row_charts import RowsExample, TestRows
from domain.reporting.series_charts import SeriesExample
from tasks.context import Run

__all__ = ["EXAMPLES", "Examples", "segment_profiles", "series_examples", "test_rows"]

Examples = tuple[Sequence[SeriesExample | RowsExample], Sequence[SeriesExample | RowsExample]]
"""A dozen telling segments, and the worst ones."""

_EXAMPLES, _WORST = 12, 3
_MAX_TEST_ROWS = 300_000


def segment_profiles(
    run: Run,
    outcomes: Mapping[str, str],
    champions: Sequence[Mapping[str, Any]],
    former: Mapping[str, str],
) -> list[SegmentProfile]:
    """Return the figures by which examples are chosen. outcomes : of this run. former : replaced candidates."""
    columns = ["segment", "bucket", "rows", "mean", "zero_share", "gaps"]
    profiles = run.table(SEGMENTS).read(columns).to_pylist()
    models = {row["segment"]: row for row in champions}
    segment_rows = []
    for row in profiles:
        segment, model = row["segment"], models.get(row["segment"], {})
        size = abs(row["mean"]) * row["rows"]
        segment_rows.append(
            SegmentProfile(
                segment=segment,
                bucket=row["bucket"],
                outcome=outcomes.get(segment, ""),
                candidate=model.get("candidate", ""),
                error=_number(model.get("error")),
                baseline=_number(model.get("baseline_error")),
                rows=row["rows"],
                size=size if math.isfinite(size) else 0.0,
                zero_share=row["zero_share"] or 0.0,
                gaps=row["gaps"] or 0,
                former=former.get(segment, ""),
            )
        )
    return segment_rows


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def series_examples(run: Run, job_id: str, profiles: Sequence[SegmentProfile]) -> Examples:
    """Return history, forecast and, if published, actuals of the chosen segments; each table is read once."""
    chosen, worst = choose_examples(profiles, _EXAMPLES), worst_segments(profiles, _WORST)
    segments = {example.profile.segment for example in (*chosen, *worst)}
    of_segments = pc.field("segment").isin(sorted(segments))
    buckets = {example.profile.bucket for example in (*chosen, *worst)}
    parts = set(map(bucket_part, buckets))
    history = _by_segment(
        run.table(observations(run.fleet)).read(
            ["segment", "time", "target"], lambda partition: int(partition["bucket"]) in buckets, of_segments
        )
    )
    columns = ["segment", "time", "step", "prediction", "lower", "upper", "candidate", "fallback_level", "model_name"]
    forecast = _by_segment(
        run.table(PREDICTIONS)
        .read(
            [*columns, "model_version"],
            lambda partition: partition["part"] in parts,
            of_segments & (pc.field("job_id") == job_id),
        )
        .sort_by([("segment", "ascending"), ("time", "ascending")])
    )
    actual_rows: dict[str, list[dict[str, Any]]] = {}
    if run.fleet.test is not None:
        actuals = landed(run.fleet.actuals_fleet, "actuals")
        actual_rows = _by_segment(run.table(actuals).read(["segment", "time", "target"], rows=of_segments))

    def chart_example(example: Example) -> SeriesExample:
        name = example.profile.segment
        return _series(run, example, history.get(name, []), forecast.get(name, []), actual_rows.get(name, []))

    return [chart_example(example) for example in chosen], [chart_example(example) for example in worst]


def _by_segment(rows: pa.Table) -> dict[str, list[dict[str, Any]]]:
    by_segment: dict[str, list[dict[str, Any]]] = {}
    for row in rows.to_pylist():
        by_segment.setdefault(row["segment"], []).append(row)
    return by_segment


def _series(
    run: Run,
    example: Example,
    history: Sequence[Mapping[str, Any]],
    forecast: Sequence[Mapping[str, Any]],
    actuals: Sequence[Mapping[str, Any]],
) -> SeriesExample:
    actual = {row["time"]: row["target"] for row in actuals}
    return SeriesExample(
        segment=example.profile.segment,
        caption=example.caption,
        times=[row["time"] for row in history],
        history=[_number(row["target"]) for row in history],
        forecast_times=[row["time"] for row in forecast],
        prediction=[_number(row["prediction"]) for row in forecast],
        lower=[_number(row["lower"]) for row in forecast],
        upper=[_number(row["upper"]) for row in forecast],
        actual=[_number(actual.get(row["time"])) for row in forecast] if actual else (),
        model=_model(forecast[0] if forecast else {}),
        note=_note(run, example),
    )


def _model(row: Mapping[str, Any]) -> str:
    if not row.get("candidate"):
        return ""
    level = f", {row['fallback_level']} fallback" if row["fallback_level"] else ""
    version = f" v{row['model_version']}" if row["model_version"] is not None else ""
    return f"{row['candidate']}{level} · {row['model_name']}{version}"


def _note(run: Run, example: Example) -> str:
    error, baseline = example.profile.error, example.profile.baseline
    if not math.isfinite(error):
        return ""
    return f"{format_metric(run.fleet.backtest.metric)} {format_number(error)}, baseline {format_number(baseline)}"


def test_rows(run: Run, profiles: Sequence[SegmentProfile]) -> tuple[TestRows | None, Examples]:
    """Join predictions of a regression fleet with published actuals: all rows, and those of the chosen segments.

    Of very many rows, only every n-th counts. The result is empty if the fleet names no actuals, or its rows no key.
    """
    if run.fleet.test is None or not run.fleet.row_key:
        return None, ((), ())
    keys = [key_column(name) for name in run.fleet.row_key]
    table = run.table(landed(run.fleet.actuals_fleet, "actuals"))
    every = math.ceil(sum(file.rows for file in table.files()) / _MAX_TEST_ROWS) or 1
    actuals = table.read(["segment", "target", *keys])
    actuals = actuals.take(pa.array(np.arange(0, actuals.num_rows, every)))
    packed = [
        json.dumps(dict(zip(run.fleet.row_key, key, strict=True))) for key in zip(*_lists(actuals, keys), strict=True)
    ]
    actuals = actuals.select(["segment", "target"]).append_column("row_key", pa.array(packed, pa.string()))
    columns = ["segment", "row_key", "prediction", "lower", "upper", "candidate", "fallback_level", "model_name"]
    predicted = run.table(PREDICTIONS).read(
        [*columns, "model_version"],
        lambda partition: is_input_part(partition["part"]),
        pc.is_valid(pc.field("prediction")),
    )
    joined = actuals.join(predicted, ["segment", "row_key"], join_type="inner")
    joined = joined.sort_by([("segment", "ascending"), ("row_key", "ascending")])
    if not joined.num_rows:
        return None, ((), ())
    present = set(joined["segment"].unique().to_pylist())
    scored = [profile for profile in profiles if profile.segment in present]

    def chart_example(example: Example) -> RowsExample:
        part = joined.filter(pc.equal(joined["segment"], example.profile.segment))
        model = _model(part.select([*columns[5:], "model_version"]).slice(0, 1).to_pylist()[0])
        return RowsExample(example.profile.segment, example.caption, _rows(part, every), model, _note(run, example))

    chosen, worst = choose_examples(scored, _EXAMPLES), worst_segments(scored, _WORST)
    return _rows(joined, every), (
        [chart_example(example) for example in chosen],
        [chart_example(example) for example in worst],
    )


def _lists(rows: pa.Table, names: Sequence[str]) -> list[list[Any]]:
    return [rows[name].to_pylist() for name in names]


def _rows(joined: pa.Table, every: int) -> TestRows:
    def column(name: str) -> Any:
        return joined[name].fill_null(math.nan).to_numpy()

    return TestRows(column("target"), column("prediction"), column("lower"), column("upper"), every)


EXAMPLES = TaskBindings[Callable[[Run, str, Sequence[SegmentProfile]], tuple[TestRows | None, Examples]]](
    "choice of examples for the report",
    {
        ForecastTask.name: lambda run, job_id, profiles: (None, series_examples(run, job_id, profiles)),
        RegressionTask.name: lambda run, job_id, profiles: test_rows(run, profiles),
    },
)
