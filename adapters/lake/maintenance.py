"""Maintenance of a lake: compact small files, vacuum unused ones, shorten logs, abort unfinished uploads.

Everything here may run beside writers and readers, and may be killed at any moment. Files are deleted only after they
have been unused for the retention, which is longer than any run: staged files of an active run, and files of versions
that a reader has open, stay. So do files named by a checkpoint, however old: a resumed run commits them.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.fs as pafs
from deltalake import DeltaTable

from adapters.lake.errors import unusable
from adapters.lake.files import arrow_filesystem, files_below, open_file
from adapters.lake.s3 import Bucket
from adapters.lake.staged_file import StagedFile
from adapters.lake.table import Lake
from domain.data.tables import PREDICTIONS, VERDICTS, TableSpec
from domain.errors import StaleTableError

__all__ = [
    "MERGED",
    "CheckpointFolders",
    "TableMaintenance",
    "abort_uploads",
    "compact_table",
    "drop_checkpoints",
    "drop_events",
    "drop_sent",
    "fleet_tables",
    "read_checkpoints",
    "vacuum_table",
]

MERGED: Mapping[TableSpec, str] = {PREDICTIONS: "score", VERDICTS: ""}
"""Tables whose partitions may consist of several files, and the stage whose checkpoints depend on their version.

A scoring job adds a file to every bucket, and so does a promotion. In all other tables a commit replaces the
partitions that it writes, so that a partition is one file; and the versions of `landed`, `requests`, `observations`,
`segments` and `challengers` stand for their content, from which a run concludes that there is nothing to do.
"""

_SMALL_BYTES = 64 << 20
"""Files of this size or more are left alone: rewriting them would gain nothing."""
_THREADS = 16
_AT_A_TIME = 1_000
"""Files to delete between two reads of the table's log."""
_STAGED = re.compile(rb"data/[0-9a-f]{32}\.parquet")
_MOST_ROWS = 5_000_000
"""Limit of a merged file; a worker holds its rows in memory."""


@dataclass(frozen=True)
class TableMaintenance:
    """Result of the maintenance of a table.

    merged : number of files that `into` files replaced. removed : number of unused files, of `freed_bytes`.
    Nothing was merged if one of these is set. busy : another writer came first. newer : a newer version of Myriad has
    added columns, which merging would lose. waits : an active or interrupted run would have to start over.
    """

    table: str
    merged: int = 0
    into: int = 0
    removed: int = 0
    freed_bytes: int = 0
    busy: bool = False
    newer: bool = False
    waits: bool = False


@dataclass(frozen=True)
class CheckpointFolders:
    """Content of the checkpoints of a fleet. files : paths that they name. stages : stages that they belong to."""

    files: frozenset[str]
    stages: frozenset[str]

    def of(self, stage: str) -> bool:
        """Return whether a run of the stage is active or was interrupted."""
        return any(name == stage or name.startswith(f"{stage}-") for name in self.stages)


def fleet_tables(lake: Lake, fleet: str) -> list[str]:
    """Return the names of the fleet's tables, sorted."""
    with unusable(lake.folder(fleet), "listed"):
        filesystem, root = arrow_filesystem(lake.folder(fleet))
        infos = filesystem.get_file_info(pafs.FileSelector(root, allow_not_found=True))
        names = sorted(info.base_name for info in infos if not info.base_name.startswith("_"))
        return [name for name in names if DeltaTable.is_deltatable(f"{lake.folder(fleet)}/{name}")]


def read_checkpoints(lake: Lake, fleet: str) -> CheckpointFolders:
    """Read the checkpoints of a fleet. Call before reading a table: a file no longer named is committed."""
    with unusable(lake.folder(fleet), "maintained"), ThreadPoolExecutor(_THREADS) as pool:
        entries = [file.uri for file in files_below(f"{lake.folder(fleet)}/_journal")]
        named = [path.decode() for content in pool.map(_entry, entries) for path in _STAGED.findall(content)]
    return CheckpointFolders(frozenset(named), frozenset(uri.split("/")[-2].rpartition("-")[0] for uri in entries))


def _entry(uri: str) -> bytes:
    try:
        with open_file(uri) as stream:
            return stream.read()
    except FileNotFoundError:
        return b""  # Its stage has committed meanwhile.


def compact_table(lake: Lake, fleet: str, spec: TableSpec, *, dry_run: bool) -> TableMaintenance:
    """Merge the small files of each partition of a table in `MERGED`, in one commit.

    Rows, partitions and the commit time of the newest rows stay the same. A writer that relies on the previous version,
    such as an active scoring job, learns of the new one when it commits, and decides again.
    """
    table = lake.table(fleet, spec)
    if table.columns() - set(spec.schema.names):
        return TableMaintenance(spec.name, newer=True)
    version, groups = table.version(), list(_groups(table.files()))
    merged = sum(map(len, groups))
    if dry_run or not groups:
        return TableMaintenance(spec.name, merged, len(groups))
    staged, names = [], spec.file_schema.names
    for files in groups:
        file = table.stage(table.read_files(files, names), **files[0].partition)
        staged.append(replace(file, committed_ms=max(part.committed_ms for part in files)))
    gone = {file.path for files in groups for file in files}
    try:
        table.replace(staged, lambda file: file.path in gone, based_on=version, note={"upkeep": "compact"})
    except StaleTableError:
        return TableMaintenance(spec.name, busy=True)
    return TableMaintenance(spec.name, merged, len(groups))


def _groups(files: Sequence[StagedFile]) -> Iterator[list[StagedFile]]:
    """Yield groups of two or more small files of one partition, each to be merged into one file."""
    parts: Mapping[tuple[str, ...], list[StagedFile]] = defaultdict(list)
    for file in sorted(files, key=lambda file: (file.committed_ms, file.path)):
        if file.size < _SMALL_BYTES:
            parts[tuple(file.partition.values())].append(file)
    for small in parts.values():
        group: list[StagedFile] = []
        for file in small:
            if group and sum(part.rows for part in group) + file.rows > _MOST_ROWS:
                yield from [group] if len(group) > 1 else []
                group = []
            group.append(file)
        yield from [group] if len(group) > 1 else []


def vacuum_table(
    uri: str, name: str, retention: timedelta, *, kept: frozenset[str] = frozenset(), dry_run: bool
) -> TableMaintenance:
    """Delete files that no version within the retention contains, and shorten the table's log.

    kept : paths of files to keep, from an earlier `read_checkpoints`.
    """
    with unusable(uri, "maintained"):
        handle, hours = DeltaTable(uri), int(retention.total_seconds() // 3600)
        # full: also staged files that were never committed. Their age is reliable, since nothing writes to them again.
        unread = handle.vacuum(hours, dry_run=True, enforce_retention_duration=False, full=True)
        filesystem, root = arrow_filesystem(uri)
        # The list includes files that were deleted earlier, as long as the log names them.
        infos = filesystem.get_file_info([f"{root}/{path}" for path in unread if path not in kept])
        # Only files of Myriad: others belong to whoever put them there.
        there = [info for info in infos if info.type == pafs.FileType.File and info.path.endswith(".parquet")]
        if not dry_run:
            there = _delete(uri, there)
            handle.create_checkpoint()
            handle.cleanup_metadata()
    return TableMaintenance(name, removed=len(there), freed_bytes=sum(info.size or 0 for info in there))


def _delete(uri: str, infos: Sequence[pafs.FileInfo]) -> list[pafs.FileInfo]:
    """Delete unused files without Delta, and return them.

    Delta would commit two versions of the table, and versions stand for content here.
    """
    filesystem, root = arrow_filesystem(uri)
    deleted: list[pafs.FileInfo] = []
    for first in range(0, len(infos), _AT_A_TIME):
        # Checked again: a run that took longer than the retention may have committed its staged files.
        used = {f"{root}/{path.as_py()}" for path in pa.table(DeltaTable(uri).get_add_actions())["path"]}
        unused = [info for info in infos[first : first + _AT_A_TIME] if info.path not in used]
        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(filesystem.delete_file, [info.path for info in unused]))
        deleted += unused
    return deleted


def drop_checkpoints(lake: Lake, fleet: str, retention: timedelta, *, dry_run: bool) -> int:
    """Delete checkpoints of runs that were not resumed within the retention; return their number."""
    limit, newest = (datetime.now(UTC) - retention).timestamp(), dict[str, float]()
    with unusable(lake.folder(fleet), "maintained"):
        for file in files_below(f"{lake.folder(fleet)}/_journal"):
            folder = file.uri.rpartition("/")[0]
            newest[folder] = max(newest.get(folder, 0.0), file.modified)
        old = [folder for folder, modified in newest.items() if modified < limit]
        for folder in [] if dry_run else old:
            filesystem, path = arrow_filesystem(folder)
            filesystem.delete_dir(path)
    return len(old)


def drop_sent(lake: Lake, fleet: str, retention: timedelta, *, dry_run: bool) -> int:
    """Delete files that clients sent to the gateway, whose rows are in the lake by now; return their number."""
    return _drop_old(lake, fleet, "_uploads", retention, dry_run=dry_run)


def drop_events(lake: Lake, fleet: str, retention: timedelta, *, dry_run: bool) -> int:
    """Delete fleet events that have been delivered by now; return their number."""
    return _drop_old(lake, fleet, "_news", retention, dry_run=dry_run)


def _drop_old(lake: Lake, fleet: str, folder: str, retention: timedelta, *, dry_run: bool) -> int:
    limit = (datetime.now(UTC) - retention).timestamp()
    with unusable(lake.folder(fleet), "maintained"):
        old = [file.uri for file in files_below(f"{lake.folder(fleet)}/{folder}") if file.modified < limit]
        for uri in [] if dry_run else old:
            filesystem, path = arrow_filesystem(uri)
            filesystem.delete_file(path)
    return len(old)


def abort_uploads(uri: str, retention: timedelta, *, dry_run: bool) -> int:
    """Abort unfinished uploads of killed writers, which only S3 has; return their number."""
    if not uri.startswith("s3://"):
        return 0
    bucket, limit = Bucket(uri), datetime.now(UTC) - retention
    old = [(key, upload) for key, upload, begun in bucket.unfinished_uploads() if begun < limit]
    for key, upload in [] if dry_run else old:
        bucket.abort_upload(key, upload)
    return len(old)
