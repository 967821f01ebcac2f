"""Export tables of the lake to files and databases, part by part, so that memory stays bounded."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from adapters.lake.files import STORAGE_ERRORS, replacing, split_uri
from adapters.lake.staged_file import StagedFile
from adapters.queries.current_forecasts import current_forecasts
from adapters.queries.database_export import database_target, replaced_rows
from adapters.queries.fleet_tables import FleetTables
from adapters.sources.new_files import awaited_input
from domain.config.database import scheme_of
from domain.config.fleet import Fleet
from domain.data.flatten import split_keys, to_csv_values, written_zone
from domain.data.formula_cells import escape_formulas
from domain.data.tables import (
    ACCURACY,
    CHAMPIONS,
    LEADERBOARD,
    OUTCOMES,
    PREDICTIONS,
    QUARANTINE,
    SEGMENTS,
    TableSpec,
    observations,
)
from domain.errors import LakeError, RequestError

__all__ = ["EXPORTABLE_TABLES", "ExportResult", "Format", "export_table", "read_table", "table_writer"]

Format = Literal["csv", "parquet"]
_SUFFIXES: Mapping[str, Format] = {".csv": "csv", ".csv.gz": "csv", ".parquet": "parquet", ".pq": "parquet"}
_TABLES: Mapping[str, tuple[TableSpec | None, str]] = {
    "predictions": (PREDICTIONS, "score"),
    "forecasts": (PREDICTIONS, "score"),
    "champions": (CHAMPIONS, "promote"),
    "outcomes": (OUTCOMES, "train"),
    "accuracy": (ACCURACY, "accuracy"),
    "leaderboard": (LEADERBOARD, "train"),
    "quarantine": (QUARANTINE, "ingest"),
    "segments": (SEGMENTS, "partition"),
    "observations": (None, "partition"),
}
"""Schema of each table (None: depends on the fleet) and the command that fills it. `forecasts` are current ones."""

EXPORTABLE_TABLES = tuple(_TABLES)


@dataclass(frozen=True)
class ExportResult:
    """Table, place and size of an export. format : of the file, or the kind of database."""

    table: str
    path: str
    format: str
    rows: int
    columns: tuple[str, ...]


class TableWriter(Protocol):
    """Writer of a file format."""

    def write_table(self, table: pa.Table) -> None: ...


def export_table(
    tables: FleetTables,
    fleet: Fleet,
    name: str,
    to: str,
    home: Path,
    *,
    form: Format | None = None,
    release: int | None = None,
    segment: str | None = None,
    exact: bool = False,
    into: str | None = None,
) -> ExportResult:
    """Write a table to a file, to FOLDER/NAME.FORMAT, or to a database; it replaces what is there once it is complete.

    Parameters
    ----------
    to : local path (relative to `home`), s3:// uri, or address of a database.
    form : default: that of the file name; csv for a folder.
    release, segment : filters for rows of one release, or with one segment key.
    exact : write text to CSV as it is, also where a spreadsheet would read it as a formula.
    into : table or schema.table of the database; default: FLEET_NAME.

    Raises
    ------
    RequestError
        There is no such table or filter, or the format is ambiguous.
    LakeError
        The table has no matching rows, or the file cannot be written.
    DatabaseError
        The database refuses.
    """
    parts = _parts(tables, fleet, name, release, segment)
    if scheme_of(to) is not None:
        return _export_to_database(tables, fleet, name, to, home, parts, form, release, segment, into)
    if into is not None:
        raise RequestError(f"--into {into}: names a table of a database, but --out is not the address of one")
    path, form = _target(to, home, name, form)
    rows, schema = 0, None
    with _replaced(path, home) as local, ExitStack() as stack:
        writer: TableWriter | None = None
        for part in parts:
            table = split_keys(part, fleet)
            table = to_csv_values(table, written_zone(fleet)) if form == "csv" else table
            table = escape_formulas(table) if form == "csv" and not exact else table
            if writer is None:
                schema, writer = table.schema, stack.enter_context(table_writer(local, path, form, table.schema))
            if table.num_rows:
                writer.write_table(table.cast(schema))
            rows += table.num_rows
        _require_rows(rows, tables, fleet, name, home, release, segment)
    return ExportResult(name, path, form, rows, tuple(schema.names if schema else ()))


def read_table(
    tables: FleetTables,
    fleet: Fleet,
    name: str,
    release: int | None = None,
    segment: str | None = None,
    home: Path | None = None,
) -> pa.Table:
    """Read a table as it would be exported, with one column per part of the segment key and of the row key.

    Raises RequestError and LakeError as `export_table` does.
    """
    rows = pa.concat_tables(split_keys(part, fleet) for part in _parts(tables, fleet, name, release, segment))
    _require_rows(rows.num_rows, tables, fleet, name, home, release, segment)
    return rows


def _export_to_database(
    tables: FleetTables,
    fleet: Fleet,
    name: str,
    to: str,
    home: Path,
    parts: Iterator[pa.Table],
    form: Format | None,
    release: int | None,
    segment: str | None,
    into: str | None,
) -> ExportResult:
    """Write rows to a table of a database, in place of the fleet's rows with the same filters."""
    if form is not None:
        raise RequestError(f"--format {form}: is for files; omit it for a database")
    target = database_target(to, into or f"{fleet.name.replace('-', '_')}_{name}", home)
    filters = {name: value for name, value in {"release": release, "segment": segment}.items() if value is not None}
    with replaced_rows(target, fleet, parts, filters) as (rows, columns):
        _require_rows(rows, tables, fleet, name, home, release, segment)
    return ExportResult(name, target.shown, target.address.kind, rows, columns)


def _require_rows(
    rows: int, tables: FleetTables, fleet: Fleet, name: str, home: Path | None, release: int | None, segment: str | None
) -> None:
    """Raise LakeError for an empty export, unless nothing may have been rejected."""
    if not rows and (name != "quarantine" or release is not None or segment is not None):
        raise LakeError(_empty_message(tables, fleet, name, home, release, segment))


def _target(to: str, home: Path, name: str, form: Format | None) -> tuple[str, Format]:
    """Derive the path and format of the file."""
    last = to.rstrip("/").rpartition("/")[2].lower()
    suffix_form = next((kind for suffix, kind in _SUFFIXES.items() if last.endswith(suffix)), None)
    filesystem, path = split_uri(to, home)
    if to.endswith("/") or ("." not in last.lstrip(".") and suffix_form is None) or filesystem.isdir(path):
        form = form or "csv"
        return f"{to.rstrip('/')}/{name}.{form}", form
    if suffix_form is None and form is None:
        raise RequestError(
            f"to: {to}: the format cannot be told from the name; end it with {', '.join(_SUFFIXES)}, or give --format"
        )
    if suffix_form is not None and form is not None and suffix_form != form:
        raise RequestError(f"to: {to}: the name says {suffix_form}, but --format says {form}; drop one of them")
    return to, form or suffix_form or "csv"


def _filter(name: str, spec: TableSpec, release: int | None, segment: str | None) -> ds.Expression | None:
    filters: ds.Expression | None = None
    for column, value in {"release": release, "segment": segment}.items():
        if value is None:
            continue
        if column not in spec.schema.names:
            columns = {other: spec.schema.names if spec else ["segment"] for other, (spec, _) in _TABLES.items()}
            tables = [other for other, names in columns.items() if column in names]
            raise RequestError(f"--{column}: {name} has no {column}; tables that have one: {', '.join(tables)}")
        condition = pc.field(column) == value
        filters = condition if filters is None else filters & condition
    return filters


def _parts(
    tables: FleetTables, fleet: Fleet, name: str, release: int | None, segment: str | None
) -> Iterator[pa.Table]:
    """Return rows in parts that fit into memory; the first one is empty and defines the columns.

    Raises RequestError at once if there is no such table or filter.
    """
    if name not in _TABLES:
        raise RequestError(f"table {name!r}: not available for export; choose one of {', '.join(EXPORTABLE_TABLES)}")
    spec = _TABLES[name][0] or observations(fleet)
    return _read_parts(tables, name, spec, _filter(name, spec, release, segment), release, segment)


def _read_parts(
    tables: FleetTables,
    name: str,
    spec: TableSpec,
    condition: ds.Expression | None,
    release: int | None,
    segment: str | None,
) -> Iterator[pa.Table]:
    yield spec.schema.empty_table()
    if name == "forecasts":
        yield from current_forecasts(tables, release, segment)
        return
    table = tables.lake.table(tables.fleet, spec)
    for file in sorted(table.files(), key=_sort_key):
        yield table.read_files([file], rows=condition)


def _sort_key(file: StagedFile) -> tuple[tuple[int, str], ...]:
    """Order by partition, numbers as numbers, then by file name."""
    values = [*file.partition.values(), file.path]
    return tuple((int(value), "") if value.lstrip("-").isdigit() else (0, value) for value in values)


@contextmanager
def table_writer(local: Path, path: str, form: Format, schema: pa.Schema) -> Iterator[TableWriter]:
    """Open a writer for tables of one schema. path : final name of the file; `.gz` compresses it."""
    with ExitStack() as stack:
        sink = stack.enter_context(pa.OSFile(str(local), "wb"))
        if form == "parquet":
            yield stack.enter_context(pq.ParquetWriter(sink, schema, compression="zstd"))
            return
        if path.lower().endswith(".gz"):
            sink = stack.enter_context(pa.CompressedOutputStream(sink, "gzip"))
        yield stack.enter_context(pacsv.CSVWriter(sink, schema))


@contextmanager
def _replaced(uri: str, home: Path) -> Iterator[Path]:
    """Provide a local path to write to; the complete file takes its place when the block succeeds."""
    filesystem, path = split_uri(uri, home)
    try:
        if uri.startswith("s3://"):
            with tempfile.TemporaryDirectory() as folder:
                local = Path(folder) / "export"
                yield local
                filesystem.put_file(str(local), path)
        else:
            with replacing(Path(path)) as local:
                yield local
    except STORAGE_ERRORS as exc:
        raise LakeError(f"{uri}: cannot be written: {exc}") from exc


def _empty_message(
    tables: FleetTables, fleet: Fleet, name: str, home: Path | None, release: int | None, segment: str | None
) -> str:
    where = [f"of release {release}"] * (release is not None) + [f"of segment {segment!r}"] * (segment is not None)
    command = f"myriad {_TABLES[name][1]} {fleet.name}"
    if where:
        return f"fleet {fleet.name}: {name}: there is no row {' and '.join(where)}; see `myriad status {fleet.name}`"
    if name == "forecasts" and not fleet.task_type.periodic:
        return f"fleet {fleet.name}: a {fleet.task} fleet has no forecasts; export its predictions"
    if name == "forecasts" and tables[PREDICTIONS].version() >= 0:
        return f"fleet {fleet.name}: the release in force has no forecasts yet; run `{command}` first"
    if name == "predictions" and home and not fleet.task_type.periodic and (awaited := awaited_input(fleet, home)):
        return f"fleet {fleet.name}: there are no predictions yet: {awaited}"
    return f"fleet {fleet.name}: {name}: nothing there yet; run `{command}` first"
