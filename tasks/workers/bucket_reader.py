"""Read the rows of one bucket out of files that hold rows of all buckets, sorted by hash.

Reading bucket by bucket would open every such file for every bucket, and read a whole row group for a few rows.
Neighbouring buckets are therefore read together, and kept until a bucket of another span is read: each worker reads a
file once per span, however many buckets and files there are.
"""

from collections.abc import Sequence
from itertools import pairwise
from threading import Lock

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from cachetools import LRUCache, cached

from adapters.lake.staged_file import StagedFile
from adapters.lake.table import Table
from domain.data.segments import bucket_of, bucket_range

__all__ = ["SPANS", "bucket_rows", "forget_rows", "spans"]

_SPAN_ROWS = 500_000
SPANS = 32
"""Smallest number of spans where each span is a piece of work: enough for as many workers, given as many buckets."""


def spans(rows: int, buckets: int, least: int = 1) -> list[range]:
    """Split the buckets into spans that are read together, of at most half a million rows unless one bucket has more.

    least : smallest number of spans, given as many buckets.
    """
    count = min(buckets, max(least, -(-rows // _SPAN_ROWS)))
    edges = [number * buckets // count for number in range(count + 1)]
    return [range(low, high) for low, high in pairwise(edges)]


def bucket_rows(
    table: Table,
    files: Sequence[StagedFile],
    bucket: int,
    buckets: int,
    columns: Sequence[str] | None = None,
    least: int = 1,
) -> pa.Table:
    """Read one bucket's rows, sorted by hash, then in the order of the files.

    files : committed files of `table`. columns : default all of the table. least : as for `spans`.
    """
    names = tuple(table.spec.schema.names if columns is None else columns)
    parts = spans(sum(file.rows for file in files), buckets, least)
    span = next(part for part in parts if bucket in part)
    rows, starts = _read_span(table, files, span, buckets, names)
    start, end = starts[bucket - span.start], starts[bucket - span.start + 1]
    return rows.slice(start, end - start).select(names)


def _span_key(
    table: Table, files: Sequence[StagedFile], span: range, buckets: int, columns: Sequence[str]
) -> tuple[object, ...]:
    return table.uri, tuple(file.path for file in files), span, buckets, columns


@cached(LRUCache(maxsize=1), key=_span_key, lock=Lock())
def _read_span(
    table: Table, files: Sequence[StagedFile], span: range, buckets: int, columns: Sequence[str]
) -> tuple[pa.Table, Sequence[int]]:
    """Rows of a span, and the start of each of its buckets in them; one more at the end."""
    low, high = bucket_range(span[0], buckets)[0], bucket_range(span[-1], buckets)[1]
    inside = (ds.field("hash") >= low) & (ds.field("hash") <= high)
    rows = table.read_files(files, list(dict.fromkeys([*columns, "hash"])), inside)
    by_hash = np.argsort(rows["hash"].to_numpy(), kind="stable")
    rows = rows.take(pa.array(by_hash)).combine_chunks()
    owners = bucket_of(rows["hash"].to_numpy(), buckets)
    return rows, np.searchsorted(owners, np.arange(span.start, span.stop + 1)).tolist()


def forget_rows() -> None:
    """Release the rows that were read last."""
    _read_span.cache_clear()
