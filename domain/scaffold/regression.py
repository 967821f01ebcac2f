"""The first fleet file of a regression: each row is predicted from its other columns."""

from collections.abc import Sequence
from typing import Any

from domain.config.candidates import TypicalSegment, proposed
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
from domain.scaffold.defaults import metric_of, min_rows_of, shape_of
from domain.scaffold.roles import FeatureRoles
from domain.scaffold.segments import Grouping
from domain.scaffold.source_profile import FleetScaffold, ScaffoldChoice, SourceProfile, UserOptions
from domain.scaffold.timestamps import TimeColumn

__all__ = ["scaffold_regression"]

_OTHERS = 3
_HOUR_US = 3_600_000_000


def scaffold_regression(
    name: str,
    time_columns: Sequence[TimeColumn],
    targets: Sequence[Column],
    found: Sequence[Grouping],
    features: FeatureRoles,
    columns: Sequence[Column],
    profile: SourceProfile,
    options: UserOptions,
) -> FleetScaffold:
    """found : groupings, the best first."""
    grouping, target = found[0], targets[0]
    shape = shape_of(target, grouping)
    segment_by = list(grouping.columns) or [constant_column(columns)]
    content: dict[str, Any] = {
        "name": name,
        "description": f"{target.name} by {', '.join(segment_by)}",
        "task": "regression",
        "source": source_content(profile, grouping, columns),
        "segment_by": segment_by,
    }
    candidates = proposed(TypicalSegment("regression", grouping.median_rows))
    choices = [
        source_choice(profile, grouping),
        _task_choice(time_columns, options),
        _segment_choice(found, options),
        target_choice(targets, shape, options),
        _feature_choice(features, grouping),
        ScaffoldChoice("candidates", ", ".join(candidates), "median is the naive baseline; lightgbm is the slow one."),
        ScaffoldChoice("backtest", metric_of(shape), _metric_why(metric_of(shape))),
        min_rows_choice(grouping),
        ScaffoldChoice("fallback", "global", "A segment without a model of its own takes that of the whole fleet."),
    ]
    if time_columns:
        time = _time_content(time_columns[0])
        content["time"] = time
        why = "It orders the rows, so that the backtest learns from the past; predictions do not use it."
        choices.append(time_choice(time_columns, why, time["frequency"], options))
    content["target"] = target_content(target, shape)
    if features.row_keys:
        content["row_key"] = [features.row_keys[0]]
        choices.append(_key_choice(features))
    named = (("known", features.known), ("static", features.static), ("categorical", features.categorical))
    content["features"] = {key: list(names) for key, names in named if names}
    content["candidates"] = candidates
    content["backtest"] = {"metric": metric_of(shape)}
    content["partition"] = {"min_rows": min_rows_of(grouping)}
    content["fallback"] = ["global"]
    return FleetScaffold(content, choices, {"score": {"source": {"path": "path/of/rows/to/score.csv"}}})


def _task_choice(time_columns: Sequence[TimeColumn], options: UserOptions) -> ScaffoldChoice:
    if options.task is not None:
        return ScaffoldChoice("task", "regression", "As you said: each row is predicted from its other columns.")
    if not time_columns:
        why = "No column holds times, so each row is predicted from its other columns."
        return ScaffoldChoice("task", "regression", why)
    why = (
        f"No columns distinguish the rows that share a {time_columns[0].column.name}, so they do not form series to "
        "forecast; each row is predicted from its other columns. For a forecast, aggregate to one row per segment and "
        "period, or name the columns with --segment-by."
    )
    return ScaffoldChoice("task", "regression", why, ("forecast",), sure=False)


def _segment_choice(found: Sequence[Grouping], options: UserOptions) -> ScaffoldChoice:
    grouping = found[0]
    if options.segment_by is not None:
        return ScaffoldChoice("segment_by", ", ".join(grouping.columns), f"As you said: {grouping.described}.")
    if not grouping.columns:
        why = "No column has values with enough rows each, so all rows make one segment."
        return ScaffoldChoice("segment_by", f"one segment ({SERIES})", why)
    others = tuple(other.told for other in found[1 : 1 + _OTHERS])
    why = (
        f"One model for each value: {grouping.described}. Enough to learn from; what to have a model each for is "
        "yours to say."
    )
    return ScaffoldChoice("segment_by", ", ".join(grouping.columns), why, others, sure=not others)


def _time_content(times: TimeColumn) -> dict[str, Any]:
    instants = times.instants.astype("datetime64[us]").astype("int64")
    frequency = "D" if (instants % (24 * _HOUR_US) == 0).all() or times.column.kind == "integer" else "h"
    content: dict[str, Any] = {"column": times.column.name, "frequency": frequency}
    content |= {} if times.format is None else {"format": times.format}
    return content | zone_of(times, frequency)


def _key_choice(features: FeatureRoles) -> ScaffoldChoice:
    key, others = features.row_keys[0], features.row_keys[1:]
    return ScaffoldChoice("row_key", key, f"{key} is different in every row; it is copied to the predictions.", others)


def _feature_choice(features: FeatureRoles, grouping: Grouping) -> ScaffoldChoice:
    used = [*features.known, *features.static, *features.categorical]
    parts = ["Columns to predict from. Remove those that are not known yet when a prediction is needed."]
    if features.leaks:
        names = ", ".join(features.leaks)
        parts.append(f"Left out: {names}, nearly the same as the target, as if known only afterwards.")
    if features.unused or features.groups:
        names = ", ".join([*features.unused, *features.groups])
        parts.append(f"Also left out: {names}; ids, constants, texts with many values, and what the segment tells.")
    return ScaffoldChoice("features", ", ".join(used), " ".join(parts), sure=not features.leaks)


def _metric_why(metric: str) -> str:
    if metric == "mae":
        return "mae: mean absolute error. rmse weighs large errors more; it goes with mean in place of median."
    return "wape: sum of absolute errors over the sum of actuals. rmse weighs large errors more; it goes with mean."
