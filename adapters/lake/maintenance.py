"""Upkeep of a lake: fewer and larger files, no files that nobody reads, short logs, no unfinished uploads.

Everything here may run beside writers and readers, and may be killed at any moment. Files go only when they have been
out of use for the retention, which is longer than any run: staged files of a run that is at work, and files of versions
that a reader has open, stay. So do files that a journal names, however old: a run that goes on with it commits them.
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

from adapters.lake.files import arrow_filesystem, files_below, open_file
from adapters.lake.s3 import Bucket
from adapters.lake.table import Lake, StagedFile, unusable
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
"""Tables of whose partitions several files may be part, and the stage whose journal follows from their version.

A scoring job adds a file to every bucket, and a promotion has one of every bucket. Of all other tables a commit
replaces the partitions that it writes, so that a partition is a file; and versions of `landed`, `requests`,
`observations`, `segments` and `challengers` stand for their content, by which a run tells that there is nothing to do.
"""

_SMALL_BYTES = 64 << 20
"""Files from this size on are left alone: reading and writing them again would gain nothing."""
_THREADS = 16
_AT_A_TIME = 1_000
"""Files that are deleted between two looks at their table."""
_STAGED = re.compile(rb"data/[0-9a-f]{32}\.parquet")
_MOST_ROWS = 5_000_000
"""Of one file that is made of several; a worker holds them in memory."""


@dataclass(frozen=True)
class TableMaintenance:
    """What was done with a table. merged : files that others took the place of, `into` of them. removed : files that
    nobody read any more, of `freed_bytes`. busy : another writer came first, so that nothing was merged. newer : the
    same because a newer version of Myriad has added columns, which merging would lose. waits : the same because a run
    is at work, or was interrupted, that would have to begin anew on another version.
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
    """What the journals of a fleet hold. files : paths that they name. stages : whose they are."""

    files: frozenset[str]
    stages: frozenset[str]

    def of(self, stage: str) -> bool:
        """Whether a run of the stage is at work, or was interrupted."""
        return any(each == stage or each.startswith(f"{stage}-") for each in self.stages)


def fleet_tables(lake: Lake, fleet: str) -> list[str]:
    """Names of the fleet's tables, sorted."""
    with unusable(lake.folder(fleet), "listed"):
        filesystem, root = arrow_filesystem(lake.folder(fleet))
        found = filesystem.get_file_info(pafs.FileSelector(root, allow_not_found=True))
        names = sorted(info.base_name for info in found if not info.base_name.startswith("_"))
        return [name for name in names if DeltaTable.is_deltatable(f"{lake.folder(fleet)}/{name}")]


def read_checkpoints(lake: Lake, fleet: str) -> CheckpointFolders:
    """To be asked before a table is looked at: a file that has left the journals by then has been committed."""
    with unusable(lake.folder(fleet), "tidied"), ThreadPoolExecutor(_THREADS) as pool:
        entries = [file.uri for file in files_below(f"{lake.folder(fleet)}/_journal")]
        named = [path.decode() for content in pool.map(_entry, entries) for path in _STAGED.findall(content)]
    return CheckpointFolders(frozenset(named), frozenset(uri.split("/")[-2].rpartition("-")[0] for uri in entries))


def _entry(uri: str) -> bytes:
    try:
        with open_file(uri) as stream:
            return stream.read()
    except FileNotFoundError:
        return b""  # Its stage has been committed meanwhile.


def compact_table(lake: Lake, fleet: str, spec: TableSpec, *, dry_run: bool) -> TableMaintenance:
    """Merge the small files of each partition of a table in `MERGED`, in one commit.

    Rows, partitions, and the time at which the newest of them was committed stay as they were. Whoever decided on the
    version before, such as a scoring job that is at work, is told so at its commit, and looks again.
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
        staged.append(replace(file, committed_ms=max(each.committed_ms for each in files)))
    gone = {file.path for files in groups for file in files}
    try:
        table.replace(staged, lambda file: file.path in gone, based_on=version, note={"upkeep": "compact"})
    except StaleTableError:
        return TableMaintenance(spec.name, busy=True)
    return TableMaintenance(spec.name, merged, len(groups))


def _groups(files: Sequence[StagedFile]) -> Iterator[list[StagedFile]]:
    """Small files of one partition that shall become one, at least two each."""
    parts: Mapping[tuple[str, ...], list[StagedFile]] = defaultdict(list)
    for file in sorted(files, key=lambda file: (file.committed_ms, file.path)):
        if file.size < _SMALL_BYTES:
            parts[tuple(file.partition.values())].append(file)
    for small in parts.values():
        group: list[StagedFile] = []
        for file in small:
            if group and sum(each.rows for each in group) + file.rows > _MOST_ROWS:
                yield from [group] if len(group) > 1 else []
                group = []
            group.append(file)
        yield from [group] if len(group) > 1 else []


def vacuum_table(
    uri: str, name: str, retention: timedelta, *, kept: frozenset[str] = frozenset(), dry_run: bool
) -> TableMaintenance:
    """Delete files that no version within the retention has, and shorten the table's log.

    kept : paths of files that stay, of `read_checkpoints` before this.
    """
    with unusable(uri, "tidied"):
        handle, hours = DeltaTable(uri), int(retention.total_seconds() // 3600)
        # full: staged files that were never committed too. They are as old as they look, since nothing writes to them.
        unread = handle.vacuum(hours, dry_run=True, enforce_retention_duration=False, full=True)
        filesystem, root = arrow_filesystem(uri)
        # It also names files that were deleted before, as long as the log tells of them.
        infos = filesystem.get_file_info([f"{root}/{path}" for path in unread if path not in kept])
        # Only ours: what somebody else has put there is theirs.
        there = [info for info in infos if info.type == pafs.FileType.File and info.path.endswith(".parquet")]
        if not dry_run:
            there = _delete(uri, there)
            handle.create_checkpoint()
            handle.cleanup_metadata()
    return TableMaintenance(name, removed=len(there), freed_bytes=sum(info.size or 0 for info in there))


def _delete(uri: str, found: Sequence[pafs.FileInfo]) -> list[pafs.FileInfo]:
    """Delete files by ourselves; those that were.

    Delta would make two versions of the table for it, and versions stand for content here.
    """
    filesystem, root = arrow_filesystem(uri)
    deleted: list[pafs.FileInfo] = []
    for first in range(0, len(found), _AT_A_TIME):
        # Once more: a run that took longer than the retention may have committed what it staged.
        used = {f"{root}/{path.as_py()}" for path in pa.table(DeltaTable(uri).get_add_actions())["path"]}
        unused = [info for info in found[first : first + _AT_A_TIME] if info.path not in used]
        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(filesystem.delete_file, [info.path for info in unused]))
        deleted += unused
    return deleted


def drop_checkpoints(lake: Lake, fleet: str, retention: timedelta, *, dry_run: bool) -> int:
    """Delete journals of runs that nobody has gone on with within the retention; returns how many."""
    limit, newest = (datetime.now(UTC) - retention).timestamp(), dict[str, float]()
    with unusable(lake.folder(fleet), "tidied"):
        for file in files_below(f"{lake.folder(fleet)}/_journal"):
            folder = file.uri.rpartition("/")[0]
            newest[folder] = max(newest.get(folder, 0.0), file.modified)
        old = [folder for folder, modified in newest.items() if modified < limit]
        for folder in [] if dry_run else old:
            filesystem, path = arrow_filesystem(folder)
            filesystem.delete_dir(path)
    return len(old)


def drop_sent(lake: Lake, fleet: str, retention: timedelta, *, dry_run: bool) -> int:
    """Delete files that clients have sent to the gateway: their rows are in the lake since; returns how many."""
    return _drop_old(lake, fleet, "_uploads", retention, dry_run=dry_run)


def drop_events(lake: Lake, fleet: str, retention: timedelta, *, dry_run: bool) -> int:
    """Delete news that everybody has heard of by now; returns how many."""
    return _drop_old(lake, fleet, "_news", retention, dry_run=dry_run)


def _drop_old(lake: Lake, fleet: str, folder: str, retention: timedelta, *, dry_run: bool) -> int:
    limit = (datetime.now(UTC) - retention).timestamp()
    with unusable(lake.folder(fleet), "tidied"):
        old = [file.uri for file in files_below(f"{lake.folder(fleet)}/{folder}") if file.modified < limit]
        for uri in [] if dry_run else old:
            filesystem, path = arrow_filesystem(uri)
            filesystem.delete_file(path)
    return len(old)


def abort_uploads(uri: str, retention: timedelta, *, dry_run: bool) -> int:
    """Free what uploads hold that a killed writer has begun; returns how many. Only S3 has such."""
    if not uri.startswith("s3://"):
        return 0
    bucket, limit = Bucket(uri), datetime.now(UTC) - retention
    old = [(key, upload) for key, upload, begun in bucket.unfinished_uploads() if begun < limit]
    for key, upload in [] if dry_run else old:
        bucket.abort_upload(key, upload)
    return len(old)
