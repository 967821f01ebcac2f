"""Sample a fleet's files for a check: sizes of all, columns of many, and as many rows as the limits allow."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from adapters.sources.formats import is_packed
from adapters.sources.kinds import list_inputs
from adapters.sources.protocol import SourceInput
from adapters.sources.reader import column_names, head_rows, missing_columns_hint, read_chunks
from adapters.sources.text.null_texts import null_text_remarks
from domain.checks.columns import fleet_of_role, required_columns
from domain.checks.findings import FileColumns, Findings, Role, SourceSample
from domain.checks.fleet import collect_findings
from domain.config.fleet import Fleet
from domain.config.source import Source
from domain.errors import NoFilesError, SourceError

__all__ = ["HEAD_ROWS", "Limits", "SampledRows", "check_fleet", "spread_evenly"]

HEAD_ROWS = 10_000
_PACKED = 6
"""Approximate bytes of text per byte of .csv.gz or .parquet."""


@dataclass(frozen=True)
class Limits:
    """Limits on what is read from a source; size_bytes counts uncompressed text."""

    rows: int = 2_000_000
    size_bytes: int = 512 * 2**20
    files: int = 500
    named_files: int = 200


def check_fleet(fleet: Fleet, home: Path, workers: int, limits: Limits | None = None) -> Findings:
    """Check a fleet and its files without writing anything, reading each source up to the limits."""
    sources: dict[Role, Source] = {"source": fleet.source}
    if fleet.score is not None:
        sources["score.source"] = fleet.score.source
    if fleet.test is not None:
        sources["test.source"] = fleet.test.source
    samples: Mapping[Role, SourceSample] = {
        role: _sample(source, fleet, role, home, limits or Limits()) for role, source in sources.items()
    }
    return collect_findings(fleet, samples, workers, datetime.now(UTC))


def _sample(source: Source, fleet: Fleet, role: Role, home: Path, limits: Limits) -> SourceSample:
    try:
        listing = list_inputs(source, home)
        rows = SampledRows(limits, fleet_of_role(fleet, role).numbers)
        rows.errors += listing.unusable
        return _read_sample(source, listing.inputs, required_columns(fleet, role), fleet.segment_by, rows)
    except NoFilesError as exc:
        awaited = role == "score.source"
        return SourceSample(source.path, error="" if awaited else str(exc), awaited=str(exc) if awaited else "")
    except SourceError as exc:
        return SourceSample(source.path, error=str(exc))


def _read_sample(
    source: Source, files: Sequence[SourceInput], required: Sequence[str], keys: Sequence[str], rows: "SampledRows"
) -> SourceSample:
    """Read a sample of a source. required : columns that it must have. keys : those that identify segments."""
    order = spread_evenly(files)
    named, unreadable = _columns(order[: rows.limits.named_files], source)
    readable, present = _usable_files(order, named, required)
    rows.read(source, [file for file in readable if present and file.uri not in unreadable], present)
    head = head_rows(named[0][0], source, HEAD_ROWS) if named else pa.table({})
    if named:
        rows.remarks |= dict.fromkeys(null_text_remarks(named[0][0], source, head, keys))
    return SourceSample(
        path=source.path,
        files=len(files),
        size=sum(file.size for file in files),
        named=_file_columns(named, source, required),
        chunks=_merge_chunks(rows.chunks),
        read_files=rows.files,
        share_read=1.0 if rows.whole else _share_read(rows.rows, head, files),
        whole=rows.whole,
        broken=rows.broken,
        broken_because=rows.broken_because,
        remarks=tuple(rows.remarks),
        unused=_count_distinct(head.drop_columns([name for name in required if name in head.column_names])),
        head_rows=head.num_rows,
        error="; ".join(dict.fromkeys([*unreadable.values(), *rows.errors])),
    )


def _file_columns(
    named: Sequence[tuple[SourceInput, list[str]]], source: Source, required: Sequence[str]
) -> tuple[FileColumns, ...]:
    by_uri = sorted(named, key=lambda item: item[0].uri)
    hints = dict[str, str]()
    for file, names in by_uri:
        missing = [name for name in required if name not in names]
        if missing and not hints:
            hints[file.uri] = missing_columns_hint(file, source, missing)
    return tuple(FileColumns(Path(file.uri).name, tuple(names), hints.get(file.uri, "")) for file, names in by_uri)


def _usable_files(
    order: Sequence[SourceInput], named: Sequence[tuple[SourceInput, list[str]]], required: Sequence[str]
) -> tuple[list[SourceInput], list[str]]:
    """Files to read and the columns to read from them: all required ones, or those that some file has."""
    columns = {file.uri: names for file, names in named}
    # Files beyond the named ones are assumed to be like the others; a missing column shows when they are read.
    complete = [file for file in order if file.uri not in columns or set(required) <= set(columns[file.uri])]
    if complete:
        return complete, list(required)
    present = [name for name in required if any(name in names for _, names in named)]
    return [file for file, names in named if set(present) <= set(names)], present


def _share_read(rows: int, head: pa.Table, files: Sequence[SourceInput]) -> float:
    """Approximate share of all rows that were read, judged by the size of the first rows."""
    total = sum(_text_bytes(file) for file in files)
    row_bytes: float = sum(_text_size(column) for column in head.columns) / max(head.num_rows, 1)
    return min(1.0, rows * row_bytes / max(total, 1))


def _text_size(column: pa.ChunkedArray) -> int:
    """Approximate bytes of a column in a CSV file; bytes in memory for a typed column."""
    text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    return int((pc.sum(pc.binary_length(column)).as_py() or 0) + len(column) if text else column.nbytes)


def _count_distinct(head: pa.Table) -> dict[str, int]:
    counts = {}
    for name in head.column_names:
        # Types that cannot be compared, such as lists and intervals, have no count: their columns are not used.
        with suppress(pa.ArrowNotImplementedError):
            counts[name] = pc.count_distinct(head[name]).as_py()
    return counts


def spread_evenly(files: Sequence[SourceInput]) -> list[SourceInput]:
    """Order files so that the first few, however many, are spread evenly over the names: halves, quarters, eighths."""
    bits = max(1, (len(files) - 1).bit_length())
    mirrored = (int(f"{index:0{bits}b}"[::-1], 2) for index in range(1 << bits))
    return [files[index] for index in mirrored if index < len(files)]


def _columns(
    files: Iterable[SourceInput], source: Source
) -> tuple[list[tuple[SourceInput, list[str]]], dict[str, str]]:
    """Columns of each readable file, and the error of each other, by uri."""
    named, unreadable = [], {}
    for file in files:
        try:
            named.append((file, column_names(file, source)))
        except SourceError as exc:
            unreadable[file.uri] = str(exc)
    return named, unreadable


def _text_bytes(file: SourceInput) -> int:
    return file.size * _PACKED if is_packed(file.uri) else file.size


@dataclass
class SampledRows:
    """Rows of files, read until a limit is reached; a file that is too long is cut.

    numbers : columns whose text has the source's decimal mark. remarks : what the files leave open, each once.
    """

    limits: Limits
    numbers: Sequence[str] = ()
    chunks: list[pa.Table] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    files: int = 0
    rows: int = 0
    text_bytes: int = 0
    broken: int = 0
    broken_because: str = ""
    whole: bool = True
    remarks: dict[str, None] = field(default_factory=dict)

    def read(self, source: Source, files: Sequence[SourceInput], columns: Sequence[str]) -> None:
        """Read the columns of the files, and note files that cannot be read in `errors`."""
        for file in files:
            if self._limit_reached():
                self.whole = False
                return
            self.files, self.text_bytes = self.files + 1, self.text_bytes + _text_bytes(file)
            try:
                self._read_file(file, source, columns)
            except SourceError as exc:
                self.errors.append(str(exc))

    def _limit_reached(self) -> bool:
        used = (self.rows, self.files, self.text_bytes)
        limits = (self.limits.rows, self.limits.files, self.limits.size_bytes)
        return any(amount >= limit for amount, limit in zip(used, limits, strict=True))

    def _read_file(self, file: SourceInput, source: Source, columns: Sequence[str]) -> None:
        for chunk in read_chunks(file, source, columns, numbers=self.numbers):
            left = self.limits.rows - self.rows
            self.chunks.append(chunk.table.slice(0, left))
            self.rows, self.broken = self.rows + self.chunks[-1].num_rows, self.broken + len(chunk.broken)
            self.broken_because = chunk.broken_because if chunk.broken else self.broken_because
            self.remarks |= dict.fromkeys(chunk.remarks)
            if chunk.table.num_rows > left:
                self.whole = False
                return


def _merge_chunks(chunks: Sequence[pa.Table]) -> tuple[pa.Table, ...]:
    """Merge neighbours of the same schema: many small tables would take longer to check one by one."""
    groups: list[list[pa.Table]] = []
    for chunk in chunks:
        if groups and groups[-1][0].schema.equals(chunk.schema):
            groups[-1].append(chunk)
        else:
            groups.append([chunk])
    return tuple(pa.concat_tables(group) for group in groups)
