"""Partition landed rows into buckets of observations, committed once per state of the landed rows."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from adapters.compute.progress import Progress, emit
from adapters.lake.staged_file import StagedFile
from adapters.lake.table import Table
from domain.config.fleet import Fleet
from domain.data.partitioning import bucket_count
from domain.data.segments import bucket_of, lookalikes_message
from domain.data.tables import QUARANTINE, SEGMENTS, landed, levels, observations
from domain.errors import PartitionError
from tasks.checkpoint import clear_checkpoints, map_with_checkpoints
from tasks.context import Run
from tasks.workers.bucket_reader import SPANS, spans
from tasks.workers.partition import PartitionReceipt, partition_span

__all__ = ["PartitionSummary", "partition_observations", "recorded_buckets"]

BUCKETS = "myriad.buckets"
_CROWDED_ROWS = 1_000
_REASONS_TOLD = 3
_VERSION, _SETTINGS = "partition", "partition-settings"


@dataclass(frozen=True)
class PartitionSummary:
    """Segments and rows after partitioning. warnings : messages that need attention.

    landed = accepted + merged + rejected. merged : rows that `aggregate` added to another of their period.
    """

    buckets: int
    segments: int
    landed: int
    accepted: int
    rejected: int
    version: int
    warnings: tuple[str, ...] = ()
    merged: int = 0


def partition_observations(run: Run) -> PartitionSummary:
    """Rebuild the buckets from the landed rows and commit them, unless neither rows nor settings have changed.

    Raises PartitionError if the segment columns give too many segments, or nearly one a row; StaleTableError if
    another run of the fleet partitioned meanwhile.
    """
    source = run.table(landed(run.fleet))
    version, files = source.version(), source.files()
    if not sum(file.rows for file in files):
        raise PartitionError(f"fleet {run.fleet.name}: no valid row has been ingested{_rejections(run)}")
    target = run.table(observations(run.fleet))
    marks = {_VERSION: version, _SETTINGS: _settings(run.fleet)}
    if any(target.mark(name) != value for name, value in marks.items()):
        hashes, rows = _rows_by_hash(source, files)
        chosen = _choose(run, len(hashes), sum(file.rows for file in files))
        target.create({BUCKETS: str(chosen)})
        buckets, based_on = recorded_buckets(run), target.version()
        parts = spans(sum(file.rows for file in files), buckets, SPANS)
        work = partial(partition_span, run.context, buckets, files)
        by_bucket = np.bincount(bucket_of(hashes, buckets), rows, buckets)
        basis, weight = [version, buckets], partial(_span_rows, by_bucket)
        receipts = map_with_checkpoints(
            run, "partition", basis, work, parts, PartitionReceipt, key=_span_key, weight=weight
        )
        _refuse_most(run, receipts)
        _commit(run, receipts, marks, based_on)
    clear_checkpoints(run, "partition")
    summary = _summary(run, sum(file.rows for file in files))
    for warning in summary.warnings:
        emit(Progress("partition", 0, 0, f"warning: {warning}"))
    return summary


def _span_key(span: range) -> str:
    return f"{span.start}-{span.stop}"


def _span_rows(by_bucket: npt.NDArray[Any], span: range) -> float:
    return float(by_bucket[span.start : span.stop].sum())


def _refuse_most(run: Run, receipts: Sequence[PartitionReceipt]) -> None:
    """Stop before the commit if most rows would be rejected: a setting is wrong then, not the data."""
    fleet, landed_rows = run.fleet, sum(receipt.landed for receipt in receipts)
    foreign = sum(receipt.foreign for receipt in receipts)
    rejected = sum(receipt.rejected for receipt in receipts) - foreign
    limit = fleet.validation.max_quarantined_share
    if foreign / landed_rows > limit:
        raise PartitionError(
            f"fleet {fleet.name}: {foreign:,} of {landed_rows:,} rows were read when segment_by was another, and their "
            "files are gone or unreadable; put them back, or give the fleet another name to begin anew"
        )
    if rejected / landed_rows > limit:
        hint = f" (periods are {fleet.time.frequency}; is time.frequency right?)" if fleet.time else ""
        raise PartitionError(
            f"fleet {fleet.name}: {rejected:,} of {landed_rows:,} rows would be quarantined as repeated or "
            f"outlying{hint}, more than validation.max_quarantined_share = {limit:g}"
        )


def _settings(fleet: Fleet) -> int:
    """Return a hash of the settings that decide the fate of a landed row."""
    time, features = fleet.time, fleet.features
    content = [fleet.task, time and time.frequency, fleet.validation.model_dump(), fleet.model_dump()["fallback"]]
    content.append(fleet.segment_by)
    content += [["aggregate", fleet.aggregate]] if fleet.aggregate else []
    text = json.dumps([*content, features.numeric, features.categorical], sort_keys=True)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "big")


def _summary(run: Run, landed_rows: int) -> PartitionSummary:
    target = run.table(observations(run.fleet))
    accepted = sum(file.rows for file in target.files())
    merged = landed_rows - accepted - _quarantined(run) if run.fleet.aggregate else 0
    return PartitionSummary(
        buckets=recorded_buckets(run),
        segments=sum(file.rows for file in run.table(SEGMENTS).files()),
        landed=landed_rows,
        accepted=accepted,
        rejected=landed_rows - accepted - merged,
        version=target.version(),
        warnings=tuple(_warnings(run)),
        merged=merged,
    )


def _quarantined(run: Run) -> int:
    """Number of rows that the partition rejected."""
    files = run.table(QUARANTINE).files(lambda partition: partition["stage"] == "partition")
    return sum(file.rows for file in files)


def _warnings(run: Run) -> Iterator[str]:
    requested, recorded = run.fleet.partition.buckets, recorded_buckets(run)
    if requested not in ("auto", recorded):
        yield (
            f"partition.buckets: {requested} has no effect, the fleet was first partitioned into {recorded}, which "
            f"stay; give the fleet another name or lake to begin anew"
        )
    alike = lookalikes_message(run.table(SEGMENTS).read(["segment"])["segment"].to_pylist())
    if alike:
        yield f"segment_by: {alike}"


def _rejections(run: Run) -> str:
    """Summarise the rejected rows by their most frequent reasons."""
    rejected = run.table(QUARANTINE).read(["reason", "detail"], lambda partition: partition["stage"] == "observations")
    counts = Counter(f"{row['reason']} ({row['detail']})" for row in rejected.to_pylist())
    summary = ", ".join(f"{count:,} {reason}" for reason, count in counts.most_common(_REASONS_TOLD))
    return f": {summary}; look at the quarantine table" if summary else "; its files have no rows"


def recorded_buckets(run: Run) -> int:
    """Return the number of buckets that the first partition fixed; 0 before that."""
    return int(run.table(observations(run.fleet)).properties().get(BUCKETS, 0))


def _rows_by_hash(source: Table, files: Sequence[StagedFile]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the sorted hashes of the landed segments, and the number of rows of each."""
    hashes, rows = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for file in files:
        added, counts = np.unique(source.read_files([file], ["hash"])["hash"].to_numpy(), return_counts=True)
        hashes, place = np.unique(np.concatenate([hashes, added]), return_inverse=True)
        rows = np.bincount(place, np.concatenate([rows, counts]), len(hashes)).astype(np.int64)
    return hashes, rows


def _choose(run: Run, segments: int, rows: int) -> int:
    """Choose the number of buckets; refuse segment columns that give too many segments."""
    fleet = run.fleet
    columns = ", ".join(fleet.segment_by)
    if segments > fleet.partition.max_segments:
        raise PartitionError(
            f"fleet {fleet.name}: segment_by: {columns} gives {segments:,} segments, more than "
            f"partition.max_segments = {fleet.partition.max_segments:,}; leave out a column or raise the limit"
        )
    if rows >= _CROWDED_ROWS and segments > 0.5 * rows:
        raise PartitionError(
            f"fleet {fleet.name}: segment_by: {columns} gives {segments:,} segments for {rows:,} rows, nearly one "
            f"a row; use columns that repeat, such as a store or a product, and make others features"
        )
    chosen = fleet.partition.buckets
    return bucket_count(segments, rows) if chosen == "auto" else chosen


def _commit(run: Run, receipts: Sequence[PartitionReceipt], marks: Mapping[str, int], based_on: int) -> None:
    """Commit the other tables first, then the observations: only that commit, with the marks of its source, counts."""

    def everything(file: StagedFile) -> bool:
        return True

    def ours(file: StagedFile) -> bool:
        return file.partition["stage"] == "partition"

    run.table(QUARANTINE).replace([file for receipt in receipts for file in receipt.quarantined], ours)
    run.table(SEGMENTS).replace([file for receipt in receipts for file in receipt.profiles], everything)
    run.table(levels(run.fleet)).replace([file for receipt in receipts for file in receipt.levels], everything)
    staged = [file for receipt in receipts for file in receipt.observations]
    note = {"run_id": run.context.run_id}
    run.table(observations(run.fleet)).replace(staged, everything, marks=marks, based_on=based_on, note=note)
