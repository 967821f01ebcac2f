"""Segments of a training sample: their number, length and age, and problems with the columns that make them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from domain.arrays import BoolArray, FloatArray, IntArray
from domain.calendar.ordinals import ordinals
from domain.checks.findings import ColumnFacts, Problem, SegmentFacts, SourceSample
from domain.config.fleet import Fleet
from domain.data.segments import lookalikes_message
from domain.data.yes_no import zero_one_note
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

    keys : segments, of length S. codes : index into keys. times : in UTC. codes, times and target have shape (n,).
    """

    keys: tuple[str, ...]
    codes: IntArray
    times: npt.NDArray[np.datetime64]
    target: FloatArray
    fleet: Fleet

    @classmethod
    def of(cls, accepted: pa.Table, fleet: Fleet) -> "SegmentRows":
        """Sort accepted rows, at least one, by segment and time."""
        encoded = accepted["segment"].combine_chunks().dictionary_encode()
        codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        times = accepted["time"].to_numpy().astype("datetime64[us]")
        order = np.lexsort((times, codes))
        target = accepted["target"].to_numpy(zero_copy_only=False)[order]
        return cls(tuple(encoded.dictionary.to_pylist()), codes[order], times[order], target, fleet)

    @cached_property
    def periods(self) -> IntArray:
        """Period ordinals, of shape (n,); zeros without a time column."""
        return np.zeros(len(self.codes), np.int64) if self.fleet.time is None else self._ordinals()

    def _ordinals(self) -> IntArray:
        return ordinals(self.times, self.fleet.clock)

    @cached_property
    def repeated(self) -> BoolArray:
        """Rows of a forecast fleet that repeat the segment and period of an earlier row, of shape (n,)."""
        same = np.zeros(len(self.codes), bool)
        if self.fleet.task_type.periodic:
            same[1:] = (np.diff(self.codes) == 0) & (np.diff(self.periods) == 0)
        return same

    @cached_property
    def counts(self) -> IntArray:
        """Rows per segment without repeated ones, of shape (S,)."""
        return np.bincount(self.codes[~self.repeated], minlength=len(self.keys))

    @cached_property
    def last_periods(self) -> IntArray:
        """Period of each segment's newest row, of shape (S,)."""
        return self.periods[np.cumsum(np.bincount(self.codes, minlength=len(self.keys))) - 1]

    @cached_property
    def ended(self) -> BoolArray:
        """Segments of a forecast fleet that ended more than a season and more than a horizon ago, of shape (S,)."""
        if not self.fleet.task_type.periodic:
            return np.zeros(len(self.keys), bool)
        long = max(self.fleet.season, self.fleet.steps)
        return np.asarray(self.last_periods < self.last_periods.max() - long, bool)


def segment_facts(rows: SegmentRows) -> SegmentFacts:
    """Count the segments and their rows."""
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
    """Too many, too short and ended segments, lookalike keys, repeated rows, and values below the minimum.

    others : columns that could make segments instead -> number of values. whole : False turns errors that a sample
    cannot prove into warnings.
    """
    yield from _size_problems(facts, rows, others, whole=whole)
    if facts.ended > _MANY_ENDED * facts.count:
        message = f"{facts.ended:,} of {facts.count:,} segments ended long before the newest row"
        way_out = "their forecasts start where they end, so remove the rows of dead segments"
        yield Problem("warning", "source", f"{message}; {way_out}")
    alike = lookalikes_message(rows.keys)
    if alike:
        yield Problem("warning", "segment_by", alike)
    yield from _repeated_problems(facts, rows)
    yield from _value_problems(facts, rows)


def _size_problems(
    facts: SegmentFacts, rows: SegmentRows, others: Mapping[str, int], *, whole: bool
) -> Iterator[Problem]:
    """The first that applies of: nearly one segment per row, too many segments, segments that are too short."""
    fleet, partition = rows.fleet, rows.fleet.partition
    crowded = facts.count > _CROWDED_SHARE * len(rows.codes)
    if len(rows.codes) >= _CROWDED_ROWS and crowded:
        message = f"{', '.join(fleet.segment_by)} gives {facts.count:,} segments for {len(rows.codes):,} rows"
        way_out = _coarser(rows) or _repeating_columns(others)
        yield Problem("error" if whole else "warning", "segment_by", f"{message}, nearly one per row; {way_out}")
    elif facts.count > partition.max_segments:
        message = f"{facts.count:,} segments are more than the limit of {partition.max_segments:,}"
        way_out = _coarser(rows) or _repeating_columns(others)
        yield Problem("error", "partition.max_segments", f"{message}; {way_out}; or raise the limit")
    elif facts.short == facts.count:
        few = f"fewer rows than {partition.min_rows} (the longest has {facts.rows_max})"
        message = f"all {facts.count:,} segments have {few}, so none gets a model"
        way_out = _coarser(rows) or "lower min_rows, or give more rows"
        yield Problem("error" if whole else "warning", "partition.min_rows", f"{message}; {way_out}")
    elif facts.short >= _MANY_SHORT * facts.count and whole:
        message = f"{facts.short:,} of {facts.count:,} segments have fewer rows than {partition.min_rows}"
        effect = f"they get the fallback: {_fallback(fleet)}"
        yield Problem("warning", "partition.min_rows", f"{message}; {effect}; {_coarser(rows) or 'or lower min_rows'}")


def _fallback(fleet: Fleet) -> str:
    levels = [level if isinstance(level, str) else level.parent for level in fleet.fallback]
    return ", ".join(levels) if levels else "none"


def _coarser(rows: SegmentRows) -> str:
    """The segment column to drop so that the others leave the most rows per segment; empty for a single column."""
    columns = rows.fleet.segment_by
    if len(columns) < 2:
        return ""
    # A slash within a value is escaped in a key, so keys can be split without decoding.
    values = [tuple(key.split("/")) for key in rows.keys]
    counts = {
        column: len({(*key[:place], *key[place + 1 :]) for key in values}) for place, column in enumerate(columns)
    }
    best = min(columns, key=lambda column: counts[column])
    average = format_number(len(rows.codes) / counts[best])
    return f"without {best!r} there are {counts[best]:,} segments of {average} rows on average"


def _repeating_columns(others: Mapping[str, int]) -> str:
    names = sorted(others, key=lambda name: others[name])[:4]
    examples = ", ".join(f"{name} ({others[name]} values)" for name in names) or "a store or a product"
    return f"use columns whose values repeat, such as {examples}"


def _repeated_problems(facts: SegmentFacts, rows: SegmentRows) -> Iterator[Problem]:
    if not facts.repeated:
        return
    share = facts.repeated / len(rows.codes)
    message = f"{facts.repeated:,} rows ({format_percent(share, 1)}) repeat the segment and period of another row"
    if share < _MANY_REPEATED:
        survivor = rows.fleet.validation.duplicates
        effect = f"the {survivor} of them in the last file by name is kept, and the others are quarantined"
        yield Problem("warning", "validation.duplicates", f"{message}; {effect}")
    else:
        period = rows.fleet.clock.frequency
        way_out = f"add the column that distinguishes them, or set aggregate: sum for one row per {period}"
        yield Problem("warning", "segment_by", f"{message}; {way_out}")


def _value_problems(facts: SegmentFacts, rows: SegmentRows) -> Iterator[Problem]:
    if rows.fleet.aggregate is None and np.array_equal(np.unique(rows.target), [0.0, 1.0]):
        yield Problem("warning", "target.column", zero_one_note(repr(rows.fleet.target.column)))
    target, lowest = rows.fleet.target, format_number(float(rows.target.min()))
    if facts.below_minimum:
        message = f"{format_percent(facts.below_minimum, 1)} of {target.column!r} is below {target.minimum:g}"
        way_out = "lower the minimum, or correct the rows"
        yield Problem("warning", "target.minimum", f"{message} (lowest {lowest}); {way_out}")
    negative = float(np.mean(rows.target < 0))
    if target.transform == "log1p" and negative:
        message = f"{format_percent(negative, 1)} of {target.column!r} is negative (lowest {lowest})"
        way_out = "use transform: none, or correct the rows"
        yield Problem("warning", "target.transform", f"{message} and log1p treats it as 0; {way_out}")


def other_columns(facts: Sequence[ColumnFacts], sample: SourceSample, fleet: Fleet) -> dict[str, int]:
    """Columns whose values repeat often enough to make segments: name -> number of values."""
    values = dict(sample.unused) | {column.name: column.values for column in facts}
    taken = {*fleet.segment_by, fleet.target.column, *((fleet.time.column,) if fleet.time else ())}
    most = sample.head_rows / fleet.partition.min_rows
    return {name: count for name, count in values.items() if name not in taken and 1 < count <= most}
