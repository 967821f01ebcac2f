"""Partition neighbouring buckets: gather their landed rows, sort, check and profile them, stage the results."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from adapters.lake.staged_file import StagedFile
from domain.data.partitioning import partition_bucket
from domain.data.parts import bucket_part
from domain.data.tables import QUARANTINE, SEGMENTS, landed, levels, observations
from tasks.workers.bucket_reader import SPANS, bucket_rows, forget_rows
from tasks.workers.run_context import RunContext, stage_rows

__all__ = ["PartitionReceipt", "partition_span"]


@dataclass(frozen=True)
class PartitionReceipt:
    """Result for the buckets of a span. landed : rows read; accepted + rejected = landed.

    foreign : rejected rows that were read when the fleet had other segment columns.
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


def partition_span(context: RunContext, buckets: int, files: Sequence[StagedFile], span: range) -> PartitionReceipt:
    """Partition the buckets of one span.

    files : committed files of the `landed` table; the rows of the span's hash range are read from each.
    """
    parts = [_partition(context, buckets, files, bucket) for bucket in span]
    forget_rows()
    return PartitionReceipt(
        *(_total([getattr(part, item.name) for part in parts]) for item in fields(PartitionReceipt))
    )


def _total(values: Sequence[Any]) -> Any:
    """Add counts, or join tuples: a receipt consists of these."""
    return sum(values[1:], start=values[0])


def _partition(context: RunContext, buckets: int, files: Sequence[StagedFile], bucket: int) -> PartitionReceipt:
    """Partition one bucket."""
    rows = bucket_rows(context.table(landed(context.fleet)), files, bucket, buckets, least=SPANS)
    result = partition_bucket(rows, context.fleet)
    return PartitionReceipt(
        segments=result.profiles.num_rows,
        landed=rows.num_rows,
        accepted=result.observations.num_rows,
        rejected=result.rejected.num_rows,
        foreign=result.foreign,
        observations=stage_rows(context.table(observations(context.fleet)), result.observations, bucket=bucket),
        profiles=stage_rows(context.table(SEGMENTS), result.profiles, bucket=bucket),
        levels=stage_rows(context.table(levels(context.fleet)), result.levels, bucket=bucket),
        quarantined=stage_rows(context.table(QUARANTINE), result.rejected, stage="partition", part=bucket_part(bucket)),
    )
