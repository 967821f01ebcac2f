"""Rows of one bucket out of files that hold rows of all of them, sorted by hash.

Every such file would have to be opened for every bucket, and a whole row group be read for a few rows. Neighbouring
buckets are therefore read together, and kept until a bucket of another span is asked for: each worker reads a file a
span, however many buckets and files there are.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from adapters.lake.table import StagedFile, Table
from domain.data.segments import bucket_of, bucket_range

__all__ = ["SPANS", "bucket_rows", "spans"]

_SPAN_ROWS = 500_000
SPANS = 32
"""So many at least where spans are the work, and there are as many buckets: that many workers have something to do."""


def spans(rows: int, buckets: int, least: int = 1) -> list[range]:
    """Neighbouring buckets to read together, of some half a million rows at most unless one bucket has more.

    least : how many there shall be if there are as many buckets.
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
    """The bucket's rows, sorted by hash, then in the order of the files.

    files : committed files of `table`. columns : default all of the table. least : as for `spans`.
    """
    wanted = tuple(table.spec.schema.names if columns is None else columns)
    parts = spans(sum(file.rows for file in files), buckets, least)
    span = next(part for part in parts if bucket in part)
    key = (table.uri, tuple(file.path for file in files), buckets, span, wanted)
    kept = _kept.get(key)
    if kept is None:
        kept = _read(table, files, span, buckets, wanted)
        forget()
        _kept[key] = kept
    rows, starts = kept
    start, end = starts[bucket - span.start], starts[bucket - span.start + 1]
    return rows.slice(start, end - start).select(wanted)


def forget() -> None:
    """Let go of the rows that were read last."""
    _kept.clear()


_kept: dict[object, tuple[pa.Table, Sequence[int]]] = {}


def _read(
    table: Table, files: Sequence[StagedFile], span: range, buckets: int, columns: Sequence[str]
) -> tuple[pa.Table, Sequence[int]]:
    """Rows of a span, and where each of its buckets starts in them; one more at the end."""
    low, high = bucket_range(span[0], buckets)[0], bucket_range(span[-1], buckets)[1]
    inside = (ds.field("hash") >= low) & (ds.field("hash") <= high)
    rows = table.read_files(files, list(dict.fromkeys([*columns, "hash"])), inside)
    order = np.argsort(rows["hash"].to_numpy(), kind="stable")
    rows = rows.take(pa.array(order)).combine_chunks()
    owners = bucket_of(rows["hash"].to_numpy(), buckets)
    return rows, np.searchsorted(owners, np.arange(span.start, span.stop + 1)).tolist()
