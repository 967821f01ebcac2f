"""Scaffold of a regression fleet, which predicts each row from its other columns."""

from collections.abc import Sequence
from typing import Any

from domain.config.candidates import TypicalSegment, proposed
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
from domain.scaffold.defaults import metric_of
from domain.scaffold.roles import ColumnRoles, FeatureRoles
from domain.scaffold.source_profile import FleetScaffold, ScaffoldChoice, SourceProfile, UserOptions
from domain.scaffold.timestamps import TimeColumn

__all__ = ["scaffold_regression"]

_DAY_US = 24 * 3_600_000_000


def scaffold_regression(name: str, roles: ColumnRoles, profile: SourceProfile, options: UserOptions) -> FleetScaffold:
    """Scaffold a regression fleet."""
    grouping, features, metric = roles.grouping, roles.features, metric_of(roles.shape)
    candidates = proposed(TypicalSegment("regression", grouping.median_rows))
    time = _time_content(roles.times[0]) if roles.times else None
    task_keys: dict[str, Any] = {"row_key": [features.row_keys[0]]} if features.row_keys else {}
    task_keys["features"] = features.config("known", "static", "categorical")
    content = fleet_content(name, "regression", roles, profile, time=time, task_keys=task_keys, candidates=candidates)
    choices = [
        source_choice(profile, grouping),
        _task_choice(roles.times, options),
        _segment_choice(roles, options),
        target_choice(roles, options),
        _feature_choice(features),
        ScaffoldChoice("candidates", ", ".join(candidates), "median is the naive baseline; lightgbm is the slowest."),
        ScaffoldChoice("backtest", metric, _metric_reason(metric)),
        min_rows_choice(grouping),
        ScaffoldChoice("fallback", "global", "A segment without a model of its own uses that of the whole fleet."),
    ]
    if time is not None:
        why = "It orders the rows, so that the backtest learns from the past; predictions do not use it."
        choices.append(time_choice(roles.times, why, time["frequency"], options))
    if features.row_keys:
        choices.append(_key_choice(features))
    return FleetScaffold(content, choices, {"score": {"source": {"path": "path/of/rows/to/score.csv"}}})


def _task_choice(times: Sequence[TimeColumn], options: UserOptions) -> ScaffoldChoice:
    rule = "each row is predicted from its other columns"
    if options.task is not None:
        return ScaffoldChoice("task", "regression", f"As requested: {rule}.")
    if not times:
        return ScaffoldChoice("task", "regression", f"No column holds times, so {rule}.")
    why = (
        f"No columns distinguish the rows that share a {times[0].name}, so they are not series to forecast; {rule}. "
        "For a forecast, aggregate to one row per segment and period, or name the columns with --segment-by."
    )
    return ScaffoldChoice("task", "regression", why, ("forecast",), sure=False)


def _segment_choice(roles: ColumnRoles, options: UserOptions) -> ScaffoldChoice:
    grouping = roles.grouping
    if options.segment_by is not None:
        return ScaffoldChoice("segment_by", ", ".join(grouping.columns), f"As requested: {grouping.size_text}.")
    if not grouping.columns:
        why = "No column has values with enough rows each, so all rows are one segment."
        return ScaffoldChoice("segment_by", f"one segment ({SERIES})", why)
    others = tuple(other.label for other in roles.groupings[1 : 1 + MOST_ALTERNATIVES])
    why = (
        f"One model per value: {grouping.size_text}. That is enough to learn from, but only you know which segments "
        "deserve a model of their own."
    )
    return ScaffoldChoice("segment_by", ", ".join(grouping.columns), why, others, sure=not others)


def _time_content(times: TimeColumn) -> dict[str, Any]:
    instants = times.instants.astype("datetime64[us]").astype("int64")
    daily = (instants % _DAY_US == 0).all() or times.column.kind == "integer"
    return time_content(times, "D" if daily else "h")


def _key_choice(features: FeatureRoles) -> ScaffoldChoice:
    key, others = features.row_keys[0], features.row_keys[1:]
    return ScaffoldChoice("row_key", key, f"{key} differs in every row; it is copied to the predictions.", others)


def _feature_choice(features: FeatureRoles) -> ScaffoldChoice:
    columns = [*features.known, *features.static, *features.categorical]
    parts = ["Columns to predict from. Remove those whose values are not known yet when a prediction is needed."]
    if features.leaks:
        leaks = ", ".join(features.leaks)
        parts.append(f"Left out: {leaks}, nearly the same as the target and so perhaps known only afterwards.")
    if features.unused or features.groups:
        names = ", ".join([*features.unused, *features.groups])
        parts.append(f"Also left out: {names}; ids, constants, texts with many values, columns fixed by the segment.")
    return ScaffoldChoice("features", ", ".join(columns), " ".join(parts), sure=not features.leaks)


def _metric_reason(metric: str) -> str:
    rmse = "rmse gives large errors more weight; it goes with mean instead of median."
    if metric == "mae":
        return f"mae: mean absolute error. {rmse}"
    return f"wape: sum of absolute errors over the sum of actuals. {rmse}"
