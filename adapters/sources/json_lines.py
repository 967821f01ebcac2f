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
_EXACT = 2**53
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
        names = set(self.names(uri, source))
        for lines in _parts(uri, source, _CHUNK_ROWS, _CHUNK_CHARACTERS):
            names = names.union(*lines.rows)
            present = [name for name in dict.fromkeys(columns) if name in names]
            table = pa.table({name: _requested(uri, name, lines, source) for name in present})
            yield Chunk(table, np.array(lines.numbers, dtype=np.int64), tuple(lines.broken), broken_because=BROKEN)


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
    return next(_parts(uri, source, _HEAD_ROWS, _HEAD_CHARACTERS), _Lines())


def _names(uri: str, rows: Sequence[_Row]) -> list[str]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    limits.check_columns(uri, len(names))
    return names


def _parts(uri: str, source: Source, most_rows: int, most_characters: int) -> Iterator[_Lines]:
    """Yield the lines of a file in parts; at least one, which may consist of broken ones."""
    part, number = _Lines(), -1
    with _text(uri, source) as text:
        while line := text.readline(_MOST_LINE):
            number += 1
            if len(line) >= _MOST_LINE:
                raise SourceError(
                    f"{uri}: line {number + 1:,} has over {_MOST_LINE:,} characters; check the line breaks"
                )
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
    plain = source.encoding.lower().replace("_", "-") in ("utf-8", "utf8")
    with text_bytes(uri) as stream:
        text = io.TextIOWrapper(stream, "utf-8-sig" if plain else source.encoding, newline="\n")
        try:
            yield text
        finally:
            text.detach()


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
    if pa.types.is_string(column.type):
        limits.check_value(uri, name, pc.max(pc.binary_length(column)).as_py() or 0)
    return column


def _column(values: Sequence[Any], source: Source) -> pa.Array:
    kinds = {type(value) for value in values} - {type(None)}
    if kinds == {str}:
        column = pa.array(values, pa.string())
        missing = pc.is_in(column, value_set=pa.array(source.null_values, pa.string()))
        return pc.if_else(missing, pa.scalar(None, pa.string()), column)
    if kinds == {bool}:
        return pa.array(values, pa.bool_())
    if kinds == {int} and _most(values) < 2**63:
        return pa.array(values, pa.int64())
    if kinds in ({float}, {int, float}) and _most(value for value in values if type(value) is int) <= _EXACT:
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    return pa.array([_text_of(value, source.null_values) for value in values], pa.string())


def _most(values: Any) -> int:
    return max((abs(value) for value in values if value is not None), default=0)


def _text_of(value: object, null_values: Sequence[str]) -> str | None:
    if value is None or isinstance(value, str):
        return None if value in null_values else value
    return json.dumps(value)
