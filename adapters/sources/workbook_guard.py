"""What a workbook would take in memory, found before it is opened: the reader makes room for every cell between the
first and the last one, and for the text of each, whatever a few stored bytes say.

Cells that the reader passes over in silence are found here as well: errors, and formulas without a value.
"""

import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO

import numpy as np

from adapters.sources import limits
from domain.errors import SourceError

__all__ = ["SheetFacts", "check_archive", "sheet_facts"]

_SURELY_FINE_BYTES = 256 << 20
_MOST_DECODED_BYTES = 2 << 30
_MOST_INFLATION = 200
_MOST_CELLS = 20_000_000
"""Between the first and the last cell of a sheet: a million rows of twenty columns."""
_MOST_TEXT_BYTES = 2 << 30
_BLOCK, _OVERLAP = 4 << 20, 1 << 12
_PLACE = re.compile(rb"""\br=["']([A-Z]{1,3})(\d{1,7})["']""")
_ERROR = re.compile(rb"""<c\b(?=[^>]*\bt=["']e["'])[^>]*\br=["']([A-Z]{1,3})\d""")
_NO_VALUE = re.compile(
    rb"""<c\b[^>]*\br=["']([A-Z]{1,3})\d[^>]*>\s*<f\b[^>]*(?:/>|>[^<]*</f>)\s*(?:<v\s*/>|<v>\s*</v>)?\s*</c>"""
)
_SHARED = re.compile(rb"""\bt=["']s["'][^>]*>\s*<v>(\d+)</v>""")


@dataclass
class SheetFacts:
    """Cells of a sheet that are read as no value, by number of the column from its first. errors : such as #N/A."""

    errors: Mapping[int, int] = field(default_factory=dict)
    formulas: Mapping[int, int] = field(default_factory=dict)


def check_archive(uri: str, content: bytes) -> None:
    """Raise SourceError for a workbook whose parts decode to more than any honest one, or are damaged."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        claimed = sum(entry.file_size for entry in archive.infolist())
        limits.check_inflation(uri, claimed, len(content), _MOST_INFLATION, _SURELY_FINE_BYTES)
        if claimed > _MOST_DECODED_BYTES:
            raise SourceError(
                f"{uri}: {claimed:,} bytes of cells; at most {_MOST_DECODED_BYTES:,} are read: save as CSV"
            )
        for entry in archive.infolist():
            with archive.open(entry) as part:
                # To the end, where its size and checksum turn out to be wrong if it claims too little.
                while part.read(_BLOCK):
                    pass


def sheet_facts(uri: str, content: bytes, part: str) -> SheetFacts:
    """Look through the XML of one sheet. Raises SourceError if it would take too much memory. part : its name."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        errors, formulas, shared = Counter[int](), Counter[int](), list[int]()
        last = [0, 0]
        first = [1 << 30, 1 << 30]
        with archive.open(part) as stream:
            for block in _blocks(stream):
                for column, row in _extremes(block):
                    first, last = [min(first[0], column), min(first[1], row)], [max(last[0], column), max(last[1], row)]
                errors.update(map(_number, _ERROR.findall(block)))
                formulas.update(map(_number, _NO_VALUE.findall(block)))
                shared += map(int, _SHARED.findall(block))
        cells = max(0, last[0] - first[0] + 1) * max(0, last[1] - first[1] + 1)
        if cells > _MOST_CELLS:
            raise SourceError(
                f"{uri}: {cells:,} cells between the first and the last one of the sheet; at most {_MOST_CELLS:,} are "
                "read: delete what lies far from the table, or save it as CSV"
            )
        _check_texts(uri, archive, shared)
    return SheetFacts(*({place - first[0]: count for place, count in kind.items()} for kind in (errors, formulas)))


def _blocks(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the XML in blocks that end with a whole cell."""
    rest = b""
    while more := stream.read(_BLOCK):
        block = rest + more
        end = block.rfind(b"<c") if block.rfind(b"<c") > 0 else len(block)
        if len(block) - end > _BLOCK:
            end = len(block)
        yield block[:end]
        rest = block[end:]
    yield rest


def _extremes(block: bytes) -> list[tuple[int, int]]:
    """The corners of the cells of a block."""
    places = _PLACE.findall(block)
    if not places:
        return []
    columns = [_number(letters) for letters in {letters for letters, _ in places}]
    rows = np.array([row for _, row in places], dtype="S7").astype(np.int64)
    return [(min(columns), int(rows.min())), (max(columns), int(rows.max()))]


def _number(letters: bytes) -> int:
    """Number of a column, from 0: A is 0, AA is 26."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number - 1


def _check_texts(uri: str, archive: zipfile.ZipFile, shared: list[int]) -> None:
    """Raise SourceError if texts that a workbook stores once would take too much memory where they are used."""
    name = "xl/sharedStrings.xml"
    if not shared or name not in archive.namelist():
        return
    lengths = np.array([len(text) for text in archive.read(name).split(b"</si>")], dtype=np.int64)
    used = np.array(shared, dtype=np.int64)
    total = int(lengths[used[used < len(lengths)]].sum())
    if total > _MOST_TEXT_BYTES:
        raise SourceError(f"{uri}: the texts of the sheet have {total:,} bytes; at most {_MOST_TEXT_BYTES:,} are read")
