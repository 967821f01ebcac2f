"""Blank cells of numeric covariates: zero, the last value, or no prediction."""

from collections.abc import Mapping

from domain.config.fleet import Fleet

__all__ = ["MOSTLY_BLANK", "blank_rule", "zero_columns"]

MOSTLY_BLANK = 0.5
"""Above this share of blank cells, a column without a rule is read as a record of rare events, where blank means 0."""


def blank_rule(fleet: Fleet, name: str, blank_share: float) -> str:
    """Return the rule for a column's blank cells: `zero`, `last` or `reject`."""
    automatic = "zero" if blank_share > MOSTLY_BLANK else "last"
    return fleet.features.missing.get(name, automatic)


def zero_columns(fleet: Fleet, blank_shares: Mapping[str, float]) -> tuple[str, ...]:
    """Return the numeric columns whose blank cells mean 0. blank_shares : of the rows to train on, by column."""
    return tuple(
        name for name in fleet.features.numeric if blank_rule(fleet, name, blank_shares.get(name, 0.0)) == "zero"
    )
