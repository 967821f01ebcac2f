"""Delta tables, read by their log: at the newest version or at a chosen one, never by the files that lie in the folder.

Each data file of the version is an input. A file that the log has removed since (by a delete, an update, an overwrite
or a compaction) loses its rows in the commit that lands the files in its place. Rows that a deletion vector removes are
left out, and a new vector is a change of the file.
"""

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adapters.lake.files import digest, held_still, location
from adapters.lake.foreign_table import DataFile, ForeignTable, open_foreign_table
from adapters.sources.chunk import Chunk
from adapters.sources.parquet_file import ParquetFormat
from adapters.sources.place_columns import columns_to_read, place_column
from adapters.sources.protocol import Listing, SourceInput
from domain.config.source import Source
from domain.errors import SourceError

__all__ = ["DeltaSource"]

_PARQUET = ParquetFormat()


class DeltaSource:
    """The data files of one version of a Delta table."""

    def listing(self, source: Source, place: str, home: Path, known: Mapping[str, str]) -> Listing:
        root = location(place, home).rstrip("/")
        table = open_foreign_table(root, source.version if place == source.path else None)
        had_rows = any(uri.startswith(f"{root}/") for uri in known)
        never = () if table.files or had_rows else (f"{root}: the Delta table has no rows at version {table.version}",)
        schema = _packed_schema(table)
        inputs = [_input(root, table.version, schema, file, known) for file in table.files]
        return Listing(tuple(inputs), never, owned=(f"{root}/",))

    def names(self, item: SourceInput, source: Source) -> list[str]:
        return list(_columns(item).types)

    def head(self, item: SourceInput, source: Source, rows: int) -> pa.Table:
        columns, deleted = _columns(item), _deleted(item)
        # As many more rows as are deleted, so that the first of the others are among them.
        with _listed(item):
            head = _PARQUET.head(item.uri, source, rows + int(deleted.sum()))
        kept, _ = _without(head, np.arange(head.num_rows), deleted)
        return columns.of_table(kept, item.columns, list(columns.types)).slice(0, rows)

    def chunks(self, item: SourceInput, source: Source, columns: Sequence[str]) -> Iterator[Chunk]:
        table, deleted = _columns(item), _deleted(item)
        names = [name for name in dict.fromkeys(columns) if name in table.types]
        physical = [table.physical[name] for name in names if name not in item.columns]
        with _listed(item):
            for chunk in _PARQUET.chunks(item.uri, source, columns_to_read(_PARQUET.names(item.uri, source), physical)):
                rows, numbers = _without(chunk.table, chunk.rows, deleted)
                yield Chunk(table.of_table(rows, item.columns, names), numbers, chunk.broken, chunk.remarks)

    def content(self, item: SourceInput, source: Source, columns: Sequence[str]) -> str:
        # Two files of a table may hold the same rows, and both count; a copy of the whole table is the same content.
        with _listed(item):
            file_digest = digest(item.uri)
        parts = [file_digest, item.details["path"], dict(item.columns), item.details.get("deleted", "")]
        return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=8).hexdigest()

    @contextmanager
    def held_still(self, item: SourceInput) -> Iterator[None]:
        with _listed(item), held_still(item.uri):
            yield


@contextmanager
def _listed(item: SourceInput) -> Iterator[None]:
    """Raise SourceError for a data file that is gone, though the log still lists it."""
    try:
        yield
    except (FileNotFoundError, SourceError) as exc:
        if not any(isinstance(cause, FileNotFoundError) for cause in (exc, exc.__cause__)):
            raise
        raise SourceError(
            f"{item.uri}: the data file is gone, though this version of the table lists it, as after a vacuum; give a "
            "newer source.version, or none for the newest"
        ) from exc


@dataclass(frozen=True)
class _Columns:
    """Columns of a table. physical : their names in the data files, which are others where columns were renamed."""

    types: Mapping[str, pa.DataType]
    physical: Mapping[str, str]

    def of_table(self, rows: pa.Table, partition: Mapping[str, str | None], names: Sequence[str]) -> pa.Table:
        """Columns of the table for rows of a data file; null where the file is older than a column."""
        return pa.table({name: self._column(rows, partition, name) for name in names})

    def _column(self, rows: pa.Table, partition: Mapping[str, str | None], name: str) -> pa.Array | pa.ChunkedArray:
        if name in partition:
            return place_column(partition[name], rows.num_rows, self.types[name])
        if self.physical[name] not in rows.column_names:
            return pa.nulls(rows.num_rows, self.types[name])
        return _of_type(rows[self.physical[name]], self.types[name])


def _of_type(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Values with the type of the table, which data files of other writers may write in another way; as far as it fits.

    A time without a zone in the file is UTC, if times of the table have one.
    """
    try:
        return column if column.type.equals(kind) else column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return column


def _input(root: str, version: int, schema: str, file: DataFile, known: Mapping[str, str]) -> SourceInput:
    uri, state = f"{root}/{file.path}", f"{file.size}-{file.modified_ms}"
    details = {"path": file.path, "schema": schema}
    if file.deleted.any():
        details["deleted"] = _packed(np.packbits(file.deleted).tobytes())
        state += f"-{hashlib.blake2b(details['deleted'].encode(), digest_size=4).hexdigest()}"
    # Behind the version at which the file was first read, in this state.
    before = known.get(uri, "")
    stamp = before if re.fullmatch(rf"v\d+-{re.escape(state)}", before) else f"v{version}-{state}"
    return SourceInput(uri, file.size, stamp, file.modified_ms / 1000, "delta", file.partition, details)


def _packed_schema(table: ForeignTable) -> str:
    """Types and physical names of the columns as text, which goes to workers with each file."""
    fields = [pa.field(f.name, f.type, metadata={"physical": table.physical[f.name]}) for f in table.schema]
    return _packed(pa.schema(fields).serialize().to_pybytes())


def _columns(item: SourceInput) -> _Columns:
    return _unpacked_schema(item.details["schema"])


@lru_cache(64)
def _unpacked_schema(text: str) -> _Columns:
    schema = pa.ipc.read_schema(pa.py_buffer(_unpacked(text)))
    physical = {field.name: field.metadata[b"physical"].decode() for field in schema}
    return _Columns({field.name: field.type for field in schema}, physical)


def _deleted(item: SourceInput) -> npt.NDArray[np.bool_]:
    """True for each deleted row of a data file; it may end before the file does."""
    text = item.details.get("deleted", "")
    return np.unpackbits(np.frombuffer(_unpacked(text) if text else b"", dtype=np.uint8)).astype(np.bool_)


def _without(
    table: pa.Table, numbers: npt.NDArray[np.int64], deleted: npt.NDArray[np.bool_]
) -> tuple[pa.Table, npt.NDArray[np.int64]]:
    """Leave out deleted rows. numbers : of the rows in the file."""
    if not len(deleted):
        return table, numbers
    kept = np.ones(len(numbers), dtype=np.bool_)
    within = numbers < len(deleted)
    kept[within] = ~deleted[numbers[within]]
    return table.filter(pa.array(kept)), numbers[kept]


def _packed(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content)).decode()


def _unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))
