"""Partition: landed rows to bucketed observations, committed once for each state of the landed rows."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE

from adapters.lake import StagedFile, Table
from models.errors import PartitionError
from models.fleet import Fleet
from models.partition import bucket_count
from models.tables import QUARANTINE, SEGMENTS, landed, levels, observations
from tasks.context import Run
from tasks.work.partition import PartitionReceipt, partition_one

__all__ = ["PartitionSummary", "partition_observations", "recorded_buckets"]

BUCKETS = "myriad.buckets"
_CROWDED_ROWS = 1_000
_VERSION, _SETTINGS = "partition", "partition-settings"


@dataclass(frozen=True)
class PartitionSummary:
    """Segments and rows after partitioning. landed = accepted + rejected."""

    buckets: int
    segments: int
    landed: int
    accepted: int
    rejected: int
    version: int


@task(name="partition observations", cache_policy=NO_CACHE)
def partition_observations(run: Run) -> PartitionSummary:
    """Rebuild the buckets from the landed rows and commit them; nothing to do where neither rows nor settings changed.

    Raises PartitionError if the segment columns give too many segments, or nearly one a row; StaleTableError if
    another run of the fleet partitioned meanwhile.
    """
    source = run.table(landed(run.fleet))
    version, files = source.version(), source.files()
    if not sum(file.rows for file in files):
        raise PartitionError(f"fleet {run.fleet.name}: no valid row has been ingested; look at the quarantine table")
    target = run.table(observations(run.fleet))
    marks = {_VERSION: version, _SETTINGS: _settings(run.fleet)}
    if any(target.mark(name) != value for name, value in marks.items()):
        chosen = _choose(run, source, files)
        target.create({BUCKETS: str(chosen)})
        buckets, based_on = recorded_buckets(run), target.version()
        receipts = run.workers.map("partition", partial(partition_one, run.job, buckets, files), range(buckets))
        _refuse_most(run, receipts)
        _commit(run, receipts, marks, based_on)
    return _summary(run, sum(file.rows for file in files))


def _refuse_most(run: Run, receipts: Sequence[PartitionReceipt]) -> None:
    """Stop before anything is committed where most rows would be rejected: a setting is wrong, not the data."""
    fleet, landed_rows = run.fleet, sum(receipt.landed for receipt in receipts)
    rejected = sum(receipt.rejected for receipt in receipts)
    if rejected > fleet.validation.max_quarantined_share * landed_rows:
        hint = f" (periods are {fleet.time.frequency}; is time.frequency right?)" if fleet.time else ""
        raise PartitionError(
            f"fleet {fleet.name}: {rejected:,} of {landed_rows:,} rows would be quarantined as repeated or "
            f"outlying{hint}, more than validation.max_quarantined_share = {fleet.validation.max_quarantined_share:g}"
        )


def _settings(fleet: Fleet) -> int:
    """Identity of the settings that decide what becomes of a landed row, as a number."""
    time, features = fleet.time, fleet.features
    content = [fleet.task, time and time.frequency, fleet.validation.model_dump(), fleet.model_dump()["fallback"]]
    text = json.dumps([*content, features.numeric, features.categorical], sort_keys=True)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "big")


def _summary(run: Run, landed_rows: int) -> PartitionSummary:
    target = run.table(observations(run.fleet))
    accepted = sum(file.rows for file in target.files())
    return PartitionSummary(
        buckets=recorded_buckets(run),
        segments=sum(file.rows for file in run.table(SEGMENTS).files()),
        landed=landed_rows,
        accepted=accepted,
        rejected=landed_rows - accepted,
        version=target.version(),
    )


def recorded_buckets(run: Run) -> int:
    """The number of buckets that the fleet got at its first ingest; 0 before that."""
    return int(run.table(observations(run.fleet)).properties().get(BUCKETS, 0))


def _choose(run: Run, source: Table, files: Sequence[StagedFile]) -> int:
    """Count the segments, refuse what is no partition, and choose the number of buckets."""
    fleet, rows = run.fleet, sum(file.rows for file in files)
    hashes = np.zeros(0, np.int64)
    for file in files:
        hashes = np.union1d(hashes, source.read_files([file], ["hash"])["hash"].to_numpy())
    columns = ", ".join(fleet.segment_by)
    if len(hashes) > fleet.partition.max_segments:
        raise PartitionError(
            f"fleet {fleet.name}: segment_by: {columns} gives {len(hashes):,} segments, more than "
            f"partition.max_segments = {fleet.partition.max_segments:,}; leave out a column or raise the limit"
        )
    if rows >= _CROWDED_ROWS and len(hashes) > 0.5 * rows:
        raise PartitionError(
            f"fleet {fleet.name}: segment_by: {columns} gives {len(hashes):,} segments for {rows:,} rows, nearly one "
            f"a row; use columns that repeat, such as a store or a product, and make others features"
        )
    chosen = fleet.partition.buckets
    return bucket_count(len(hashes), rows) if chosen == "auto" else chosen


def _commit(run: Run, receipts: Sequence[PartitionReceipt], marks: Mapping[str, int], based_on: int) -> None:
    """Everything but the observations first; their commit, with the marks of what it was made from, is what counts."""

    def everything(file: StagedFile) -> bool:
        return True

    def ours(file: StagedFile) -> bool:
        return file.partition["stage"] == "partition"

    run.table(QUARANTINE).replace([file for receipt in receipts for file in receipt.quarantined], ours)
    run.table(SEGMENTS).replace([file for receipt in receipts for file in receipt.profiles], everything)
    run.table(levels(run.fleet)).replace([file for receipt in receipts for file in receipt.levels], everything)
    staged = [file for receipt in receipts for file in receipt.observations]
    note = {"run_id": run.job.run_id}
    run.table(observations(run.fleet)).replace(staged, everything, marks=marks, based_on=based_on, note=note)
