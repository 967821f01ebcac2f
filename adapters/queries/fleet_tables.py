"""Tables of one fleet, opened for reading without its fleet file."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from adapters.lake.staged_file import StagedFile
from adapters.lake.table import Lake, Table
from domain.data.tables import CHAMPIONS, SEGMENTS, TableSpec

__all__ = ["LANDED", "OBSERVATIONS", "REQUESTS", "FleetTables", "newest_commit", "newest_run"]

LANDED = TableSpec("landed", pa.schema({"path_id": pa.string(), "input_id": pa.string()}), ("path_id", "input_id"))
REQUESTS = replace(LANDED, name="requests")
"""Landed rows without the columns that differ between fleets."""
_TIME = pa.timestamp("us", tz="UTC")
_ROWS = {"segment": pa.string(), "time": _TIME, "target": pa.float64(), "excluded": pa.bool_(), "input_id": pa.string()}
OBSERVATIONS = TableSpec("observations", pa.schema(_ROWS | {"bucket": pa.int32()}), ("bucket",))
"""Observations without the feature columns, which differ between fleets."""


@dataclass(frozen=True)
class FleetTables:
    """Tables of one fleet."""

    lake: Lake
    fleet: str

    def __getitem__(self, spec: TableSpec) -> Table:
        return self.lake.table(self.fleet, spec)

    def segments(self) -> list[str]:
        """Sorted keys of all segments with observations."""
        return sorted(self[SEGMENTS].read(["segment"])["segment"].to_pylist())

    def release_in_force(self) -> int:
        """Number of the release in force; 0 before the first one."""
        return max((int(file.partition["release"]) for file in self[CHAMPIONS].files()), default=0)


def newest_commit(files: Iterable[StagedFile]) -> int:
    """Return the time of the newest commit in milliseconds since the epoch; 0 without files."""
    return max((file.committed_ms for file in files), default=0)


def newest_run(files: Sequence[StagedFile]) -> str:
    """Return the id of the run that committed last; empty without files."""
    last = max(files, key=lambda file: (file.committed_ms, file.partition["run_id"]), default=None)
    return last.partition["run_id"] if last else ""
