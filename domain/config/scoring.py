"""Sections `score` and `test`: rows to score, and actuals to compare with."""

from typing import Literal

from pydantic import Field

from domain.config.source import Source
from domain.config.strict import Strict
from domain.config.training import Metric

__all__ = ["Score", "Test"]


class Score(Strict):
    """Scoring input: future covariates (forecast) or new rows (regression)."""

    source: Source = Field(description="Files with the rows to score.")
    missing_covariates: Literal["last", "reject"] = Field(
        "last", description="Treatment of a future row without covariates: the last known ones, or no prediction."
    )


class Test(Strict):
    """Published actuals that no model has seen; only the report reads them."""

    source: Source = Field(description="Files with the actuals.")
    metric: Metric | None = Field(None, description="Metric of the comparison; default: that of the backtest.")
    target: str | None = Field(None, description="Column of the actuals, if its name differs.")
