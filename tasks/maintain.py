"""Maintain the tables of one fleet, one after another."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from adapters.compute.progress import Progress, emit
from adapters.lake.maintenance import (
    MERGED,
    CheckpointFolders,
    TableMaintenance,
    abort_uploads,
    compact_table,
    drop_checkpoints,
    drop_events,
    drop_sent,
    fleet_tables,
    read_checkpoints,
    vacuum_table,
)
from adapters.lake.table import Lake
from domain.errors import RequestError
from domain.reporting.formatting import format_bytes

__all__ = ["LEAST_HOURS", "MaintenanceSummary", "maintain_fleet"]

LEAST_HOURS = 24
"""Staged files that are younger may belong to a run that is at work."""


@dataclass(frozen=True)
class MaintenanceSummary:
    """Work done on a fleet's tables, or due in a dry run. tables : only those that had something to do.

    uploads : aborted unfinished uploads on S3. sent : deleted files that clients of the gateway had sent.
    """

    fleet: str
    dry_run: bool
    tables: Sequence[TableMaintenance]
    journals: int
    uploads: int
    sent: int = 0

    @property
    def removed(self) -> int:
        return sum(table.removed for table in self.tables)

    @property
    def freed_bytes(self) -> int:
        return sum(table.freed_bytes for table in self.tables)


def maintain_fleet(lake: Lake, fleet: str, retention_hours: int, *, dry_run: bool = False) -> MaintenanceSummary:
    """Merge small files, delete unreferenced ones, shorten logs, drop old journals, abort unfinished uploads.

    Raises RequestError for a retention under a day.
    """
    if retention_hours < LEAST_HOURS:
        raise RequestError(
            f"retention: {retention_hours} hours is not allowed; give at least {LEAST_HOURS}, and more than your "
            "longest run takes: files that a run has staged and not committed yet are deleted with the others"
        )
    retention, names, journals = (
        timedelta(hours=retention_hours),
        fleet_tables(lake, fleet),
        read_checkpoints(lake, fleet),
    )
    emit(Progress("maintain", 0, len(names) + 1))
    tables = _compact(lake, fleet, names, journals, dry_run)
    for done, name in enumerate(names, start=1):
        uri = f"{lake.folder(fleet)}/{name}"
        tidied = vacuum_table(uri, name, retention, kept=journals.files, dry_run=dry_run)
        merged = tables.get(name, TableMaintenance(name))
        tables[name] = replace(merged, removed=tidied.removed, freed_bytes=tidied.freed_bytes)
        emit(Progress("maintain", done, len(names) + 1))
    # After the tables: files that an old journal names stay until the next time, since a run may be resuming from it.
    dropped = drop_checkpoints(lake, fleet, retention, dry_run=dry_run)
    uploads = abort_uploads(lake.folder(fleet), retention, dry_run=dry_run)
    sent = drop_sent(lake, fleet, retention, dry_run=dry_run)
    drop_events(lake, fleet, retention, dry_run=dry_run)
    changed = [table for table in tables.values() if table != TableMaintenance(table.table)]
    result = MaintenanceSummary(fleet, dry_run, changed, dropped, uploads, sent)
    emit(Progress("maintain", len(names) + 1, len(names) + 1, f"{fleet}: {format_bytes(result.freed_bytes)} freed"))
    return result


def _compact(
    lake: Lake, fleet: str, names: Sequence[str], journals: CheckpointFolders, dry_run: bool
) -> dict[str, TableMaintenance]:
    """Compact the tables; return the results by table. A table whose version a run relies on waits for next time."""
    tables = {}
    for spec, stage in MERGED.items():
        if stage and journals.of(stage):
            tables[spec.name] = TableMaintenance(spec.name, waits=True)
        elif spec.name in names:
            tables[spec.name] = compact_table(lake, fleet, spec, dry_run=dry_run)
    return tables
