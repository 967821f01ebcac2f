"""Parquet files of a table: read with their partition values, and written."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from adapters.lake.files import STORAGE_ERRORS, arrow_filesystem, get_objects
from adapters.lake.staged_file import StagedFile
from domain.errors import LakeError

__all__ = ["encoded", "read_files"]

ROW_GROUP_ROWS = 16_384
WHOLE_BYTES, TOGETHER_BYTES = 2 << 20, 128 << 20
"""Size up to which a file on S3 is read whole, and bytes of files to read at a time."""
_UNREADABLE = (*STORAGE_ERRORS, pa.ArrowException, UnicodeDecodeError, OverflowError)
"""What a file with changed bytes can raise; the wrong checksum of a page is an OSError."""


def encoded(rows: pa.Table) -> bytes:
    """Return rows as a Parquet file."""
    # In memory: a broken stream to S3 would leave a short object that looks complete.
    strings = [item.name for item in rows.schema if pa.types.is_string(item.type) or pa.types.is_timestamp(item.type)]
    sink = pa.BufferOutputStream()
    pq.write_table(
        rows,
        sink,
        compression="zstd",
        use_dictionary=strings,
        row_group_size=ROW_GROUP_ROWS,
        write_page_checksum=True,
    )
    content: bytes = sink.getvalue().to_pybytes()
    return content


def read_files(
    uri: str, schema: pa.Schema, files: Sequence[StagedFile], columns: Sequence[str], rows: ds.Expression | None
) -> pa.Table:
    """Read columns of files below the root of a table with this schema, filtered by `rows`.

    Raises
    ------
    LakeError : names the first damaged file.
    """
    selected = pa.schema([schema.field(name) for name in columns])
    try:
        parts = [_read(uri, schema, part, columns, rows).cast(selected) for part in _together(files)]
    except _UNREADABLE as exc:
        raise _unreadable(uri, schema, files, columns, exc) from exc
    return pa.concat_tables(parts) if parts else selected.empty_table()


def _unreadable(
    uri: str, schema: pa.Schema, files: Sequence[StagedFile], columns: Sequence[str], exc: BaseException
) -> LakeError:
    """Return the error for files that could not be read together, with the path of the first damaged one."""
    if not any(file.path in str(exc) for file in files):
        for file in files:
            try:
                _read(uri, schema, [file], columns, None)
            except _UNREADABLE as alone:
                exc = alone if file.path in str(alone) else OSError(f"{file.path}: {alone}")
                break
    return LakeError(f"{uri}: a committed file cannot be read: {exc}; put it back from a backup of the lake")


def _read(
    uri: str, schema: pa.Schema, files: Sequence[StagedFile], columns: Sequence[str], rows: ds.Expression | None
) -> pa.Table:
    """Read files; small ones on S3 whole and concurrently, since a round trip takes longer than a megabyte."""
    filesystem, root = arrow_filesystem(uri)
    whole = [file.path for file in files if uri.startswith("s3://") and file.size <= WHOLE_BYTES]
    contents = dict(zip(whole, get_objects([f"{uri}/{path}" for path in whole]), strict=True)) if whole else {}
    # A changed bit would else be a number like any other. Pages without a checksum are read as they are.
    checked = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    format_ = ds.ParquetFileFormat(default_fragment_scan_options=checked)
    fragments = [
        format_.make_fragment(pa.py_buffer(contents[file.path]), partition_expression=_expression(file, schema))
        if file.path in contents
        else format_.make_fragment(
            f"{root}/{file.path}", filesystem, partition_expression=_expression(file, schema), file_size=file.size
        )
        for file in files
    ]
    dataset = ds.FileSystemDataset(fragments, schema, format_, filesystem)
    return dataset.to_table(columns=list(columns), filter=rows)


def _expression(file: StagedFile, schema: pa.Schema) -> ds.Expression:
    expression = ds.scalar(True)
    for name, text in file.partition.items():
        expression = expression & (ds.field(name) == pa.scalar(text).cast(schema.field(name).type))
    return expression


def _together(files: Sequence[StagedFile]) -> Iterator[list[StagedFile]]:
    """Yield files in order, in groups that fit into memory."""
    part: list[StagedFile] = []
    held = 0
    for file in files:
        if part and held + file.size > TOGETHER_BYTES:
            yield part
            part, held = [], 0
        part.append(file)
        held += file.size
    if part:
        yield part
