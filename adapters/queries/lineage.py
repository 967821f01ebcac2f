"""Trace models and predictions back to version, release, training run, rows and files."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from adapters.lake.staged_file import StagedFile
from adapters.queries.fleet_tables import OBSERVATIONS, FleetTables
from adapters.queries.segment_rows import SegmentRows
from domain.data.segments import FALLBACK_BUCKET, GLOBAL_KEY, parse_segment
from domain.data.tables import CHALLENGERS, CHAMPIONS, INPUTS, TableSpec
from domain.reporting.segment_view import ChampionView, InputView, ModelView, PredictionLineage, PredictionView

__all__ = ["champion_of", "input_views", "model_views", "trace"]

_MODEL = [field.name for field in fields(ModelView) if field.name in CHALLENGERS.schema.names]
_RELEASED = ["model_version", "promoted_at", "kind", "source", "release"]


def model_views(
    tables: FleetTables, spec: TableSpec, files: Sequence[StagedFile], condition: ds.Expression
) -> list[tuple[ModelView, dict[str, Any]]]:
    """Read stored models with their rows, without the graphs. Challengers have no version."""
    released = _RELEASED if spec is CHAMPIONS else []
    rows = tables[spec].read_files(files, [*_MODEL, *released, "onnx"], condition)
    sizes = pc.binary_length(rows["onnx"]).to_pylist()
    models = []
    for row, size in zip(rows.drop_columns(["onnx"]).to_pylist(), sizes, strict=True):
        values = {name: row[name] for name in _MODEL}
        models.append((ModelView(**values, model_version=row.get("model_version"), size_bytes=size), row))
    return models


def champion_of(
    tables: FleetTables, condition: ds.Expression, buckets: Sequence[int], release: int
) -> ChampionView | None:
    """Read the model of a release that matches a condition; None if no release keeps it.

    If the release has expired, the nearest release that has the model stands in.
    """
    files = tables[CHAMPIONS].files(lambda partition: int(partition["bucket"]) in buckets)
    models = model_views(tables, CHAMPIONS, files, condition)
    if not models:
        return None
    model, row = min(models, key=lambda pair: (abs(pair[1]["release"] - release), pair[1]["release"]))
    same = {other["release"] for view, other in models if view.model_version == model.model_version}
    since = row["release"]
    while since - 1 in same:
        since -= 1
    return ChampionView(model, row["release"], since, row["promoted_at"], row["kind"], row["source"])


def input_views(tables: FleetTables, rows: pa.Table, cutoff: datetime | None) -> tuple[InputView, ...]:
    """Count observations by input file, in the order of paths.

    Parameters
    ----------
    rows : table with the columns `input_id` and `time`.
    cutoff : newest training time of the model; None counts all rows as trained.
    """
    total: Counter[str] = Counter(rows["input_id"].to_pylist())
    before = rows if cutoff is None else rows.filter(pc.less_equal(rows["time"], pa.scalar(cutoff, rows["time"].type)))
    trained: Counter[str] = Counter(before["input_id"].to_pylist())
    inputs = _inputs(tables, "observations")
    views = []
    for input_id, count in total.items():
        file = inputs.get(input_id) or InputView("", input_id, "observations", 0, 0, None)
        views.append(replace(file, rows=count, trained=trained[input_id]))
    return tuple(sorted(views, key=lambda view: (view.path, view.input_id)))


def _inputs(tables: FleetTables, role: str) -> dict[str, InputView]:
    rows = tables[INPUTS].read(["path", "input_id", "ingested_at"], lambda partition: partition["role"] == role)
    return {
        row["input_id"]: InputView(row["path"], row["input_id"], role, 0, 0, row["ingested_at"])
        for row in rows.to_pylist()
    }


def trace(rows: SegmentRows, prediction: PredictionView, others: Sequence[PredictionView]) -> PredictionLineage:
    """Trace a prediction of a segment back to its model and files."""
    tables, made_by = rows.tables, None
    if prediction.model_name is not None:
        condition = pc.field("model_name") == prediction.model_name
        condition &= pc.field("model_version") == prediction.model_version
        made_by = champion_of(tables, condition, (rows.bucket, FALLBACK_BUCKET), prediction.release)
    cutoff = made_by.model.cutoff if made_by else prediction.origin
    return PredictionLineage(
        prediction=prediction,
        made_by=made_by,
        inputs=input_views(tables, _source_rows(rows, prediction, made_by), cutoff),
        covariates=_inputs(tables, "requests").get(prediction.input_id),
        others=tuple(others),
    )


def _source_rows(rows: SegmentRows, prediction: PredictionView, made_by: ChampionView | None) -> pa.Table:
    """Read the observations up to the origin: of the segment or, for a fallback model, of its whole group."""
    table, columns = rows.tables[OBSERVATIONS], ["segment", "time", "input_id"]
    if made_by is None or made_by.model.level == "segment":
        observed = table.read_files(rows.files(OBSERVATIONS), columns, rows.condition)
    else:
        observed = table.read_files(table.files(), columns)
        group = made_by.model.segment
        members = [key for key in pc.unique(observed["segment"]).to_pylist() if _covers(group, key)]
        keys = pa.array([*members, prediction.segment], pa.string())
        observed = observed.filter(pc.is_in(observed["segment"], keys))
    if prediction.origin is None:
        return observed
    return observed.filter(pc.less_equal(observed["time"], pa.scalar(prediction.origin, observed["time"].type)))


def _covers(group: str, segment: str) -> bool:
    """Return True if a fallback group contains a segment."""
    return group == GLOBAL_KEY or parse_segment(group).items() <= parse_segment(segment).items()
