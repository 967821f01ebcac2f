"""Partition a few neighbouring buckets: gather their landed rows, sort, check and profile them, stage the results."""

from collections.abc import Sequence
from dataclasses import dataclass

from adapters.lake import StagedFile
from models.partition import Bucket, partition_bucket
from models.tables import QUARANTINE, SEGMENTS, landed, levels, observations
from tasks.work.hashed import bucket_rows
from tasks.work.job import Job, stage_rows

__all__ = ["PartitionReceipt", "partition_span"]


@dataclass(frozen=True)
class PartitionReceipt:
    """What became of the buckets of a span. landed : rows read; accepted + rejected = landed.

    foreign : of the rejected ones, those read when the fleet had other segment columns.
    """

    segments: int
    landed: int
    accepted: int
    rejected: int
    foreign: int
    observations: tuple[StagedFile, ...]
    profiles: tuple[StagedFile, ...]
    levels: tuple[StagedFile, ...]
    quarantined: tuple[StagedFile, ...]


def partition_span(job: Job, buckets: int, files: Sequence[StagedFile], span: range) -> PartitionReceipt:
    """files : committed files of the `landed` table; the rows of the span's hash range are read from each."""
    parts = [_partition(job, buckets, files, bucket) for bucket in span]
    found = [result for result, _ in parts]
    observed, profiles, level_sums, quarantined = (
        tuple(file for _, staged in parts for file in staged[kind]) for kind in range(4)
    )
    return PartitionReceipt(
        segments=sum(result.profiles.num_rows for result in found),
        landed=sum(result.observations.num_rows + result.rejected.num_rows for result in found),
        accepted=sum(result.observations.num_rows for result in found),
        rejected=sum(result.rejected.num_rows for result in found),
        foreign=sum(result.foreign for result in found),
        observations=observed,
        profiles=profiles,
        levels=level_sums,
        quarantined=quarantined,
    )


def _partition(
    job: Job, buckets: int, files: Sequence[StagedFile], bucket: int
) -> tuple[Bucket, tuple[tuple[StagedFile, ...], ...]]:
    """One bucket, and its staged observations, profiles, levels and rejected rows."""
    result = partition_bucket(bucket_rows(job.table(landed(job.fleet)), files, bucket, buckets), job.fleet)
    staged = (
        stage_rows(job.table(observations(job.fleet)), result.observations, bucket=bucket),
        stage_rows(job.table(SEGMENTS), result.profiles, bucket=bucket),
        stage_rows(job.table(levels(job.fleet)), result.levels, bucket=bucket),
        stage_rows(job.table(QUARANTINE), result.rejected, stage="partition", part=f"bucket-{bucket}"),
    )
    return result, staged
