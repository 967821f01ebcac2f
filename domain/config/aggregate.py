"""Setting `aggregate`: how the rows of one segment and period become one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from domain.config.fleet import Fleet

__all__ = ["Aggregate", "AggregateRule", "aggregate_contradictions", "rule_of", "target_rule"]

AggregateRule = Literal["sum", "mean", "min", "max", "last", "count"]
Aggregate = AggregateRule | dict[str, AggregateRule]


def target_rule(fleet: Fleet) -> AggregateRule | None:
    """Return the rule of the target; None if a period has one row."""
    return rule_of(fleet, fleet.target.column)


def rule_of(fleet: Fleet, column: str) -> AggregateRule | None:
    """Return the rule of a column: of covariates the mean, of texts the last value, unless the setting names them."""
    if fleet.aggregate is None:
        return None
    if isinstance(fleet.aggregate, dict) and column in fleet.aggregate:
        return fleet.aggregate[column]
    if column == fleet.target.column and not isinstance(fleet.aggregate, dict):
        return fleet.aggregate
    return "last" if column in fleet.features.categorical else "mean"


def aggregate_contradictions(fleet: Fleet) -> Iterator[str]:
    """Yield what the setting must not say of this fleet, each as `key: problem and way out`."""
    if fleet.aggregate is None:
        return
    if not fleet.task_type.periodic:
        yield f"aggregate: task {fleet.task} has rows and no periods to make of them; remove it or use task: forecast"
    if not isinstance(fleet.aggregate, dict):
        return
    if fleet.target.column not in fleet.aggregate:
        yield f"aggregate: the target '{fleet.target.column}' has no rule; add it, such as {fleet.target.column}: sum"
    used = [fleet.target.column, *fleet.features.numeric, *fleet.features.categorical]
    for name, rule in fleet.aggregate.items():
        if name not in used:
            yield f"aggregate: '{name}' is neither the target nor a feature: {', '.join(used)}"
        elif name in fleet.features.categorical and rule != "last":
            yield f"aggregate: '{name}' is text, of which only the last value can be kept; use {name}: last"
