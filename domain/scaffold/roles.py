"""Roles of the columns of undescribed data: target, features, row key; and tables that are wide."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from domain.scaffold.column_vocabulary import Meaning, is_main_target
from domain.scaffold.columns import Column
from domain.scaffold.defaults import TargetShape, shape_of
from domain.scaffold.segments import Grouping, constant_columns
from domain.scaffold.timestamps import TimeColumn

__all__ = ["ColumnRoles", "FeatureRoles", "assign_features", "period_columns", "target_columns", "wide_columns"]

_RANK: dict[Meaning, int] = {"target": 0, "": 1, "driver": 2, "group": 3}
_WIDE = 3
_PERIOD_NAMES = 5
_PERIOD = re.compile(
    r"^(d|w|m|wk|day|week|month)?[_ ]?\d{1,4}$|^\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?|^\d{1,2}[./-]\d{1,2}[./-]\d{2,4}$"
    r"|^\d{1,2}[./-]\d{4}$|^\d{4}[-_ ]?(Q[1-4]|W\d{2})$|^[A-Z][a-z]{2}[-_ ]\d{2,4}$",
    re.IGNORECASE,
)
_SAME = 0.999
_MOST_CATEGORIES = 256
_LEAST_ROWS_PER_CATEGORY = 10


def target_columns(columns: Sequence[Column], times: TimeColumn | None) -> list[Column]:
    """Columns that could be the target, the most likely first: numbers that vary, but no ids, dates or flags."""
    candidates = [column for column in columns if _could_be_target(column) and not (times and column is times.column)]
    places = {column.name: place for place, column in enumerate(columns)}
    # Among equals the last: files tend to have keys first and measurements last.
    return sorted(candidates, key=lambda column: (*_target_rank(column), -places[column.name]))


def _target_rank(column: Column) -> tuple[int, bool, bool]:
    """Rank by the meaning of the name: what is sold comes before other quantities, and those before prices."""
    main = column.meaning == "target" and is_main_target(column.name)
    return _RANK[column.meaning], column.values <= 2, not main


def _could_be_target(column: Column) -> bool:
    if not column.is_number or column.values < 2 or column.meaning not in _RANK:
        return False
    # Store and brand numbers are identifiers.
    if column.meaning == "group" and column.kind == "integer":
        return False
    return column.meaning == "target" or not column.is_unique_run


@dataclass(frozen=True)
class FeatureRoles:
    """Columns by their possible use.

    known : numbers that may be known in advance. static : numbers with one value per segment. groups : text or ids
    with one value per segment, and fewer values than segments. categorical : text that repeats. row_keys : identify
    rows. leaks : nearly the same as the target. unused : all others.
    """

    known: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    row_keys: tuple[str, ...] = ()
    leaks: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()

    def config(self, *uses: str) -> dict[str, list[str]]:
        """The features section of a fleet file with these uses; uses without a column are left out."""
        return {use: list(names) for use in uses if (names := getattr(self, use))}


@dataclass(frozen=True, eq=False)
class ColumnRoles:
    """The columns of a table with their roles; times, targets and groupings have the most likely first."""

    columns: Sequence[Column]
    times: Sequence[TimeColumn]
    targets: Sequence[Column]
    groupings: Sequence[Grouping]
    features: FeatureRoles

    @property
    def target(self) -> Column:
        return self.targets[0]

    @property
    def grouping(self) -> Grouping:
        return self.groupings[0]

    @cached_property
    def shape(self) -> TargetShape:
        return shape_of(self.target, self.grouping)


def assign_features(
    columns: Sequence[Column], taken: Sequence[str], target: Column, grouping: Grouping
) -> FeatureRoles:
    """Assign a use to every column that is not taken."""
    free = [column for column in columns if column.name not in taken]
    uses: dict[str, list[str]] = {use: [] for use in FeatureRoles.__dataclass_fields__}
    constant = {column.name for column in constant_columns(free, grouping)} if grouping.columns else set()
    for column in free:
        uses[_use(column, target, column.name in constant)].append(column.name)
    return FeatureRoles(**{use: tuple(names) for use, names in uses.items()})


def _use(column: Column, target: Column, constant_in_segments: bool) -> str:
    if column.values < 2 or column.kind in ("empty", "other", "time"):
        return "unused"
    identifies = column.kind == "text" or column.padded or column.meaning == "id"
    if column.is_unique and (identifies or (column.is_unique_run and column.meaning == "")):
        return "row_keys"
    if constant_in_segments:
        return "groups" if identifies or column.meaning == "group" else "static"
    # Store and route numbers are codes, whose order means nothing.
    if column.kind == "text" or column.padded or (column.kind == "integer" and column.meaning == "group"):
        few = column.values <= min(_MOST_CATEGORIES, column.rows / _LEAST_ROWS_PER_CATEGORY)
        return "categorical" if few and not column.looks_formatted else "unused"
    if not column.is_number or column.meaning == "id":
        return "unused"
    return "leaks" if _leaks(column, target) else "known"


def _leaks(column: Column, target: Column) -> bool:
    both = ~np.isnan(column.numbers) & ~np.isnan(target.numbers)
    if both.sum() < 10:
        return False
    x, y = column.numbers[both], target.numbers[both]
    if x.std() == 0 or y.std() == 0:
        return False
    return bool(abs(np.corrcoef(x, y)[0, 1]) > _SAME)


def wide_columns(columns: Sequence[Column], times: TimeColumn) -> list[Column]:
    """The value columns of a table with one column per segment; empty for any other table.

    In such a table the time alone identifies a row, and the names of the numbers have no known word.
    """
    others = [column for column in columns if column is not times.column and column.kind not in ("empty", "other")]
    if len(others) < _WIDE or not all(column.is_number for column in others):
        return []
    unnamed = [column for column in others if column.meaning in ("", "group", "id")]
    return unnamed if len(unnamed) >= max(_WIDE, 0.8 * len(others)) else []


def period_columns(columns: Sequence[Column]) -> list[Column]:
    """Number columns named like periods, such as `2024-01`, `d_17` and `W3`; empty unless there are many."""
    numbers = [column for column in columns if column.kind in ("integer", "number")]
    periods = [column for column in numbers if _PERIOD.match(column.name.strip())]
    return periods if len(periods) >= _PERIOD_NAMES else []
