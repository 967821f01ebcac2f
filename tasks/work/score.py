"""Score one bucket: champions where there are any, else the fallback chain, else an explicit status."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from adapters.lake import StagedFile
from models.records import Champion
from models.segments import bucket_range
from models.tables import CHAMPIONS, PREDICTIONS, landed
from tasks.work.job import Job, of_release, read_models, stage_rows
from tasks.work.score_forecast import score_forecast
from tasks.work.score_rows import score_rows
from tasks.work.train import LEVELS

__all__ = ["ScoreOrder", "ScoreReceipt", "level_counts", "score_bucket"]


_KEY = ["segment", "key_origin"]
_NO_ORIGIN = -(2**62)


@dataclass(frozen=True)
class ScoreOrder:
    """What a scoring job was pinned to at its start.

    release : 0 where none is in force yet. inputs : ids of the scoring inputs that this job covers; ranks : input id ->
    place from the oldest to the newest. source : what forecasts without covariates came from.
    """

    job_id: str
    release: int
    buckets: int
    requests: tuple[StagedFile, ...]
    inputs: tuple[str, ...]
    ranks: Mapping[str, int]
    source: str
    scored_at: datetime


@dataclass(frozen=True)
class ScoreReceipt:
    """What became of one bucket. statuses : status -> rows. levels : fallback level -> rows.

    replaces : committed files of which `files` hold the rows that stay.
    """

    bucket: int
    rows: int
    segments: int
    statuses: Mapping[str, int]
    levels: Mapping[str, int]
    files: tuple[StagedFile, ...]
    replaces: tuple[str, ...]


def score_bucket(job: Job, order: ScoreOrder, bucket: int) -> ScoreReceipt:
    """Score the segments of one bucket with the pinned release."""
    champions = read_models(job, CHAMPIONS, of_release(order.release, bucket), Champion)
    levels = read_models(job, CHAMPIONS, of_release(order.release, LEVELS), Champion)
    requests = _requests(job, order, bucket)
    if job.fleet.task == "forecast":
        rows = score_forecast(job, bucket, champions, levels, requests, order.source)
    else:
        rows = score_rows(job, champions, levels, requests)
    rows = _with_job(rows, order)
    table = job.table(PREDICTIONS)
    files: list[StagedFile] = []
    replaces: list[str] = []
    if job.fleet.task == "forecast":
        kept, replaces = _superseded(job, rows, order.release, f"bucket-{bucket}")
        files += kept
        files += stage_rows(table, rows, part=f"bucket-{bucket}")
    else:
        for input_id in order.inputs:
            part = rows.filter(pc.equal(rows["input_id"], input_id))
            files += stage_rows(table, part, part=f"input-{input_id}")
    return ScoreReceipt(
        bucket=bucket,
        rows=rows.num_rows,
        segments=len(pc.unique(rows["segment"])),
        statuses=Counter(rows["status"].to_pylist()),
        levels=level_counts(rows),
        files=tuple(files),
        replaces=tuple(replaces),
    )


def level_counts(rows: pa.Table) -> Counter[str]:
    """Rows by the fallback level that predicted them; rows without a model are none of them."""
    return Counter(level for level in rows["fallback_level"].to_pylist() if level is not None)


def _requests(job: Job, order: ScoreOrder, bucket: int) -> pa.Table:
    low, high = bucket_range(bucket, order.buckets)
    wanted = (pc.field("hash") >= low) & (pc.field("hash") <= high)
    rows = job.table(landed(job.fleet, "requests")).read_files(order.requests, rows=wanted)
    ranks = [order.ranks.get(input_id, 0) for input_id in rows["input_id"].to_pylist()]
    return rows.append_column("rank", pa.array(ranks, pa.int64()))


def _with_job(rows: pa.Table, order: ScoreOrder) -> pa.Table:
    """Add the job's columns and give the rows the table's order of columns."""
    n = rows.num_rows
    columns = {
        "release": pa.array([order.release] * n, pa.int64()),
        "job_id": pa.array([order.job_id] * n, pa.string()),
        "scored_at": pa.array([order.scored_at] * n, pa.timestamp("us", tz="UTC")),
    }
    for name, values in columns.items():
        rows = rows.append_column(name, values)
    return rows.select(PREDICTIONS.file_schema.names)


def _keyed(rows: pa.Table) -> pa.Table:
    """Rows with an origin that joins match: null never equals null, and rows without a model have no origin."""
    return rows.append_column("key_origin", pc.fill_null(rows["origin"].cast(pa.int64()), _NO_ORIGIN))


def _superseded(job: Job, rows: pa.Table, release: int, part: str) -> tuple[Sequence[StagedFile], list[str]]:
    """Committed files that hold forecasts of the same (segment, origin, release), and their other rows staged anew."""
    table = job.table(PREDICTIONS)
    keys = _keyed(rows).select(_KEY).group_by(_KEY).aggregate([])
    keys = keys.append_column("superseded", pa.array([True] * keys.num_rows))
    kept: list[StagedFile] = []
    replaces: list[str] = []
    for file in table.files(lambda partition: partition["part"] == part):
        before = _keyed(table.read_files([file], table.spec.file_schema.names))
        same = before.filter(pc.equal(before["release"], release))
        if not same.select(_KEY).join(keys, _KEY, join_type="inner").num_rows:
            continue
        joined = before.join(keys, _KEY, join_type="left outer")
        stays = pc.or_(pc.is_null(joined["superseded"]), pc.not_equal(joined["release"], release))
        kept += stage_rows(table, joined.filter(stays), part=part)
        replaces.append(file.path)
    return kept, replaces
