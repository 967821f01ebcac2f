"""Compare the graphs that a bucket of the lake stores with their digests, and put intact copies back."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from adapters.lake.staged_file import StagedFile
from adapters.lake.table import Table
from domain.data.graph_digest import graph_failure
from domain.data.tables import CHALLENGERS, CHAMPIONS, TableSpec
from tasks.workers.run_context import RunContext, in_bucket

__all__ = ["DamagedFile", "DamagedGraph", "damaged_files", "intact_copies", "repaired_file"]

_COLUMNS = ["segment", "model_name", "fingerprint", "onnx", "sha256"]
_TABLES = {spec.name: spec for spec in (CHAMPIONS, CHALLENGERS)}


@dataclass(frozen=True)
class DamagedGraph:
    """A stored model whose graph does not have the digest that was recorded when it was trained."""

    segment: str
    model_name: str
    fingerprint: str
    sha256: str
    reason: str


@dataclass(frozen=True)
class DamagedFile:
    """A committed file of champions or challengers with damaged graphs."""

    table: str
    file: StagedFile
    graphs: tuple[DamagedGraph, ...]

    @property
    def spec(self) -> TableSpec:
        return _TABLES[self.table]


def damaged_files(context: RunContext, bucket: int) -> list[DamagedFile]:
    """Return the files of the bucket's champions, of all kept releases, and challengers that have damaged graphs."""
    damaged = []
    for spec in _TABLES.values():
        table = context.table(spec)
        for file in table.files(in_bucket(bucket)):
            if graphs := _damaged(table, file):
                damaged.append(DamagedFile(spec.name, file, graphs))
    return damaged


def _damaged(table: Table, file: StagedFile) -> tuple[DamagedGraph, ...]:
    rows = table.read_files([file], _COLUMNS).to_pylist()
    return tuple(
        DamagedGraph(row["segment"], row["model_name"], row["fingerprint"], row["sha256"] or "", failure.reason)
        for row in rows
        if (failure := graph_failure(row["onnx"], row["sha256"]))
    )


def intact_copies(context: RunContext, bucket: int, digests: frozenset[str]) -> dict[str, bytes]:
    """Return graphs by digest, of those that champions or challengers of the bucket still have undamaged."""
    copies: dict[str, bytes] = {}
    for spec in _TABLES.values():
        rows = context.table(spec).read(_COLUMNS, in_bucket(bucket)).to_pylist()
        for row in rows:
            if row["sha256"] in digests and not graph_failure(row["onnx"], row["sha256"]):
                copies[row["sha256"]] = row["onnx"]
    return copies


def repaired_file(context: RunContext, damaged: DamagedFile, copies: Mapping[str, bytes]) -> StagedFile:
    """Stage the file again with the copies in place of the damaged graphs; all else stays as it is."""
    table = context.table(damaged.spec)
    rows = table.read_files([damaged.file], table.spec.file_schema.names)
    graphs = [
        copies.get(sha256, onnx) if graph_failure(onnx, sha256) else onnx
        for onnx, sha256 in zip(rows["onnx"].to_pylist(), rows["sha256"].to_pylist(), strict=True)
    ]
    place = rows.schema.get_field_index("onnx")
    rows = rows.set_column(place, rows.schema.field(place), pa.array(graphs, pa.binary()))
    return table.stage(rows, **damaged.file.partition)
