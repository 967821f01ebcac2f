"""Several rows per segment and period, such as receipts: the series that `aggregate` makes of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from domain.calendar.ordinals import ordinals, period_starts
from domain.config.aggregate import AggregateRule
from domain.config.frequency import frequency_rule
from domain.config.time_section import Time
from domain.reporting.formatting import format_percent
from domain.scaffold.column_vocabulary import is_additive
from domain.scaffold.columns import Column, profile_columns
from domain.scaffold.roles import ColumnRoles, FeatureRoles
from domain.scaffold.segments import Grouping, series_grouping
from domain.scaffold.source_profile import FleetScaffold, ScaffoldChoice
from domain.scaffold.timestamps import TimeColumn, find_time_columns

__all__ = ["Aggregation", "aggregation_of", "are_events", "with_aggregate"]

_FILLED, _LEAST_PERIODS = 0.5, 8
_REGULAR, _PARTS, _ALIKE = 0.9, 12, 0.3
_SHORT = np.timedelta64(60, "D")
_FINE, _USUAL = ("h", "D"), ("D", "W", "M")


@dataclass(frozen=True, eq=False)
class Aggregation:
    """The series of a table whose rows repeat per period.

    roles : columns of the series. merged : share of the rows that are added to another.
    """

    rule: AggregateRule
    roles: ColumnRoles
    merged: float


def are_events(grouping: Grouping, times: TimeColumn) -> bool:
    """Return True if rows are at any minute and some periods have none, as receipts are and measurements are not."""
    if grouping.frequency is None or not frequency_rule(grouping.frequency).is_clock or grouping.filled >= _REGULAR:
        return False
    instants = times.rows()
    known = instants[~np.isnat(instants)].astype("datetime64[us]").astype(np.int64)
    length = frequency_rule(grouping.frequency).minutes * 60_000_000
    # Measurements are at the same part of each period, though not always to the second.
    parts = np.bincount(known % length * _PARTS // length, minlength=_PARTS)
    return bool(parts.max() < _ALIKE * parts.sum())


def aggregation_of(
    columns: Sequence[Column],
    times: TimeColumn,
    targets: Sequence[Column],
    features: FeatureRoles,
    groupings: Sequence[Grouping],
    *,
    too_fine: bool,
) -> Aggregation | None:
    """Return the series of the first grouping that has enough periods with rows; None if none has.

    groupings : the likely ones, the best first. too_fine : rows are less than a minute apart, as measurements are.
    """
    instants = times.rows()
    span = np.nanmax(instants) - np.nanmin(instants) if len(instants) else _SHORT
    frequencies = _FINE if too_fine and span < _SHORT else _USUAL
    measured = too_fine or targets[0].meaning == "driver"
    rule: AggregateRule = "mean" if measured and not is_additive(targets[0].name) else "sum"
    for frequency in frequencies:
        for grouping in groupings:
            table = _series(columns, times, targets[0], grouping, frequency, rule)
            made = profile_columns(table)
            series = find_time_columns([column for column in made if column.name == times.name])
            if not series:
                continue
            keys = [column for column in made if column.name in grouping.columns]
            found = series_grouping(keys, series[0])
            enough = found.frequency is not None and found.median_rows >= _LEAST_PERIODS and found.filled >= _FILLED
            if enough:
                target = next(column for column in made if column.name == targets[0].name)
                others = [found, *(other for other in groupings if other is not grouping)]
                roles = ColumnRoles(made, [times], [target, *targets[1:]], others, features)
                return Aggregation(rule, roles, 1 - table.num_rows / max(len(instants), 1))
    return None


def _series(
    columns: Sequence[Column],
    times: TimeColumn,
    target: Column,
    grouping: Grouping,
    frequency: str,
    rule: AggregateRule,
) -> pa.Table:
    """One row per segment and period: its keys, the beginning of the period, and the target."""
    time = Time(column="", frequency=frequency)
    instants, values = times.rows(), target.numbers
    used = np.flatnonzero(~np.isnat(instants) & (grouping.codes >= 0) & ~np.isnan(values))
    periods = ordinals(instants[used], time)
    pairs = np.stack([grouping.codes[used], periods])
    (_, numbers), first, place = np.unique(pairs, axis=1, return_index=True, return_inverse=True)
    counts = np.bincount(place.ravel(), minlength=len(first)) if rule == "mean" else np.ones(len(first), np.int64)
    totals = np.bincount(place.ravel(), values[used], len(first)) / counts
    row = used[first]
    made = {}
    for column in columns:
        if column.name in grouping.columns:
            made[column.name] = pa.array(column.texts, pa.string()).take(pa.array(column.codes[row]))
    starts = period_starts(numbers, time).astype("datetime64[us]")
    return pa.table(made | {times.name: pa.array(starts), target.name: pa.array(totals)})


def with_aggregate(scaffold: FleetScaffold, aggregation: Aggregation) -> FleetScaffold:
    """Add the setting and the reasons for it to the scaffold of the series."""
    content = dict[str, object]()
    for key, value in scaffold.content.items():
        content[key] = value
        if key == "target":
            content["aggregate"] = aggregation.rule
    frequency = str(aggregation.roles.grouping.frequency)
    noun, target = frequency_rule(frequency).noun, aggregation.roles.target.name
    why = (
        f"There are several rows per segment and period: {format_percent(aggregation.merged)} of them become part of "
        f"another, as the {aggregation.rule} of {target} over {noun}. Files that come later add to their periods. Use "
        "sum for what adds up, mean for measurements, and last or count, or {column: rule} for several columns."
    )
    task = (
        f"Rows repeat per segment and period, and aggregate makes a series of {target}. To predict each row from its "
        "other columns instead: --task regression."
    )
    choices = [replace(choice, why=task, sure=False) if choice.key == "task" else choice for choice in scaffold.choices]
    place = next(number for number, choice in enumerate(choices) if choice.key == "target") + 1
    choices.insert(place, ScaffoldChoice("aggregate", aggregation.rule, why))
    return FleetScaffold(content, choices, scaffold.hints)
