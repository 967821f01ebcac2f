"""Decimal mark and separator of thousands of undescribed files, judged by the values of all their number columns."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from domain.config.source import Source
from domain.data.number_text import (
    NAMES,
    OTHER,
    Mark,
    NumberEvidence,
    NumberReading,
    explicit_reading,
    judge,
    number_evidence,
    rewrite,
)
from domain.data.text_marks import ordinary_numbers

__all__ = ["NumberMarks", "choose_marks", "with_plain_numbers"]

_ALMOST_ALL = 0.98
_GROUPED = r"\d{1,3}([.,' \x{2019}\x{a0}\x{202f}]\d{3})+([.,]\d*)?|\d{1,2}(,\d{2})+,\d{3}(\.\d*)?"
_NUMBER = rf"^[+-]?(\d+[.,]?|{_GROUPED}|\d*[.,]\d+)([eE][+-]?\d+)?$"


@dataclass(frozen=True)
class NumberMarks:
    """Marks of numbers. thousands : `auto` where no value needs it.

    notes : for the fleet file. doubt : what is open.
    """

    decimal: Mark = "."
    thousands: str = "auto"
    notes: tuple[str, ...] = ()
    doubt: str = ""

    @property
    def settings(self) -> Mapping[str, str]:
        """The settings of a source."""
        return {"decimal": self.decimal, "thousands": self.thousands}


def choose_marks(table: pa.Table, delimiter: str) -> NumberMarks:
    """Choose the marks for all text columns that hold numbers. delimiter : of the columns."""
    columns = {name: number_evidence(table[name]) for name in _number_columns(table)}
    point, comma = ([name for name, known in columns.items() if _prefers(known, mark)] for mark in (".", ","))
    if not point and not comma:
        return _open_marks(columns, delimiter)
    decimal: Mark = "," if len(comma) > len(point) or (len(comma) == len(point) and delimiter == ";") else "."
    doubt = ""
    if point and comma:
        doubt = (
            f"Column {comma[0]!r} has a decimal comma and column {point[0]!r} a decimal point; write all numbers alike "
            "if one of them is rejected."
        )
    return _marks(columns, decimal, doubt)


def _number_columns(table: pa.Table) -> list[str]:
    """Text columns of which almost all values are numbers, whatever their marks."""
    return [name for name in dict.fromkeys(table.column_names) if _holds_numbers(table[name])]


def _holds_numbers(values: pa.ChunkedArray) -> bool:
    if not pa.types.is_string(values.type):
        return False
    text = pc.utf8_trim_whitespace(ordinary_numbers(values.drop_null()))
    text = text.filter(pc.not_equal(text, ""))
    fits = pc.sum(pc.match_substring_regex(text, _NUMBER)).as_py() or 0
    return bool(fits) and fits >= _ALMOST_ALL * len(text)


def _prefers(evidence: NumberEvidence, decimal: Mark) -> bool:
    """Return True if the values of a column suit this decimal mark alone."""
    proofs, against = evidence.proofs(decimal), evidence.proofs(OTHER[decimal])
    return proofs > against or (not proofs and not against and evidence.groups_thousands(OTHER[decimal]))


def _open_marks(columns: Mapping[str, NumberEvidence], delimiter: str) -> NumberMarks:
    """Marks where no column tells: files with a semicolon between columns mostly have decimal commas."""
    name = next((name for name, known in columns.items() if known.point.either or known.comma.either), None)
    if name is None:
        return NumberMarks()
    decimal: Mark = "," if delimiter == ";" else "."
    own, other = columns[name].of(decimal), columns[name].of(OTHER[decimal])
    role, example = ("decimals", own.examples[0]) if own.either else ("thousands", other.examples[0])
    mark = NAMES[decimal if own.either else OTHER[decimal]]
    doubt = (
        f"The {mark} in values of {name!r} such as {example!r} is taken to separate {role}: no value tells. Change "
        "decimal and thousands if it does not."
    )
    return _marks(columns, decimal, doubt)


def _marks(columns: Mapping[str, NumberEvidence], decimal: Mark, doubt: str) -> NumberMarks:
    separator = OTHER[decimal]
    notes = ["Numbers have a decimal comma."] if decimal == "," else []
    grouped = [known.of(separator) for known in columns.values() if known.of(separator).either]
    whole = [known for known in columns.values() if known.of(separator).grouping]
    mixed = any(known.proofs(separator) for known in columns.values())
    if mixed or not (grouped or whole):
        return NumberMarks(decimal, notes=tuple(notes), doubt=doubt)
    example = f", as in {grouped[0].examples[0]!r}" if grouped else ""
    notes.append(f"A {NAMES[separator]} separates thousands{example}.")
    return NumberMarks(decimal, separator, tuple(notes), doubt)


def with_plain_numbers(table: pa.Table, source: Source) -> pa.Table:
    """Give the text columns that hold numbers a decimal point and no separators."""
    for name in _number_columns(table):
        reading = _reading(number_evidence(table[name]), source)
        if not reading.refusal:
            table = table.set_column(table.column_names.index(name), name, rewrite(table[name], reading))
    return table


def _reading(evidence: NumberEvidence, source: Source) -> NumberReading:
    automatic = source.thousands == "auto"
    return judge(evidence, source.decimal) if automatic else explicit_reading(source.decimal, source.thousands)
