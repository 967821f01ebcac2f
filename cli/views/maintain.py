"""Output of `myriad maintain`: one line per table that it changed."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from adapters.lake.maintenance import TableMaintenance
from cli.views.tables import Section, print_sections
from domain.reporting.formatting import format_bytes, format_count

__all__ = ["print_maintenance"]


class FleetMaintenance(Protocol):
    """Figures of one fleet."""

    @property
    def fleet(self) -> str: ...
    @property
    def dry_run(self) -> bool: ...
    @property
    def tables(self) -> Sequence[TableMaintenance]: ...
    @property
    def journals(self) -> int: ...
    @property
    def uploads(self) -> int: ...
    @property
    def sent(self) -> int: ...


def print_maintenance(fleets: Sequence[FleetMaintenance]) -> None:
    """Print one table and one summary line per fleet."""
    for fleet in fleets:
        header = ("table", "files merged", "into", "files deleted", "freed", "")
        rows = [_row(table) for table in fleet.tables]
        print_sections([Section(f"fleet {fleet.fleet}", rows, header, numbers=frozenset({1, 2, 3, 4}))])
        print(f"{fleet.fleet}{' (dry run)' if fleet.dry_run else ''}: {', '.join(_totals(fleet))}")
    if not fleets:
        print("no fleets in the lake")


def _totals(fleet: FleetMaintenance) -> Iterator[str]:
    deleted, aborted, freed = ("to delete", "to abort", "to free") if fleet.dry_run else ("deleted", "aborted", "freed")
    yield f"{format_count(fleet.journals, 'checkpoint', zero='no')} {deleted}"
    yield f"{format_count(fleet.uploads, 'upload', zero='no')} {aborted}"
    yield f"{format_count(fleet.sent, 'sent file', zero='no')} {deleted}"
    yield f"{format_bytes(sum(table.freed_bytes for table in fleet.tables))} {freed}"


def _row(table: TableMaintenance) -> tuple[str, ...]:
    counts = (table.merged, table.into, table.removed)
    return (table.table, *map(str, counts), format_bytes(table.freed_bytes), _obstacle(table))


def _obstacle(table: TableMaintenance) -> str:
    """Say why the files were not merged; empty if they were."""
    if table.waits:
        return "not merged: a scoring job is running or was interrupted; the next maintenance run merges"
    if table.newer:
        return "not merged: a newer version of Myriad wrote to it; upgrade this one"
    return "another writer was first; the next maintenance run merges" if table.busy else ""
