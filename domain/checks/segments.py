"""Segments of a training sample: how many, how long, how alive; and whether their columns fit."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from domain.arrays import BoolArray, FloatArray, IntArray
from domain.checks.findings import ColumnFacts, Problem, SegmentFacts, SourceSample
from domain.config.fleet import Fleet
from domain.data.calendar import ordinals
from domain.data.segments import lookalikes_message
from domain.reporting.formatting import format_number, format_percent

__all__ = ["SegmentRows", "other_columns", "segment_facts", "segment_problems"]

_CROWDED_ROWS = 1_000
_CROWDED_SHARE = 0.5
_MANY_SHORT = 0.2
_MANY_ENDED = 0.1
_MANY_REPEATED = 0.2


@dataclass(frozen=True)
class SegmentRows:
    """Accepted rows sorted by segment and time.

    keys : segments [S]. codes : index into keys, [n]. times : [n], UTC. target : [n].
    """

    keys: tuple[str, ...]
    codes: IntArray
    times: npt.NDArray[np.datetime64]
    target: FloatArray
    fleet: Fleet

    @classmethod
    def of(cls, accepted: pa.Table, fleet: Fleet) -> "SegmentRows":
        """accepted : as validate_rows gives them, with at least one row."""
        encoded = accepted["segment"].combine_chunks().dictionary_encode()
        codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        times = accepted["time"].to_numpy().astype("datetime64[us]")
        order = np.lexsort((times, codes))
        target = accepted["target"].to_numpy(zero_copy_only=False)[order]
        return cls(tuple(encoded.dictionary.to_pylist()), codes[order], times[order], target, fleet)

    @cached_property
    def periods(self) -> IntArray:
        """Period ordinals of a forecast fleet; zeros where there is no time."""
        return np.zeros(len(self.codes), np.int64) if self.fleet.time is None else self._ordinals()

    def _ordinals(self) -> IntArray:
        return ordinals(self.times, self.fleet.clock.frequency)

    @cached_property
    def repeated(self) -> BoolArray:
        """Rows of a forecast fleet whose segment has an earlier row for the same period."""
        same = np.zeros(len(self.codes), bool)
        if self.fleet.task_type.periodic:
            same[1:] = (np.diff(self.codes) == 0) & (np.diff(self.periods) == 0)
        return same

    @cached_property
    def counts(self) -> IntArray:
        """Rows a segment, repeated ones left out, [S]."""
        return np.bincount(self.codes[~self.repeated], minlength=len(self.keys))

    @cached_property
    def last_periods(self) -> IntArray:
        """Period of each segment's newest row, [S]."""
        return self.periods[np.cumsum(np.bincount(self.codes, minlength=len(self.keys))) - 1]

    @cached_property
    def ended(self) -> BoolArray:
        """Segments of a forecast fleet whose newest row is more than a season and a horizon old, [S]."""
        if not self.fleet.task_type.periodic:
            return np.zeros(len(self.keys), bool)
        long = max(self.fleet.season, self.fleet.steps)
        return np.asarray(self.last_periods < self.last_periods.max() - long, bool)


def segment_facts(rows: SegmentRows) -> SegmentFacts:
    """Counts of segments and of their rows."""
    minimum, counts = rows.fleet.target.minimum, rows.counts
    return SegmentFacts(
        count=len(rows.keys),
        rows_min=int(counts.min()),
        rows_median=float(np.median(counts)),
        rows_max=int(counts.max()),
        min_rows=rows.fleet.partition.min_rows,
        short=int((counts < rows.fleet.partition.min_rows).sum()),
        ended=int(rows.ended.sum()),
        repeated=int(rows.repeated.sum()),
        below_minimum=None if minimum is None else float(np.mean(rows.target < minimum)),
    )


def segment_problems(
    facts: SegmentFacts, rows: SegmentRows, others: Mapping[str, int], *, whole: bool
) -> Iterator[Problem]:
    """Too many segments, too short ones, ended ones, lookalikes, repeated rows, values below the minimum.

    others : columns that could be segments instead -> number of values. whole : False softens what a sample may hide.
    """
    fleet, partition = rows.fleet, rows.fleet.partition
    crowded = facts.count > _CROWDED_SHARE * len(rows.codes)
    if len(rows.codes) >= _CROWDED_ROWS and crowded:
        told = f"{', '.join(fleet.segment_by)} gives {facts.count:,} segments for {len(rows.codes):,} rows"
        way_out = _coarser(rows) or _instead(others)
        yield Problem("error" if whole else "warning", "segment_by", f"{told}, nearly one a row; {way_out}")
    elif facts.count > partition.max_segments:
        told = f"{facts.count:,} segments are more than {partition.max_segments:,}"
        yield Problem("error", "partition.max_segments", f"{told}; {_coarser(rows) or _instead(others)}; or raise it")
    elif facts.short == facts.count:
        told = f"all {facts.count:,} segments have fewer rows than {partition.min_rows} (the longest {facts.rows_max})"
        way_out = _coarser(rows) or "lower it, or give more rows"
        yield Problem("error" if whole else "warning", "partition.min_rows", f"{told}, so none gets a model; {way_out}")
    elif facts.short >= _MANY_SHORT * facts.count and whole:
        told = f"{facts.short:,} of {facts.count:,} segments have fewer rows than {partition.min_rows}"
        way_out = f"they get the fallback: {_fallback(fleet)}"
        yield Problem("warning", "partition.min_rows", f"{told}; {way_out}; {_coarser(rows) or 'or lower it'}")
    if facts.ended > _MANY_ENDED * facts.count:
        told = f"{facts.ended:,} of {facts.count:,} segments ended long before the newest row"
        yield Problem("warning", "source", f"{told}; their forecasts start where they end, so leave dead ones out")
    alike = lookalikes_message(rows.keys)
    if alike:
        yield Problem("warning", "segment_by", alike)
    yield from _repeated_problems(facts, rows)
    yield from _value_problems(facts, rows)


def _fallback(fleet: Fleet) -> str:
    levels = [level if isinstance(level, str) else level.parent for level in fleet.fallback]
    return ", ".join(levels) if levels else "none"


def _coarser(rows: SegmentRows) -> str:
    """Which segment column to drop, so that the others have the most rows a segment; empty where there is one."""
    columns = rows.fleet.segment_by
    if len(columns) < 2:
        return ""
    # A slash within a value is escaped in a key, so there is no need to decode anything.
    values = [key.split("/") for key in rows.keys]
    left = {c: len({(*v[:at], *v[at + 1 :]) for v in map(tuple, values)}) for at, c in enumerate(columns)}
    best = min(columns, key=lambda column: left[column])
    each = format_number(len(rows.codes) / left[best])
    return f"without {best!r} there are {left[best]:,} segments of {each} rows each on average"


def _instead(others: Mapping[str, int]) -> str:
    few = sorted(others, key=lambda name: others[name])[:4]
    named = ", ".join(f"{name} ({others[name]} values)" for name in few)
    return f"use columns that repeat{f', such as {named}' if few else ', such as a store or a product'}"


def _repeated_problems(facts: SegmentFacts, rows: SegmentRows) -> Iterator[Problem]:
    if not facts.repeated:
        return
    share = facts.repeated / len(rows.codes)
    told = f"{facts.repeated:,} rows ({format_percent(share, 1)}) repeat the segment and period of another row"
    if share < _MANY_REPEATED:
        kept = rows.fleet.validation.duplicates
        yield Problem("warning", "validation.duplicates", f"{told}; the {kept} of them is kept, the others quarantined")
    else:
        frequency = rows.fleet.clock.frequency
        yield Problem(
            "warning", "segment_by", f"{told}; add the column that tells them apart, or sum up to one row a {frequency}"
        )


def _value_problems(facts: SegmentFacts, rows: SegmentRows) -> Iterator[Problem]:
    target, lowest = rows.fleet.target, format_number(float(rows.target.min()))
    if facts.below_minimum:
        told = f"{format_percent(facts.below_minimum, 1)} of {target.column!r} is below {target.minimum:g}"
        yield Problem("warning", "target.minimum", f"{told} (lowest {lowest}); lower it, or correct the rows")
    negative = float(np.mean(rows.target < 0))
    if target.transform == "log1p" and negative:
        told = f"{format_percent(negative, 1)} of {target.column!r} is negative (lowest {lowest})"
        yield Problem("warning", "target.transform", f"{told} and log1p takes it as 0; use none, or correct the rows")


def other_columns(facts: Sequence[ColumnFacts], sample: SourceSample, fleet: Fleet) -> dict[str, int]:
    """Columns whose values repeat often enough to be segments: name -> number of values."""
    values = dict(sample.unused) | {fact.name: fact.values for fact in facts}
    taken = {*fleet.segment_by, fleet.target.column, *((fleet.time.column,) if fleet.time else ())}
    most = sample.head_rows / fleet.partition.min_rows
    return {name: count for name, count in values.items() if name not in taken and 1 < count <= most}
