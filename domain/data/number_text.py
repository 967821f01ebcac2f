"""Numbers in text: what the points and commas of a column mean, judged by all of its values together.

`1.234` is 1234 where points separate thousands, and 1.234 where they are decimal marks. A single value cannot tell, so
`NumberEvidence` counts how all values of a column use the marks, and `judge` says how to read them: never as a number
that the other values contradict.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from domain.data.text_marks import NUMBER_MARKS, SPACES, marks_in, ordinary_numbers

__all__ = [
    "ENOUGH",
    "OTHER",
    "Mark",
    "MarkEvidence",
    "NumberEvidence",
    "NumberReading",
    "explicit_reading",
    "judge",
    "number_evidence",
    "rewrite",
]

Mark = Literal[".", ","]
OTHER: Mapping[Mark, Mark] = {".": ",", ",": "."}
NAMES: Mapping[Mark, str] = {".": "point", ",": "comma"}

ENOUGH = 8
"""Different values with a single group of three digits that suffice to tell thousands from decimals."""
_INDIAN = r"^[+-]?[1-9]\d?(,\d{2})+,\d{3}(\.\d*)?$"
"""Numbers with a comma before the last three digits and every second one before, such as 12,34,567.8."""
_FEW = 0.05
"""Share of values that may be mistakes."""
_UNREAD = " (not read: its mark may separate thousands or decimals)"
"""Follows the text of a value that is rejected because of its marks."""


@dataclass(frozen=True)
class MarkEvidence:
    """Use of one mark in a column.

    decimal, grouping : values in which it can only be the decimal mark, or can only separate thousands.
    either : values such as `1.234` that allow both. examples : some of those, at most `ENOUGH` different ones.
    """

    decimal: int = 0
    grouping: int = 0
    either: int = 0
    examples: tuple[str, ...] = ()

    def __add__(self, other: MarkEvidence) -> MarkEvidence:
        examples = tuple(dict.fromkeys((*self.examples, *other.examples)))[:ENOUGH]
        counts = (self.decimal + other.decimal, self.grouping + other.grouping, self.either + other.either)
        return MarkEvidence(*counts, examples)


@dataclass(frozen=True)
class NumberEvidence:
    """Use of both marks in a column, or in a part of it; parts add up.

    hundreds : values from 100 to 999 without a mark. ungrouped : values of 1,000 and more without separators.
    """

    point: MarkEvidence = MarkEvidence()
    comma: MarkEvidence = MarkEvidence()
    hundreds: int = 0
    ungrouped: int = 0

    def __add__(self, other: NumberEvidence) -> NumberEvidence:
        sums = (self.hundreds + other.hundreds, self.ungrouped + other.ungrouped)
        return NumberEvidence(self.point + other.point, self.comma + other.comma, *sums)

    def of(self, mark: Mark) -> MarkEvidence:
        return self.point if mark == "." else self.comma

    def proofs(self, decimal: Mark) -> int:
        """Values that can only be read with this decimal mark."""
        return self.of(decimal).decimal + self.of(OTHER[decimal]).grouping

    def groups_thousands(self, mark: Mark) -> bool:
        """Return True if the mark separates thousands: all larger numbers have it, none uses it in another way."""
        evidence = self.of(mark)
        if evidence.decimal or self.ungrouped:
            return False
        return bool(evidence.grouping) or (len(evidence.examples) >= ENOUGH and self.hundreds > 0)


def number_evidence(text: pa.ChunkedArray) -> NumberEvidence:
    """Count how the values of a column use points and commas."""
    text = pc.utf8_trim_whitespace(ordinary_numbers(text))
    hundreds, ungrouped = (_count(text, pattern) for pattern in (r"^[+-]?[1-9]\d{2}$", r"^[+-]?[1-9]\d{3,}([.,]\d*)?$"))
    return NumberEvidence(_mark_evidence(text, "."), _mark_evidence(text, ","), hundreds, ungrouped)


def _mark_evidence(text: pa.ChunkedArray, mark: Mark) -> MarkEvidence:
    own, other = rf"\{mark}", rf"\{OTHER[mark]}"
    either = pc.match_substring_regex(text, rf"^[+-]?[1-9]\d{{0,2}}{own}\d{{3}}$")
    count = pc.sum(either).as_py() or 0
    decimal = _count(text, rf"^[+-]?(\d+{own}\d*|{own}\d+)([eE][+-]?\d+)?$") - count
    decimal += _count(text, rf"^[+-]?[1-9]\d{{0,2}}({other}\d{{3}})+{own}\d*$")
    grouping = _count(text, rf"^[+-]?[1-9]\d{{0,2}}({own}\d{{3}}){{2,}}$")
    grouping += _count(text, rf"^[+-]?[1-9]\d{{0,2}}({own}\d{{3}})+{other}\d*$")
    if mark == ",":
        grouping += _count(text, _INDIAN)
    examples = pc.unique(text.filter(either)).slice(0, ENOUGH).to_pylist() if count else []
    return MarkEvidence(decimal, grouping, count, tuple(examples))


def _count(text: pa.ChunkedArray, pattern: str) -> int:
    return int(pc.sum(pc.match_substring_regex(text, pattern)).as_py() or 0)


@dataclass(frozen=True)
class NumberReading:
    """How to read a column.

    decimal : its decimal mark. thousands : the point or comma that may separate thousands; empty if neither does.
    spaces : spaces or apostrophes that may do so too. strict : values with the other mark elsewhere are rejected.
    doubtful : so are those that allow both readings. remark : what the values leave open. refusal : why the file cannot
    be read with the setting.
    """

    decimal: Mark
    thousands: str = ""
    spaces: str = SPACES
    strict: bool = False
    doubtful: bool = False
    remark: str = ""
    refusal: str = ""


def explicit_reading(decimal: Mark, thousands: str) -> NumberReading:
    """The reading that a source prescribes. thousands : a mark, or `none`."""
    spaces = {" ": " \u00a0\u202f", "'": "'\u2019"}.get(thousands, "")
    return NumberReading(decimal, thousands if thousands in OTHER else "", spaces, strict=True)


def judge(evidence: NumberEvidence, decimal: Mark) -> NumberReading:
    """Choose the reading of a column from all its values. decimal : the mark that decides where they leave it open."""
    other = OTHER[decimal]
    proofs, against = evidence.proofs(decimal), evidence.proofs(other)
    if against > _FEW * (proofs + against):
        return _contested(evidence, decimal) if proofs > _FEW * (proofs + against) else _opposed(evidence, decimal)
    if evidence.of(decimal).either and not proofs and evidence.groups_thousands(decimal):
        return NumberReading(decimal, refusal=_refusal(evidence, decimal))
    if evidence.of(".").either and evidence.of(",").either and not proofs and decimal == ".":
        return _contested(evidence, decimal)
    thousands = other if decimal == "," or evidence.groups_thousands(other) else ""
    return NumberReading(decimal, thousands, remark=_remark(evidence, decimal) if not proofs else "")


def _contested(evidence: NumberEvidence, decimal: Mark) -> NumberReading:
    """Some values prove one reading and some the other: those that allow both are rejected."""
    examples = ", ".join(repr(text) for text in (*evidence.point.examples[:1], *evidence.comma.examples[:1]))
    if not examples:
        return NumberReading(decimal, OTHER[decimal] if decimal == "," else "")
    remark = (
        f"some values have a decimal point and some a decimal comma; values such as {examples} could be either and are "
        "rejected: write all numbers alike, or set source.thousands"
    )
    return NumberReading(decimal, OTHER[decimal], doubtful=True, remark=remark)


def _opposed(evidence: NumberEvidence, decimal: Mark) -> NumberReading:
    """All values prove the other decimal mark than that of the setting."""
    other = OTHER[decimal]
    if evidence.of(decimal).either:
        return NumberReading(decimal, refusal=_refusal(evidence, decimal))
    if decimal == ",":
        return NumberReading(other, decimal if evidence.groups_thousands(decimal) else "")
    remark = f"its numbers have a decimal {NAMES[other]}, so they are rejected; set source.decimal: '{other}'"
    return NumberReading(decimal, remark=remark)


def _refusal(evidence: NumberEvidence, decimal: Mark) -> str:
    example, other = evidence.of(decimal).examples[0], OTHER[decimal]
    if evidence.proofs(other):
        reason = f"other values have a decimal {NAMES[other]}"
    else:
        reason = f"every {NAMES[decimal]} is followed by three digits, and all values without one are below 1,000"
    return (
        f"values such as {example!r} would be read with a decimal {NAMES[decimal]}, but {reason}, so it seems "
        f"to separate thousands. Set source.decimal: '{other}' and source.thousands: '{decimal}' if it does, or "
        "source.thousands: none if it does not"
    )


def _remark(evidence: NumberEvidence, decimal: Mark) -> str:
    other = OTHER[decimal]
    if evidence.of(decimal).either:
        example = evidence.of(decimal).examples[0]
        return (
            f"every {NAMES[decimal]} is followed by three digits, as in {example!r}; it is read as the decimal mark. "
            f"Set source.decimal: '{other}' and source.thousands: '{decimal}' if it separates thousands, or "
            "source.thousands: none to confirm"
        )
    if decimal == "." and evidence.of(other).either and not evidence.groups_thousands(other):
        example = evidence.of(other).examples[0]
        return (
            f"values such as {example!r} are rejected: the comma could separate thousands or decimals. Set "
            "source.thousands: ',' or source.decimal: ','"
        )
    if decimal == "," and evidence.of(other).either and not evidence.groups_thousands(other):
        example = evidence.of(other).examples[0]
        return (
            f"every point is followed by three digits, as in {example!r}; it is read as a separator of thousands. Set "
            "source.thousands: '.' to confirm, or source.decimal: '.' if it is the decimal mark"
        )
    return ""


def rewrite(text: pa.ChunkedArray, reading: NumberReading, present: str | None = None) -> pa.ChunkedArray:
    """Rewrite numbers such as `1.234,5` as `1234.5`; text that is no number in this reading does not become one.

    present : marks of NUMBER_MARKS that the text has, where they are known.
    """
    if present is None:
        present = marks_in(text, NUMBER_MARKS)
    text = ordinary_numbers(text, present)
    if reading.doubtful:
        text = _unread(text, pc.match_substring_regex(text, r"^\s*[+-]?[1-9]\d{0,2}[.,]\d{3}\s*$"))
    for separators in (reading.spaces, reading.thousands):
        text = _ungroup(text, "".join(mark for mark in separators if mark in present), reading.decimal)
    other = OTHER[reading.decimal]
    if reading.strict and other in present:
        text = _unread(text, pc.match_substring(text, other))
    return pc.replace_substring(text, ",", ".") if reading.decimal == "," and "," in present else text


def _ungroup(text: pa.ChunkedArray, present: str, decimal: Mark) -> pa.ChunkedArray:
    """Remove separators of thousands, which the text has, from numbers that have one before every third digit."""
    if not present:
        return text
    number = rf"^\s*[+-]?[1-9]\d{{0,2}}([{present}]\d{{3}})+(\{decimal}\d*)?\s*$"
    if present == "," and decimal == ".":
        number += f"|{_INDIAN}"
    bare = text
    for mark in present:
        bare = pc.replace_substring(bare, mark, "")
    return pc.if_else(pc.match_substring_regex(text, number), bare, text)


def _unread(text: pa.ChunkedArray, rows: pa.ChunkedArray) -> pa.ChunkedArray:
    marked = pc.binary_join_element_wise(text, pa.scalar(_UNREAD, text.type), pa.scalar("", text.type))
    return pc.if_else(rows, marked, text)
