"""Write a fleet file for raw files: detect their format, read them, scaffold a fleet, check it, write it."""

import csv
import gzip
import re
import unicodedata
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from adapters.lake.files import STORAGE_ERRORS, open_file, replacing
from adapters.sources.column_types import concat_alike, with_exact_ids
from adapters.sources.csv_file import undecodable_line
from adapters.sources.excel import rows_before_header, sheet_sizes
from adapters.sources.formats import FORMATS, format_by_name
from adapters.sources.kinds import list_inputs
from adapters.sources.protocol import SourceInput
from adapters.sources.reader import column_names, head_rows
from adapters.sources.sampling import HEAD_ROWS, Limits, SampledRows, check_fleet, spread_evenly
from adapters.sources.text.null_texts import null_texts, values_among_null_texts
from domain.checks.findings import Findings
from domain.config.database import query_problem, scheme_of, without_secrets
from domain.config.fleet import parse_fleet
from domain.config.source import Source
from domain.config.yaml_text import parse_yaml
from domain.data.shown import shown_names
from domain.errors import FleetError, SourceError
from domain.reporting.formatting import format_count
from domain.scaffold.csv_dialect import sniff_dialect, sniff_encoding
from domain.scaffold.fleet_scaffold import scaffold_fleet
from domain.scaffold.number_marks import choose_marks, with_plain_numbers
from domain.scaffold.source_profile import FleetScaffold, SourceProfile, UserOptions
from domain.scaffold.wide import melt_note, melt_of, total_rows
from domain.scaffold.yaml import render_scaffold

__all__ = ["WrittenScaffold", "draft_fleet", "scaffold_file", "write_draft"]

_START_BYTES = 1 << 18
_SUFFIX = re.compile(r"\.(csv|tsv|txt|parquet|pq|jsonl|ndjson|xlsx|xlsm|xls|ods)(\.gz)?$", re.IGNORECASE)
_GENERIC = ("train", "training", "data", "raw", "input", "inputs", "files", "csv", "parquet")
"""Folder names that identify no data."""
_LONG_TEXT_CHARACTERS = 60
_MOST_COLUMNS = 400


@dataclass(frozen=True)
class WrittenScaffold:
    """A fleet file, written or to be written, the scaffold behind it, and the findings of a check."""

    path: Path
    text: str
    scaffold: FleetScaffold
    findings: Findings


def scaffold_file(
    data: str, options: UserOptions, home: Path, workers: int, *, out: str | None = None, force: bool = False
) -> WrittenScaffold:
    """Scaffold a fleet for the files of `data` and write it to `fleets/NAME.yaml`, or to `out`.

    Raises
    ------
    SourceError : the files cannot be read, or no fleet can be scaffolded from them.
    FleetError : the fleet file exists already, or a check of the fleet reports an error.
        Nothing is written in either case.
    """
    source, files = _inputs(data, options, home)
    path = home / (out or f"fleets/{options.name or fleet_name(data)}.yaml")
    if path.exists() and not force:
        raise FleetError(f"{path}: exists already; give --force to overwrite it, or --name or --out for another file")
    draft = _draft(data, source, files, options, home, workers, path, {})
    write_draft(draft)
    return draft


def draft_fleet(
    data: str, options: UserOptions, home: Path, workers: int, settings: Mapping[str, Any] | None = None
) -> WrittenScaffold:
    """Scaffold a fleet for the files of `data` as `scaffold_file` does, without writing it.

    settings : sections of the fleet file that take the place of those of the draft, or add to their keys.
    """
    source, files = _inputs(data, options, home)
    path = home / f"fleets/{options.name or fleet_name(data)}.yaml"
    return _draft(data, source, files, options, home, workers, path, settings or {})


def write_draft(draft: WrittenScaffold) -> None:
    """Write the fleet file of a draft; it replaces what is there."""
    with replacing(draft.path) as temporary:
        temporary.write_text(draft.text, encoding="utf-8")


def _inputs(data: str, options: UserOptions, home: Path) -> tuple[Source, Sequence[SourceInput]]:
    return _query(data, options, home) if scheme_of(data) or options.query else _files(data, home)


def _draft(
    data: str,
    source: Source,
    files: Sequence[SourceInput],
    options: UserOptions,
    home: Path,
    workers: int,
    path: Path,
    settings: Mapping[str, Any],
) -> WrittenScaffold:
    """Scaffold and check a fleet. Raises FleetError if the check reports an error."""
    table, profile = _read_long(_with_codes(source, files[0]), files, options)
    scaffold = _overridden(scaffold_fleet(table, profile, options, options.name or fleet_name(data)), settings)
    text = render_scaffold(scaffold)
    fleet = parse_fleet(parse_yaml(text), str(path))
    findings = check_fleet(fleet, home, workers)
    if findings.errors:
        errors = "\n".join(f"  {p.key}: {p.message}" for p in findings.problems if p.severity == "error")
        raise FleetError(f"{data}: a fleet of these data would not run:\n{errors}\nnothing was written")
    return WrittenScaffold(path, text, scaffold, findings)


def _overridden(scaffold: FleetScaffold, settings: Mapping[str, Any]) -> FleetScaffold:
    """Put settings in the place of those of a scaffold; they need no reason, and no hint."""
    content = dict(scaffold.content)
    for key, value in settings.items():
        former = content.get(key)
        both = isinstance(value, Mapping) and isinstance(former, Mapping)
        content[key] = {**former, **value} if both and former else value
    choices = tuple(choice for choice in scaffold.choices if choice.key not in settings)
    hints = {key: hint for key, hint in scaffold.hints.items() if key not in settings}
    return replace(scaffold, content=content, choices=choices, hints=hints)


def _files(data: str, home: Path) -> tuple[Source, Sequence[SourceInput]]:
    files = _data_files(_listed(data, home))
    return _source(_pattern(data, files, home), files), files


def _query(data: str, options: UserOptions, home: Path) -> tuple[Source, Sequence[SourceInput]]:
    """Return the source of a query, and its slices."""
    if problem := query_problem(data, options.query, {"watermark": options.watermark}):
        raise SourceError(f"{without_secrets(data)}: {problem.replace('query: SELECT', '--query SELECT')}")
    source = Source(path=data, query=options.query, watermark=options.watermark)
    return source, list_inputs(source, home).inputs


def _listed(data: str, home: Path) -> tuple[SourceInput, ...]:
    return list_inputs(Source(path=data), home).inputs


def fleet_name(data: str) -> str:
    """Name a fleet after its files: `raw/Sales 2024.csv.gz` gives sales-2024, `m3/train/*.csv` gives m3."""
    parts = [part for part in data.rstrip("/").split("/") if part and "*" not in part and "?" not in part]
    while len(parts) > 1 and parts[-1].lower() in _GENERIC:
        parts.pop()
    stem = _SUFFIX.sub("", parts[-1]) if parts else ""
    letters = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9_]+", "-", letters).strip("-_")
    slug = slug if slug[:1].isalpha() else f"fleet-{slug}".rstrip("-")
    return slug[:60]


def _data_files(files: Sequence[SourceInput]) -> list[SourceInput]:
    if files and files[0].kind != "files":
        return list(files)
    data_files = [file for file in files if format_by_name(file.uri)]
    if not data_files:
        names = ", ".join(Path(file.uri).name for file in files[:3])
        raise SourceError(f"{names}: no file has a known format; supported are {', '.join(_suffixes())}")
    kinds = {str(format_by_name(file.uri)) for file in data_files}
    if len(kinds) > 1:
        raise SourceError(f"files have several formats ({', '.join(sorted(kinds))}); give a glob such as folder/*.csv")
    return data_files


def _suffixes() -> list[str]:
    return [suffix for format_ in FORMATS.values() for suffix in format_.suffixes]


def _pattern(data: str, files: Sequence[SourceInput], home: Path) -> str:
    """The path to put in the fleet file: relative if possible, and a glob if a folder has other files too."""
    if len(files) < len(_listed(data, home)):
        suffixes = {Path(file.uri).name.partition(".")[2] for file in files}
        folders = {file.uri.rpartition("/")[0] for file in files}
        if len(suffixes) > 1 or len(folders) > 1:
            raise SourceError(f"{data}: has files that are not data; give a glob such as {data.rstrip('/')}/*.csv")
        data = f"{data.rstrip('/')}/*.{suffixes.pop()}"
    if "://" in data:
        return data
    path = (home / data).absolute()
    return str(path.relative_to(home)) if path.is_relative_to(home) else str(path)


def _source(path: str, files: Sequence[SourceInput]) -> Source:
    """Detect how the files are written, from the first of them."""
    uri = files[0].uri
    if files[0].kind == "files" and format_by_name(uri) == "excel":
        source = Source(path=path, sheet=_sheet(files))
        return source.model_copy(update={"skip_rows": rows_before_header(uri, source)})
    if files[0].kind != "files" or format_by_name(uri) != "csv":
        return Source(path=path)
    start = _first_bytes(uri)
    encoding = _whole_encoding(files[0], sniff_encoding(start))
    try:
        dialect = sniff_dialect(start.decode(encoding, errors="replace"))
    except csv.Error as exc:
        raise SourceError(f"{uri}: cannot be read: {exc}; check the line breaks and the quotes") from exc
    if not dialect.names:
        raise SourceError(f"{uri}: the file is empty")
    if not dialect.header:
        first_row = shown_names(dialect.names[:5])
        raise SourceError(f"{uri}: the first row ({first_row}) looks like data; add a row with the column names")
    tabs = uri.lower().removesuffix(".gz").endswith(".tsv")
    delimiter = "," if tabs and dialect.delimiter == "\t" else dialect.delimiter
    return Source(path=path, delimiter=delimiter, encoding=encoding, skip_rows=dialect.skip_rows)


def _with_codes(source: Source, file: SourceInput) -> Source:
    """The source, for which a code such as NA is a value where all other values of its column are such codes."""
    head = head_rows(file, source, HEAD_ROWS)
    codes = values_among_null_texts(head, null_texts(file, source, HEAD_ROWS))
    null_values = [text for text in source.null_values if text not in codes]
    return source.model_copy(update={"null_values": null_values}) if codes else source


def _whole_encoding(file: SourceInput, encoding: str) -> str:
    """The encoding of a whole file, of which the beginning may be the same in several."""
    if encoding != "utf-8" or file.size > Limits().size_bytes:
        return encoding
    try:
        return encoding if undecodable_line(file.uri, Source(path=file.uri)) is None else "cp1252"
    except (*STORAGE_ERRORS, EOFError, zlib.error) as exc:
        raise SourceError(f"{file.uri}: cannot be read: {exc}") from exc


def _sheet(files: Sequence[SourceInput]) -> str | None:
    """Return the sheet to name in the fleet file: the largest, if there are several to choose from."""
    sizes = sheet_sizes(files[0].uri)
    return max(sizes, key=lambda name: sizes[name]) if len(sizes) > 1 else None


def _first_bytes(uri: str) -> bytes:
    try:
        with open_file(uri) as stream:
            if uri.lower().endswith(".gz"):
                with gzip.open(stream) as unpacked:
                    return unpacked.read(_START_BYTES)
            return stream.read(_START_BYTES)
    except (*STORAGE_ERRORS, EOFError, zlib.error) as exc:
        raise SourceError(f"{uri}: cannot be read: {exc}") from exc


def _read_long(source: Source, files: Sequence[SourceInput], options: UserOptions) -> tuple[pa.Table, SourceProfile]:
    """Read the useful columns of the files; those of a wide table become rows."""
    table, profile = _read(source, files, Limits())
    melt = melt_of(table, options)
    if melt is None:
        return table, profile
    note = melt_note(melt, column_names(files[0], source))
    table, profile = _read(source.model_copy(update={"melt": melt}), files, Limits())
    doubt = " ".join(filter(None, [profile.doubt, *(f"Look at {remark}." for remark in total_rows(table, melt))]))
    return table, replace(profile, notes=(*profile.notes, note), doubt=doubt)


def _read(source: Source, files: Sequence[SourceInput], limits: Limits) -> tuple[pa.Table, SourceProfile]:
    """Read the useful columns of the files, up to the limits."""
    names = _common_columns(source, files)
    head = head_rows(files[0], source, HEAD_ROWS)
    columns = [name for name in names if _is_useful(head, name) and not _only_orders(head, name, source)]
    if len(columns) > _MOST_COLUMNS:
        # The first rows suffice to recognise a wide table; reading all of it would only take time.
        return _profiled(
            head.select(columns), SourceProfile(source, len(files), head.num_rows, False, first=files[0].uri)
        )
    rows = SampledRows(limits)
    rows.read(source, spread_evenly(files), columns)
    if rows.errors:
        raise SourceError("; ".join(dict.fromkeys(rows.errors)))
    if not rows.rows:
        raise SourceError(f"{source.path}: the files have no rows")
    chunks, lost = with_exact_ids(rows.chunks)
    table = concat_alike(chunks)
    remarks = [
        f"column {name!r}: {count:,} rows have it as a float so large that its exact id is lost, and were left out; as "
        "a key they are rejected, so write it as a whole number in all files"
        for name, count in lost.items()
    ]
    notes = _notes(source, names, head, rows)
    doubt = " ".join(f"Look at {remark}." for remark in [*rows.remarks, *remarks])
    profile = SourceProfile(source, len(files), table.num_rows, rows.whole, notes, first=files[0].uri, doubt=doubt)
    return _profiled(table, profile)


def _profiled(table: pa.Table, profile: SourceProfile) -> tuple[pa.Table, SourceProfile]:
    """Add the marks of numbers to a profile; the table has numbers without them."""
    marks = choose_marks(table, profile.source.delimiter)
    source = profile.source.model_copy(update=marks.settings)
    profile = replace(
        profile,
        source=source,
        notes=(*profile.notes, *marks.notes),
        doubt=" ".join(filter(None, [profile.doubt, marks.doubt])),
    )
    return with_plain_numbers(table, source), profile


def _common_columns(source: Source, files: Sequence[SourceInput]) -> list[str]:
    """Columns that all inspected files have, in the order of the first."""
    inspected = spread_evenly(files)[:20]
    first, *others = [column_names(file, source) for file in inspected]
    common = [name for name in first if name.strip() and all(name in names for names in others)]
    if not common:
        raise SourceError(f"{source.path}: the files have no column in common; give a glob for the files of one table")
    return [name for name in common if first.count(name) == 1]


def _only_orders(head: pa.Table, name: str, source: Source) -> bool:
    """Return True for a watermark that is not the time of the rows, since there is another column with times."""
    times = [field.name for field in head.schema if pa.types.is_temporal(field.type)]
    return name == source.watermark and any(other != name for other in times)


def _is_useful(head: pa.Table, name: str) -> bool:
    """Return True for a column that can be of use: neither nested nor with long texts."""
    if name not in head.column_names:
        return False
    kind = head.schema.field(name).type
    if pa.types.is_nested(kind) or pa.types.is_binary(kind):
        return False
    if not pa.types.is_string(kind):
        return True
    texts = head[name].slice(0, 100).drop_null().to_pylist()
    return not texts or sum(map(len, texts)) / len(texts) <= _LONG_TEXT_CHARACTERS


def _notes(source: Source, names: Sequence[str], head: pa.Table, rows: SampledRows) -> tuple[str, ...]:
    notes = []
    if source.sheet is not None:
        notes.append(f"Sheet {source.sheet!r} is read, the largest of the workbook.")
    if source.skip_rows:
        notes.append(f"{format_count(source.skip_rows, 'line')} before the header are skipped.")
    if codes := [text for text in Source.model_fields["null_values"].default if text not in source.null_values]:
        notes.append(f"{', '.join(map(repr, codes))} is a value, as the others of its column are such codes.")
    if source.encoding != "utf-8":
        notes.append(f"The text is not UTF-8; it is read as {source.encoding}.")
    ignored = [name for name in head.column_names if name not in names or not _is_useful(head, name)]
    if ignored:
        columns = ", ".join(repr(name) for name in ignored)
        notes.append(f"Ignored: {columns} (long texts, nested, or not in all files).")
    if rows.broken:
        notes.append(f"{rows.broken:,} rows are rejected: {rows.broken_because}.")
    return tuple(notes)
