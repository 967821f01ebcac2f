"""Segments that the report shows as charts: which ones, and their rows from the tables; the rows of a test part."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from domain.data.tables import PREDICTIONS, SEGMENTS, key_column, landed, observations
from domain.reporting.examples import Pick, Traits, choose, worst
from domain.reporting.formatting import format_metric, format_number
from domain.reporting.row_charts import RowsSample, TestRows
from domain.reporting.series_charts import SeriesSample
from tasks.context import Run

__all__ = ["Samples", "segment_traits", "series_samples", "test_rows"]

Samples = tuple[Sequence[SeriesSample | RowsSample], Sequence[SeriesSample | RowsSample]]
"""A dozen telling segments, and the worst ones."""

_SAMPLES, _WORST = 12, 3
_MAX_TEST_ROWS = 300_000


def segment_traits(
    run: Run,
    outcomes: Mapping[str, str],
    champions: Sequence[Mapping[str, Any]],
    former: Mapping[str, str],
) -> list[Traits]:
    """What samples are chosen by. outcomes : of this run. former : replaced candidates, by segment."""
    columns = ["segment", "bucket", "rows", "mean", "zero_share", "gaps"]
    profiles = run.table(SEGMENTS).read(columns).to_pylist()
    models = {row["segment"]: row for row in champions}
    found = []
    for row in profiles:
        segment, model = row["segment"], models.get(row["segment"], {})
        size = abs(row["mean"]) * row["rows"]
        found.append(
            Traits(
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
    return found


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def series_samples(run: Run, job_id: str, traits: Sequence[Traits]) -> Samples:
    """History, forecast and, where published, the truth of the chosen segments; each table is read once."""
    chosen, bad = choose(traits, _SAMPLES), worst(traits, _WORST)
    segments = {pick.traits.segment for pick in (*chosen, *bad)}
    wanted = pc.field("segment").isin(sorted(segments))
    buckets = {str(pick.traits.bucket) for pick in (*chosen, *bad)}
    history = _by_segment(
        run.table(observations(run.fleet)).read(
            ["segment", "time", "target"], lambda partition: partition["bucket"] in buckets, wanted
        )
    )
    columns = ["segment", "time", "step", "prediction", "lower", "upper", "candidate", "fallback_level", "model_name"]
    forecast = _by_segment(
        run.table(PREDICTIONS)
        .read(
            [*columns, "model_version"],
            lambda partition: partition["part"] in {f"bucket-{bucket}" for bucket in buckets},
            wanted & (pc.field("job_id") == job_id),
        )
        .sort_by([("segment", "ascending"), ("time", "ascending")])
    )
    truth: dict[str, list[dict[str, Any]]] = {}
    if run.fleet.test is not None:
        actuals = landed(run.fleet.truth, "actuals")
        truth = _by_segment(run.table(actuals).read(["segment", "time", "target"], rows=wanted))

    def sample(pick: Pick) -> SeriesSample:
        name = pick.traits.segment
        return _series(run, pick, history.get(name, []), forecast.get(name, []), truth.get(name, []))

    return [sample(pick) for pick in chosen], [sample(pick) for pick in bad]


def _by_segment(rows: pa.Table) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows.to_pylist():
        found.setdefault(row["segment"], []).append(row)
    return found


def _series(
    run: Run,
    pick: Pick,
    history: Sequence[Mapping[str, Any]],
    forecast: Sequence[Mapping[str, Any]],
    truth: Sequence[Mapping[str, Any]],
) -> SeriesSample:
    actual = {row["time"]: row["target"] for row in truth}
    return SeriesSample(
        segment=pick.traits.segment,
        why=pick.why,
        times=[row["time"] for row in history],
        history=[_number(row["target"]) for row in history],
        forecast_times=[row["time"] for row in forecast],
        prediction=[_number(row["prediction"]) for row in forecast],
        lower=[_number(row["lower"]) for row in forecast],
        upper=[_number(row["upper"]) for row in forecast],
        actual=[_number(actual.get(row["time"])) for row in forecast] if actual else (),
        model=_model(forecast[0] if forecast else {}),
        note=_note(run, pick),
    )


def _model(row: Mapping[str, Any]) -> str:
    if not row.get("candidate"):
        return ""
    level = f", {row['fallback_level']} fallback" if row["fallback_level"] else ""
    version = f" v{row['model_version']}" if row["model_version"] is not None else ""
    return f"{row['candidate']}{level} · {row['model_name']}{version}"


def _note(run: Run, pick: Pick) -> str:
    error, baseline = pick.traits.error, pick.traits.baseline
    if not math.isfinite(error):
        return ""
    return f"{format_metric(run.fleet.backtest.metric)} {format_number(error)}, baseline {format_number(baseline)}"


def test_rows(run: Run, traits: Sequence[Traits]) -> tuple[TestRows | None, Samples]:
    """Predictions of a regression fleet beside the published truth: all rows, and those of the chosen segments.

    Of very many rows every n-th one counts. Nothing where the fleet names no truth or its rows no key.
    """
    if run.fleet.test is None or not run.fleet.row_key:
        return None, ((), ())
    keys = [key_column(name) for name in run.fleet.row_key]
    actuals = run.table(landed(run.fleet.truth, "actuals"))
    every = math.ceil(sum(file.rows for file in actuals.files()) / _MAX_TEST_ROWS) or 1
    truth = actuals.read(["segment", "target", *keys])
    truth = truth.take(pa.array(np.arange(0, truth.num_rows, every)))
    packed = [
        json.dumps(dict(zip(run.fleet.row_key, key, strict=True))) for key in zip(*_lists(truth, keys), strict=True)
    ]
    truth = truth.select(["segment", "target"]).append_column("row_key", pa.array(packed, pa.string()))
    columns = ["segment", "row_key", "prediction", "lower", "upper", "candidate", "fallback_level", "model_name"]
    predicted = run.table(PREDICTIONS).read(
        [*columns, "model_version"],
        lambda partition: partition["part"].startswith("input-"),
        pc.is_valid(pc.field("prediction")),
    )
    joined = truth.join(predicted, ["segment", "row_key"], join_type="inner")
    joined = joined.sort_by([("segment", "ascending"), ("row_key", "ascending")])
    if not joined.num_rows:
        return None, ((), ())
    present = set(joined["segment"].unique().to_pylist())
    scored = [trait for trait in traits if trait.segment in present]

    def sample(pick: Pick) -> RowsSample:
        part = joined.filter(pc.equal(joined["segment"], pick.traits.segment))
        model = _model(part.select([*columns[5:], "model_version"]).slice(0, 1).to_pylist()[0])
        return RowsSample(pick.traits.segment, pick.why, _rows(part, every), model, _note(run, pick))

    chosen, bad = choose(scored, _SAMPLES), worst(scored, _WORST)
    return _rows(joined, every), ([sample(pick) for pick in chosen], [sample(pick) for pick in bad])


def _lists(rows: pa.Table, names: Sequence[str]) -> list[list[Any]]:
    return [rows[name].to_pylist() for name in names]


def _rows(joined: pa.Table, every: int) -> TestRows:
    def column(name: str) -> Any:
        return joined[name].fill_null(math.nan).to_numpy()

    return TestRows(column("target"), column("prediction"), column("lower"), column("upper"), every)
