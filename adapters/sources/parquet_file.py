"""Read a Parquet file in batches whose decoded size is bounded, whatever a few stored bytes stand for.

A dictionary holds a long value once, and run lengths hold a billion equal rows in a few bytes. The size of a batch
therefore follows from the footer and from the longest value of each dictionary, which is read without its rows.
"""

from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from adapters.lake.files import open_file
from adapters.sources import limits
from adapters.sources.chunk import Chunk
from domain.config.source import Source
from domain.data.shown import shown_names
from domain.errors import SourceError

__all__ = ["ParquetFormat"]

CHUNK_ROWS = 1_000_000
_FOOTER_BYTES = 16 << 20
_FOOTER_ITEMS = 200_000
_USUAL_BYTES = 256 << 20
_SMALL_BYTES = 8 << 20
"""Decoded bytes of a batch that are surely fine, and the target where a batch of usual length could exceed them."""
_SURELY_FINE_BYTES = 1 << 29
_SUSPICIOUS_BYTES = 32 << 20
_VALUE_BYTES = 8


class ParquetFormat:
    """Parquet files; columns have the types of the file."""

    suffixes = (".parquet", ".pq")
    packed = True

    def names(self, uri: str, source: Source) -> list[str]:
        """Names of the columns, from the footer alone."""
        with open_file(uri) as stream:
            return list(_open(uri, stream).schema_arrow.names)

    def head(self, uri: str, source: Source, rows: int) -> pa.Table:
        """The first rows with all columns, lists as nulls; fewer than `rows` if those are large."""
        return _head(uri, rows)

    def chunks(self, uri: str, source: Source, columns: Sequence[str]) -> Iterator[Chunk]:
        """Read the requested columns, as far as the file has them."""
        return _chunks(uri, columns)


def _head(uri: str, rows: int) -> pa.Table:
    with open_file(uri) as stream:
        file = _open(uri, stream)
        batches, left, size = list[pa.RecordBatch](), rows, 0
        # Lists are of no use to a fleet, and a single one can decode to gigabytes.
        lists = _lists(file)
        names = [name for name in file.schema_arrow.names if name not in lists]
        if not names:
            raise SourceError(f"{uri}: all columns hold lists; a value for each row is needed")
        for batch in _batches(uri, file, names, rows, long_values=True):
            batches.append(batch.slice(0, left))
            left, size = left - batches[-1].num_rows, size + batch.nbytes
            if not left or size > _SMALL_BYTES:
                break
        if not batches:
            return file.schema_arrow.empty_table()
        head = pa.Table.from_batches(batches, batches[0].schema)
        if not lists:
            return head
        for field in (field for field in file.schema_arrow if field.name in lists):
            head = head.append_column(field, pa.nulls(head.num_rows, field.type))
        return head.select(file.schema_arrow.names)


def _chunks(uri: str, requested: Sequence[str]) -> Iterator[Chunk]:
    with open_file(uri) as stream:
        file = _open(uri, stream)
        names = file.schema_arrow.names
        columns = [name for name in names if name in requested]
        _refuse_lists(uri, file, columns)
        if not columns:
            raise SourceError(f"{uri}: none of the columns {', '.join(requested)}; the file has {shown_names(names)}")
        start = 0
        for batch in _batches(uri, file, columns, CHUNK_ROWS):
            yield Chunk(pa.Table.from_batches([batch]), np.arange(start, start + batch.num_rows))
            start += batch.num_rows
        if start == 0:
            yield Chunk(file.schema_arrow.empty_table().select(columns), np.arange(0))


def _lists(file: pq.ParquetFile) -> set[str]:
    """Names of the columns in which a row may hold any number of values."""
    schema = file.metadata.schema
    leaves = (schema.column(place) for place in range(len(schema)))
    repeated = {leaf.path for leaf in leaves if leaf.max_repetition_level}
    names = set(file.schema_arrow.names)
    return {path if path in names else path.partition(".")[0] for path in repeated}


def _refuse_lists(uri: str, file: pq.ParquetFile, columns: Sequence[str]) -> None:
    if wrong := sorted(_lists(file).intersection(columns)):
        raise SourceError(f"{uri}: column {wrong[0]} holds lists; a value for each row is needed, so unnest it first")


def _open(uri: str, stream: BinaryIO, read_dictionary: Sequence[str] = ()) -> pq.ParquetFile:
    file = pq.ParquetFile(
        stream,
        read_dictionary=list(read_dictionary),
        thrift_string_size_limit=_FOOTER_BYTES,
        thrift_container_size_limit=_FOOTER_ITEMS,
    )
    limits.check_columns(uri, file.metadata.num_columns)
    limits.check_row_groups(uri, file.metadata.num_row_groups)
    return file


def _batches(
    uri: str, file: pq.ParquetFile, columns: Sequence[str], most_rows: int, *, long_values: bool = False
) -> Iterator[pa.RecordBatch]:
    """Batches of bounded size. long_values : whether values may have any length, as in columns that are not used."""
    places = _leaves(file, columns)
    stored = sum(file.metadata.row_group(g).column(p).total_compressed_size for g in _groups(file) for p in places)
    _check_claim(uri, file, places, stored)
    decoded, rows = 0, _batch_rows(uri, file, places, most_rows, 1 << 62 if long_values else limits.MOST_VALUE_BYTES)
    for batch in file.iter_batches(rows, columns=list(columns)):
        decoded += batch.nbytes
        # Long values that stand for many rows are suspicious already.
        surely_fine = _SURELY_FINE_BYTES if rows == most_rows else _SUSPICIOUS_BYTES
        limits.check_inflation(uri, decoded, stored, limits.MOST_PARQUET_INFLATION, surely_fine)
        yield batch


def _groups(file: pq.ParquetFile) -> range:
    return range(file.metadata.num_row_groups)


def _leaves(file: pq.ParquetFile, columns: Sequence[str]) -> list[int]:
    """Places of the stored columns that belong to columns by name; a nested one has several."""
    names = set(columns)
    schema = file.metadata.schema
    paths = [schema.column(place).path for place in range(len(schema))]
    return [place for place, path in enumerate(paths) if path in names or path.partition(".")[0] in names]


def _check_claim(uri: str, file: pq.ParquetFile, places: Sequence[int], stored: int) -> None:
    """Raise SourceError for a file whose footer claims more values or bytes than its size can mean."""
    values = size = 0
    for group in _groups(file):
        for place in places:
            column = file.metadata.row_group(group).column(place)
            values, size = values + column.num_values, size + column.total_uncompressed_size
    claimed = max(values * _VALUE_BYTES, size)
    limits.check_inflation(uri, claimed, stored, limits.MOST_PARQUET_INFLATION, _SURELY_FINE_BYTES)


def _batch_rows(uri: str, file: pq.ParquetFile, places: Sequence[int], most_rows: int, most_bytes: int) -> int:
    """Rows of a batch, so that it cannot decode to much more than `_USUAL_BYTES`.

    most_bytes : that one value may have.
    """
    rows = most_rows
    for group in _groups(file):
        row_bytes = 0.0
        for place in places:
            longest = _longest(uri, file, group, place, most_rows)
            limits.check_value(uri, file.metadata.schema.column(place).path, longest, most_bytes)
            row_bytes += _row_bytes(file, group, place, longest)
        if row_bytes * min(most_rows, file.metadata.row_group(group).num_rows) > _USUAL_BYTES:
            rows = min(rows, max(1, int(_SMALL_BYTES / row_bytes)))
    return rows


def _row_bytes(file: pq.ParquetFile, group: int, place: int, longest: int) -> float:
    """Decoded bytes of one row in a column: at most for values of a dictionary, on average for plain ones."""
    row_group = file.metadata.row_group(group)
    column, rows = row_group.column(place), max(row_group.num_rows, 1)
    return float(column.num_values / rows * longest + column.total_uncompressed_size / rows)


def _longest(uri: str, file: pq.ParquetFile, group: int, place: int, most_rows: int) -> int:
    """Bytes of a column's longest value where each of many rows can repeat it: its width, or that of a dictionary."""
    row_group, leaf = file.metadata.row_group(group), file.metadata.schema.column(place)
    column = row_group.column(place)
    if column.physical_type == "FIXED_LEN_BYTE_ARRAY":
        return int(leaf.length)
    if column.physical_type != "BYTE_ARRAY":
        return _VALUE_BYTES
    harmless = min(row_group.num_rows, most_rows) * column.total_uncompressed_size <= _USUAL_BYTES // 8
    return 0 if harmless or not column.has_dictionary_page else _longest_in_dictionary(uri, leaf.path, group)


def _longest_in_dictionary(uri: str, name: str, group: int) -> int:
    """Bytes of the longest value in a dictionary, which is read with a single row."""
    with open_file(uri) as stream:
        dictionaries = _open(uri, stream, [name])
        batch = next(dictionaries.iter_batches(1, row_groups=[group], columns=[name]), None)
    if batch is None:
        return 0
    values = batch.column(0)
    while pa.types.is_nested(values.type):
        values = values.field(0) if pa.types.is_struct(values.type) else values.values
    return int(
        pc.max(pc.binary_length(values.dictionary if pa.types.is_dictionary(values.type) else values)).as_py() or 0
    )
