"""Score one bucket: champions where there are any, else the fallback chain, else an explicit status."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from adapters.lake.staged_file import StagedFile
from adapters.lake.table import Table
from domain.calendar.time_spans import period_of
from domain.config.task_types import ForecastTask, RegressionTask, TaskBindings
from domain.data.aggregation import aggregate_periods
from domain.data.model_record import Champion
from domain.data.parts import bucket_part, input_part
from domain.data.tables import CHAMPIONS, PREDICTIONS, landed
from models.inference.loaded_models import Champions, LoadedModels
from tasks.workers.bucket_reader import bucket_rows
from tasks.workers.fallback_inputs import level_models, warn_of_refused
from tasks.workers.forecast import score_forecast
from tasks.workers.rows import score_rows
from tasks.workers.run_context import RunContext, of_release, read_models, stage_rows
from tasks.workers.scoring_request import ScoringRequest

__all__ = ["ScoreReceipt", "ScoringRequest", "in_sample_rows", "level_counts", "score_bucket"]

_KEY = ["segment", "origin", "time", "release", "as_of"]


@dataclass(frozen=True)
class ScoreReceipt:
    """Result of scoring one bucket. statuses : status -> rows. levels : fallback level -> rows.

    in_sample : forecasts whose model was trained on rows after their origin. standing : forecasts of a past moment that
    were not written, since forecasts of the newest rows have the same origin.
    replaces : committed files whose remaining rows are in `files`.
    """

    bucket: int
    rows: int
    segments: int
    statuses: Mapping[str, int]
    levels: Mapping[str, int]
    files: tuple[StagedFile, ...]
    replaces: tuple[str, ...]
    in_sample: int = 0
    standing: int = 0


@dataclass
class _Merged:
    """New forecasts against committed ones. rows : to write. standing : left out. kept, replaces : see ScoreReceipt."""

    rows: pa.Table
    standing: int
    kept: list[StagedFile] = field(default_factory=list)
    replaces: list[str] = field(default_factory=list)


def score_bucket(context: RunContext, request: ScoringRequest, bucket: int) -> ScoreReceipt:
    """Score the segments of one bucket with the release of the request."""
    own = read_models(context, CHAMPIONS, of_release(request.release, bucket), Champion)
    champions = Champions(warn_of_refused(context, LoadedModels(own)), level_models(context, request))
    requests = _requests(context, request, bucket)
    table = context.table(PREDICTIONS)
    rows = SCORERS[context.fleet.task](context, request, bucket, champions, requests)
    merged, files = _staged(table, request, bucket, _with_job(rows, request), context.fleet.task_type.periodic)
    return ScoreReceipt(
        bucket=bucket,
        rows=merged.rows.num_rows,
        segments=len(pc.unique(merged.rows["segment"])),
        statuses=Counter(merged.rows["status"].to_pylist()),
        levels=level_counts(merged.rows),
        files=files,
        replaces=tuple(merged.replaces),
        in_sample=in_sample_rows(context, merged.rows),
        standing=merged.standing,
    )


SCORERS = TaskBindings[Callable[[RunContext, ScoringRequest, int, Champions, pa.Table], pa.Table]](
    "scorer", {ForecastTask.name: score_forecast, RegressionTask.name: score_rows}
)


def _staged(
    table: Table, request: ScoringRequest, bucket: int, rows: pa.Table, periodic: bool
) -> tuple[_Merged, tuple[StagedFile, ...]]:
    """Forecasts are merged with those of their bucket; other predictions are a file per bucket and input."""
    if periodic:
        part = bucket_part(bucket)
        merged = _merge(table, request, rows, part)
        return merged, (*merged.kept, *stage_rows(table, merged.rows, part=part))
    parts = {input_id: rows.filter(pc.equal(rows["input_id"], input_id)) for input_id in request.inputs}
    files = (file for key, part in parts.items() for file in stage_rows(table, part, part=input_part(key)))
    return _Merged(rows, 0), tuple(files)


def level_counts(rows: pa.Table) -> Counter[str]:
    """Count rows by the fallback level that predicted them, without the rows that have no model."""
    return Counter(level for level in rows["fallback_level"].to_pylist() if level is not None)


def in_sample_rows(context: RunContext, rows: pa.Table) -> int:
    """Count the forecasts of models that were trained on rows after the origin."""
    if not context.fleet.task_type.periodic:
        return 0
    clock = context.fleet.clock
    pairs = rows.select(["origin", "cutoff"]).group_by(["origin", "cutoff"]).aggregate([([], "count_all")]).to_pylist()
    known = [pair for pair in pairs if pair["origin"] is not None and pair["cutoff"] is not None]
    return sum(
        pair["count_all"] for pair in known if period_of(pair["cutoff"], clock) > period_of(pair["origin"], clock)
    )


def _requests(context: RunContext, request: ScoringRequest, bucket: int) -> pa.Table:
    rows = bucket_rows(context.table(landed(context.fleet, "requests")), request.requests, bucket, request.buckets)
    # What several inputs say of one period is not added up: the newest counts, as without the setting.
    rows = aggregate_periods(rows, context.fleet, ("path", "row"), within=("path_id", "input_id"))
    ranks = [request.ranks.get(input_id, 0) for input_id in rows["input_id"].to_pylist()]
    return rows.append_column("rank", pa.array(ranks, pa.int64()))


def _with_job(rows: pa.Table, request: ScoringRequest) -> pa.Table:
    """Add the columns that all rows of a job share; columns in the order of the table."""
    n, schema = rows.num_rows, PREDICTIONS.file_schema
    values = {
        "release": request.release,
        "job_id": request.job_id,
        "scored_at": request.scored_at,
        "as_of": request.as_of,
    }
    for name, value in values.items():
        rows = rows.append_column(name, pa.array([value] * n, schema.field(name).type))
    return rows.select(schema.names)


def _merge(table: Table, request: ScoringRequest, rows: pa.Table, part: str) -> _Merged:
    """Replace committed forecasts of the same (segment, origin, release) by the new ones.

    Exception: forecasts of a past moment never replace forecasts of the newest rows; those stay, and the new ones are
    left out.
    """
    files = table.files(lambda partition: partition["part"] == part)
    before = {file.path: table.read_files([file], _KEY, pc.field("release") == request.release) for file in files}
    standing = pa.array([], pa.string())
    if request.as_of is not None:
        lasting = [_keys(part.filter(pc.is_null(part["as_of"]))) for part in before.values()]
        standing = pa.concat_arrays([standing, *lasting])
    stood = pc.is_in(_keys(rows), standing)
    new = rows.filter(pc.invert(stood))
    merged, keys = _Merged(new, rows.num_rows - new.num_rows), _keys(new)
    for file in files:
        if not pc.any(pc.is_in(_keys(before[file.path]), keys)).as_py():
            continue
        committed = table.read_files([file], table.spec.file_schema.names)
        superseded = pc.and_(pc.equal(committed["release"], request.release), pc.is_in(_keys(committed), keys))
        merged.kept += stage_rows(table, committed.filter(pc.invert(superseded)), part=part)
        merged.replaces.append(file.path)
    return merged


def _keys(rows: pa.Table) -> pa.Array:
    """Segment and origin of each row as one text; rows without a model have no origin, and use their time."""
    origin = rows["origin"].cast(pa.int64()).cast(pa.string())
    time = pc.binary_join_element_wise("time", rows["time"].cast(pa.int64()).cast(pa.string()), " ")
    keys = pc.binary_join_element_wise(pc.coalesce(origin, time), rows["segment"], " ")
    return keys.combine_chunks() if isinstance(keys, pa.ChunkedArray) else keys
