"""What the log of a Delta table of others may name: regular files within the table.

The log is read by a library that opens whatever it names, so that this is checked before.
"""

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow.parquet as pq

from adapters.lake.files import TABLE_LOG, files_below, open_file
from adapters.lake.local_files import check_location
from domain.data.shown import shown
from domain.errors import SourceError

__all__ = ["check_log", "check_vectors", "path_within"]

_MOST_NAME = 300
_VECTOR = ("storageType", "pathOrInlineDv")


def path_within(root: str, path: str) -> str:
    """Return a path of the log, decoded. Raises SourceError if it leads out of the table, as in a shallow clone."""
    decoded = unquote(path)
    if decoded.startswith(("/", "file:")) or "://" in decoded or ".." in decoded.split("/"):
        raise SourceError(
            f"{root}: the log of the Delta table names {shown(decoded, _MOST_NAME)}, which is outside of the table; it "
            "is not read: write a table of its own, such as a deep clone"
        )
    return decoded


def check_log(root: str) -> None:
    """Raise SourceError if an entry of a local table's log is no regular file, or a link to a forbidden place."""
    for entry in _entries(Path(root, TABLE_LOG)):
        if not stat.S_ISREG(entry.stat().st_mode):
            raise SourceError(f"{entry}: not a regular file, so that the Delta table cannot be read; remove it")


def _entries(folder: Path) -> Iterator[Path]:
    check_location(str(folder))
    for entry in folder.iterdir():
        check_location(str(entry))
        if entry.is_dir():
            yield from _entries(entry)
        else:
            yield entry


def check_vectors(root: str) -> None:
    """Raise SourceError if a deletion vector lies at an absolute path, which may be anywhere."""
    for file in files_below(f"{root}/{TABLE_LOG}"):
        for vector in _vectors(file.uri):
            if vector["storageType"] not in ("i", "u"):
                path_within(root, str(vector["pathOrInlineDv"]))
                raise SourceError(
                    f"{root}: the Delta table has a deletion vector of an unknown kind; rewrite its files"
                )


def _vectors(uri: str) -> Iterator[dict[str, Any]]:
    """Yield the deletion vectors of an entry of the log: a commit, or a checkpoint."""
    if not uri.endswith((".json", ".parquet")):
        return
    with open_file(uri) as stream:
        adds = _adds_of_commit(stream.read()) if uri.endswith(".json") else _adds_of_checkpoint(pq.ParquetFile(stream))
        for add in adds:
            vector = add and add.get("deletionVector")
            if vector and vector["storageType"] is not None:
                yield vector


def _adds_of_commit(content: bytes) -> Iterator[dict[str, Any] | None]:
    for line in content.splitlines():
        if b"deletionVector" in line:
            yield json.loads(line).get("add")


def _adds_of_checkpoint(file: pq.ParquetFile) -> Iterator[dict[str, Any] | None]:
    names = [f"add.deletionVector.{name}" for name in _VECTOR]
    if set(names) <= {file.schema.column(place).path for place in range(len(file.schema))}:
        for batch in file.iter_batches(columns=names):
            yield from batch.column("add").to_pylist()
