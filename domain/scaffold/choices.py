"""Choices that forecast and regression fleets share, each with its reason."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from domain.reporting.formatting import format_count, format_percent
from domain.scaffold.columns import Column
from domain.scaffold.defaults import TargetShape, min_rows_of
from domain.scaffold.segments import Grouping
from domain.scaffold.source_profile import ScaffoldChoice, SourceProfile, UserOptions
from domain.scaffold.timestamps import TimeColumn

__all__ = [
    "SERIES",
    "constant_column",
    "min_rows_choice",
    "source_choice",
    "source_content",
    "target_choice",
    "target_content",
    "time_choice",
    "zone_of",
]

SERIES = "all"
"""Value of the column that makes one segment of all rows."""

_OTHERS = 4


def source_content(profile: SourceProfile, grouping: Grouping, columns: Sequence[Column]) -> dict[str, Any]:
    """The source section: only what differs from the defaults."""
    content = profile.source.model_dump(exclude_defaults=True)
    return content if grouping.columns else content | {"constants": {constant_column(columns): SERIES}}


def constant_column(columns: Sequence[Column]) -> str:
    """Name of the added column that all rows share."""
    names = {column.name for column in columns}
    return next(name for name in ("series", "all_rows", "myriad_series") if name not in names)


def source_choice(profile: SourceProfile, grouping: Grouping) -> ScaffoldChoice:
    """How the files are read."""
    looked = "all of them" if profile.whole else "a sample of all"
    parts = [f"{profile.rows:,} rows of {format_count(profile.files, 'file')} were looked at, {looked}."]
    parts += profile.notes
    if not grouping.columns:
        parts.append("constants adds a column to all rows, so that the whole file is one segment.")
    return ScaffoldChoice("source", profile.path, " ".join(parts))


def target_content(target: Column, shape: TargetShape) -> dict[str, Any]:
    """The target section."""
    content: dict[str, Any] = {"column": target.name}
    if shape.transform != "none":
        content["transform"] = shape.transform
    return content if shape.minimum is None else content | {"minimum": 0}


def target_choice(targets: Sequence[Column], shape: TargetShape, options: UserOptions) -> ScaffoldChoice:
    """Which column is predicted, and on which scale."""
    target, others = targets[0], [f"{column.name}" for column in targets[1 : 1 + _OTHERS]]
    numbers = target.distinct_numbers[~np.isnan(target.distinct_numbers)]
    span = f"its values lie between {numbers.min():,.6g} and {numbers.max():,.6g}"
    if options.target is not None:
        why, sure = f"{target.name} as you said; {span}.", True
    elif len(targets) == 1:
        why, sure = f"{target.name} is the only number that varies and is neither id nor date; {span}.", True
    elif target.meaning == "target":
        sure = sum(column.meaning == "target" for column in targets) == 1
        why = f"{target.name} is named like something to predict; {span}."
    else:
        why, sure = f"A guess: no name tells what is to be predicted; {span}.", False
    if shape.minimum is not None:
        why += " None is negative, so that minimum: 0 keeps predictions from being so."
    if shape.transform == "log1p":
        why += f" They are skewed ({shape.skew:.1f}), so that ridge and trees are fitted to log(1 + value)."
    if target.missing or target.unread:
        lost = format_percent(target.missing + target.unread, 1)
        why += f" {lost} of the rows have no number there and are left out, with a reason, when files are read."
    return ScaffoldChoice("target", target.name, why, tuple(others), sure)


def time_choice(time_columns: Sequence[TimeColumn], why: str, frequency: str, options: UserOptions) -> ScaffoldChoice:
    """Which column is the time, and how it is read."""
    times, others = time_columns[0], tuple(other.column.name for other in time_columns[1 : 1 + _OTHERS])
    parts = [
        "As you said." if options.time is not None else f"{times.column.name} holds times ({times.column.examples})."
    ]
    if times.format is not None:
        parts.append(f"They are written as {times.format}.")
    sure = True
    if times.also is not None:
        sure = False
        parts.append(f"They could as well be {times.also}: no value tells day and month apart.")
    if times.unread:
        parts.append(
            f"{format_percent(times.unread, 1)} of the rows have a text there that is no time; they are rejected."
        )
    parts.append(why)
    if times.offsets and frequency != "h" and times.zone != "UTC":
        parts.append(f"zone: the offsets in the file are those of {times.zone}, whose days count.")
    return ScaffoldChoice("time", f"{times.column.name}, frequency {frequency}", " ".join(parts), others, sure)


def min_rows_choice(grouping: Grouping) -> ScaffoldChoice:
    """Which segments get a model of their own."""
    least = min_rows_of(grouping)
    short = int((grouping.counts < least).sum())
    why = f"{short:,} of the {grouping.counted} have fewer rows and get the fallback instead of a model of their own."
    if not short:
        why = "Every segment has as many; shorter ones would get the fallback instead of a model of their own."
    return ScaffoldChoice("partition", f"min_rows {least}", why)


def zone_of(times: TimeColumn, frequency: str) -> dict[str, str]:
    """The zone of a time section, where it matters."""
    return {"zone": times.zone} if frequency != "h" and times.zone != "UTC" else {}
