"""Rows of a query to PostgreSQL, SQLite or DuckDB: in slices by a watermark, or as a whole.

A slice is an input like a file: it is landed once, and read again when its number of rows changes. Watermarks travel as
parameters, and the address comes from the fleet file alone.
"""

import hashlib
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np
import pandas as pd
import pyarrow as pa
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from adapters.databases.address import resolve_address
from adapters.databases.connection import quoted
from adapters.databases.query import Query, open_query
from adapters.databases.slices import Slice, find_slices, no_rows, slice_condition
from adapters.sources.chunk import Chunk
from adapters.sources.protocol import Listing, SourceInput, listed_stamp
from domain.config.database import DATABASE_SCHEMES
from domain.config.source import Source
from domain.data.parts import query_content
from domain.data.shown import shown_names
from domain.errors import DatabaseBusyError, DatabaseError, SourceError

__all__ = ["SqlQuerySource"]

_CHUNK_ROWS = 250_000
_CHUNK_BYTES = 64 << 20
_ATTEMPTS = 3
_OPEN_END = "*"
"""Lower bound of the first slice; as a value, it would be percent-encoded."""
_OWNED = tuple(f"{scheme}://" for scheme in DATABASE_SCHEMES)
_TEXT_TYPES = frozenset({"text", "varchar", "bpchar", "name", "citext", "VARCHAR"})
_ROW_BYTES = 64


class SqlQuerySource:
    """See SourceKind."""

    @retry(
        retry=retry_if_exception_type(DatabaseBusyError),
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_random_exponential(multiplier=1, max=5),
        reraise=True,
    )
    def _listing(self, source: Source, home: Path, known: Mapping[str, str]) -> Listing:
        with _opened(source, home) as query:
            shown = query.reader.address.shown
            if source.watermark is None:
                uri, (stamp, rows) = f"{shown}#query", _digest(query)
                if not rows:
                    raise DatabaseError(no_rows(shown, had_rows=uri in known))
                return Listing((_input(uri, stamp, rows, time.time(), home, {}),), owned=_OWNED)
            landed = [part for uri, stamp in known.items() if (part := _slice_of(uri, stamp, shown, source.watermark))]
            overlap = None if source.overlap == "all" else source.overlap
            parts = find_slices(query, source.watermark, landed, overlap)
            return Listing(tuple(_slice_input(shown, source.watermark, part, home) for part in parts), owned=_OWNED)

    def listing(self, source: Source, place: str, home: Path, known: Mapping[str, str]) -> Listing:
        with _source_errors():
            return self._listing(source, home, known)

    def names(self, item: SourceInput, source: Source) -> list[str]:
        with _source_errors(), _opened(source, _home(item)) as query:
            return list(query.columns)

    def head(self, item: SourceInput, source: Source, rows: int) -> pa.Table:
        with _source_errors(), _opened(source, _home(item)) as query:
            cells = query.usable()
            statement, bounds = _selection(query, source, item, cells)
            table = query.reader.batches(f"{statement} LIMIT {rows}", bounds).read_all()
            columns = [table[name] if name in cells else pa.nulls(len(table), pa.string()) for name in query.columns]
            return pa.table(columns, names=list(query.columns))

    def chunks(self, item: SourceInput, source: Source, columns: Sequence[str]) -> Iterator[Chunk]:
        with _source_errors(), _opened(source, _home(item)) as query:
            cells = _requested(query, columns)
            reader = query.reader.batches(*_selection(query, source, item, cells))
            start = 0
            for table in _read_ahead(_joined(reader)):
                rows = np.arange(start, start + len(table))
                yield Chunk(_marked(table, query), rows)
                start += len(table)
            if not start:
                yield Chunk(_marked(reader.schema.empty_table(), query), np.arange(0))

    def content(self, item: SourceInput, source: Source, columns: Sequence[str]) -> str:
        return query_content(item.uri, listed_stamp(item.stamp))

    def held_still(self, item: SourceInput) -> AbstractContextManager[None]:
        # The rows are read in one snapshot; what changes meanwhile changes their number, or comes with new watermarks.
        return nullcontext()


@contextmanager
def _opened(source: Source, home: Path) -> Iterator[Query]:
    address = resolve_address(source.path, home, "source.path")
    with open_query(address, source.query or "", source.timeout) as query:
        yield query


@contextmanager
def _source_errors() -> Iterator[None]:
    try:
        yield
    except DatabaseError as exc:
        raise SourceError(str(exc)) from exc


def _input(
    uri: str, stamp: str, rows: int, modified: float, home: Path, bounds: Mapping[str, str | None]
) -> SourceInput:
    details = {name: value for name, value in bounds.items() if value is not None} | {"home": str(home)}
    return SourceInput(uri, rows * _ROW_BYTES, stamp, modified, kind="sql", details=details)


def _slice_input(shown: str, watermark: str, part: Slice, home: Path) -> SourceInput:
    lower = _OPEN_END if part.lower is None else quote(part.lower, safe=" :+-.")
    uri = f"{shown}#{quote(watermark)}({lower},{quote(part.upper, safe=' :+-.')}]"
    bounds = {"lower": part.lower, "upper": part.upper}
    return _input(uri, str(part.rows), part.rows, _moment(part.upper), home, bounds)


def _slice_of(uri: str, stamp: str, shown: str, watermark: str) -> Slice | None:
    """Return the slice that an input of the ledger is; None for inputs of other queries."""
    match = re.fullmatch(rf"{re.escape(f'{shown}#{quote(watermark)}')}\(([^,]*),([^,]*)\]", uri)
    if match is None or not stamp.isdigit():
        return None
    lower = None if match[1] == _OPEN_END else unquote(match[1])
    return Slice(lower, unquote(match[2]), int(stamp))


def _moment(watermark: str) -> float:
    """Return the time that a watermark stands for, so that later rows count as later; now, if it is no time."""
    try:
        moment = datetime.fromisoformat(watermark) if "-" in watermark[1:] else datetime.now(UTC)
    except ValueError:
        moment = datetime.now(UTC)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _home(item: SourceInput) -> Path:
    return Path(item.details["home"])


def _requested(query: Query, columns: Sequence[str]) -> dict[str, str]:
    """Return the SQL expression of each requested column that the query has."""
    shown, cells = query.reader.address.shown, dict[str, str]()
    for name in dict.fromkeys(columns):
        if name in query.columns:
            cell = query.reader.cell(name, query.columns[name])
            if cell is None:
                raise SourceError(
                    f"{shown}: column {name} is of type {query.columns[name]}; a value for each row is needed, so take "
                    "one from it in the query"
                )
            cells[name] = cell
    if not cells:
        raise SourceError(
            f"{shown}: none of the columns {', '.join(columns)}; the query has {shown_names([*query.columns])}"
        )
    return cells


def _selection(query: Query, source: Source, item: SourceInput, cells: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return the statement that reads columns of an input, the newest rows last, and its bounds."""
    listed = ", ".join(f"{cell} AS {quoted(name)}" for name, cell in cells.items())
    statement = f"SELECT {listed} FROM {query.source}"  # noqa: S608 - bounds are parameters, names quoted
    if source.watermark is None or "upper" not in item.details:
        return statement, []
    watermark = query.watermark(source.watermark)
    condition, bounds = slice_condition(watermark, item.details.get("lower"), item.details["upper"])
    return f"{statement} WHERE {condition} ORDER BY {watermark.column}", bounds


def _joined(reader: pa.RecordBatchReader) -> Iterator[pa.Table]:
    """Join batches to tables of a bounded size."""
    batches, rows, size = list[pa.RecordBatch](), 0, 0
    for batch in reader:
        if batches and (rows + batch.num_rows > _CHUNK_ROWS or size + batch.nbytes > _CHUNK_BYTES):
            yield pa.Table.from_batches(batches)
            batches, rows, size = [], 0, 0
        batches.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
    if rows:
        yield pa.Table.from_batches(batches)


def _read_ahead(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Let the database work on the next table while the one before is validated."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(next, tables, None)
        while (table := future.result()) is not None:
            future = pool.submit(next, tables, None)
            yield table


def _marked(table: pa.Table, query: Query) -> pa.Table:
    """Distinguish exact numbers, which travel as text, from texts in which somebody wrote numbers.

    The marks of the latter are judged (`source.decimal`, `source.thousands`); 1.009 of a number is always 1.009.
    """
    fields = [
        field.with_type(pa.large_string()) if _is_written(field, query) else field.remove_metadata()
        for field in table.schema
    ]
    return table.cast(pa.schema(fields))


def _is_written(field: pa.Field, query: Query) -> bool:
    return pa.types.is_string(field.type) and query.columns[field.name] not in _TEXT_TYPES


def _digest(query: Query) -> tuple[str, int]:
    """Return a digest of all rows of a query, whatever their order, and their number."""
    cells = query.usable()
    listed = ", ".join(f"{cell} AS {quoted(name)}" for name, cell in cells.items())
    sums, rows = np.zeros(2, dtype=np.uint64), 0
    for batch in query.reader.batches(f"SELECT {listed} FROM {query.source}"):  # noqa: S608 - names are quoted
        frame = batch.to_pandas(integer_object_nulls=True, date_as_object=False)
        hashes = pd.util.hash_pandas_object(frame, index=False).to_numpy()
        # Sums do not depend on the order in which a database gives its rows.
        sums += np.array([hashes.sum(), (hashes * hashes).sum()], dtype=np.uint64)
        rows += len(frame)
    identity = f"{rows}:{sums[0]}:{sums[1]}:{','.join(cells)}"
    return hashlib.blake2b(identity.encode(), digest_size=8).hexdigest(), rows
