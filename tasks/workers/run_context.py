"""The context of every worker function: the fleet, the lake, the run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from adapters.lake.staged_file import StagedFile
from adapters.lake.table import Lake, Snapshot, Table
from domain.config.fleet import Fleet
from domain.data.model_record import ModelRecord
from domain.data.tables import TableSpec

__all__ = ["RunContext", "in_bucket", "of_release", "read_models", "stage_rows", "with_constants"]

M = TypeVar("M", bound=ModelRecord)


@dataclass(frozen=True)
class RunContext:
    """One run of a fleet against a lake. run_id names it in every table that it writes.

    snapshots : table -> the version to read; of other tables the newest.
    roots : folders that raw files must lie in after links are resolved, for runs that others ask for; none: anywhere.
    part : pattern of the segments that are trained; empty: all.
    """

    fleet: Fleet
    lake: Lake
    run_id: str
    home: Path
    snapshots: Mapping[str, Snapshot] = field(default_factory=dict)
    roots: tuple[str, ...] = ()
    part: str = ""

    def table(self, spec: TableSpec) -> Table:
        return self.lake.table(self.fleet.name, spec, self.snapshots.get(spec.name))

    def at_snapshot(self, *specs: TableSpec) -> "RunContext":
        """For workers: these tables as they are now, so that all buckets read one version, looked up once."""
        taken = {spec.name: self.table(spec).snapshot() for spec in specs}
        return replace(self, snapshots={**self.snapshots, **taken})


def in_bucket(bucket: int) -> Callable[[Mapping[str, str]], bool]:
    """Select the partitions of one bucket."""
    return lambda partition: partition["bucket"] == str(bucket)


def of_release(release: int, bucket: int) -> Callable[[Mapping[str, str]], bool]:
    """Select one bucket of one release."""
    selected = {"release": str(release), "bucket": str(bucket)}
    return lambda partition: dict(partition) == selected


def read_models(
    context: RunContext, spec: TableSpec, where: Callable[[Mapping[str, str]], bool], kind: type[M]
) -> dict[str, M]:
    """Stored models by segment."""
    rows = context.table(spec).read(where=where).to_pylist()
    return {row["segment"]: kind.from_row(row) for row in rows}


def stage_rows(table: Table, rows: pa.Table, **partition: object) -> tuple[StagedFile, ...]:
    """Stage rows unless there are none."""
    return (table.stage(rows, **partition),) if rows.num_rows else ()


def with_constants(rows: pa.Table, **values: object) -> pa.Table:
    """Add columns that hold one value each."""
    for name, value in values.items():
        kind = pa.string() if value is None else None
        rows = rows.append_column(name, pa.array([value] * rows.num_rows, kind or pa.scalar(value).type))
    return rows
