"""Follows models and predictions back: version, release, training run, rows, files."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from adapters.lake.table import StagedFile
from adapters.queries.fleet_status import OBSERVATIONS, FleetTables
from domain.data.segments import FALLBACK_BUCKET, GLOBAL_KEY, parse_segment
from domain.data.tables import CHAMPIONS, INPUTS, TableSpec
from domain.reporting.segment_view import ChampionView, InputView, ModelView, PredictionLineage, PredictionView

__all__ = ["champion_of", "input_views", "model_views", "trace"]

_MODEL = ["segment", "level", "model_name", "candidate", "metric", "error", "baseline_error", "rows", "cutoff"]
_MODEL += ["sha256", "fingerprint", "parity_error", "run_id"]
_RELEASED = ["model_version", "promoted_at", "kind", "source", "release"]


def model_views(
    tables: FleetTables, spec: TableSpec, files: Sequence[StagedFile], which: ds.Expression
) -> list[tuple[ModelView, dict[str, Any]]]:
    """Stored models, and their rows without the graph. Challengers have no version."""
    released = _RELEASED if spec is CHAMPIONS else []
    rows = tables[spec].read_files(files, [*_MODEL, *released, "onnx"], which)
    sizes = pc.binary_length(rows["onnx"]).to_pylist()
    found = []
    for row, size in zip(rows.drop_columns(["onnx"]).to_pylist(), sizes, strict=True):
        own = {name: row[name] for name in _MODEL}
        found.append((ModelView(**own, model_version=row.get("model_version"), size_bytes=size), row))
    return found


def champion_of(tables: FleetTables, which: ds.Expression, buckets: Sequence[int], release: int) -> ChampionView | None:
    """The model of a release that `which` picks in these buckets; None where it is not kept.

    A release that has expired may have left the model to a later one, which tells as much.
    """
    files = tables[CHAMPIONS].files(lambda partition: int(partition["bucket"]) in buckets)
    found = model_views(tables, CHAMPIONS, files, which)
    if not found:
        return None
    nearest = min(found, key=lambda pair: (abs(pair[1]["release"] - release), pair[1]["release"]))
    model, row = nearest
    same = [other["release"] for view, other in found if view.model_version == model.model_version]
    since = [number for number in same if number <= row["release"]]
    first = row["release"]
    while first - 1 in since:
        first -= 1
    return ChampionView(model, row["release"], first, row["promoted_at"], row["kind"], row["source"])


def input_views(tables: FleetTables, rows: pa.Table, cutoff: datetime | None) -> tuple[InputView, ...]:
    """Files of observations, by path. rows : columns input_id and time. cutoff : of the model, None for all."""
    total: Counter[str] = Counter(rows["input_id"].to_pylist())
    before = rows if cutoff is None else rows.filter(pc.less_equal(rows["time"], pa.scalar(cutoff, rows["time"].type)))
    trained: Counter[str] = Counter(before["input_id"].to_pylist())
    known = _inputs(tables, "observations")
    views = []
    for input_id, count in total.items():
        file = known.get(input_id) or InputView("", input_id, "observations", 0, 0, None)
        views.append(replace(file, rows=count, trained=trained[input_id]))
    return tuple(sorted(views, key=lambda view: (view.path, view.input_id)))


def _inputs(tables: FleetTables, role: str) -> dict[str, InputView]:
    rows = tables[INPUTS].read(["path", "input_id", "ingested_at"], lambda partition: partition["role"] == role)
    return {
        row["input_id"]: InputView(row["path"], row["input_id"], role, 0, 0, row["ingested_at"])
        for row in rows.to_pylist()
    }


def trace(
    tables: FleetTables, prediction: PredictionView, others: Sequence[PredictionView], bucket: int
) -> PredictionLineage:
    """Where a prediction comes from, down to the files. bucket : of its segment."""
    made_by = None
    if prediction.model_name is not None:
        named = pc.field("model_name") == prediction.model_name
        which = named & (pc.field("model_version") == prediction.model_version)
        made_by = champion_of(tables, which, (bucket, FALLBACK_BUCKET), prediction.release)
    rows = _rows_behind(tables, prediction, made_by, bucket)
    cutoff = made_by.model.cutoff if made_by else prediction.origin
    return PredictionLineage(
        prediction=prediction,
        made_by=made_by,
        inputs=input_views(tables, rows, cutoff),
        covariates=_inputs(tables, "requests").get(prediction.input_id),
        others=tuple(others),
    )


def _rows_behind(
    tables: FleetTables, prediction: PredictionView, made_by: ChampionView | None, bucket: int
) -> pa.Table:
    """Observations up to the forecast's origin: of the segment, or of all segments of the level that stands in."""
    columns = ["segment", "time", "input_id"]
    of_level = made_by is not None and made_by.model.level != "segment"
    files = tables[OBSERVATIONS].files(lambda partition: of_level or partition["bucket"] == str(bucket))
    if made_by is None or not of_level:
        which = pc.field("segment") == prediction.segment
        rows = tables[OBSERVATIONS].read_files(files, columns, which)
    else:
        rows = tables[OBSERVATIONS].read_files(files, columns)
        below = [key for key in pc.unique(rows["segment"]).to_pylist() if _is_below(key, made_by.model.segment)]
        rows = rows.filter(pc.is_in(rows["segment"], pa.array([*below, prediction.segment], pa.string())))
    if prediction.origin is None:
        return rows
    return rows.filter(pc.less_equal(rows["time"], pa.scalar(prediction.origin, rows["time"].type)))


def _is_below(segment: str, level: str) -> bool:
    """Whether a fallback level covers a segment."""
    return level == GLOBAL_KEY or parse_segment(level).items() <= parse_segment(segment).items()
