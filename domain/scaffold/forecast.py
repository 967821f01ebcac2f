"""The first fleet file of a forecast."""

from collections.abc import Sequence
from typing import Any

from domain.config.fleet import SEASON, Frequency
from domain.reporting.formatting import format_percent
from domain.scaffold.choices import (
    SERIES,
    constant_column,
    min_rows_choice,
    source_choice,
    source_content,
    target_choice,
    target_content,
    time_choice,
    zone_of,
)
from domain.scaffold.columns import Column
from domain.scaffold.defaults import (
    HORIZON,
    TargetShape,
    candidates_of,
    fills_with_zero,
    horizon_of,
    is_intermittent,
    metric_of,
    min_rows_of,
    parents_of,
    shape_of,
)
from domain.scaffold.roles import FeatureRoles
from domain.scaffold.segments import Grouping
from domain.scaffold.source_profile import FleetScaffold, ScaffoldChoice, SourceProfile, UserOptions
from domain.scaffold.timestamps import TimeColumn

__all__ = ["scaffold_forecast"]

_PERIODS: dict[Frequency, str] = {"h": "hours", "D": "days", "W": "weeks", "M": "months", "Q": "quarters", "Y": "years"}
_OTHERS = 3


def scaffold_forecast(
    name: str,
    time_columns: Sequence[TimeColumn],
    targets: Sequence[Column],
    found: Sequence[Grouping],
    features: FeatureRoles,
    columns: Sequence[Column],
    profile: SourceProfile,
    options: UserOptions,
) -> FleetScaffold:
    """found : groupings whose segments are series, the best first."""
    grouping, shape, target = found[0], shape_of(targets[0], found[0]), targets[0]
    frequency: Frequency = grouping.frequency or "D"
    horizon = options.horizon or horizon_of(frequency, grouping)
    segment_by = list(grouping.columns) or [constant_column(columns)]
    parents = parents_of(grouping, columns)
    names = candidates_of(frequency, grouping, shape)
    content: dict[str, Any] = {
        "name": name,
        "description": f"{target.name} by {', '.join(segment_by)}, {horizon} {_PERIODS[frequency]} ahead",
        "task": "forecast",
        "source": source_content(profile, grouping, columns),
        "segment_by": segment_by,
        "time": _time_content(time_columns[0], frequency, grouping, shape),
        "target": target_content(target, shape),
        "horizon": horizon,
        "candidates": names,
        "backtest": {"metric": metric_of(shape)},
        "partition": {"min_rows": min_rows_of(grouping)},
        "fallback": [*({"parent": parent} for parent in parents), "global"],
    }
    choices = [
        source_choice(profile, grouping),
        ScaffoldChoice("task", "forecast", "Each segment has one row a period, so that its future can be forecast."),
        _segment_choice(found, features, options),
        time_choice(time_columns, _frequency_why(frequency, grouping, shape), frequency, options),
        target_choice(targets, shape, options),
        _horizon_choice(frequency, horizon, grouping, options),
        _feature_choice(features),
        _candidate_choice(names, frequency, grouping, shape),
        ScaffoldChoice("backtest", metric_of(shape), _metric_why(metric_of(shape))),
        min_rows_choice(grouping),
        _fallback_choice(parents, features, grouping),
    ]
    return FleetScaffold(content, choices, _hints(features))


def _time_content(times: TimeColumn, frequency: Frequency, grouping: Grouping, shape: TargetShape) -> dict[str, Any]:
    content: dict[str, Any] = {"column": times.column.name, "frequency": frequency}
    if times.format is not None:
        content["format"] = times.format
    content |= zone_of(times, frequency)
    return content | ({"gaps": "zero"} if fills_with_zero(grouping, shape) else {})


def _segment_choice(found: Sequence[Grouping], features: FeatureRoles, options: UserOptions) -> ScaffoldChoice:
    grouping = found[0]
    others = [other.told for other in found[1 : 1 + _OTHERS]]
    if options.segment_by is not None:
        why = f"As you said: {grouping.described}."
    elif not grouping.columns:
        why = f"The times alone tell the rows apart: this is one single series, {grouping.counts[0]:,} rows."
    else:
        why = f"The fewest columns that, with the time, tell the rows apart: {grouping.described}."
    if grouping.repeated:
        why += f" {format_percent(grouping.repeated, 1)} of the rows repeat a segment and period; the first one counts."
    if features.groups:
        why += (
            f" Each segment has one value of {', '.join(features.groups)}: add such a column here, and to fallback as "
            "a parent, and short segments borrow from the others that share it."
        )
    sure = options.segment_by is not None or len(found) == 1
    return ScaffoldChoice(
        "segment_by", ", ".join(grouping.columns) or f"one series ({SERIES})", why, tuple(others), sure
    )


def _frequency_why(frequency: Frequency, grouping: Grouping, shape: TargetShape) -> str:
    missing = 1 - grouping.filled
    season = f" with a season of {SEASON[frequency]}" if SEASON[frequency] > 1 else ""
    told = f"Frequency {frequency}{season}: the longest period that has at most one row a segment"
    if missing < 0.005:
        return f"{told}; hardly any period lacks one."
    told = f"{told}; {format_percent(missing, 1)} of the periods between first and last row have none"
    if fills_with_zero(grouping, shape):
        return f"{told}, and no value is 0, as if rows were there only when something happened: gaps count as zero."
    return f"{told}. These are interpolated; gaps: zero or previous would fill them otherwise."


def _horizon_choice(frequency: Frequency, horizon: int, grouping: Grouping, options: UserOptions) -> ScaffoldChoice:
    if options.horizon is not None:
        return ScaffoldChoice("horizon", str(horizon), f"As you said: {horizon} {_PERIODS[frequency]}.")
    why = f"A usual horizon for {_PERIODS[frequency]}; set what your decisions need."
    if horizon < HORIZON[frequency]:
        typical = f"{grouping.median_rows:,.0f} rows; the usual {HORIZON[frequency]} would be too many."
        why = f"A quarter of a typical segment, which has {typical}"
    return ScaffoldChoice("horizon", f"{horizon} {_PERIODS[frequency]}", why)


def _feature_choice(features: FeatureRoles) -> ScaffoldChoice:
    known, parts = [*features.known, *features.categorical], []
    if known:
        parts.append(
            f"Not used: {', '.join(known)}. A forecast can use a column only if its future values are known, such as "
            "planned prices and promotions; there is no file with them yet. Without one the last values would be "
            "carried forward, while the backtest would see the real ones and promise too much."
        )
    if features.static:
        parts.append(f"{', '.join(features.static)}: one value a segment, which tells its own model nothing.")
    if features.leaks:
        parts.append(f"{', '.join(features.leaks)}: nearly the same as the target, so known no earlier.")
    if not parts:
        parts.append("Besides its own past and the calendar there is nothing to forecast from.")
    return ScaffoldChoice("features", "own past and calendar only", " ".join(parts))


def _candidate_choice(
    names: Sequence[str], frequency: Frequency, grouping: Grouping, shape: TargetShape
) -> ScaffoldChoice:
    why = f"Fast ones that suit {_PERIODS[frequency]}; their weighted combination competes too."
    if is_intermittent(grouping, shape):
        why = (
            "Many periods have nothing, so croston and adida compete, which are made for that; a combination does too."
        )
    elif "ets" not in names and SEASON[frequency] > 1:
        why += " ets is left out: the segments are too short or too long for it."
    return ScaffoldChoice(
        "candidates", ", ".join(names), f"{why} lightgbm may be better on long segments and is much slower."
    )


def _metric_why(metric: str) -> str:
    if metric == "mae":
        return "mae: mean absolute error, since positive and negative values would cancel out in a share."
    return "wape: sum of absolute errors over the sum of actuals, so that large segments count more."


def _fallback_choice(parents: Sequence[str], features: FeatureRoles, grouping: Grouping) -> ScaffoldChoice:
    if parents:
        chain = ", else of its ".join(parents)
        why = f"A segment without a model of its own takes that of its {chain}, else that of the whole fleet."
    elif len(grouping.columns) == 0:
        why = "What a series without a model of its own takes; with one series only, that is the same one."
    else:
        why = "A segment without a model of its own takes that of the whole fleet, scaled to its rows."
    return ScaffoldChoice("fallback", ", ".join([*parents, "global"]), why)


def _hints(features: FeatureRoles) -> dict[str, Any]:
    given = {"known": list(features.known), "categorical": list(features.categorical)}
    used = {key: names for key, names in given.items() if names}
    return {"features": used, "score": {"source": {"path": "path/of/future/values.csv"}}} if used else {}
