"""The lake: Delta tables in a local folder or on S3, written by replacing partitions, once.

Workers stage Parquet files under a table's root (`Table.stage`) and return `StagedFile` receipts; one coordinator
commits them (`Table.replace`). Nothing is visible before the commit, nothing twice after any retry. Readers go through
the Delta log only: staged files that were never committed are invisible.
"""

import json
import random
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs as pafs
from cachetools import LRUCache, cached
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from adapters.lake.delta_log import active_files, commit, create_table, has_commit, open_table, widen
from adapters.lake.errors import unusable
from adapters.lake.files import arrow_filesystem, file_sizes, put_file
from adapters.lake.parquet_parts import encoded, read_files
from adapters.lake.staged_file import StagedFile, new_path
from domain.data.tables import TableSpec
from domain.errors import LakeError, StaleTableError

__all__ = ["Lake", "Snapshot", "Table"]

_PATIENCE = {
    "max_retries": "40",
    "retry_timeout": "120s",
    "backoff_config.init_backoff": "500ms",
    "backoff_config.max_backoff": "5s",
}
"""Retries outlast an outage of a minute; the default is three seconds."""


@dataclass(frozen=True)
class Snapshot:
    """One state of a table, unaffected by later commits.

    look : identity of the read: a lake restored from a backup uses the same version numbers again.
    """

    version: int
    look: str


_SNAPSHOT_FILES: LRUCache[Snapshot, list[StagedFile]] = LRUCache(maxsize=32)
"""Files of the latest snapshots; they never change."""
_SNAPSHOT_LOCK = threading.Lock()


@dataclass(frozen=True)
class Lake:
    """Tables below one root, with one folder per fleet."""

    uri: str
    storage: Mapping[str, str] = field(default_factory=dict)

    def fleets(self) -> list[str]:
        """Return the names of the fleets with tables in this lake, sorted."""
        with unusable(self.uri, "listed"):
            filesystem, root = arrow_filesystem(self.uri)
            below = filesystem.get_file_info(pafs.FileSelector(root, allow_not_found=True))
        folders = (info.base_name for info in below if info.type == pafs.FileType.Directory)
        # No fleet has such a name; `_doctor` is of a former version.
        return sorted(name for name in folders if not name.startswith((".", "_")))

    def folder(self, fleet: str) -> str:
        """Return the folder of the fleet's tables."""
        return f"{self.uri.rstrip('/')}/{fleet}"

    def table(self, fleet: str, spec: TableSpec, at: Snapshot | None = None) -> "Table":
        return Table(f"{self.folder(fleet)}/{spec.name}", spec, dict(self.storage), at)

    def holds(self, fleet: str, file: StagedFile) -> bool:
        """Return whether a staged file exists with the expected size."""
        uri = f"{self.folder(fleet)}/{file.table}"
        with unusable(uri, "read"):
            filesystem, root = arrow_filesystem(uri)
            return bool(filesystem.get_file_info(f"{root}/{file.path}").size == file.size)

    def copy(self, fleet: str, file: StagedFile, partition: Mapping[str, str]) -> StagedFile:
        """Copy a staged file under other partition values; the copy is invisible until committed."""
        uri, relative = f"{self.folder(fleet)}/{file.table}", new_path()
        with unusable(uri, "written"):
            filesystem, root = arrow_filesystem(uri)
            filesystem.copy_file(f"{root}/{file.path}", f"{root}/{relative}")
        return replace(file, path=relative, partition=dict(partition))


@dataclass(frozen=True)
class Table:
    """One Delta table. Cheap to create and to send to workers; opens a fresh handle for every operation.

    at : snapshot to read, which a process looks up once; by default the newest version.
    Commits, marks and properties always refer to the newest version.
    """

    uri: str
    spec: TableSpec
    storage: Mapping[str, str] = field(default_factory=dict)
    at: Snapshot | None = None

    @property
    def _options(self) -> dict[str, str]:
        return (_PATIENCE if self.uri.startswith("s3://") else {}) | dict(self.storage)

    # -- reading ------------------------------------------------------------------------------------------------

    def exists(self) -> bool:
        with unusable(self.uri, "read"):
            return DeltaTable.is_deltatable(self.uri, storage_options=self._options)

    def version(self) -> int:
        """Return the version of the newest commit; -1 if the table does not exist yet."""
        if self.at is not None:
            return self.at.version
        handle = self._open()
        return handle.version() if handle else -1

    def snapshot(self) -> Snapshot:
        """Return the snapshot that is read: of the newest version, unless the table is at a snapshot already."""
        if self.at is not None:
            return self.at
        handle = self._open()
        snapshot = Snapshot(handle.version() if handle else -1, uuid.uuid4().hex)
        files = self._active(handle)
        with _SNAPSHOT_LOCK:
            _SNAPSHOT_FILES[snapshot] = files
        return snapshot

    def files(self, where: Callable[[Mapping[str, str]], bool] = lambda partition: True) -> list[StagedFile]:
        """Return the committed files whose partition values satisfy `where`."""
        active = self._active(self._open()) if self.at is None else _files_of_snapshot(self, self.at)
        return [file for file in active if where(file.partition)]

    def _active(self, handle: DeltaTable | None) -> list[StagedFile]:
        with unusable(self.uri, "read"):
            return active_files(handle) if handle else []

    def read(
        self,
        columns: Sequence[str] | None = None,
        where: Callable[[Mapping[str, str]], bool] = lambda partition: True,
        rows: ds.Expression | None = None,
    ) -> pa.Table:
        """Read rows, with partition columns, of partitions that satisfy `where`, filtered by `rows`."""
        return self.read_files(self.files(where), columns, rows)

    def read_files(
        self, files: Sequence[StagedFile], columns: Sequence[str] | None = None, rows: ds.Expression | None = None
    ) -> pa.Table:
        """Read rows of files. columns : by default all of the table, in its order."""
        names = list(columns) if columns is not None else self.spec.schema.names
        return read_files(self.uri, self.spec.schema, files, names, rows)

    def has_transaction(self, app_id: str, version: int) -> bool:
        """Return whether a commit with this transaction or a newer one exists."""
        handle = self._open()
        return handle is not None and has_commit(handle, (app_id, version))

    def mark(self, app_id: str) -> int | None:
        """Return the number that the newest commit with this application id left; None without such a commit."""
        handle = self._open()
        return handle.transaction_version(app_id) if handle else None

    def columns(self) -> set[str]:
        """Return the names of the table's columns, including those that a newer version of Myriad has added."""
        handle = self._open()
        return {column.name for column in handle.schema().fields} if handle else set()

    def identity(self) -> str:
        """Return the id that the table got when it was created; empty if it does not exist yet."""
        handle = self._open()
        return str(handle.metadata().id) if handle else ""

    def properties(self) -> dict[str, str]:
        """Return the table's own settings, such as the number of buckets."""
        handle = self._open()
        return dict(handle.metadata().configuration) if handle else {}

    # -- writing ------------------------------------------------------------------------------------------------

    def create(self, properties: Mapping[str, str] | None = None) -> None:
        """Create the table if it does not exist; only its creator sets `properties`."""
        with unusable(self.uri, "made"):
            try:
                create_table(self.uri, self.spec, properties or {}, self._options)
            except CommitFailedError:
                # Another writer created it concurrently; what counts is that it exists.
                if not DeltaTable.is_deltatable(self.uri, storage_options=self._options):
                    raise

    def stage(self, rows: pa.Table, **partition: object) -> StagedFile:
        """Write rows as one Parquet file below the root of the table; invisible until committed.

        The name is unique per attempt: a repeated task leaves an orphan, never a doubled row.
        """
        schema = self.spec.file_schema
        missing = [name for name in schema.names if name not in rows.column_names]
        if missing or set(partition) != set(self.spec.partition_by):
            raise LakeError(f"{self.uri}: cannot stage: columns missing {missing}, partition {sorted(partition)}")
        rows = rows.select(schema.names).cast(schema)
        values = {name: str(partition[name]) for name in self.spec.partition_by}
        relative = new_path()
        with unusable(self.uri, "written"):
            content = encoded(rows)
            put_file(self.uri, relative, content)
        stats = json.dumps({"numRecords": rows.num_rows})
        return StagedFile(relative, len(content), rows.num_rows, values, stats, self.spec.name)

    def replace(
        self,
        files: Sequence[StagedFile],
        removes: Callable[[StagedFile], bool],
        *,
        skip_if: Callable[[Sequence[StagedFile]], bool] = lambda files: False,
        transaction: tuple[str, int] | None = None,
        marks: Mapping[str, int] | None = None,
        based_on: int | None = None,
        note: Mapping[str, str] | None = None,
        deadline_s: float = 120.0,
    ) -> bool:
        """Commit staged files and remove committed ones, in one transaction.

        Parameters
        ----------
        files : staged files to add.
        removes : picks the committed files to remove.
        skip_if : takes the committed files and returns True if this commit has happened already.
        transaction : application id and version; skipped unless newer than the recorded version.
        marks : numbers to set under application ids, for `mark`. Unlike the note, they outlive the clean-up of the log.
        based_on : version of the table behind the decision.
        note : metadata of the commit.
        deadline_s : seconds to retry while other writers win.

        Returns
        -------
        Whether a commit was made.

        Raises
        ------
        StaleTableError : the table has another version than `based_on`.
        LakeError : a staged file is missing or has another size, or other writers kept winning until the deadline.
        """
        self.create()
        with unusable(self.uri, "written"):
            self._check_staged(files)
            return self._replace(files, removes, skip_if, transaction, marks, based_on, note, deadline_s)

    def _replace(
        self,
        files: Sequence[StagedFile],
        removes: Callable[[StagedFile], bool],
        skip_if: Callable[[Sequence[StagedFile]], bool],
        transaction: tuple[str, int] | None,
        marks: Mapping[str, int] | None,
        based_on: int | None,
        note: Mapping[str, str] | None,
        deadline_s: float,
    ) -> bool:
        end, attempt = time.monotonic() + deadline_s, 0
        while True:
            handle = self._open()  # Opened anew per attempt: a stale handle with removes doubles rows.
            if handle is None:
                raise LakeError(f"{self.uri}: the table vanished while it was being written")
            active = active_files(handle)
            if skip_if(active) or has_commit(handle, transaction):
                return False
            if based_on is not None and handle.version() != based_on:
                raise StaleTableError(f"{self.uri}: version {handle.version()} came after version {based_on}")
            # Two runs that resumed from the same receipts stage the same files: the second must not remove its own.
            staged = {file.path for file in files}
            gone = [file for file in active if removes(file) and file.path not in staged]
            transactions = dict(marks or {}) | dict([transaction] if transaction else [])
            if not files and not gone and not transactions:
                return False
            try:
                if widen(handle, self.spec):
                    based_on = None if based_on is None else based_on + 1
                    continue
                commit(handle, self.spec, files, gone, transactions, note or {})
            except CommitFailedError as exc:
                if time.monotonic() > end:
                    raise LakeError(
                        f"{self.uri}: not committed within {deadline_s:.0f} s; other writers kept winning"
                    ) from exc
                attempt += 1
                time.sleep(random.random() * min(0.02 * 2**attempt, 1.0))  # noqa: S311 - jitter, not a secret
            else:
                return True

    def _check_staged(self, files: Sequence[StagedFile]) -> None:
        """Refuse missing files, which Delta would silently accept."""
        for file, size in zip(files, file_sizes(self.uri, [file.path for file in files]), strict=True):
            if size != file.size:
                raise LakeError(f"{self.uri}: staged file {file.path} has {size} bytes, not {file.size}")

    def _open(self, version: int | None = None) -> DeltaTable | None:
        return open_table(self.uri, version, self._options)


@cached(_SNAPSHOT_FILES, key=lambda table, snapshot: snapshot, lock=_SNAPSHOT_LOCK)
def _files_of_snapshot(table: Table, snapshot: Snapshot) -> list[StagedFile]:
    return table._active(table._open(snapshot.version))
