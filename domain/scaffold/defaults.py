"""Default settings of a scaffolded fleet, derived from its segments."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from domain.arrays import FloatArray
from domain.config.candidates import TypicalSegment, proposed
from domain.config.frequency import frequency_rule
from domain.scaffold.columns import Column
from domain.scaffold.segments import Grouping

__all__ = [
    "TargetShape",
    "candidates_of",
    "horizon_of",
    "metric_of",
    "min_rows_of",
    "parents_of",
    "shape_of",
    "usual_horizon",
]

_HORIZON = {"day": 14, "business_day": 10, "week": 8, "half_month": 12, "month": 12}
_LONG_HORIZON = {3: 4, 12: 3}
_DAY_MINUTES = 1_440
_MIN_ROWS = 30
_LEAST_ROWS = 6
_SKEWED = 2.0
_ZEROS = 0.3
_GAPPY = 0.7
_PARENTS = 2
_MOST_PARENTS = 1_000
_CHILDREN = 3


@dataclass(frozen=True)
class TargetShape:
    """Distribution of a target.

    zeros, negative : shares of the values. skew : of the values relative to their segment's mean.
    """

    zeros: float
    negative: float
    skew: float

    @property
    def minimum(self) -> float | None:
        return 0.0 if self.negative == 0 else None

    @property
    def transform(self) -> str:
        return "log1p" if self.negative == 0 and self.skew > _SKEWED else "none"


def shape_of(target: Column, grouping: Grouping) -> TargetShape:
    """Describe the distribution of the target's values."""
    used = (grouping.codes >= 0) & ~np.isnan(target.numbers)
    values, codes = target.numbers[used], grouping.codes[used]
    if not len(values):
        return TargetShape(0.0, 0.0, 0.0)
    means = np.bincount(codes, values, grouping.segments) / np.maximum(np.bincount(codes, None, grouping.segments), 1)
    scales = np.where(means > 0, means, 1.0)[codes]
    relative = (values - means[codes]) / scales
    return TargetShape(float(np.mean(values == 0)), float(np.mean(values < 0)), _skew(relative))


def _skew(values: FloatArray) -> float:
    deviation = values.std()
    return float(np.mean((values - values.mean()) ** 3) / deviation**3) if deviation > 0 else 0.0


def usual_horizon(frequency: str) -> int:
    """The usual horizon of a frequency: a day of hours and minutes, two weeks of days, a year of months."""
    rule = frequency_rule(frequency)
    if rule.is_clock:
        return _DAY_MINUTES // rule.minutes
    if rule.unit == "month" and rule.count in _LONG_HORIZON:
        return _LONG_HORIZON[rule.count]
    return max(1, _HORIZON[rule.unit] // rule.count)


def horizon_of(frequency: str, grouping: Grouping) -> int:
    """The usual horizon of a frequency, but at most a quarter of a typical segment."""
    return max(1, min(usual_horizon(frequency), int(grouping.median_rows) // 4))


def min_rows_of(grouping: Grouping) -> int:
    """30, or the first decile of the rows per segment where that is lower, but at least 6."""
    return int(min(_MIN_ROWS, max(_LEAST_ROWS, np.floor(np.quantile(grouping.counts, 0.1)))))


def fills_with_zero(grouping: Grouping, shape: TargetShape) -> bool:
    """Return True if rows seem to exist only for periods in which something happened."""
    return grouping.filled < _GAPPY and shape.zeros < 0.01 and shape.negative == 0


def is_intermittent(grouping: Grouping, shape: TargetShape) -> bool:
    """Return True if many periods are empty or zero."""
    empty = 1 - grouping.filled * (1 - shape.zeros) if fills_with_zero(grouping, shape) else shape.zeros
    return empty > _ZEROS


def candidates_of(frequency: str, grouping: Grouping, shape: TargetShape) -> list[str]:
    """Candidates that suit a frequency, the length of the segments and their share of empty periods."""
    periods = grouping.median_rows / max(grouping.filled, 0.01)
    return proposed(
        TypicalSegment("forecast", periods, frequency_rule(frequency).seasons[0], is_intermittent(grouping, shape))
    )


def metric_of(shape: TargetShape) -> str:
    """wape, or mae where positive and negative values cancel out."""
    return "mae" if shape.negative > 0.1 else "wape"


def parents_of(grouping: Grouping, columns: Sequence[Column]) -> list[str]:
    """Segment columns whose values cover several segments each, the most specific first."""
    if len(grouping.columns) < 2:
        return []
    values = {column.name: column.values for column in columns if column.name in grouping.columns}
    most = min(_MOST_PARENTS, grouping.segments / _CHILDREN)
    parents = [name for name, count in values.items() if 1 < count <= most]
    return sorted(parents, key=lambda name: -values[name])[:_PARENTS]
