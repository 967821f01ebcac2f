"""Measure predictions against later observations, by bucket, committed once per state of both."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from adapters.lake.staged_file import StagedFile
from adapters.lake.table import Lake, Table
from domain.data.parts import bucket_part, is_input_part
from domain.data.tables import ACCURACY, PREDICTIONS, landed, observations
from models.monitoring.accuracy import accuracy_by
from tasks.context import Run
from tasks.partition import recorded_buckets
from tasks.workers.accuracy import AccuracyReceipt, BucketFiles, measure_bucket
from tasks.workers.run_context import in_bucket

__all__ = ["AccuracySummary", "accuracy_rows", "measure_accuracy"]

_VERSION = 1
"""Raise it whenever a change of the code changes what is measured."""

_BASIS = "accuracy-basis"


@dataclass(frozen=True)
class AccuracySummary:
    """Figures of one measurement.

    rows : predictions with an actual value. in_sample : those of them whose model was trained on that value.
    excluded : further predictions whose actual value is an excluded outlier. groups : rows of the table.
    measured : buckets that were computed anew. reason : reason for measuring nothing, if so.
    """

    rows: int
    in_sample: int
    excluded: int
    groups: int
    buckets: int
    measured: int
    reason: str = ""


def measure_accuracy(run: Run) -> AccuracySummary:
    """Measure the predictions of every bucket whose predictions or observations have changed since the last time."""
    buckets = recorded_buckets(run)
    if not run.fleet.task_type.periodic and not run.fleet.row_key:
        reason = "the fleet file has no row_key, by which a prediction finds its observation"
        return AccuracySummary(0, 0, 0, 0, buckets, 0, reason)
    if run.table(PREDICTIONS).version() < 0:
        return AccuracySummary(0, 0, 0, 0, buckets, 0, "nothing has been scored yet")
    table, bucket_files = run.table(ACCURACY), _bucket_files(run, buckets)
    mark = int(_digest([files.basis for files in bucket_files])[:14], 16)
    changed: list[BucketFiles] = []
    if table.mark(_BASIS) != mark:
        before = _bases(run)
        changed = [files for files in bucket_files if before.get(files.bucket) != files.basis]
        receipts = run.workers.map("accuracy", partial(measure_bucket, run.context, buckets), changed)
        _commit(run, receipts, buckets, mark)
    return _summary(run, buckets, len(changed))


def _bucket_files(run: Run, buckets: int) -> list[BucketFiles]:
    """Return the files that the accuracy of each bucket is computed from."""
    forecast = run.fleet.task_type.periodic
    predictions = _grouped(run.table(PREDICTIONS).files(), "part")
    every = tuple(file for name, files in predictions.items() if is_input_part(name) for file in files)
    rows = _grouped(run.table(observations(run.fleet)).files(), "bucket")
    lines = () if forecast else tuple(run.table(landed(run.fleet)).files())
    bucket_files = []
    for bucket in range(buckets):
        of_bucket = predictions.get(bucket_part(bucket), ()) if forecast else every
        observed = rows.get(str(bucket), ())
        paths = sorted(file.path for file in (*of_bucket, *observed))
        basis = _digest([str(_VERSION), *run.fleet.row_key, *paths])
        bucket_files.append(BucketFiles(bucket, basis, of_bucket, observed, lines))
    return bucket_files


def _grouped(files: Sequence[StagedFile], column: str) -> Mapping[str, tuple[StagedFile, ...]]:
    grouped: dict[str, tuple[StagedFile, ...]] = {}
    for file in files:
        grouped[file.partition[column]] = (*grouped.get(file.partition[column], ()), file)
    return grouped


def _digest(parts: Sequence[str]) -> str:
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()


def _bases(run: Run) -> dict[int, str]:
    rows = run.table(ACCURACY).read(["bucket", "basis"]).group_by(["bucket", "basis"]).aggregate([])
    return {row["bucket"]: row["basis"] for row in rows.to_pylist()}


def _commit(run: Run, receipts: Sequence[AccuracyReceipt], buckets: int, mark: int) -> None:
    done = {str(receipt.bucket) for receipt in receipts}

    def outdated(file: StagedFile) -> bool:
        return file.partition["bucket"] in done or int(file.partition["bucket"]) >= buckets

    staged = [file for receipt in receipts for file in receipt.files]
    run.table(ACCURACY).replace(staged, outdated, marks={_BASIS: mark}, note={"run_id": run.context.run_id})


def _summary(run: Run, buckets: int, changed: int) -> AccuracySummary:
    rows = in_sample = excluded = groups = 0
    for part in _parts(run.table(ACCURACY)):
        groups += part.num_rows
        rows += pc.sum(part["rows"]).as_py() or 0
        in_sample += pc.sum(part.filter(part["in_sample"])["rows"]).as_py() or 0
        excluded += pc.sum(part["excluded"]).as_py() or 0
    return AccuracySummary(rows, in_sample, excluded, groups, buckets, changed)


def _parts(table: Table) -> Iterator[pa.Table]:
    """Yield the rows of the table, one bucket at a time."""
    for bucket in sorted({int(file.partition["bucket"]) for file in table.files()}):
        yield table.read(where=in_bucket(bucket))


def accuracy_rows(lake: Lake, fleet: str, by: str, release: int | None = None) -> pa.Table:
    """Return the figures by `step`, `segment` or `release`, in order; forecasts in sample stand apart.

    release : take only the predictions of this release.
    """
    keys = (by, "in_sample")
    parts = []
    for part in _parts(lake.table(fleet, ACCURACY)):
        of_release = part if release is None else part.filter(pc.equal(part["release"], release))
        parts.append(accuracy_by(of_release, keys))
    empty = accuracy_by(ACCURACY.schema.empty_table(), keys)
    # Grouping does not keep the order.
    return accuracy_by(pa.concat_tables([empty, *parts]), keys).sort_by([(key, "ascending") for key in keys])
