"""Rows of files that nobody has described in, a first fleet file out: which column is what, and why."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from domain.config.task_types import ForecastTask
from domain.errors import SourceError
from domain.scaffold.advice import joined_dates, melted_columns, melted_periods, since_1970, summed_up
from domain.scaffold.columns import Column, profile_columns
from domain.scaffold.forecast import forecast_draft
from domain.scaffold.regression import regression_draft
from domain.scaffold.roles import features_of, is_wide, period_named, target_columns
from domain.scaffold.segments import (
    MOST_REPEATED,
    Grouping,
    key_columns,
    regression_groupings,
    series_grouping,
    series_groupings,
    series_like,
)
from domain.scaffold.source_profile import Draft, SourceProfile, UserOptions
from domain.scaffold.timestamps import Clock, is_epoch, read_clock, time_columns

__all__ = ["draft_fleet"]


@dataclass(frozen=True, eq=False)
class _Table:
    """What is known so far. clocks, targets : the likeliest first."""

    columns: Sequence[Column]
    clocks: Sequence[Clock]
    targets: Sequence[Column]
    origin: SourceProfile
    wishes: UserOptions

    @property
    def clock(self) -> Clock | None:
        return self.clocks[0] if self.clocks else None

    @property
    def target(self) -> Column:
        return self.targets[0]

    @property
    def taken(self) -> list[str]:
        """Columns that have a role already; other times are none to group by either."""
        return [self.target.name, *(clock.column.name for clock in self.clocks)]

    @property
    def wants_forecast(self) -> bool:
        return self.wishes.task == ForecastTask.name or self.wishes.horizon is not None


def draft_fleet(table: pa.Table, origin: SourceProfile, wishes: UserOptions, name: str) -> Draft:
    """The fleet file of a table that nobody has described.

    table : rows of the files, text or typed; CSV columns are text. name : of the fleet.
    Raises SourceError that names what was looked at and the option to give, where nothing plausible is found or the
    table has to be brought into another form before.
    """
    columns = profile_columns(table)
    _check_wishes(columns, origin, wishes)
    clocks = _clocks(columns, origin, wishes)
    if not wishes.columns:
        _refuse_wide(columns, clocks, origin)
    epochs = [column for column in columns if is_epoch(column)]
    if epochs and not clocks and wishes.allows(ForecastTask):
        raise SourceError(f"{origin.path}: {since_1970(epochs[0], origin)}")
    looked = _Table(columns, clocks, _targets(columns, clocks, origin, wishes), origin, wishes)
    if wishes.allows(ForecastTask):
        if looked.clock is None and looked.wants_forecast:
            raise SourceError(f"{origin.path}: a forecast needs a column of times; {_no_time(columns)}")
        if looked.clock is not None:
            found = _series(looked, looked.clock)
            if found:
                features = features_of(columns, [*looked.taken, *found[0].columns], looked.target, found[0])
                return forecast_draft(name, looked.clocks, looked.targets, found, features, columns, origin, wishes)
    return _regression(looked, name)


def _check_wishes(columns: Sequence[Column], origin: SourceProfile, wishes: UserOptions) -> None:
    names = [column.name for column in columns]
    for name, option in wishes.columns.items():
        if name not in names:
            near = difflib.get_close_matches(name.lower(), [other.lower() for other in names], n=1)
            hint = next((f"did you mean {other!r}? " for other in names if near and other.lower() == near[0]), "")
            raise SourceError(f"{origin.path}: {option} {name}: no such column; {hint}the file has {', '.join(names)}")
    if wishes.horizon is not None and not wishes.allows(ForecastTask):
        raise SourceError(f"--horizon {wishes.horizon}: task regression has none; leave it out or use --task forecast")
    roles = [name for name in (wishes.target, wishes.time, *(wishes.segment_by or ())) if name is not None]
    repeated = sorted({name for name in roles if roles.count(name) > 1})
    if repeated:
        raise SourceError(f"column {', '.join(repeated)} is named twice; --target, --time and --segment-by differ")


def _clocks(columns: Sequence[Column], origin: SourceProfile, wishes: UserOptions) -> list[Clock]:
    """Columns of times, the one that is wanted first."""
    found = time_columns(
        [column for column in columns if column.name not in (wishes.target, *(wishes.segment_by or ()))]
    )
    if wishes.time is not None:
        column = next(column for column in columns if column.name == wishes.time)
        clock = read_clock(column, asked=True)
        if clock is None:
            raise SourceError(
                f"{origin.path}: --time {column.name}: its values ({column.examples}) are in no format that is known; "
                "write them as ISO 8601, such as 2024-01-31 or 2024-01-31 13:00"
            )
        return [clock, *(other for other in found if other.column is not column)]
    if found and found[0].format == "%Y" and wishes.allows(ForecastTask):
        months = [column for column in columns if column.is_number and _is_month(column)]
        if months:
            raise SourceError(f"{origin.path}: {joined_dates(found[0].column, months[0], columns, origin)}")
    return found


def _is_month(column: Column) -> bool:
    numbers = column.distinct_numbers
    return (
        column.meaning == "date_part" and 3 <= column.values <= 12 and bool(numbers.min() >= 1 and numbers.max() <= 12)
    )


def _refuse_wide(columns: Sequence[Column], clocks: Sequence[Clock], origin: SourceProfile) -> None:
    """Tables that have to be melted before."""
    periods = period_named(columns)
    if periods:
        raise SourceError(f"{origin.path}: {melted_periods(periods, columns, origin)}")
    wide = is_wide(columns, clocks[0]) if clocks else []
    if clocks and wide and series_grouping([], clocks[0]).repeated <= MOST_REPEATED:
        raise SourceError(f"{origin.path}: {melted_columns(wide, clocks[0], origin)}")


def _targets(
    columns: Sequence[Column], clocks: Sequence[Clock], origin: SourceProfile, wishes: UserOptions
) -> list[Column]:
    taken = {*(wishes.segment_by or ()), *([wishes.time] if wishes.time else [])}
    found = [column for column in target_columns(columns, clocks[0] if clocks else None) if column.name not in taken]
    if wishes.target is not None:
        column = next(column for column in columns if column.name == wishes.target)
        if not column.is_number:
            form = "; write them without separators and units" if column.looks_formatted else ""
            raise SourceError(
                f"{origin.path}: --target {column.name}: its values ({column.examples}) are no numbers{form}"
            )
        if column.values < 2:
            raise SourceError(f"{origin.path}: --target {column.name}: it has one value only ({column.examples})")
        return [column]
    if not found:
        raise SourceError(
            f"{origin.path}: no column can be the target, a number that varies and is neither an id nor a date; "
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


def _series(looked: _Table, clock: Clock) -> list[Grouping]:
    """Groupings for a forecast; none where the rows are no series and nobody asked for a forecast."""
    origin, wanted = looked.origin, looked.wishes.segment_by
    if wanted is not None:
        grouping = series_grouping(
            [column for name in wanted for column in looked.columns if column.name == name], clock
        )
        fits = grouping.frequency is not None and grouping.repeated <= MOST_REPEATED
        found, too_fine = ([grouping], None) if fits else ([], None if grouping.repeated > MOST_REPEATED else grouping)
    else:
        found, too_fine = series_groupings(key_columns(looked.columns, looked.taken), clock)
    if found:
        return found
    if too_fine is not None and not _rows_alone(looked):
        raise SourceError(f"{origin.path}: {summed_up(clock, too_fine, looked.target, origin, fine=True)}")
    if looked.wants_forecast:
        keys = key_columns(looked.columns, looked.taken)
        best = Grouping(wanted or tuple(column.name for column in keys[:2]), clock.column.codes, clock.column.codes)
        raise SourceError(f"{origin.path}: {summed_up(clock, best, looked.target, origin, fine=False)}")
    return []


def _rows_alone(looked: _Table) -> bool:
    """Whether single rows seem to matter: they have a key of their own."""
    return any(column.is_unique for column in looked.columns if column.name not in looked.taken)


def _regression(looked: _Table, name: str) -> Draft:
    origin, wishes = looked.origin, looked.wishes
    if wishes.segment_by is not None:
        keys = [column for name in wishes.segment_by for column in looked.columns if column.name == name]
        found = regression_groupings(keys, origin.rows)
        found = [grouping for grouping in found if len(grouping.columns) == len(keys)] or [
            series_like(keys, origin.rows)
        ]
    else:
        found = regression_groupings(key_columns(looked.columns, looked.taken), origin.rows)
        found = found or [series_like([], origin.rows)]
    features = features_of(looked.columns, [*looked.taken, *found[0].columns], looked.target, found[0])
    if not (features.known or features.static or features.categorical):
        time = looked.clock
        told = summed_up(time, found[0], looked.target, origin, fine=False) if time else _no_time(looked.columns)
        raise SourceError(f"{origin.path}: no column tells anything about {looked.target.name!r}, and {told}")
    return regression_draft(name, looked.clocks, looked.targets, found, features, looked.columns, origin, wishes)
