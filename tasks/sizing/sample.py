"""A sample of a fleet in its own lake: pieces of segments as buckets, which can be trained and scored for real."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from adapters.lake.staged_file import StagedFile
from adapters.lake.table import Lake
from domain.capacity.cost_model import Work
from domain.capacity.workload import representative_buckets, representative_segments
from domain.data.model_record import Champion, ModelRecord
from domain.data.partitioning import fallback_keys
from domain.data.segments import FALLBACK_BUCKET, bucket_range
from domain.data.tables import CHALLENGERS, CHAMPIONS, SEGMENTS, landed, levels, observations
from models.features.feature_spec import FeatureSpec
from tasks.context import Run
from tasks.workers.run_context import RunContext, in_bucket, read_models, stage_rows
from tasks.workers.scoring_request import ScoringRequest

__all__ = ["SizeSample", "promote_sample", "take_sample"]

_RELEASE = 1
_PART = "sample"


@dataclass(frozen=True)
class SizeSample:
    """Sample to measure. work : segments and rows of each piece; the pieces are buckets 0, 1, ... of the sample's lake.

    requests : rows of scoring input by piece. read_seconds : time to read a row from the fleet's lake.
    """

    context: RunContext
    contract: FeatureSpec
    work: tuple[Work, ...]
    requests: tuple[int, ...]
    read_seconds: float
    newest: datetime | None

    @property
    def pieces(self) -> int:
        return len(self.work)

    @property
    def segments(self) -> int:
        return sum(work.segments for work in self.work)

    @property
    def rows(self) -> int:
        return sum(work.rows for work in self.work)

    def request(self) -> ScoringRequest:
        """Return the request to score the sample with its champions."""
        files = tuple(self.context.table(landed(self.context.fleet, "requests")).files())
        now, ids = datetime.now(UTC), (_PART,) if files else ()
        return ScoringRequest("size", _RELEASE, self.pieces, files, ids, {}, _PART, now, newest=self.newest)


def take_sample(run: Run, requests: Run | None, lake: Lake, contract: FeatureSpec, segments: int) -> SizeSample:
    """Copy segments of a fleet, spread over buckets and sizes, with everything that their training and scoring reads.

    run : its lake has the observations. requests : its lake has the scoring input; None without any.
    lake : destination of the sample. segments : number of them to copy; all if there are fewer.
    """
    context = RunContext(run.fleet, lake, "size", run.context.home)
    profiles = run.table(SEGMENTS).read().to_pylist()
    numbers, chosen = _choose(profiles, segments)
    began = time.perf_counter()
    rows = run.table(observations(run.fleet)).read(where=lambda partition: partition["bucket"] in numbers)
    read_seconds = (time.perf_counter() - began) / max(rows.num_rows, 1)
    piece_of = {segment: piece for piece, names in enumerate(chosen) for segment in names}
    work = _copy_observations(context, rows, profiles, piece_of)
    if run.fleet.task_type.periodic:
        _copy_levels(run, context, list(piece_of))
    request_rows = _copy_requests(requests, context, piece_of, len(chosen)) if requests else [0] * len(chosen)
    newest = max((row["last_time"] for row in profiles if row["last_time"]), default=None)
    return SizeSample(context, contract, work, tuple(request_rows), read_seconds, newest)


def _choose(profiles: Sequence[Mapping[str, object]], segments: int) -> tuple[set[str], list[list[str]]]:
    """Return the names of the buckets to read, and the pieces."""
    known: dict[int, dict[str, int]] = {}
    for row in profiles:
        if row["rows"]:
            known.setdefault(int(str(row["bucket"])), {})[str(row["segment"])] = int(str(row["rows"]))
    numbers = sorted(known)
    sizes = [Work(len(known[number]), sum(known[number].values())) for number in numbers]
    read = [numbers[place] for place in representative_buckets(sizes, segments)]
    rows = {segment: count for number in read for segment, count in known[number].items()}
    return {str(number) for number in read}, representative_segments(rows, segments)


def _copy_observations(
    context: RunContext, rows: pa.Table, profiles: Sequence[Mapping[str, object]], piece_of: Mapping[str, int]
) -> tuple[Work, ...]:
    """Copy observations and profiles, each piece as a bucket."""
    target, table = context.table(observations(context.fleet)), context.table(SEGMENTS)
    pieces = max(piece_of.values()) + 1
    staged: list[StagedFile] = []
    described: list[StagedFile] = []
    work = []
    for piece in range(pieces):
        names = [segment for segment, place in piece_of.items() if place == piece]
        part = _of(rows, names).sort_by([("segment", "ascending"), ("time", "ascending")])
        staged += stage_rows(target, part, bucket=piece)
        of_piece = [row for row in profiles if piece_of.get(str(row["segment"])) == piece]
        described += stage_rows(table, pa.Table.from_pylist(of_piece, table.spec.schema), bucket=piece)
        work.append(Work(len(names), part.num_rows))
    table.replace(described, lambda file: True)
    target.replace(staged, lambda file: True)
    return tuple(work)


def _copy_levels(run: Run, context: RunContext, segments: list[str]) -> None:
    """Copy all sources of the sampled segments' levels, so that the level series are those of the fleet."""
    fallback_keys_used = sorted({key for keys in fallback_keys(segments, context.fleet).values() for key in keys})
    if fallback_keys_used:
        table = context.table(levels(context.fleet))
        rows = run.table(levels(run.fleet)).read(
            rows=pc.is_in(pc.field("level"), pa.array(fallback_keys_used, pa.string()))
        )
        table.replace(stage_rows(table, rows, bucket=0), lambda file: True)


def _copy_requests(requests: Run, context: RunContext, piece_of: Mapping[str, int], pieces: int) -> list[int]:
    """Copy the scoring input of the sampled segments, with hashes of their piece's bucket; return rows by piece."""
    table, segments = context.table(landed(context.fleet, "requests")), pa.array(list(piece_of), pa.string())
    rows = requests.table(table.spec).read(rows=pc.is_in(pc.field("segment"), segments))
    owners = [piece_of[segment] for segment in rows["segment"].to_pylist()]
    hashes = pa.array([bucket_range(piece, pieces)[0] for piece in owners], pa.int64())
    rows = rows.set_column(rows.column_names.index("hash"), "hash", hashes)
    table.replace(stage_rows(table, rows, path_id=_PART, input_id=_PART), lambda file: True)
    return [owners.count(piece) for piece in range(pieces)]


def promote_sample(context: RunContext, pieces: int) -> None:
    """Make every challenger of the sample a champion, without a registry."""
    table, now = context.table(CHAMPIONS), datetime.now(UTC)
    staged: list[StagedFile] = []
    for bucket in (FALLBACK_BUCKET, *range(pieces)):
        models = read_models(context, CHALLENGERS, in_bucket(bucket), ModelRecord).values()
        rows = [Champion.promoted(model, 1, now, context.run_id).to_row() for model in models]
        staged += stage_rows(table, pa.Table.from_pylist(rows, table.spec.file_schema), release=_RELEASE, bucket=bucket)
    table.replace(staged, lambda file: True)


def _of(rows: pa.Table, segments: Sequence[str]) -> pa.Table:
    return rows.filter(pc.is_in(rows["segment"], pa.array(segments, pa.string())))
