"""Read a file with one JSON object per line, also gzip, within the limits of `limits`.

A line that is no object is set aside, and the others are read. Numbers stay exact: a column has a type in a chunk only
if all its values can be told in it, and is text otherwise, like a column of a CSV file.
"""

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.sources import limits
from adapters.sources.chunk import Chunk
from adapters.sources.text.json_blocks import EXACT, block_rows, line_blocks
from adapters.sources.text.mixed_cells import mixed_column
from adapters.sources.text_stream import text_bytes
from domain.config.source import Source
from domain.errors import SourceError

__all__ = ["JsonLinesFormat"]

BROKEN = "the line is no JSON object"
_CHUNK_ROWS = 100_000
_CHUNK_CHARACTERS = 32 << 20
_HEAD_ROWS, _HEAD_CHARACTERS = 1_000, 4 << 20
"""Lines from which the names of the columns are known."""
_MOST_LINE = 8 << 20
_MOST_KEPT_TEXT = 1 << 16
_NESTED = pa.list_(pa.string())
"""Type of a column with objects or lists, which are not read."""

_Row = dict[str, Any]


class JsonLinesFormat:
    """JSON Lines, as many services export them."""

    suffixes = (".jsonl", ".ndjson")
    packed = False

    def names(self, uri: str, source: Source) -> list[str]:
        """Names in the first lines; a line need not have all of them."""
        return _names(uri, _first_lines(uri, source).rows)

    def head(self, uri: str, source: Source, rows: int) -> pa.Table:
        """The first rows; objects and lists are null."""
        lines = next(_parts(uri, source, rows, _HEAD_CHARACTERS), _Lines())
        columns = {}
        for name in _names(uri, lines.rows):
            values = [row.get(name) for row in lines.rows]
            nested = any(isinstance(value, dict | list) for value in values)
            columns[name] = pa.nulls(len(values), _NESTED) if nested else _column(values, source)
        return pa.table(columns)

    def chunks(self, uri: str, source: Source, columns: Sequence[str]) -> Iterator[Chunk]:
        """Read the requested columns; a column is null where a line lacks it."""
        first = _first_lines(uri, source).rows
        reader = _Reader(uri, source, tuple(dict.fromkeys(columns)), set(_names(uri, first)))
        reader.learn(first)
        return reader.chunks()


@dataclass
class _Reader:
    """Reads the requested columns of one file.

    names : columns that a line has had so far. kinds : types of their values, as far as they are known.
    """

    uri: str
    source: Source
    columns: tuple[str, ...]
    names: set[str]
    kinds: dict[str, set[type]] = field(default_factory=dict)

    def learn(self, rows: Sequence[_Row]) -> None:
        self.names = self.names.union(*rows)
        for name in self.columns:
            kinds = {type(row.get(name)) for row in rows} - {type(None)}
            self.kinds[name] = self.kinds.get(name, set()) | kinds

    def chunks(self) -> Iterator[Chunk]:
        if not _is_utf8(self.source):
            for lines in _parts(self.uri, self.source, _CHUNK_ROWS, _CHUNK_CHARACTERS):
                yield self._chunk(lines)
            return
        number = 0
        with text_bytes(self.uri) as stream:
            for block in line_blocks(stream):
                table = block_rows(block, self.kinds)
                if table is None:
                    for lines in _block_parts(self.uri, block, number):
                        yield self._chunk(lines)
                else:
                    yield self._checked(table, number)
                number += block.count(b"\n")

    def _chunk(self, lines: "_Lines") -> Chunk:
        self.learn(lines.rows)
        present = [name for name in self.columns if name in self.names]
        table = pa.table({name: _requested(self.uri, name, lines, self.source) for name in present})
        return Chunk(table, np.array(lines.numbers, dtype=np.int64), tuple(lines.broken), broken_because=BROKEN)

    def _checked(self, table: pa.Table, number: int) -> Chunk:
        for place, name in enumerate(table.column_names):
            if pa.types.is_string(table[name].type):
                _check_longest(self.uri, name, table[name])
                table = table.set_column(place, name, _with_nulls(table[name], self.source))
        return Chunk(table, np.arange(number, number + table.num_rows), broken_because=BROKEN)


@dataclass
class _Lines:
    """Some lines of a file. numbers : of the rows, counted from 0. broken : lines that are no object."""

    rows: list[_Row] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    broken: list[tuple[int, str]] = field(default_factory=list)
    characters: int = 0

    def add(self, number: int, line: str) -> None:
        self.characters += len(line)
        row = _parsed(line)
        if row is None:
            self.broken.append((number, line.rstrip("\r\n")[:_MOST_KEPT_TEXT]))
        else:
            self.rows.append(row)
            self.numbers.append(number)


def _first_lines(uri: str, source: Source) -> _Lines:
    first = next(_parts(uri, source, _HEAD_ROWS, _HEAD_CHARACTERS), _Lines())
    if first.broken and not first.rows:
        raise SourceError(f"{uri}: no line is a JSON object; one object per line is needed, not one list of all rows")
    return first


def _names(uri: str, rows: Sequence[_Row]) -> list[str]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    limits.check_columns(uri, len(names))
    return names


def _parts(uri: str, source: Source, most_rows: int, most_characters: int) -> Iterator[_Lines]:
    """Yield the lines of a file in parts; at least one, which may consist of broken ones."""
    with _text(uri, source) as text:
        yield from _parts_of(uri, text, 0, most_rows, most_characters)


def _block_parts(uri: str, block: bytes, number: int) -> Iterator[_Lines]:
    text = io.TextIOWrapper(io.BytesIO(block), "utf-8", newline="\n")
    return _parts_of(uri, text, number, _CHUNK_ROWS, _CHUNK_CHARACTERS)


def _parts_of(uri: str, text: io.TextIOBase, first: int, most_rows: int, most_characters: int) -> Iterator[_Lines]:
    """Yield lines in parts. first : number of the first one."""
    part, number = _Lines(), first - 1
    while line := text.readline(_MOST_LINE):
        number += 1
        if len(line) >= _MOST_LINE:
            raise SourceError(f"{uri}: line {number + 1:,} has over {_MOST_LINE:,} characters; check the line breaks")
        if line.strip():
            part.add(number, line)
        _check_broken(uri, part)
        if len(part.rows) >= most_rows or part.characters >= most_characters:
            yield part
            part = _Lines()
    if number < 0:
        raise SourceError(f"{uri}: the file is empty")
    yield part


def _check_broken(uri: str, part: _Lines) -> None:
    if len(part.broken) > limits.MOST_BROKEN_ROWS:
        raise SourceError(
            f"{uri}: over {limits.MOST_BROKEN_ROWS:,} lines are no JSON objects; one object per line is needed, not "
            "one list of all rows"
        )


@contextmanager
def _text(uri: str, source: Source) -> Iterator[io.TextIOBase]:
    with text_bytes(uri) as stream:
        text = io.TextIOWrapper(stream, "utf-8-sig" if _is_utf8(source) else source.encoding, newline="\n")
        try:
            yield text
        finally:
            text.detach()


def _is_utf8(source: Source) -> bool:
    return source.encoding.lower().replace("_", "-") in ("utf-8", "utf8")


def _parsed(line: str) -> _Row | None:
    try:
        row = json.loads(line, parse_constant=lambda _: None)
        if "\\u" in line:
            # Halves of surrogate pairs are no text, and no table can store them.
            json.dumps(row, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _requested(uri: str, name: str, lines: _Lines, source: Source) -> pa.Array:
    values = [row.get(name) for row in lines.rows]
    for number, value in zip(lines.numbers, values, strict=True):
        if isinstance(value, dict | list):
            raise SourceError(
                f"{uri}: column {name} holds an object or a list in line {number + 1:,}; a value for each row is "
                "needed, so unnest it first"
            )
    column = _column(values, source)
    text = column.storage if isinstance(column, pa.ExtensionArray) else column
    if pa.types.is_string(text.type):
        _check_longest(uri, name, text)
    return column


def _check_longest(uri: str, name: str, column: pa.Array | pa.ChunkedArray) -> None:
    limits.check_value(uri, name, pc.max(pc.binary_length(column)).as_py() or 0)


def _with_nulls(column: pa.Array | pa.ChunkedArray, source: Source) -> pa.Array | pa.ChunkedArray:
    missing = pc.is_in(column, value_set=pa.array(source.null_values, pa.string()))
    return pc.if_else(missing, pa.scalar(None, pa.string()), column)


def _column(values: Sequence[Any], source: Source) -> pa.Array:
    kinds = {type(value) for value in values} - {type(None)}
    if kinds == {str}:
        return _with_nulls(pa.array(values, pa.string()), source)
    if kinds == {bool}:
        return pa.array(values, pa.bool_())
    if kinds == {int} and _most(values) < 2**63:
        return pa.array(values, pa.int64())
    if kinds in ({float}, {int, float}) and _most(value for value in values if type(value) is int) <= EXACT:
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    return mixed_column((value, _text_of(value, source.null_values)) for value in values)


def _most(values: Any) -> int:
    return max((abs(value) for value in values if value is not None), default=0)


def _text_of(value: object, null_values: Sequence[str]) -> str | None:
    if value is None or isinstance(value, str):
        return None if value in null_values else value
    # A number is the same with and without a point, in whatever company; as a key it must not be two.
    if isinstance(value, float) and value.is_integer() and abs(value) < EXACT:
        return str(int(value))
    return json.dumps(value)
