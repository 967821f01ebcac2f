"""Data files of a Delta table that others write, at one version: which there are, and which of their rows count."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from adapters.lake.files import STORAGE_ERRORS
from adapters.lake.foreign_log import check_log, check_vectors, path_within
from adapters.lake.local_files import check_location
from domain.data.shown import shown
from domain.errors import SourceError

__all__ = ["DataFile", "ForeignTable", "open_foreign_table"]

_PATIENCE = {"max_retries": "10", "retry_timeout": "60s"}
_MOST_CAUSE = 300
_COLOUR = re.compile("\x1b\\[[0-9;]*m")


@dataclass(frozen=True)
class DataFile:
    """One data file. path : relative to the table, as the file system has it. modified_ms : as the log says.

    partition : values of the partition columns as text, or None for null.
    deleted : True for each row that is deleted; shorter than the file, or empty, if the others are not.
    """

    path: str
    size: int
    modified_ms: int
    partition: Mapping[str, str | None]
    deleted: npt.NDArray[np.bool_] = field(compare=False)


@dataclass(frozen=True)
class ForeignTable:
    """One version of a table. physical : names of the columns in the data files, by name."""

    version: int
    schema: pa.Schema
    physical: Mapping[str, str]
    files: tuple[DataFile, ...]


def open_foreign_table(root: str, version: int | None = None) -> ForeignTable:
    """Read the log of a table in a local folder or on S3. version : by default the newest.

    Raises
    ------
    SourceError : there is no such version, the log is damaged or names a place outside of the table, or the table needs
        a reader of another kind.
    """
    try:
        local = "://" not in root
        if local:
            check_log(root)
        handle = DeltaTable(check_location(root) if local else root, version, None if local else _PATIENCE)
        if "deletionVectors" in (handle.protocol().reader_features or ()):
            check_vectors(root)
        physical = _physical_names(root, handle)
        return ForeignTable(handle.version(), pa.schema(handle.schema()), physical, _data_files(root, handle))
    except (*STORAGE_ERRORS, DeltaError, OverflowError, ValueError, KeyError, pa.ArrowException) as exc:
        at = "" if version is None else f" at version {version}"
        raise SourceError(f"{root}: the Delta table cannot be read{at}: {_cause(exc)}") from exc


def _physical_names(root: str, handle: DeltaTable) -> dict[str, str]:
    if handle.metadata().configuration.get("delta.columnMapping.mode", "none") == "id":
        raise SourceError(
            f"{root}: the Delta table maps its columns by id, which is not read; write it with "
            "delta.columnMapping.mode name, or without column mapping"
        )
    return {f.name: str(f.metadata.get("delta.columnMapping.physicalName", f.name)) for f in handle.schema().fields}


def _data_files(root: str, handle: DeltaTable) -> tuple[DataFile, ...]:
    deleted, files = _deleted_rows(root, handle), list[DataFile]()
    for row in pa.table(handle.get_add_actions()).to_pylist():
        path = path_within(root, row["path"])
        partition = {name: _text(value) for name, value in (row.get("partition") or {}).items()}
        rows = deleted.pop(path, np.zeros(0, dtype=np.bool_))
        files.append(DataFile(path, row["size_bytes"], row["modification_time"], partition, rows))
    if deleted:
        path = shown(next(iter(deleted)), _MOST_CAUSE)
        raise SourceError(
            f"{root}: the Delta table deletes rows of {path}, which it does not list; they would come back"
        )
    return tuple(sorted(files, key=lambda file: file.path))


def _deleted_rows(root: str, handle: DeltaTable) -> dict[str, npt.NDArray[np.bool_]]:
    base, deleted = _without_scheme(unquote(handle.table_uri)).rstrip("/"), dict[str, npt.NDArray[np.bool_]]()
    for batch in handle.deletion_vectors():
        rows = pa.record_batch(batch)
        for uri, kept in zip(rows["filepath"].to_pylist(), rows["selection_vector"], strict=True):
            path = _without_scheme(unquote(uri)).removeprefix(f"{base}/")
            deleted[path_within(root, path)] = ~kept.values.to_numpy(zero_copy_only=False)
    return deleted


def _without_scheme(uri: str) -> str:
    return uri.removeprefix("file://")


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, date) else str(value)


def _cause(exc: Exception) -> str:
    """First line of an error, without the colours and the addresses of another library's stack."""
    lines = [_COLOUR.sub("", line).strip() for line in str(exc).splitlines()]
    return shown(next((line for line in lines if line), type(exc).__name__), _MOST_CAUSE)
