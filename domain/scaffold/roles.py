"""What the other columns of undescribed data are for: the target, features, a key of the rows, and wide tables."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from domain.scaffold.column_vocabulary import Meaning
from domain.scaffold.columns import Column
from domain.scaffold.segments import Grouping, constant_columns
from domain.scaffold.timestamps import TimeColumn

__all__ = ["FeatureRoles", "assign_features", "period_columns", "target_columns", "wide_columns"]

_RANK: dict[Meaning, int] = {"target": 0, "": 1, "driver": 2, "group": 3}
_WIDE = 3
_PERIOD_NAMES = 5
_PERIOD = re.compile(
    r"^(d|w|m|wk|day|week|month)?[_ ]?\d{1,4}$|^\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?|^\d{1,2}[./-]\d{1,2}[./-]\d{2,4}$"
    r"|^\d{4}[-_ ]?(Q[1-4]|W\d{2})$|^[A-Z][a-z]{2}[-_ ]\d{2,4}$",
    re.IGNORECASE,
)
_SAME = 0.999
_MOST_LEVELS = 256
_LEAST_ROWS_A_LEVEL = 10


def target_columns(columns: Sequence[Column], times: TimeColumn | None) -> list[Column]:
    """Columns that could be the target, the likeliest first: numbers that vary and are no ids, dates or flags."""
    found = [column for column in columns if _could_be_target(column) and not (times and column is times.column)]
    order = {column.name: place for place, column in enumerate(columns)}
    # Among equals the last: files tend to have keys first and what was measured last.
    return sorted(found, key=lambda column: (_RANK[column.meaning], column.values <= 2, -order[column.name]))


def _could_be_target(column: Column) -> bool:
    if not column.is_number or column.values < 2 or column.meaning not in _RANK:
        return False
    # Numbers of stores and brands: named as groups, and with few values.
    if column.meaning == "group" and column.kind == "integer":
        return False
    return column.meaning == "target" or not column.is_unique_run


@dataclass(frozen=True)
class FeatureRoles:
    """Columns by what they can be used for.

    known : numbers that are perhaps known ahead. static : numbers with one value a segment. groups : text or ids with
    one value a segment, fewer than segments. categorical : text that repeats. row_keys : tell rows apart.
    leaks : nearly the same as the target. unused : others.
    """

    known: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    row_keys: tuple[str, ...] = ()
    leaks: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()


def assign_features(
    columns: Sequence[Column], taken: Sequence[str], target: Column, grouping: Grouping
) -> FeatureRoles:
    """What the columns that are not taken can be used for."""
    free = [column for column in columns if column.name not in taken]
    found: dict[str, list[str]] = {name: [] for name in FeatureRoles.__dataclass_fields__}
    fixed = {column.name for column in constant_columns(free, grouping)} if grouping.columns else set()
    for column in free:
        found[_use(column, target, column.name in fixed)].append(column.name)
    return FeatureRoles(**{name: tuple(names) for name, names in found.items()})


def _use(column: Column, target: Column, fixed: bool) -> str:
    if column.values < 2 or column.kind in ("empty", "other", "time"):
        return "unused"
    names_things = column.kind == "text" or column.padded or column.meaning == "id"
    if column.is_unique and (names_things or (column.is_unique_run and column.meaning == "")):
        return "row_keys"
    if fixed:
        return "groups" if names_things or column.meaning == "group" else "static"
    # Numbers of stores and routes are codes, whose order means nothing.
    if column.kind == "text" or column.padded or (column.kind == "integer" and column.meaning == "group"):
        few = column.values <= min(_MOST_LEVELS, column.rows / _LEAST_ROWS_A_LEVEL)
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
    """The value columns of a table with one column a segment; empty where it is none.

    Its rows are told apart by the time alone, and its numbers have names that mean nothing to us.
    """
    others = [column for column in columns if column is not times.column and column.kind not in ("empty", "other")]
    if len(others) < _WIDE or not all(column.is_number for column in others):
        return []
    unnamed = [column for column in others if column.meaning in ("", "group", "id")]
    return unnamed if len(unnamed) >= max(_WIDE, 0.8 * len(others)) else []


def period_columns(columns: Sequence[Column]) -> list[Column]:
    """Number columns named as periods are: `2024-01`, `d_17`, `W3`; empty unless there are many."""
    found = [
        column for column in columns if _PERIOD.match(column.name.strip()) and column.kind in ("integer", "number")
    ]
    return found if len(found) >= _PERIOD_NAMES else []
