"""Content and choices that forecast and regression fleets have in common, each choice with its reason."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from domain.config.frequency import frequency_rule
from domain.data.yes_no import CLOSEST, is_yes_no, zero_one_note
from domain.reporting.formatting import format_count, format_percent
from domain.scaffold.column_vocabulary import is_main_target, is_outcome_name
from domain.scaffold.columns import Column
from domain.scaffold.defaults import metric_of, min_rows_of
from domain.scaffold.roles import ColumnRoles
from domain.scaffold.segments import Grouping
from domain.scaffold.source_profile import ScaffoldChoice, SourceProfile, UserOptions
from domain.scaffold.timestamps import TimeColumn

__all__ = [
    "MOST_ALTERNATIVES",
    "SERIES",
    "fleet_content",
    "min_rows_choice",
    "segment_columns",
    "source_choice",
    "target_choice",
    "time_choice",
    "time_content",
]

SERIES = "all"
"""Value of the added column that makes all rows one segment."""

MOST_ALTERNATIVES = 3
_MOST_COLUMNS = 4


def fleet_content(
    name: str,
    task: str,
    roles: ColumnRoles,
    profile: SourceProfile,
    *,
    time: Mapping[str, Any] | None,
    task_keys: Mapping[str, Any],
    candidates: Sequence[str],
    parents: Sequence[str] = (),
    ahead: str = "",
) -> dict[str, Any]:
    """The content of a fleet file, in the order of its keys.

    task_keys : keys that only this task has. parents : columns of the fallback chain. ahead : end of the description.
    """
    segment_by = segment_columns(roles)
    return {
        "name": name,
        "description": f"{roles.target.name} by {', '.join(segment_by)}{ahead}",
        "task": task,
        "source": _source_content(profile, roles),
        "segment_by": segment_by,
        **({"time": dict(time)} if time is not None else {}),
        "target": _target_content(roles),
        **task_keys,
        "candidates": list(candidates),
        "backtest": {"metric": metric_of(roles.shape)},
        "partition": {"min_rows": min_rows_of(roles.grouping)},
        "fallback": [*({"parent": parent} for parent in parents), "global"],
    }


def segment_columns(roles: ColumnRoles) -> list[str]:
    """Columns of segment_by: those of the grouping, or the added one that all rows share."""
    return list(roles.grouping.columns) or [_constant_column(roles.columns)]


def _source_content(profile: SourceProfile, roles: ColumnRoles) -> dict[str, Any]:
    """The source section: only what differs from the defaults."""
    content = profile.source.model_dump(exclude_defaults=True)
    return content if roles.grouping.columns else content | {"constants": {_constant_column(roles.columns): SERIES}}


def _constant_column(columns: Sequence[Column]) -> str:
    names = {column.name for column in columns}
    return next(name for name in ("series", "all_rows", "myriad_series") if name not in names)


def _target_content(roles: ColumnRoles) -> dict[str, Any]:
    content: dict[str, Any] = {"column": roles.target.name}
    if roles.shape.transform != "none":
        content["transform"] = roles.shape.transform
    return content if roles.shape.minimum is None else content | {"minimum": 0}


def source_choice(profile: SourceProfile, grouping: Grouping) -> ScaffoldChoice:
    """Explain how the files are read."""
    rows, files = f"{profile.rows:,} rows", format_count(profile.files, "file")
    parts = [f"All {rows} of {files} were read." if profile.whole else f"A sample of {rows} from {files} was read."]
    parts += [*profile.notes, *filter(None, [profile.doubt])]
    if not grouping.columns:
        parts.append("constants adds a column with one value, so that all rows are one segment.")
    return ScaffoldChoice("source", profile.path, " ".join(parts), sure=not profile.doubt)


def target_choice(roles: ColumnRoles, options: UserOptions) -> ScaffoldChoice:
    """Explain the choice of the target column and of its scale."""
    target, shape = roles.target, roles.shape
    why, sure = _target_reason(roles.targets, options)
    if shape.minimum is not None:
        why += " No value is negative, so minimum: 0 keeps predictions from falling below zero."
    if shape.transform == "log1p":
        why += f" The values are skewed ({shape.skew:.1f}), so ridge and trees are fitted to log(1 + value)."
    if target.missing or target.unread:
        share = format_percent(target.missing + target.unread, 1)
        why += f" {share} of the rows have no number there; they are rejected, with a reason, when files are read."
    if is_yes_no(target.texts):
        why, sure = f"{why} Look at it: {zero_one_note(target.name)}.", False
    outcome = next((column for column in roles.columns if column.name != target.name and _is_outcome(column)), None)
    if outcome is not None and options.target is None:
        why += (
            f" If {outcome.name} is what you want to know ({outcome.examples}): it says yes or no, and {CLOSEST}; "
            "write its values as 1 and 0 in the files."
        )
        sure = False
    others = tuple(column.name for column in roles.targets[1 : 1 + _MOST_COLUMNS])
    return ScaffoldChoice("target", target.name, why, others, sure)


def _is_outcome(column: Column) -> bool:
    """Return True for a column that says whether something has happened, as far as its name tells."""
    return column.kind == "text" and is_yes_no(column.texts) and is_outcome_name(column.name)


def _target_reason(targets: Sequence[Column], options: UserOptions) -> tuple[str, bool]:
    """The reason for the target, and whether it is beyond doubt."""
    target = targets[0]
    numbers = target.distinct_numbers[~np.isnan(target.distinct_numbers)]
    values = f"its values range from {numbers.min():,.6g} to {numbers.max():,.6g}"
    if options.target is not None:
        return f"{target.name}, as requested; {values}.", True
    if len(targets) == 1:
        return f"{target.name} is the only number that varies and is neither an id nor a date; {values}.", True
    if target.meaning == "target":
        only_one = sum(column.meaning == "target" for column in targets) == 1
        sold = " that is sold" if is_main_target(target.name) else ""
        other = f" For another: --target {targets[1].name}."
        return f"{target.name} is named like a quantity{sold} to predict; {values}.{other}", only_one or sum(
            is_main_target(column.name) for column in targets
        ) == 1
    return f"A guess: no column name suggests a target; {values}.", False


def time_choice(times: Sequence[TimeColumn], why: str, frequency: str, options: UserOptions) -> ScaffoldChoice:
    """Explain the choice of the time column and of its format."""
    chosen, others = times[0], tuple(other.name for other in times[1 : 1 + _MOST_COLUMNS])
    parts = ["As requested." if options.time is not None else f"{chosen.name} holds times ({chosen.column.examples})."]
    if chosen.format is not None:
        parts.append(f"Their format is {chosen.format}.")
    if chosen.alternative is not None:
        parts.append(f"It could also be {chosen.alternative}: no value distinguishes day and month.")
    if chosen.unread:
        parts.append(f"{format_percent(chosen.unread, 1)} of the rows have no valid time; they are rejected.")
    parts.append(why)
    parts += _zone_reasons(chosen, frequency)
    return ScaffoldChoice(
        "time", f"{chosen.name}, frequency {frequency}", " ".join(parts), others, chosen.alternative is None
    )


def time_content(times: TimeColumn, frequency: str) -> dict[str, Any]:
    """The time section; the zone only for hours and minutes: dates are those that the file writes."""
    content: dict[str, Any] = {"column": times.name, "frequency": frequency}
    if times.format is not None:
        content["format"] = times.format
    zoned = frequency_rule(frequency).is_clock and times.zone is not None
    return content | ({"zone": times.zone} if zoned else {})


def _zone_reasons(times: TimeColumn, frequency: str) -> Iterator[str]:
    """Explain the zone, or what its absence means."""
    if not times.offsets and times.zone is None:
        return
    if not frequency_rule(frequency).is_clock:
        if len(times.offsets) > 1 and times.zone is None:
            yield f"Offsets are mixed ({times.offset_texts}): each date is the one that is written."
    elif times.wall_zone is not None:
        yield (
            f"zone: an hour is there twice in autumn and missing in spring, as on clocks of {times.wall_zone}; the "
            "order of the rows tells which is which. Set another zone if the data are from one with the same changes."
        )
    elif times.zone is not None:
        yield f"zone: times follow the clock of {times.zone}, and so do the seasons."
    elif any(times.offsets):
        yield (
            f"Times carry the offset {times.offset_texts}; if clocks change there, set zone to its zone, such as "
            "Europe/Berlin, so that seasons follow them."
        )


def min_rows_choice(grouping: Grouping) -> ScaffoldChoice:
    """Explain how many rows a segment needs for a model of its own."""
    min_rows = min_rows_of(grouping)
    short = int((grouping.counts < min_rows).sum())
    fallback = "the fallback instead of a model of their own"
    why = f"{short:,} of the {grouping.segments_text} have fewer rows and get {fallback}."
    if not short:
        why = f"Every segment has at least as many rows; shorter ones would get {fallback}."
    return ScaffoldChoice("partition", f"min_rows {min_rows}", why)
