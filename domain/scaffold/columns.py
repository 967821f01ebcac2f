"""Profiles of undescribed columns, inferred from their distinct values."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from domain.arrays import BoolArray, FloatArray
from domain.scaffold.column_vocabulary import Meaning, column_meaning

__all__ = ["Column", "Kind", "profile_columns"]

Kind = Literal["integer", "number", "time", "text", "empty", "other"]
"""Kind of a column's values. other : lists, structures, bytes."""

_ALMOST_ALL = 0.98
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_WHOLE = r"^[+-]?\d+(\.0+)?$"
_PADDED = re.compile(r"^0\d+$")
_COMMA_NUMBER = re.compile(
    r"^[+-]?(\d{1,3}([.,' ]\d{3})+([.,]\d+)?|\d+,\d+)\s*[%€$£]?$|^[€$£]\s*[\d.,]+$|^[\d.]+\s*[%€$£]$"
)


@dataclass(frozen=True, eq=False)
class Column:
    """A column and its distinct values.

    kind : of almost all values.
    codes : index of each row's value, -1 where it is missing, int64 of shape (n,).
    texts : the distinct values as text, of length d. distinct : the same as an Arrow array.
    padded : numbers with leading zeros, which are identifiers. typed : the file stores a type other than text.
    unread : share of the rows whose value does not fit the kind.
    """

    name: str
    kind: Kind
    codes: npt.NDArray[np.int64]
    texts: tuple[str, ...]
    distinct: pa.Array
    padded: bool = False
    typed: bool = False
    unread: float = 0.0

    @property
    def rows(self) -> int:
        return len(self.codes)

    @property
    def values(self) -> int:
        """Number of distinct values."""
        return len(self.texts)

    @cached_property
    def missing(self) -> float:
        """Share of the rows without a value."""
        return float(np.mean(self.codes < 0)) if self.rows else 1.0

    @property
    def meaning(self) -> Meaning:
        return column_meaning(self.name)

    @property
    def is_number(self) -> bool:
        return self.kind in ("integer", "number") and not self.padded

    @cached_property
    def distinct_numbers(self) -> FloatArray:
        """The distinct values as numbers, of shape (d,); NaN where a value is not a number."""
        return _numbers(self.distinct)

    @cached_property
    def numbers(self) -> FloatArray:
        """The number of each row, of shape (n,); NaN where there is none."""
        padded = np.append(self.distinct_numbers, np.nan)
        return padded[self.codes]

    @cached_property
    def is_unique(self) -> bool:
        """True if no value is repeated or missing."""
        return self.rows > 1 and self.values == self.rows

    @cached_property
    def is_unique_run(self) -> bool:
        """True if the column merely numbers the rows: 1, 2, 3."""
        return self.is_unique and self.kind == "integer" and bool(np.all(np.diff(self.distinct_numbers) == 1))

    @property
    def examples(self) -> str:
        """A few values, for messages."""
        return ", ".join(repr(text[:40]) for text in self.texts[:3])

    @property
    def looks_formatted(self) -> bool:
        """True if the text consists mostly of numbers with separators or units."""
        texts = self.texts[:1000]
        return self.kind == "text" and bool(texts) and _share(_COMMA_NUMBER, texts) > _ALMOST_ALL


def _share(pattern: re.Pattern[str], texts: tuple[str, ...]) -> float:
    return sum(bool(pattern.match(text.strip())) for text in texts) / len(texts)


def profile_columns(table: pa.Table) -> list[Column]:
    """Profile the columns of a table, in its order; times among text and numbers are found later, where names help."""
    return [_profile(name, table[name]) for name in table.column_names]


def _profile(name: str, values: pa.ChunkedArray) -> Column:
    flat = values.combine_chunks()
    if pa.types.is_dictionary(flat.type):
        flat = flat.dictionary_decode()
    if pa.types.is_nested(flat.type) or pa.types.is_binary(flat.type) or pa.types.is_null(flat.type):
        kind: Kind = "empty" if pa.types.is_null(flat.type) else "other"
        return Column(name, kind, np.full(len(flat), -1), (), pa.nulls(0, pa.string()))
    text = _is_text(flat.type)
    if text:
        flat = pc.utf8_trim_whitespace(flat.cast(pa.string()))
        flat = pc.if_else(pc.equal(flat, ""), None, flat)
    elif pa.types.is_floating(flat.type):
        flat = pc.if_else(pc.is_nan(flat), None, flat)
    try:
        encoded = flat.dictionary_encode()
    except pa.ArrowNotImplementedError:  # Such as intervals.
        return Column(name, "other", np.full(len(flat), -1), (), pa.nulls(0, pa.string()))
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    distinct = encoded.dictionary
    texts = tuple(_texts(distinct))
    kind, unread = _kind(distinct, codes)
    padded = text and kind == "integer" and any(_PADDED.match(item) for item in texts)
    return Column(name, kind, codes, texts, distinct, padded, not text, unread)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _texts(distinct: pa.Array) -> list[str]:
    if pa.types.is_floating(distinct.type):
        return [f"{value:.0f}" if value.is_integer() else str(value) for value in distinct.to_pylist()]
    return [str(value) for value in distinct.to_pylist()]


def _kind(distinct: pa.Array, codes: npt.NDArray[np.int64]) -> tuple[Kind, float]:
    """Kind of almost all rows, and the share of rows that do not fit it."""
    kind = distinct.type
    if not len(distinct):
        return "empty", 0.0
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "time", 0.0
    if not _is_text(kind):
        if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
            return "integer", 0.0
        if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            numbers = _numbers(distinct)
            return ("integer" if np.array_equal(numbers, np.round(numbers)) else "number"), 0.0
        return "other", 0.0
    lower = pc.utf8_lower(distinct)
    booleans = pc.is_in(lower, pa.array(["true", "false"]))
    fits = pc.or_(pc.match_substring_regex(distinct, _NUMBER), booleans)
    unread = 1.0 - _row_share(fits, codes)
    if 1.0 - unread < _ALMOST_ALL:
        return "text", 0.0
    whole = pc.or_(pc.or_(pc.match_substring_regex(distinct, _WHOLE), booleans), pc.invert(fits))
    return ("integer" if pc.all(whole).as_py() else "number"), unread


def _row_share(fits: pa.Array, codes: npt.NDArray[np.int64]) -> float:
    """Share of the non-missing rows whose value fits."""
    known = codes[codes >= 0]
    mask: BoolArray = np.asarray(fits.to_numpy(zero_copy_only=False), dtype=bool)
    return float(mask[known].mean()) if len(known) else 0.0


def _numbers(distinct: pa.Array) -> FloatArray:
    if _is_text(distinct.type):
        lower = pc.utf8_lower(distinct)
        text = pc.if_else(pc.equal(lower, "true"), "1", pc.if_else(pc.equal(lower, "false"), "0", distinct))
        text = pc.if_else(pc.match_substring_regex(text, _NUMBER), text, None)
        numbers = text.cast(pa.float64())
    elif pa.types.is_boolean(distinct.type) or pa.types.is_integer(distinct.type):
        numbers = distinct.cast(pa.int64()).cast(pa.float64(), safe=False)
    else:
        numbers = distinct.cast(pa.float64(), safe=False)
    result: FloatArray = numbers.to_numpy(zero_copy_only=False).astype(np.float64)
    return result
