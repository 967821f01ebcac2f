"""Scaffold a fleet from rows that nobody has described: find the role of each column, and the reason for it."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from domain.config.frequency import frequency_rule
from domain.config.task_types import ForecastTask
from domain.data.shown import shown_names
from domain.data.yes_no import CLOSEST, is_yes_no
from domain.errors import SourceError
from domain.scaffold.aggregated import Aggregation, aggregation_of, are_events, with_aggregate
from domain.scaffold.column_vocabulary import is_additive
from domain.scaffold.columns import Column, profile_columns
from domain.scaffold.forecast import scaffold_forecast
from domain.scaffold.regression import scaffold_regression
from domain.scaffold.reshaping import (
    aggregate_rows,
    convert_epoch,
    join_dates,
    melt_periods,
    round_times,
)
from domain.scaffold.roles import ColumnRoles, assign_features, period_columns, target_columns
from domain.scaffold.segments import (
    MOST_REPEATED,
    Grouping,
    grouping_of,
    jittered_grouping,
    key_columns,
    regression_groupings,
    series_grouping,
    series_groupings,
)
from domain.scaffold.source_profile import FleetScaffold, SourceProfile, UserOptions
from domain.scaffold.timestamps import TimeColumn, find_time_columns, is_epoch, parse_time_column

__all__ = ["scaffold_fleet"]

_GAPPY = 0.8
"""Share of filled periods below which times are tried as being near full periods."""


def scaffold_fleet(table: pa.Table, profile: SourceProfile, options: UserOptions, name: str) -> FleetScaffold:
    """Scaffold the fleet file of an undescribed table.

    Parameters
    ----------
    table : rows of the files, text or typed; CSV columns are text.
    profile : how the files are read.
    options : decisions of the user, which take precedence.
    name : of the fleet.

    Raises
    ------
    SourceError : no target, time or segments can be profiled, or the table has to be reshaped first. The message lists
        the columns and names the option to give, or has the code that reshapes the table.
    """
    columns = profile_columns(table)
    _check_options(columns, profile, options)
    times = _times(columns, profile, options)
    if not options.columns and profile.source.melt is None:
        _refuse_periods(columns, profile)
    epochs = [column for column in columns if is_epoch(column)]
    if epochs and not times and options.allows(ForecastTask):
        raise SourceError(f"{profile.path}: {convert_epoch(epochs[0], profile)}")
    profiled = _ProfiledTable(columns, times, _targets(columns, times, profile, options), profile, options)
    groupings: list[Grouping] = []
    if options.allows(ForecastTask):
        if aggregation := _aggregation(profiled):
            scaffold = scaffold_forecast(name, aggregation.roles, profile, options)
            return with_aggregate(scaffold, aggregation)
        groupings = _series_groupings(profiled)
    if groupings:
        return scaffold_forecast(name, _zoned(profiled.roles(groupings)), profile, options)
    return scaffold_regression(name, _regression_roles(profiled), profile, options)


def _zoned(roles: ColumnRoles) -> ColumnRoles:
    """The roles with the zone that hours and minutes without one follow, where they repeat an hour in autumn."""
    if not frequency_rule(roles.grouping.frequency or "D").is_clock:
        return roles
    first, *others = roles.times
    return replace(roles, times=[first.on_wall_clock(roles.grouping.codes), *others])


@dataclass(frozen=True, eq=False)
class _ProfiledTable:
    """A table before its segments are known. times, targets : the most likely first."""

    columns: Sequence[Column]
    times: Sequence[TimeColumn]
    targets: Sequence[Column]
    profile: SourceProfile
    options: UserOptions

    @property
    def target(self) -> Column:
        return self.targets[0]

    @property
    def taken(self) -> list[str]:
        """Columns that cannot be keys or features: the target, and every column of times."""
        return [self.target.name, *(times.name for times in self.times)]

    @property
    def keys(self) -> list[Column]:
        """Columns that may identify segments."""
        return key_columns(self.columns, self.taken)

    @property
    def requested_keys(self) -> list[Column] | None:
        """Columns of --segment-by; None without the option."""
        names = self.options.segment_by
        if names is None:
            return None
        return [column for name in names for column in self.columns if column.name == name]

    def roles(self, groupings: Sequence[Grouping]) -> ColumnRoles:
        """The roles of all columns with these groupings, the best first."""
        best = groupings[0]
        features = assign_features(self.columns, [*self.taken, *best.columns], self.target, best)
        return ColumnRoles(self.columns, self.times, self.targets, groupings, features)


def _check_options(columns: Sequence[Column], profile: SourceProfile, options: UserOptions) -> None:
    names = [column.name for column in columns]
    for name, option in options.columns.items():
        if name not in names:
            near = difflib.get_close_matches(name.lower(), [other.lower() for other in names], n=1)
            hint = next((f"did you mean {other!r}? " for other in names if near and other.lower() == near[0]), "")
            present = f"{hint}the file has {shown_names(names)}"
            raise SourceError(f"{profile.path}: {option} {name}: no such column; {present}")
    if options.horizon is not None and not options.allows(ForecastTask):
        raise SourceError(
            f"--horizon {options.horizon}: task regression has no horizon; leave it out or use --task forecast"
        )
    roles = [name for name in (options.target, options.time, *(options.segment_by or ())) if name is not None]
    repeated = sorted({name for name in roles if roles.count(name) > 1})
    if repeated:
        raise SourceError(
            f"column {', '.join(repeated)} is named twice; --target, --time and --segment-by need different columns"
        )


def _times(columns: Sequence[Column], profile: SourceProfile, options: UserOptions) -> list[TimeColumn]:
    """Columns of times, the requested one first."""
    taken = (options.target, *(options.segment_by or ()))
    times = find_time_columns([column for column in columns if column.name not in taken])
    if options.time is not None:
        requested = _requested_time(columns, profile, options.time)
        return [requested, *(other for other in times if other.column is not requested.column)]
    if times and times[0].format == "%Y" and options.allows(ForecastTask):
        months = [column for column in columns if column.is_number and _is_month(column)]
        if months:
            raise SourceError(f"{profile.path}: {join_dates(times[0].column, months[0], columns, profile)}")
    return times


def _requested_time(columns: Sequence[Column], profile: SourceProfile, name: str) -> TimeColumn:
    column = next(column for column in columns if column.name == name)
    times = parse_time_column(column, named_by_user=True)
    if times is None:
        raise SourceError(
            f"{profile.path}: --time {name}: its values ({column.examples}) are not in a known time format; write them "
            "as ISO 8601, such as 2024-01-31 or 2024-01-31 13:00"
        )
    return times


def _is_month(column: Column) -> bool:
    numbers = column.distinct_numbers
    return (
        column.meaning == "date_part" and 3 <= column.values <= 12 and bool(numbers.min() >= 1 and numbers.max() <= 12)
    )


def _refuse_periods(columns: Sequence[Column], profile: SourceProfile) -> None:
    """Refuse a table with one column per period, whose names are no times; others have been melted."""
    periods = period_columns(columns)
    if periods:
        raise SourceError(f"{profile.path}: {melt_periods(periods, columns, profile)}")


def _targets(
    columns: Sequence[Column], times: Sequence[TimeColumn], profile: SourceProfile, options: UserOptions
) -> list[Column]:
    """Columns that could be the target, the most likely first; only the requested one, if there is one."""
    if options.target is not None:
        return [_requested_target(columns, profile, options.target)]
    taken = {*(options.segment_by or ()), options.time}
    candidates = target_columns(columns, times[0] if times else None)
    targets = [column for column in candidates if column.name not in taken]
    if not targets:
        raise SourceError(
            f"{profile.path}: no column can be the target, a number that varies and is neither an id nor a date: "
            f"{_descriptions(columns)}. Name it with --target"
        )
    return targets


def _requested_target(columns: Sequence[Column], profile: SourceProfile, name: str) -> Column:
    column = next(column for column in columns if column.name == name)
    if not column.is_number and is_yes_no(column.texts):
        way_out = f"{CLOSEST}; write {column.examples} as 1 and 0 in the files"
        raise SourceError(f"{profile.path}: --target {name}: it says yes or no ({column.examples}), and {way_out}")
    if not column.is_number:
        way_out = "; write them without separators and units" if column.looks_formatted else ""
        raise SourceError(f"{profile.path}: --target {name}: its values ({column.examples}) are not numbers{way_out}")
    if column.values < 2:
        raise SourceError(f"{profile.path}: --target {name}: it has only one value ({column.examples})")
    return column


def _descriptions(columns: Sequence[Column]) -> str:
    return "; ".join(_description(column) for column in columns)


def _description(column: Column) -> str:
    if column.kind == "empty":
        return f"{column.name!r} is empty"
    if column.kind == "other":
        return f"{column.name!r} is nested"
    if column.values == 1:
        return f"{column.name!r} has one value ({column.examples})"
    content = {"integer": "whole numbers", "number": "numbers", "time": "times", "text": "text"}[column.kind]
    if column.looks_formatted:
        content = "numbers with separators or units"
    if column.padded:
        content = "numbers with leading zeros"
    return f"{column.name!r} holds {content} ({column.examples})"


def _series_groupings(profiled: _ProfiledTable) -> list[Grouping]:
    """Groupings into series, the best first; none if the rows are not series and no forecast was requested."""
    profile, options, target = profiled.profile, profiled.options, profiled.target
    forecast_requested = options.task == ForecastTask.name or options.horizon is not None
    if not profiled.times:
        if forecast_requested:
            descriptions = _descriptions(profiled.columns)
            raise SourceError(
                f"{profile.path}: a forecast needs a column of times: {descriptions}. Name it with --time"
            )
        return []
    times = profiled.times[0]
    groupings, too_fine = _groupings_by_time(profiled, times)
    if too_fine is not None or (groupings and groupings[0].filled < _GAPPY):
        keys = profiled.keys if profiled.requested_keys is None else profiled.requested_keys
        jittered = jittered_grouping(keys, times)
        if jittered is not None:
            raise SourceError(f"{profile.path}: {round_times(times, *jittered, target, profile)}")
    if groupings:
        return groupings
    if too_fine is not None and not _has_row_key(profiled):
        raise SourceError(f"{profile.path}: {aggregate_rows(times, too_fine, target, profile, too_fine=True)}")
    if forecast_requested:
        requested = grouping_of(profiled.requested_keys or profiled.keys[:2], profile.rows)
        raise SourceError(f"{profile.path}: {aggregate_rows(times, requested, target, profile, too_fine=False)}")
    return []


def _aggregation(profiled: _ProfiledTable) -> Aggregation | None:
    """The series that several rows per period make, where rows repeat and the target adds up."""
    if not profiled.times:
        return None
    times, options, keys = profiled.times[0], profiled.options, profiled.requested_keys
    groupings, too_fine = _groupings_by_time(profiled, times)
    if groupings and not are_events(groupings[0], times):
        return None
    requested = options.task == ForecastTask.name or options.horizon is not None
    if jittered_grouping(profiled.keys if keys is None else keys, times) is not None:
        return None
    measured = too_fine is not None and not _has_row_key(profiled)
    if not (requested or measured or groupings or is_additive(profiled.target.name)):
        return None
    rows = profiled.profile.rows
    if keys is not None:
        likely = [grouping_of(keys, rows)]
    else:
        likely = [*([too_fine] if too_fine else groupings or regression_groupings(profiled.keys, rows))]
        likely.append(grouping_of([], rows))
    features = profiled.roles([likely[0]]).features
    return aggregation_of(profiled.columns, times, profiled.targets, features, likely, too_fine=too_fine is not None)


def _groupings_by_time(profiled: _ProfiledTable, times: TimeColumn) -> tuple[list[Grouping], Grouping | None]:
    """Groupings into series, and one whose rows are less than a minute apart."""
    if profiled.requested_keys is None:
        return series_groupings(profiled.keys, times)
    requested = series_grouping(profiled.requested_keys, times)
    if requested.repeated > MOST_REPEATED:
        return [], None
    return ([], requested) if requested.frequency is None else ([requested], None)


def _has_row_key(profiled: _ProfiledTable) -> bool:
    """Return True if a column identifies each row, so that single rows seem to matter."""
    return any(column.is_unique for column in profiled.columns if column.name not in profiled.taken)


def _regression_roles(profiled: _ProfiledTable) -> ColumnRoles:
    profile, keys = profiled.profile, profiled.requested_keys
    if keys is None:
        groupings = regression_groupings(profiled.keys, profile.rows) or [grouping_of([], profile.rows)]
    else:
        groupings = [grouping_of(keys, profile.rows)]
    roles = profiled.roles(groupings)
    features = roles.features
    if features.known or features.static or features.categorical:
        return roles
    if profiled.times:
        hint = aggregate_rows(profiled.times[0], roles.grouping, profiled.target, profile, too_fine=False)
    else:
        hint = f"no column holds times: {_descriptions(profiled.columns)}. Name one with --time"
    raise SourceError(f"{profile.path}: no column can help to predict {profiled.target.name!r}, and {hint}")
