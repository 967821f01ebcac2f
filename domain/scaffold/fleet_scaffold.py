"""Rows of files that nobody has described in, a first fleet file out: which column is what, and why."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from domain.config.task_types import ForecastTask
from domain.errors import SourceError
from domain.scaffold.columns import Column, profile_columns
from domain.scaffold.forecast import scaffold_forecast
from domain.scaffold.regression import scaffold_regression
from domain.scaffold.reshaping import aggregate_rows, convert_epoch, join_dates, melt_columns, melt_periods
from domain.scaffold.roles import assign_features, period_columns, target_columns, wide_columns
from domain.scaffold.segments import (
    MOST_REPEATED,
    Grouping,
    grouping_of,
    key_columns,
    regression_groupings,
    series_grouping,
    series_groupings,
)
from domain.scaffold.source_profile import FleetScaffold, SourceProfile, UserOptions
from domain.scaffold.timestamps import TimeColumn, find_time_columns, is_epoch, parse_time_column

__all__ = ["scaffold_fleet"]


@dataclass(frozen=True, eq=False)
class _ProfiledTable:
    """What is known so far. time_columns, targets : the likeliest first."""

    columns: Sequence[Column]
    time_columns: Sequence[TimeColumn]
    targets: Sequence[Column]
    profile: SourceProfile
    options: UserOptions

    @property
    def times(self) -> TimeColumn | None:
        return self.time_columns[0] if self.time_columns else None

    @property
    def target(self) -> Column:
        return self.targets[0]

    @property
    def taken(self) -> list[str]:
        """Columns that have a role already; other times are none to group by either."""
        return [self.target.name, *(times.column.name for times in self.time_columns)]

    @property
    def wants_forecast(self) -> bool:
        return self.options.task == ForecastTask.name or self.options.horizon is not None


def scaffold_fleet(table: pa.Table, profile: SourceProfile, options: UserOptions, name: str) -> FleetScaffold:
    """The fleet file of a table that nobody has described.

    table : rows of the files, text or typed; CSV columns are text. name : of the fleet.
    Raises SourceError that names what was looked at and the option to give, where nothing plausible is found or the
    table has to be brought into another form before.
    """
    columns = profile_columns(table)
    _check_options(columns, profile, options)
    time_columns = _time_columns(columns, profile, options)
    if not options.columns:
        _refuse_wide(columns, time_columns, profile)
    epochs = [column for column in columns if is_epoch(column)]
    if epochs and not time_columns and options.allows(ForecastTask):
        raise SourceError(f"{profile.path}: {convert_epoch(epochs[0], profile)}")
    profiled = _ProfiledTable(
        columns, time_columns, _targets(columns, time_columns, profile, options), profile, options
    )
    if options.allows(ForecastTask):
        if profiled.times is None and profiled.wants_forecast:
            raise SourceError(f"{profile.path}: a forecast needs a column of times; {_no_time(columns)}")
        if profiled.times is not None:
            found = _series(profiled, profiled.times)
            if found:
                features = assign_features(columns, [*profiled.taken, *found[0].columns], profiled.target, found[0])
                return scaffold_forecast(
                    name, profiled.time_columns, profiled.targets, found, features, columns, profile, options
                )
    return _regression(profiled, name)


def _check_options(columns: Sequence[Column], profile: SourceProfile, options: UserOptions) -> None:
    names = [column.name for column in columns]
    for name, option in options.columns.items():
        if name not in names:
            near = difflib.get_close_matches(name.lower(), [other.lower() for other in names], n=1)
            hint = next((f"did you mean {other!r}? " for other in names if near and other.lower() == near[0]), "")
            raise SourceError(f"{profile.path}: {option} {name}: no such column; {hint}the file has {', '.join(names)}")
    if options.horizon is not None and not options.allows(ForecastTask):
        raise SourceError(f"--horizon {options.horizon}: task regression has none; leave it out or use --task forecast")
    roles = [name for name in (options.target, options.time, *(options.segment_by or ())) if name is not None]
    repeated = sorted({name for name in roles if roles.count(name) > 1})
    if repeated:
        raise SourceError(f"column {', '.join(repeated)} is named twice; --target, --time and --segment-by differ")


def _time_columns(columns: Sequence[Column], profile: SourceProfile, options: UserOptions) -> list[TimeColumn]:
    """Columns of times, the one that is wanted first."""
    found = find_time_columns(
        [column for column in columns if column.name not in (options.target, *(options.segment_by or ()))]
    )
    if options.time is not None:
        column = next(column for column in columns if column.name == options.time)
        times = parse_time_column(column, asked=True)
        if times is None:
            raise SourceError(
                f"{profile.path}: --time {column.name}: its values ({column.examples}) are in no format that is known; "
                "write them as ISO 8601, such as 2024-01-31 or 2024-01-31 13:00"
            )
        return [times, *(other for other in found if other.column is not column)]
    if found and found[0].format == "%Y" and options.allows(ForecastTask):
        months = [column for column in columns if column.is_number and _is_month(column)]
        if months:
            raise SourceError(f"{profile.path}: {join_dates(found[0].column, months[0], columns, profile)}")
    return found


def _is_month(column: Column) -> bool:
    numbers = column.distinct_numbers
    return (
        column.meaning == "date_part" and 3 <= column.values <= 12 and bool(numbers.min() >= 1 and numbers.max() <= 12)
    )


def _refuse_wide(columns: Sequence[Column], time_columns: Sequence[TimeColumn], profile: SourceProfile) -> None:
    """Tables that have to be melted before."""
    periods = period_columns(columns)
    if periods:
        raise SourceError(f"{profile.path}: {melt_periods(periods, columns, profile)}")
    wide = wide_columns(columns, time_columns[0]) if time_columns else []
    if time_columns and wide and series_grouping([], time_columns[0]).repeated <= MOST_REPEATED:
        raise SourceError(f"{profile.path}: {melt_columns(wide, time_columns[0], profile)}")


def _targets(
    columns: Sequence[Column], time_columns: Sequence[TimeColumn], profile: SourceProfile, options: UserOptions
) -> list[Column]:
    taken = {*(options.segment_by or ()), *([options.time] if options.time else [])}
    found = [
        column
        for column in target_columns(columns, time_columns[0] if time_columns else None)
        if column.name not in taken
    ]
    if options.target is not None:
        column = next(column for column in columns if column.name == options.target)
        if not column.is_number:
            form = "; write them without separators and units" if column.looks_formatted else ""
            raise SourceError(
                f"{profile.path}: --target {column.name}: its values ({column.examples}) are no numbers{form}"
            )
        if column.values < 2:
            raise SourceError(f"{profile.path}: --target {column.name}: it has one value only ({column.examples})")
        return [column]
    if not found:
        raise SourceError(
            f"{profile.path}: no column can be the target, a number that varies and is neither an id nor a date; "
            f"{'; '.join(_described(column) for column in columns)}. Name it with --target"
        )
    return found


def _described(column: Column) -> str:
    if column.kind == "empty":
        return f"{column.name!r} is empty"
    told: str = "numbers written with separators or units" if column.looks_formatted else column.kind
    if column.padded:
        told = "numbers with leading zeros"
    if column.kind != "other" and column.values == 1:
        return f"{column.name!r} has one value ({column.examples})"
    return f"{column.name!r} is {told} ({column.examples})" if column.kind != "other" else f"{column.name!r} is nested"


def _no_time(columns: Sequence[Column]) -> str:
    return f"looked at {'; '.join(_described(column) for column in columns)}. Name it with --time"


def _series(profiled: _ProfiledTable, times: TimeColumn) -> list[Grouping]:
    """Groupings for a forecast; none where the rows are no series and nobody asked for a forecast."""
    profile, wanted = profiled.profile, profiled.options.segment_by
    if wanted is not None:
        grouping = series_grouping(
            [column for name in wanted for column in profiled.columns if column.name == name], times
        )
        fits = grouping.frequency is not None and grouping.repeated <= MOST_REPEATED
        found, too_fine = ([grouping], None) if fits else ([], None if grouping.repeated > MOST_REPEATED else grouping)
    else:
        found, too_fine = series_groupings(key_columns(profiled.columns, profiled.taken), times)
    if found:
        return found
    if too_fine is not None and not _rows_alone(profiled):
        raise SourceError(f"{profile.path}: {aggregate_rows(times, too_fine, profiled.target, profile, fine=True)}")
    if profiled.wants_forecast:
        keys = key_columns(profiled.columns, profiled.taken)
        best = Grouping(wanted or tuple(column.name for column in keys[:2]), times.column.codes, times.column.codes)
        raise SourceError(f"{profile.path}: {aggregate_rows(times, best, profiled.target, profile, fine=False)}")
    return []


def _rows_alone(profiled: _ProfiledTable) -> bool:
    """Whether single rows seem to matter: they have a key of their own."""
    return any(column.is_unique for column in profiled.columns if column.name not in profiled.taken)


def _regression(profiled: _ProfiledTable, name: str) -> FleetScaffold:
    profile, options = profiled.profile, profiled.options
    if options.segment_by is not None:
        keys = [column for name in options.segment_by for column in profiled.columns if column.name == name]
        found = regression_groupings(keys, profile.rows)
        found = [grouping for grouping in found if len(grouping.columns) == len(keys)] or [
            grouping_of(keys, profile.rows)
        ]
    else:
        found = regression_groupings(key_columns(profiled.columns, profiled.taken), profile.rows)
        found = found or [grouping_of([], profile.rows)]
    features = assign_features(profiled.columns, [*profiled.taken, *found[0].columns], profiled.target, found[0])
    if not (features.known or features.static or features.categorical):
        time = profiled.times
        told = (
            aggregate_rows(time, found[0], profiled.target, profile, fine=False) if time else _no_time(profiled.columns)
        )
        raise SourceError(f"{profile.path}: no column tells anything about {profiled.target.name!r}, and {told}")
    return scaffold_regression(
        name, profiled.time_columns, profiled.targets, found, features, profiled.columns, profile, options
    )
