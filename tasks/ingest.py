"""Ingest: find new and changed files, land each exactly once, keep the ledger."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pyarrow as pa
from prefect import task
from prefect.cache_policies import NO_CACHE

from adapters.files import RawFile, list_files
from adapters.lake import StagedFile, Table
from models.errors import SourceError
from models.fleet import Source
from models.tables import INPUTS, QUARANTINE, landed
from tasks.context import Run
from tasks.work.land import LandReceipt, Role, land_file, landing_table, reading

__all__ = ["IngestReceipt", "ingest_files"]


@dataclass(frozen=True)
class IngestReceipt:
    """Files and rows of one ingest. read = accepted + rejected.

    refused : why files could not be read; rows that they gave before stay.
    """

    files: int
    unchanged: int
    refused: tuple[str, ...]
    read: int
    accepted: int
    rejected: int
    reasons: Mapping[str, int] = field(default_factory=dict)


@task(name="ingest files", task_run_name="ingest {role}", cache_policy=NO_CACHE)
def ingest_files(run: Run, role: Role, source: Source) -> IngestReceipt:
    """Land the source's new and changed files; a changed file replaces its own rows.

    A file is also new when the fleet reads it another way than before. The partitions of the `landed` table are the
    ledger: they change in the same commit as the rows. Raises SourceError if no file could be read.
    """
    how = reading(run.fleet, role, source)
    files = [replace(file, stamp=f"{file.stamp}-{how}") for file in list_files(source.path, run.job.home)]
    fresh = _fresh(run, role, files)
    receipts = run.workers.map("ingest", partial(land_file, run.job, role, source), fresh)
    errors = tuple(receipt.error for receipt in receipts if receipt.error)
    if errors and len(errors) == len(files):
        raise SourceError("\n".join(errors))
    _commit(run, role, receipts)
    reasons: Counter[str] = Counter()
    for receipt in receipts:
        reasons.update(receipt.reasons)
    return IngestReceipt(
        files=len(files),
        unchanged=len(files) - len(fresh),
        refused=errors,
        read=sum(receipt.read for receipt in receipts),
        accepted=sum(receipt.accepted for receipt in receipts),
        rejected=sum(receipt.rejected for receipt in receipts),
        reasons=dict(reasons),
    )


def _fresh(run: Run, role: Role, files: Sequence[RawFile]) -> list[RawFile]:
    """Files that are not in the ledger with the stamp that their storage gives now, and those that failed last."""
    ledger = {(path_id, row["stamp"]) for path_id, row in _ledger(run, role).items() if not row["error"]}
    return [file for file in files if (file.path_id, file.stamp) not in ledger]


def _ledger(run: Run, role: Role) -> dict[str, dict[str, Any]]:
    """Details of the inputs whose rows are there, by path id."""
    present = {(file.partition["path_id"], file.partition["input_id"]) for file in _table(run, role).files()}
    known = run.table(INPUTS).read(where=lambda partition: partition["role"] == role).to_pylist()
    return {row["path_id"]: row for row in known if (row["path_id"], row["input_id"]) in present}


def _table(run: Run, role: Role) -> Table:
    return run.table(landed(run.fleet, landing_table(role)))


def _commit(run: Run, role: Role, receipts: Sequence[LandReceipt]) -> None:
    """Rejected rows and the ledger's details first, the rows last: only they make an input count as ingested.

    A file that cannot be read now keeps what it gave before: accepted rows, rejected rows, and their counts.
    """
    tried = {receipt.file.path_id for receipt in receipts}
    landed_now = {receipt.file.path_id for receipt in receipts if not receipt.error}
    outdated = landed_now | {f"{path_id}-unreadable" for path_id in tried}
    before = _ledger(run, role)

    def rejected_of_these(file: StagedFile) -> bool:
        return file.partition["stage"] == role and file.partition["part"] in outdated

    def details_of_these(file: StagedFile) -> bool:
        return file.partition["role"] == role and file.partition["path_id"] in tried

    run.table(QUARANTINE).replace([file for receipt in receipts for file in receipt.quarantined], rejected_of_these)
    inputs = run.table(INPUTS)
    rows_of = {r.file.path_id: _input_row(r, before.get(r.file.path_id)) for r in receipts}
    details = [inputs.stage(row, role=role, path_id=path_id) for path_id, row in rows_of.items()]
    inputs.replace(details, details_of_these)
    rows = [file for receipt in receipts if not receipt.error for file in receipt.rows]
    note = {"run_id": run.job.run_id, "files": str(len(landed_now))}
    _table(run, role).replace(rows, lambda file: file.partition["path_id"] in landed_now, note=note)


def _input_row(receipt: LandReceipt, before: Mapping[str, Any] | None) -> pa.Table:
    if receipt.error and before:
        return pa.Table.from_pylist([dict(before) | {"error": receipt.error}], INPUTS.file_schema)
    row = {
        "path": receipt.file.uri,
        "stamp": receipt.file.stamp,
        "input_id": receipt.input_id,
        "bytes": receipt.file.size,
        "rows_read": receipt.read,
        "rows_accepted": receipt.accepted,
        "rows_quarantined": receipt.rejected,
        "error": receipt.error,
        "ingested_at": datetime.now(UTC),
    }
    return pa.Table.from_pylist([row])
