"""Partition one bucket: gather its landed rows, sort, check and profile them, stage the results."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow.dataset as ds

from adapters.lake import StagedFile
from models.partition import partition_bucket
from models.segments import bucket_range
from models.tables import QUARANTINE, SEGMENTS, landed, levels, observations
from tasks.work.job import Job, stage_rows

__all__ = ["PartitionReceipt", "partition_one"]


@dataclass(frozen=True)
class PartitionReceipt:
    """What became of one bucket. landed : rows read; accepted + rejected = landed.

    foreign : of the rejected ones, those read when the fleet had other segment columns.
    """

    bucket: int
    segments: int
    landed: int
    accepted: int
    rejected: int
    foreign: int
    observations: tuple[StagedFile, ...]
    profiles: tuple[StagedFile, ...]
    levels: tuple[StagedFile, ...]
    quarantined: tuple[StagedFile, ...]


def partition_one(job: Job, buckets: int, files: Sequence[StagedFile], bucket: int) -> PartitionReceipt:
    """files : committed files of the `landed` table; those of this bucket's hash range are read from each."""
    low, high = bucket_range(bucket, buckets)
    wanted = (ds.field("hash") >= low) & (ds.field("hash") <= high)
    rows = job.table(landed(job.fleet)).read_files(files, rows=wanted)
    result = partition_bucket(rows, job.fleet)
    return PartitionReceipt(
        bucket=bucket,
        segments=result.profiles.num_rows,
        landed=rows.num_rows,
        accepted=result.observations.num_rows,
        rejected=result.rejected.num_rows,
        foreign=result.foreign,
        observations=stage_rows(job.table(observations(job.fleet)), result.observations, bucket=bucket),
        profiles=stage_rows(job.table(SEGMENTS), result.profiles, bucket=bucket),
        levels=stage_rows(job.table(levels(job.fleet)), result.levels, bucket=bucket),
        quarantined=stage_rows(job.table(QUARANTINE), result.rejected, stage="partition", part=f"bucket-{bucket}"),
    )
