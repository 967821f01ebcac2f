"""Marks in text columns, and numbers whose sign or digits are written in another way that can mean one thing only."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["NUMBER_MARKS", "SPACES", "marks_in", "ordinary_numbers"]

_PIECE_BYTES, _MARK_BYTES = 1 << 16, 3
_MINUS = "\u2212\u2013"
"""The minus of typography, and the dash that stands for it."""
_WIDE_DIGITS = {chr(0xFF10 + digit): str(digit) for digit in range(10)}
"""Digits of East Asian keyboards, as wide as other letters."""
_TRAILING = r"^\s*(\d[\d.,' \x{2019}\x{a0}\x{202f}]*)-\s*$"


SPACES = " '\u2019\u00a0\u202f"
"""Separators of thousands that are never a decimal mark: apostrophes, and blanks of all kinds."""
NUMBER_MARKS = f".,{SPACES}-{_MINUS}{''.join(_WIDE_DIGITS)}"
"""All marks that numbers are read by, so that a column is searched once."""


def ordinary_numbers(text: pa.ChunkedArray, present: str | None = None) -> pa.ChunkedArray:
    """Give numbers ASCII digits and a leading minus: `12,50-` of SAP becomes `-12,50`; other text stays as it is.

    present : marks of NUMBER_MARKS that the text has, where they are known.
    """
    if present is None:
        present = marks_in(text, NUMBER_MARKS)
    for wide in _WIDE_DIGITS.keys() & set(present):
        text = pc.replace_substring(text, wide, _WIDE_DIGITS[wide])
    if any(mark in present for mark in _MINUS):
        text = pc.replace_substring_regex(text, rf"^(\s*)[{_MINUS}](\d)", r"\1-\2")
    if "-" in present and any(map(_may_end_with_minus, text.chunks)):
        text = pc.replace_substring_regex(text, _TRAILING, r"-\1")
    return text


def _may_end_with_minus(values: pa.StringArray) -> bool:
    """Return True if a value ends with a minus, or with a character that may be a blank after one."""
    _, offsets, content = values.buffers()
    if not len(values) or content is None:
        return False
    bounds = np.frombuffer(offsets, np.int32)[values.offset : values.offset + len(values) + 1]
    starts, ends = bounds[:-1], bounds[1:]
    if (starts == ends).any():
        ends = ends[starts < ends]
    last = np.frombuffer(content, np.uint8)[ends - 1]
    return bool(((last == ord("-")) | (last <= ord(" ")) | (last >= 0x80)).any())


def marks_in(text: pa.ChunkedArray, marks: str) -> str:
    """Return those of the marks that any value has; much faster than a search in each value."""
    missing = {mark: mark.encode() for mark in marks}
    for chunk in text.chunks:
        for piece in _pieces(chunk):
            ascii_alone = piece.isascii()  # Most pieces are, and a search for longer marks is slow.
            missing = {
                mark: encoded
                for mark, encoded in missing.items()
                if (ascii_alone and len(encoded) > 1) or encoded not in piece
            }
            if not missing:
                return marks
    return "".join(mark for mark in marks if mark not in missing)


def _pieces(values: pa.StringArray) -> Iterator[bytes]:
    """The values of an array as text in UTF-8, in pieces that overlap by the length of a mark; copies stay small."""
    _, offsets, content = values.buffers()
    if not len(values) or content is None:
        return
    ends = np.frombuffer(offsets, np.int32)[values.offset : values.offset + len(values) + 1]
    joined = memoryview(content)[ends[0] : ends[-1]]
    for start in range(0, len(joined), _PIECE_BYTES):
        yield bytes(joined[start : start + _PIECE_BYTES + _MARK_BYTES])
