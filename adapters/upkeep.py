"""Upkeep of a lake: fewer and larger files, no files that nobody reads, short logs, no unfinished uploads.

Everything here may run beside writers and readers, and may be killed at any moment. Files go only when they have been
out of use for the retention, which is longer than any run: staged files of a run that is at work, and files of versions
that a reader has open, stay.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pyarrow.fs as pafs
from deltalake import DeltaTable

from adapters.files import arrow_filesystem, files_below
from adapters.lake import Lake, StagedFile, unusable
from adapters.s3 import Bucket
from models.errors import StaleTableError
from models.tables import PREDICTIONS

__all__ = ["TableUpkeep", "abort_uploads", "compact_predictions", "drop_journals", "fleet_tables", "tidy_table"]

_SMALL_BYTES = 64 << 20
"""Files from this size on are left alone: reading and writing them again would gain nothing."""
_THREADS = 16
_MOST_ROWS = 5_000_000
"""Of one file that is made of several; a worker holds them in memory."""


@dataclass(frozen=True)
class TableUpkeep:
    """What was done with a table. merged : files that others took the place of, `into` of them. removed : files that
    nobody read any more, of `freed_bytes`. busy : another writer came first, so that nothing was merged. newer : the
    same because a newer version of Myriad has added columns, which merging would lose.
    """

    table: str
    merged: int = 0
    into: int = 0
    removed: int = 0
    freed_bytes: int = 0
    busy: bool = False
    newer: bool = False


def fleet_tables(lake: Lake, fleet: str) -> list[str]:
    """Names of the fleet's tables, sorted."""
    with unusable(lake.folder(fleet), "listed"):
        filesystem, root = arrow_filesystem(lake.folder(fleet))
        found = filesystem.get_file_info(pafs.FileSelector(root, allow_not_found=True))
        names = sorted(info.base_name for info in found if not info.base_name.startswith("_"))
        return [name for name in names if DeltaTable.is_deltatable(f"{lake.folder(fleet)}/{name}")]


def compact_predictions(lake: Lake, fleet: str, *, dry_run: bool) -> TableUpkeep:
    """Merge the small files of each part of the predictions: a scoring job adds one to every bucket.

    In all other tables a commit replaces the parts that it writes, so that a part is one file. Rows, parts, and the
    time at which the newest of them was committed stay as they were. A scoring job that is at work sees another version
    of the table at its commit, and looks again.
    """
    table = lake.table(fleet, PREDICTIONS)
    if table.columns() - set(table.spec.schema.names):
        return TableUpkeep(PREDICTIONS.name, newer=True)
    version, groups = table.version(), list(_groups(table.files()))
    merged = sum(map(len, groups))
    if dry_run or not groups:
        return TableUpkeep(PREDICTIONS.name, merged, len(groups))
    staged, names = [], table.spec.file_schema.names
    for files in groups:
        file = table.stage(table.read_files(files, names), **files[0].partition)
        staged.append(replace(file, committed_ms=max(each.committed_ms for each in files)))
    gone = {file.path for files in groups for file in files}
    try:
        table.replace(staged, lambda file: file.path in gone, based_on=version, note={"upkeep": "compact"})
    except StaleTableError:
        return TableUpkeep(PREDICTIONS.name, busy=True)
    return TableUpkeep(PREDICTIONS.name, merged, len(groups))


def _groups(files: Sequence[StagedFile]) -> Iterator[list[StagedFile]]:
    """Small files of one part that shall become one, at least two each."""
    parts: Mapping[str, list[StagedFile]] = defaultdict(list)
    for file in sorted(files, key=lambda file: (file.committed_ms, file.path)):
        if file.size < _SMALL_BYTES:
            parts[file.partition["part"]].append(file)
    for small in parts.values():
        group: list[StagedFile] = []
        for file in small:
            if group and sum(each.rows for each in group) + file.rows > _MOST_ROWS:
                yield from [group] if len(group) > 1 else []
                group = []
            group.append(file)
        yield from [group] if len(group) > 1 else []


def tidy_table(uri: str, name: str, retention: timedelta, *, dry_run: bool) -> TableUpkeep:
    """Delete files that no version within the retention has, and shorten the table's log."""
    with unusable(uri, "tidied"):
        handle, hours = DeltaTable(uri), int(retention.total_seconds() // 3600)
        # full: staged files that were never committed too. They are as old as they look, since nothing writes to them.
        unread = handle.vacuum(hours, dry_run=True, enforce_retention_duration=False, full=True)
        filesystem, root = arrow_filesystem(uri)
        # It also names files that were deleted before, as long as the log tells of them.
        infos = filesystem.get_file_info([f"{root}/{path}" for path in unread])
        # Only ours: what somebody else has put there is theirs.
        there = [info for info in infos if info.type == pafs.FileType.File and info.path.endswith(".parquet")]
        done = TableUpkeep(name, removed=len(there), freed_bytes=sum(info.size or 0 for info in there))
        if not dry_run:
            # By ourselves: Delta would make two versions of the table for it, and versions stand for content here.
            with ThreadPoolExecutor(_THREADS) as pool:
                list(pool.map(filesystem.delete_file, [info.path for info in there]))
            handle.create_checkpoint()
            handle.cleanup_metadata()
    return done


def drop_journals(lake: Lake, fleet: str, retention: timedelta, *, dry_run: bool) -> int:
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


def abort_uploads(uri: str, retention: timedelta, *, dry_run: bool) -> int:
    """Free what uploads hold that a killed writer has begun; returns how many. Only S3 has such."""
    if not uri.startswith("s3://"):
        return 0
    bucket, limit = Bucket(uri), datetime.now(UTC) - retention
    old = [(key, upload) for key, upload, begun in bucket.unfinished_uploads() if begun < limit]
    for key, upload in [] if dry_run else old:
        bucket.abort_upload(key, upload)
    return len(old)
