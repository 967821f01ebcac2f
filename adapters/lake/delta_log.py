"""The log of a Delta table: which files count, and commits that add and remove some."""

import time
from collections.abc import Iterable, Mapping

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from adapters.lake.errors import unusable
from adapters.lake.staged_file import StagedFile
from domain.data.tables import TableSpec
from domain.errors import LakeError

__all__ = ["active_files", "commit", "create_table", "has_commit", "open_table", "widen"]

FORMAT, FORMAT_PROPERTY = 1, "myriad.format"
"""Format of the tables, raised when an older version would misread them. Tables without the property have format 1."""

_CONFIGURATION = {
    "delta.checkpointInterval": "10",
    "delta.logRetentionDuration": "interval 1 days",
    FORMAT_PROPERTY: str(FORMAT),
}


def create_table(uri: str, spec: TableSpec, properties: Mapping[str, str], options: dict[str, str]) -> None:
    """Create a table unless it exists."""
    DeltaTable.create(
        uri,
        schema=spec.schema,
        mode="ignore",
        partition_by=list(spec.partition_by),
        configuration=_CONFIGURATION | dict(properties),
        storage_options=options,
        raise_if_key_not_exists=False,
    )


def open_table(uri: str, version: int | None, options: dict[str, str]) -> DeltaTable | None:
    """Open a table; None if it does not exist, or did not at this version.

    Raises
    ------
    LakeError : a newer version of Myriad has written it.
    """
    if version == -1:  # The snapshot is from before the table existed.
        return None
    with unusable(uri, "opened"):
        try:
            handle = DeltaTable(uri, version, storage_options=options)
        except TableNotFoundError:
            return None
        format_ = handle.metadata().configuration.get(FORMAT_PROPERTY, "1")
    if format_ not in map(str, range(1, FORMAT + 1)):
        raise LakeError(
            f"{uri}: the table has format {format_}, and this version of Myriad knows formats up to {FORMAT}; "
            "upgrade Myriad, or choose another lake"
        )
    return handle


def active_files(handle: DeltaTable) -> list[StagedFile]:
    """Return the committed files."""
    table = pa.table(handle.get_add_actions(flatten=True))
    names = [name for name in table.column_names if name.startswith("partition.")]
    columns = table.select(["path", "size_bytes", "num_records", "modification_time", *names]).to_pydict()
    keys = [name.removeprefix("partition.") for name in names]
    files = zip(*columns.values(), strict=True)
    return [
        StagedFile(path, size, rows, dict(zip(keys, map(str, values), strict=True)), committed_ms=moment)
        for path, size, rows, moment, *values in files
    ]


def has_commit(handle: DeltaTable, transaction: tuple[str, int] | None) -> bool:
    """Return whether a commit with this transaction or a newer one exists."""
    if transaction is None:
        return False
    recorded = handle.transaction_version(transaction[0])
    return recorded is not None and recorded >= transaction[1]


def commit(
    handle: DeltaTable,
    spec: TableSpec,
    files: Iterable[StagedFile],
    gone: Iterable[StagedFile],
    transactions: Mapping[str, int],
    note: Mapping[str, str],
) -> None:
    """Add and remove files in one commit. Raises CommitFailedError if another writer was faster."""
    now_ms = int(time.time() * 1000)
    adds = [AddAction(f.path, f.size, dict(f.partition), f.committed_ms or now_ms, True, f.stats) for f in files]
    removed = [RemoveAction(f.path, True, now_ms, f.size, dict(f.partition)) for f in gone]
    handle.create_write_transaction(
        [*adds, *removed],
        mode="append",
        schema=spec.schema,
        partition_by=list(spec.partition_by),
        # No silent retries: after a conflict, the files to remove must be determined again.
        commit_properties=CommitProperties(
            custom_metadata=dict(note),
            app_transactions=[Transaction(*item, now_ms) for item in transactions.items()],
            max_commit_retries=0,
        ),
    )


def widen(handle: DeltaTable, spec: TableSpec) -> bool:
    """Add columns that the schema gained since the table was created, such as a new feature; return whether any."""
    present = {column.name for column in handle.schema().fields}
    columns = Schema.from_arrow(spec.schema).fields
    added = [column for column in columns if column.name not in present]
    if added:
        handle.alter.add_columns(added)
    return bool(added)
