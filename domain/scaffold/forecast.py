"""Scaffold of a forecast fleet."""

from collections.abc import Sequence
from typing import Any

from domain.config.frequency import frequency_rule
from domain.reporting.formatting import format_percent
from domain.scaffold.choices import (
    MOST_ALTERNATIVES,
    SERIES,
    fleet_content,
    min_rows_choice,
    source_choice,
    target_choice,
    time_choice,
    time_content,
)
from domain.scaffold.defaults import (
    TargetShape,
    candidates_of,
    fills_with_zero,
    horizon_of,
    is_intermittent,
    metric_of,
    parents_of,
    usual_horizon,
)
from domain.scaffold.roles import ColumnRoles, FeatureRoles
from domain.scaffold.segments import Grouping
from domain.scaffold.source_profile import FleetScaffold, ScaffoldChoice, SourceProfile, UserOptions

__all__ = ["scaffold_forecast"]

_FEW_CLOSED = 0.02


def scaffold_forecast(name: str, roles: ColumnRoles, profile: SourceProfile, options: UserOptions) -> FleetScaffold:
    """Scaffold a forecast fleet; the segments of the groupings are series."""
    grouping, shape = roles.grouping, roles.shape
    frequency: str = grouping.frequency or "D"
    horizon = options.horizon or horizon_of(frequency, grouping)
    candidates, parents = candidates_of(frequency, grouping, shape), parents_of(grouping, roles.columns)
    gaps = {"gaps": "zero"} if fills_with_zero(grouping, shape) else {}
    content = fleet_content(
        name,
        "forecast",
        roles,
        profile,
        time=time_content(roles.times[0], frequency) | gaps,
        task_keys={"horizon": horizon},
        candidates=candidates,
        parents=parents,
        ahead=f", {horizon} {frequency_rule(frequency).noun} ahead",
    )
    choices = [
        source_choice(profile, grouping),
        ScaffoldChoice("task", "forecast", "Each segment has one row per period, so its future can be forecast."),
        _segment_choice(roles, options),
        time_choice(roles.times, _frequency_reason(frequency, grouping, shape), frequency, options),
        target_choice(roles, options),
        _horizon_choice(frequency, horizon, grouping, options),
        _feature_choice(roles.features),
        _candidate_choice(candidates, frequency, grouping, shape),
        ScaffoldChoice("backtest", metric_of(shape), _metric_reason(metric_of(shape))),
        min_rows_choice(grouping),
        _fallback_choice(parents, grouping),
    ]
    return FleetScaffold(content, choices, _hints(roles.features))


def _segment_choice(roles: ColumnRoles, options: UserOptions) -> ScaffoldChoice:
    grouping, groups = roles.grouping, ", ".join(roles.features.groups)
    others = tuple(other.label for other in roles.groupings[1 : 1 + MOST_ALTERNATIVES])
    if options.segment_by is not None:
        why = f"As requested: {grouping.size_text}."
    elif not grouping.columns:
        why = f"The times alone identify the rows: this is a single series of {grouping.counts[0]:,} rows."
    else:
        why = f"The fewest columns that, together with the time, identify a row: {grouping.size_text}."
    if grouping.repeated:
        why += f" {format_percent(grouping.repeated, 1)} of the rows repeat a segment and period; the first one counts."
    if groups:
        why += (
            f" Each segment has one value of {groups}: add such a column here, and to fallback as a parent, so that "
            "short segments borrow from the others that share it."
        )
    sure = options.segment_by is not None or len(roles.groupings) == 1
    value = ", ".join(grouping.columns) or f"one series ({SERIES})"
    return ScaffoldChoice("segment_by", value, why, others, sure)


def _frequency_reason(frequency: str, grouping: Grouping, shape: TargetShape) -> str:
    empty = 1 - grouping.filled
    seasons = [str(periods) for periods in frequency_rule(frequency).seasons if periods > 1]
    season = f" with a season of {' and of '.join(seasons)}" if seasons else ""
    reason = f"Frequency {frequency}{season}: the longest period with at most one row per segment"
    if grouping.closed > _FEW_CLOSED:
        never = "weekdays" if frequency == "D" else "weekdays or hours"
        reason += f"; {format_percent(grouping.closed)} of the time are {never} that never have a row, and no periods"
    if empty < 0.005:
        return f"{reason}; hardly any period is empty."
    reason = f"{reason}; {format_percent(empty, 1)} of the periods between first and last row are empty"
    if fills_with_zero(grouping, shape):
        return f"{reason}, and hardly any value is 0, as if rows record only what happened: gaps count as zero."
    return f"{reason}. They are interpolated; set gaps to zero or previous to fill them otherwise."


def _horizon_choice(frequency: str, horizon: int, grouping: Grouping, options: UserOptions) -> ScaffoldChoice:
    periods = f"{horizon} {frequency_rule(frequency).noun}"
    if options.horizon is not None:
        return ScaffoldChoice("horizon", str(horizon), f"As requested: {periods}.")
    why = f"A usual horizon for {frequency_rule(frequency).noun}; set the one that your decisions need."
    if horizon < usual_horizon(frequency):
        rows = f"{grouping.median_rows:,.0f} rows"
        why = f"A quarter of a typical segment of {rows}; the usual {usual_horizon(frequency)} would be too many."
    return ScaffoldChoice("horizon", periods, why)


def _feature_choice(features: FeatureRoles) -> ScaffoldChoice:
    covariates, parts = [*features.known, *features.categorical], []
    if covariates:
        parts.append(
            f"Not used: {', '.join(covariates)}. A forecast can use a column only if its future values are known, such "
            "as planned prices and promotions, and there is no file with them yet. Without one, the last values would "
            "be carried forward, while the backtest would use the actual ones and be too optimistic."
        )
    if features.static:
        parts.append(f"{', '.join(features.static)}: one value per segment, which does not help the segment's model.")
    if features.leaks:
        parts.append(f"{', '.join(features.leaks)}: nearly the same as the target, so not known any earlier.")
    if not parts:
        parts.append("There is nothing to forecast from but each segment's own past and the calendar.")
    return ScaffoldChoice("features", "own past and calendar only", " ".join(parts))


def _candidate_choice(
    candidates: Sequence[str], frequency: str, grouping: Grouping, shape: TargetShape
) -> ScaffoldChoice:
    why = f"Fast candidates for {frequency_rule(frequency).noun}; their weighted combination competes too."
    if is_intermittent(grouping, shape):
        why = (
            "Many periods are empty or zero, so croston and adida compete, which are made for that; a weighted "
            "combination competes too."
        )
    elif "ets" not in candidates and frequency_rule(frequency).seasons[0] > 1:
        why += " ets is left out: the segments are too short or too long for it."
    why += " lightgbm may be better on long segments but is much slower."
    return ScaffoldChoice("candidates", ", ".join(candidates), why)


def _metric_reason(metric: str) -> str:
    if metric == "mae":
        return "mae: mean absolute error, since positive and negative values would cancel out in a relative error."
    return "wape: sum of absolute errors over the sum of actuals, so large segments count more."


def _fallback_choice(parents: Sequence[str], grouping: Grouping) -> ScaffoldChoice:
    if parents:
        chain = ", else that of its ".join(parents)
        why = f"A segment without a model of its own uses that of its {chain}, else that of the whole fleet."
    elif not grouping.columns:
        why = "The model of a series without one of its own; with a single series, both are the same."
    else:
        why = "A segment without a model of its own uses that of the whole fleet, scaled to its rows."
    return ScaffoldChoice("fallback", ", ".join([*parents, "global"]), why)


def _hints(features: FeatureRoles) -> dict[str, Any]:
    covariates = features.config("known", "categorical")
    return {"features": covariates, "score": {"source": {"path": "path/of/future/values.csv"}}} if covariates else {}
