"""Sections about training: candidates and their comparison, groups, the interval, and what is trained anew."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from domain.config.candidates import CANDIDATES, ESTIMATOR, CandidateSpec
from domain.config.strict import Strict

__all__ = ["Backtest", "CandidateConfig", "Interval", "Metric", "Parent", "Partition", "Retraining"]

Metric = Literal["wape", "smape", "mae", "rmse", "mase"]


class CandidateConfig(Strict):
    """A candidate: a built-in one by its name, or any scikit-learn compatible regressor by its import path."""

    name: str = Field(min_length=1, description="Name of a built-in candidate, or any other name for an estimator.")
    estimator: str | None = Field(
        None, description="Import path of a scikit-learn compatible regressor.", pattern=r"^[\w.]+\.\w+$"
    )
    params: dict[str, str | int | float | bool | None] = Field({}, description="Arguments of the estimator.")

    @property
    def spec(self) -> CandidateSpec:
        """Its entry in the registry; all estimators by import path share one."""
        return CANDIDATES[self.name] if self.estimator is None else ESTIMATOR


class Backtest(Strict):
    folds: int = Field(3, ge=1, le=20, description="Number of rolling origins.")
    spacing: Annotated[int, Field(ge=1, le=1000)] | Literal["auto"] = Field(
        "auto", description="Periods between origins; auto: the horizon divided by `folds`."
    )
    metric: Metric = Field("wape", description="Metric on which candidates compete; lower is better.")
    tolerance: float = Field(
        0.05, ge=0, le=1, description="Of the single candidates within this share of the best, the simplest wins."
    )
    combination_margin: float = Field(
        0.5,
        ge=0,
        le=1,
        description="A single candidate beats the combination only if its error is lower by this share.",
    )


class Partition(Strict):
    buckets: Annotated[int, Field(ge=1, le=65_536)] | Literal["auto"] = Field(
        "auto", description="Number of buckets; fixed when the fleet is first partitioned."
    )
    min_rows: int = Field(30, ge=2, description="Segments with fewer rows get the fallback instead of a model.")
    max_segments: int = Field(100_000, ge=1, description="Fleets with more segments are refused.")


class Parent(Strict):
    parent: str = Field(description="One of the `segment_by` columns; segments that share its value share a model.")


class Interval(Strict):
    level: float = Field(0.9, gt=0.5, lt=1, description="Nominal coverage of [lower, upper].")


class Retraining(Strict):
    """Training of segments whose rows or settings changed; models of unchanged segments are always reused."""

    policy: Literal["reselect", "refit", "frozen"] = Field(
        "reselect",
        description="reselect: all candidates compete again; refit: the same candidate on the new rows; frozen: the "
        "model stays. A segment without a model is always trained.",
    )
    every: int = Field(
        1, ge=1, description="With reselect: candidates compete in every n-th training of a segment; the others refit."
    )

    @model_validator(mode="after")
    def _every_needs_reselect(self) -> Self:
        if self.every != 1 and self.policy != "reselect":
            raise ValueError(f"every: {self.every} has no effect with policy: {self.policy}; remove it or use reselect")
        return self
