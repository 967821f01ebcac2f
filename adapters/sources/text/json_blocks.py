"""Read whole blocks of JSON lines with Arrow, where that surely gives the same values as to read line by line."""

import io
from collections.abc import Iterator, Mapping, Set
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pajson

__all__ = ["EXACT", "block_rows", "line_blocks"]

EXACT = 2**53
"""Whole numbers from here on are not all told apart by floats."""
_BLOCK_BYTES = 16 << 20
_ENDLESS_BYTES = 32 << 20
_MARK = b"\xef\xbb\xbf"
_TYPES: Mapping[frozenset[type], pa.DataType] = {
    frozenset({str}): pa.string(),
    frozenset({bool}): pa.bool_(),
    frozenset({int}): pa.int64(),
    frozenset({float}): pa.float64(),
    frozenset({int, float}): pa.float64(),
}


def line_blocks(stream: BinaryIO) -> Iterator[bytes]:
    """Yield a file of UTF-8 in blocks of whole lines; one without an end in sight is a block of its own."""
    rest = stream.read(len(_MARK)).removeprefix(_MARK)
    while more := stream.read(_BLOCK_BYTES):
        block = rest + more
        end = block.rfind(b"\n") + 1 or (len(block) if len(block) > _ENDLESS_BYTES else 0)
        rest = block[end:]
        if end:
            yield block[:end]
    if rest:
        yield rest


def block_rows(block: bytes, kinds: Mapping[str, Set[type]]) -> pa.Table | None:
    """Read the rows of a block, each of them on a line of its own; None if that needs a look at each line.

    kinds : types of the values that each column has had so far, as Python has them.
    """
    types = {name: _TYPES.get(frozenset(kind)) for name, kind in kinds.items()}
    lines = block.count(b"\n") + (not block.endswith(b"\n"))
    if not types or None in types.values() or not _is_object_per_line(block, lines):
        return None
    try:
        block.decode()
        table = pajson.read_json(
            io.BytesIO(block),
            read_options=pajson.ReadOptions(use_threads=False, block_size=len(block) + 1),
            parse_options=pajson.ParseOptions(
                explicit_schema=pa.schema(list(types.items())), unexpected_field_behavior="ignore"
            ),
        )
    except (pa.ArrowException, UnicodeDecodeError):
        return None
    exact = all(_is_exact(column) for column in table.columns if pa.types.is_floating(column.type))
    return table if exact and table.num_rows == lines else None


def _is_object_per_line(block: bytes, lines: int) -> bool:
    """Return True if each line begins and ends with a brace, so that no object spans two of them."""
    between = block.count(b"}\n{") + block.count(b"}\r\n{")
    return between == lines - 1 and block.startswith(b"{") and block.rstrip(b"\r\n").endswith(b"}")


def _is_exact(values: pa.ChunkedArray) -> bool:
    """Return True if no value may have been a whole number that a float cannot hold."""
    largest = pc.max(pc.abs(values)).as_py()
    return largest is None or largest < EXACT
