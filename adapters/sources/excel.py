"""Read one sheet of a workbook: .xlsx, .xlsm, .xls and .ods.

Cells have the values that the program showed when it saved them: those of formulas, and dates as dates. A cell with an
error such as #N/A has no value, which is told.
"""

import io
import re
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain, islice
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from python_calamine import CalamineError, CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

from adapters.lake.files import open_file
from adapters.sources import limits
from adapters.sources.chunk import Chunk
from adapters.sources.text.mixed_cells import mixed_column
from adapters.sources.workbook_guard import SheetFacts, check_archive, sheet_facts
from domain.config.source import Source
from domain.data.shown import shown_names
from domain.errors import SourceError

__all__ = ["ExcelFormat", "rows_before_header", "sheet_header_hint", "sheet_sizes"]

_MOST_BYTES = 256 << 20
_MOST_OLD_BYTES = 64 << 20
_CHILD_BYTES = 2 << 30
_CHUNK_ROWS = 100_000
_FIRST_ROWS, _WIDE = 20, 0.7
_CHUNK_CHARACTERS = 32 << 20
_ZIP = b"PK\x03\x04"
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_ID = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_MOST_INDEX_BYTES = 4 << 20

_Row = Sequence[Any]
T = TypeVar("T")


class ExcelFormat:
    """A sheet of a workbook; its first row that is not blank has the names of the columns."""

    suffixes = (".xlsx", ".xlsm", ".xls", ".ods")
    packed = True

    def names(self, uri: str, source: Source) -> list[str]:
        """Names of the columns; those without a name are left out."""
        return [name for name in _open(uri, source).names if name]

    def head(self, uri: str, source: Source, rows: int) -> pa.Table:
        """The first rows that are not blank."""
        sheet = _open(uri, source)
        part = next(sheet.parts(rows), ([], []))
        return _table(uri, sheet, part[1], [place for place, name in enumerate(sheet.names) if name], source)

    def chunks(self, uri: str, source: Source, columns: Sequence[str]) -> Iterator[Chunk]:
        """Read the requested columns."""
        sheet = _open(uri, source)
        places = [place for place, name in enumerate(sheet.names) if name in columns]
        remarks = sheet.remarks(places)
        empty = True
        for numbers, rows in sheet.parts(_CHUNK_ROWS):
            table = _table(uri, sheet, rows, places, source, check=True)
            yield Chunk(table, np.array(numbers, dtype=np.int64), remarks=remarks)
            empty = False
        if empty:
            yield Chunk(_table(uri, sheet, [], places, source), np.arange(0), remarks=remarks)


def rows_before_header(uri: str, source: Source) -> int:
    """Number of rows before the header, such as a title: it is the first that is about as wide as those that follow."""
    sheet = _open(uri, source)
    widths = [_width(row) for row in chain([sheet.names], islice(sheet.rows, _FIRST_ROWS))]
    widths[0] = sum(name != "" for name in sheet.names)
    first = next(place for place, width in enumerate(widths) if width >= max(widths) * _WIDE)
    return first + sheet.before if first else 0


def sheet_header_hint(uri: str, source: Source, missing: Sequence[str]) -> str:
    """Say which of the next rows of a sheet has the missing columns; empty if none does."""
    sheet = _open(uri, source)
    for number, row in enumerate(islice(sheet.rows, _FIRST_ROWS), start=1):
        if set(missing) <= {_text(value) for value in row}:
            rows = source.skip_rows + sheet.before + number
            return f"; a later row has {', '.join(missing)}: set source.skip_rows: {rows}"
    return ""


def sheet_sizes(uri: str) -> dict[str, int]:
    """Visible sheets and their bytes, which are 0 in the formats that do not tell them."""
    content = _content(uri)
    if not _is_xlsx(uri, content):
        return dict.fromkeys(_in_child(uri, _names_of, uri, content), 0)
    names = _sheets(_workbook(uri, content))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.getinfo(_part_of(uri, content, name)).file_size for name in names}


@dataclass(frozen=True)
class _Sheet:
    """A sheet below its header. facts : by number of the column. before : blank rows above it."""

    names: list[str]
    rows: Iterator[_Row]
    facts: SheetFacts
    before: int = 0

    def parts(self, most_rows: int) -> Iterator[tuple[list[int], list[_Row]]]:
        """Yield rows that are not blank in parts, with their numbers, counted from 0 after the header."""
        numbers, rows, characters = list[int](), list[_Row](), 0
        for number, row in enumerate(self.rows):
            if not _width(row):
                continue
            numbers.append(number)
            rows.append(row)
            characters += sum(len(value) for value in row if isinstance(value, str))
            if len(rows) >= most_rows or characters >= _CHUNK_CHARACTERS:
                yield numbers, rows
                numbers, rows, characters = [], [], 0
        if rows:
            yield numbers, rows

    def remarks(self, places: Sequence[int]) -> tuple[str, ...]:
        told = list[str]()
        for place in places:
            if count := self.facts.errors.get(place, 0):
                told.append(
                    f"column {self.names[place]!r}: {count:,} cells with errors such as #N/A are read as no value"
                )
            if count := self.facts.formulas.get(place, 0):
                told.append(
                    f"column {self.names[place]!r}: {count:,} formulas were saved without values, and have none; "
                    "open the workbook in a spreadsheet program and save it"
                )
        return tuple(told)


def _content(uri: str) -> bytes:
    with open_file(uri) as stream:
        content = stream.read(_MOST_BYTES + 1)
    most = _MOST_BYTES if content.startswith(_ZIP) else _MOST_OLD_BYTES
    if len(content) > most:
        raise SourceError(
            f"{uri}: the workbook has over {most:,} bytes, which is the most that is read; save it as CSV"
        )
    if not content:
        raise SourceError(f"{uri}: the file is empty")
    return content


def _workbook(uri: str, content: bytes) -> CalamineWorkbook:
    try:
        if content.startswith(_ZIP):
            check_archive(uri, content)
        return CalamineWorkbook.from_filelike(io.BytesIO(content))
    except (CalamineError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as exc:
        raise SourceError(f"{uri}: cannot be read: it is no workbook, is damaged, or has a password: {exc}") from exc


def _sheets(workbook: CalamineWorkbook) -> list[str]:
    return [
        sheet.name
        for sheet in workbook.sheets_metadata
        if sheet.typ == SheetTypeEnum.WorkSheet and sheet.visible == SheetVisibleEnum.Visible
    ]


def _chosen(uri: str, workbook: CalamineWorkbook, source: Source) -> str:
    names = _sheets(workbook)
    if source.sheet is not None:
        if source.sheet not in workbook.sheet_names:
            raise SourceError(f"{uri}: no sheet {source.sheet!r}; the workbook has {shown_names(workbook.sheet_names)}")
        return source.sheet
    if len(names) != 1:
        raise SourceError(f"{uri}: the workbook has the sheets {shown_names(names)}; set source.sheet to one of them")
    return names[0]


def _open(uri: str, source: Source) -> _Sheet:
    content = _content(uri)
    if _is_xlsx(uri, content):
        workbook = _workbook(uri, content)
        name = _chosen(uri, workbook, source)
        facts = sheet_facts(uri, content, _part_of(uri, content, name))
        return _below_header(uri, _rows(uri, workbook, name), facts, source)
    return _below_header(uri, iter(_in_child(uri, _all_rows, uri, content, source)), SheetFacts(), source)


def _is_xlsx(uri: str, content: bytes) -> bool:
    return content.startswith(_ZIP) and not uri.lower().endswith(".ods")


def _in_child(uri: str, function: Callable[..., list[T]], *arguments: object) -> list[T]:
    """Call a function in a process of its own: the other formats do not tell beforehand what they would take."""
    from adapters.compute.child_process import call_in_child

    answer = call_in_child(function, *arguments, memory=_CHILD_BYTES)
    if answer is None:
        raise SourceError(f"{uri}: the workbook takes over {_CHILD_BYTES:,} bytes of memory; save the sheet as CSV")
    return answer


def _names_of(uri: str, content: bytes) -> list[str]:
    return _sheets(_workbook(uri, content))


def _all_rows(uri: str, content: bytes, source: Source) -> list[_Row]:
    workbook = _workbook(uri, content)
    return list(_rows(uri, workbook, _chosen(uri, workbook, source)))


def _rows(uri: str, workbook: CalamineWorkbook, name: str) -> Iterator[_Row]:
    try:
        yield from workbook.get_sheet_by_name(name).iter_rows()
    except CalamineError as exc:
        raise SourceError(f"{uri}: sheet {name!r} cannot be read: {exc}") from exc


def _part_of(uri: str, content: bytes, sheet: str) -> str:
    """Name of the part with a sheet's cells, as the index of the workbook says."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        try:
            index = ET.fromstring(archive.read("xl/workbook.xml")[:_MOST_INDEX_BYTES])  # noqa: S314 - entities are not expanded
            links = ET.fromstring(archive.read("xl/_rels/workbook.xml.rels")[:_MOST_INDEX_BYTES])  # noqa: S314
        except (KeyError, ET.ParseError) as exc:
            raise SourceError(f"{uri}: cannot be read: the index of the workbook is damaged: {exc}") from exc
        identity = next((tag.get(_ID) for tag in index.iter(f"{_MAIN}sheet") if tag.get("name") == sheet), None)
        target = next((link.get("Target") or "" for link in links if link.get("Id") == identity), "")
        part = target.removeprefix("/") if target.startswith("/") else f"xl/{target}"
        part = re.sub(r"[^/]+/\.\./", "", part)
        if part not in archive.namelist():
            raise SourceError(f"{uri}: cannot be read: the index of the workbook has no cells for sheet {sheet!r}")
        return part


def _below_header(uri: str, rows: Iterator[_Row], facts: SheetFacts, source: Source) -> _Sheet:
    rows = islice(rows, source.skip_rows, None)
    before, header = next(((number, row) for number, row in enumerate(rows) if _width(row)), (0, None))
    if header is None:
        raise SourceError(f"{uri}: the sheet is empty")
    names = [_text(value) or "" for value in header]
    limits.check_columns(uri, len(names))
    return _Sheet(names, rows, facts, before)


def _width(row: _Row) -> int:
    """Number of cells that are not blank."""
    return sum(value != "" for value in row)


def _table(
    uri: str, sheet: _Sheet, rows: Sequence[_Row], places: Sequence[int], source: Source, *, check: bool = False
) -> pa.Table:
    null_values = frozenset(source.null_values) | {""}
    columns = []
    for place in places:
        values = [row[place] if place < len(row) else None for row in rows]
        values = [None if isinstance(value, str) and value in null_values else value for value in values]
        if check:
            longest = max((len(value) for value in values if isinstance(value, str)), default=0)
            limits.check_value(uri, sheet.names[place], longest)
        columns.append(_column(values))
    return pa.Table.from_arrays(columns, names=[sheet.names[place] for place in places])


def _column(values: Sequence[Any]) -> pa.Array:
    kinds = {type(value) for value in values} - {type(None)}
    if kinds and kinds <= {date, datetime} and datetime in kinds:
        midnight = [datetime(v.year, v.month, v.day) if type(v) is date else v for v in values]
        return pa.array(midnight, pa.timestamp("us"))
    for kind, arrow in _TYPES:
        if kinds and kinds <= kind:
            return pa.array(values, arrow)
    return mixed_column((value, _text(value)) for value in values)


_TYPES = (
    ({int}, pa.int64()),
    ({float, int}, pa.float64()),
    ({bool}, pa.bool_()),
    ({date}, pa.date32()),
)


def _text(value: object) -> str | None:
    """A cell as text: whole numbers without a point, dates as ISO 8601 has them."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return value.isoformat() if isinstance(value, date | datetime) else str(value)
