"""Reads what a check of a fleet looks at: sizes of all files, columns of many, rows of as many as the limits allow."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from adapters.lake.files import RawFile, list_files
from adapters.sources.reader import column_names, head_rows, read_chunks
from domain.checks.columns import fleet_of_role, required_columns
from domain.checks.findings import FileColumns, Findings, Role, SourceSample
from domain.checks.fleet import collect_findings
from domain.config.fleet import Fleet, Source
from domain.errors import SourceError

__all__ = ["HEAD_ROWS", "Limits", "SampledRows", "check_fleet", "spread_evenly"]

HEAD_ROWS = 10_000
_PACKED = 6
"""Bytes of text in a byte of .csv.gz or .parquet, roughly."""


@dataclass(frozen=True)
class Limits:
    """How much of a source is read at most; bytes are those of the unpacked text."""

    rows: int = 2_000_000
    size_bytes: int = 512 * 2**20
    files: int = 500
    named_files: int = 200


def check_fleet(fleet: Fleet, home: Path, workers: int, limits: Limits | None = None) -> Findings:
    """Findings about a fleet and its files; reads only, and at most what the limits say of each source."""
    sources: dict[Role, Source] = {"source": fleet.source}
    if fleet.score is not None:
        sources["score.source"] = fleet.score.source
    if fleet.test is not None:
        sources["test.source"] = fleet.test.source
    samples: Mapping[Role, SourceSample] = {
        role: _sample(source, fleet, role, home, limits or Limits()) for role, source in sources.items()
    }
    return collect_findings(fleet, samples, workers)


def _sample(source: Source, fleet: Fleet, role: Role, home: Path, limits: Limits) -> SourceSample:
    try:
        files = list_files(source.path, home)
        rows = SampledRows(limits, fleet_of_role(fleet, role).numbers)
        return _read(source, files, required_columns(fleet, role), rows)
    except SourceError as exc:
        return SourceSample(source.path, error=str(exc))


def _read(source: Source, files: Sequence[RawFile], needed: Sequence[str], rows: "SampledRows") -> SourceSample:
    order = spread_evenly(files)
    named, unreadable = _columns(order[: rows.limits.named_files], source)
    columns = {file.uri: names for file, names in named}
    # Files beyond the named ones are taken as the others are; a missing column shows when they are read.
    usable = [file for file in order if file.uri not in columns or set(needed) <= set(columns[file.uri])]
    wanted = list(needed) if usable else [name for name in needed if any(name in names for _, names in named)]
    readable = usable or [file for file, names in named if set(wanted) <= set(names)]
    rows.read(source, [file for file in readable if wanted and file.uri not in unreadable], wanted)
    head = head_rows(named[0][0].uri, source, HEAD_ROWS) if named else pa.table({})
    return SourceSample(
        path=source.path,
        files=len(files),
        size=sum(file.size for file in files),
        named=tuple(FileColumns(Path(file.uri).name, tuple(names)) for file, names in sorted(named, key=_uri)),
        chunks=_joined(rows.chunks),
        read_files=rows.files,
        share_read=1.0 if rows.whole else _share(rows.rows, head, files),
        whole=rows.whole,
        broken=rows.broken,
        unused=_values(head.drop_columns([name for name in needed if name in head.column_names])),
        head_rows=head.num_rows,
        error="; ".join(dict.fromkeys([*unreadable.values(), *rows.errors])),
    )


def _share(rows: int, head: pa.Table, files: Sequence[RawFile]) -> float:
    """Share of all rows that were read, by the size of the first rows."""
    total = sum(_text_bytes(file) for file in files)
    row_bytes: float = sum(_text_size(column) for column in head.columns) / max(head.num_rows, 1)
    return min(1.0, rows * row_bytes / max(total, 1))


def _text_size(column: pa.ChunkedArray) -> int:
    """Bytes of a column in a CSV file, roughly; those in memory where it is no text."""
    text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    return int((pc.sum(pc.binary_length(column)).as_py() or 0) + len(column) if text else column.nbytes)


def _values(head: pa.Table) -> dict[str, int]:
    plain = [name for name in head.column_names if not pa.types.is_nested(head.schema.field(name).type)]
    return {name: pc.count_distinct(head[name]).as_py() for name in plain}


def _uri(item: tuple[RawFile, list[str]]) -> str:
    return item[0].uri


def spread_evenly(files: Sequence[RawFile]) -> list[RawFile]:
    """The files in an order whose every beginning is spread evenly over the names: halves, quarters, eighths."""
    bits = max(1, (len(files) - 1).bit_length())
    mirrored = (int(f"{index:0{bits}b}"[::-1], 2) for index in range(1 << bits))
    return [files[index] for index in mirrored if index < len(files)]


def _columns(files: Iterable[RawFile], source: Source) -> tuple[list[tuple[RawFile, list[str]]], dict[str, str]]:
    """Columns of each file, and why some cannot be read, by uri."""
    named, unreadable = [], {}
    for file in files:
        try:
            named.append((file, column_names(file.uri, source)))
        except SourceError as exc:
            unreadable[file.uri] = str(exc)
    return named, unreadable


def _text_bytes(file: RawFile) -> int:
    packed = file.uri.lower().endswith((".gz", ".parquet", ".pq"))
    return file.size * _PACKED if packed else file.size


@dataclass
class SampledRows:
    """Rows of the first files until a limit is reached; a file that is too long is cut.

    numbers : columns whose text is read with the source's decimal mark.
    """

    limits: Limits
    numbers: Sequence[str] = ()
    chunks: list[pa.Table] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    files: int = 0
    rows: int = 0
    text_bytes: int = 0
    broken: int = 0
    whole: bool = True

    def read(self, source: Source, files: Sequence[RawFile], wanted: Sequence[str]) -> None:
        for file in files:
            if self._full():
                self.whole = False
                return
            self.files, self.text_bytes = self.files + 1, self.text_bytes + _text_bytes(file)
            try:
                self._read_file(file, source, wanted)
            except SourceError as exc:
                self.errors.append(str(exc))

    def _full(self) -> bool:
        used = (self.rows, self.files, self.text_bytes)
        limits = (self.limits.rows, self.limits.files, self.limits.size_bytes)
        return any(amount >= limit for amount, limit in zip(used, limits, strict=True))

    def _read_file(self, file: RawFile, source: Source, wanted: Sequence[str]) -> None:
        for chunk in read_chunks(file.uri, source, wanted, numbers=self.numbers):
            left = self.limits.rows - self.rows
            self.chunks.append(chunk.table.slice(0, left))
            self.rows, self.broken = self.rows + self.chunks[-1].num_rows, self.broken + len(chunk.broken)
            if chunk.table.num_rows > left:
                self.whole = False
                return


def _joined(chunks: Sequence[pa.Table]) -> tuple[pa.Table, ...]:
    """Neighbours of the same type as one table: many small files would cost more to check one by one."""
    groups: list[list[pa.Table]] = []
    for chunk in chunks:
        if groups and groups[-1][0].schema.equals(chunk.schema):
            groups[-1].append(chunk)
        else:
            groups.append([chunk])
    return tuple(pa.concat_tables(group) for group in groups)
