"""What `myriad maintain` shows: a line a table with which something was done."""

from collections.abc import Sequence
from typing import Protocol

from adapters.lake.maintenance import TableMaintenance
from cli.views.tables import Section, counted, show_sections
from domain.reporting.formatting import format_bytes

__all__ = ["show_maintenance"]


class FleetMaintenance(Protocol):
    """What was done for a fleet."""

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


def show_maintenance(found: Sequence[FleetMaintenance]) -> None:
    """Print a table a fleet, and a line that sums it up."""
    for fleet in found:
        header = ("table", "files merged", "into", "files deleted", "freed", "")
        rows = [_row(table) for table in fleet.tables]
        show_sections([Section(f"fleet {fleet.fleet}", rows, header, numbers=frozenset({1, 2, 3, 4}))])
        freed = format_bytes(sum(table.freed_bytes for table in fleet.tables))
        done = (f"{counted(fleet.journals, 'journal')} dropped", f"{counted(fleet.uploads, 'upload')} aborted")
        told = ", ".join((*done, f"{counted(fleet.sent, 'sent file')} deleted", f"{freed} freed"))
        print(f"{fleet.fleet}: {'would be: ' if fleet.dry_run else ''}{told}")
    if not found:
        print("no fleets in the lake")


def _row(table: TableMaintenance) -> tuple[str, ...]:
    counts = (table.merged, table.into, table.removed)
    told = "another writer came first; the next one merges" if table.busy else ""
    told = "not merged: a newer version of Myriad wrote to it; upgrade this one" if table.newer else told
    told = "not merged: a scoring job is at work or was interrupted; the next maintain merges" if table.waits else told
    return (table.table, *map(str, counts), format_bytes(table.freed_bytes), told)
