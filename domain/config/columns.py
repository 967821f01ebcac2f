"""Sections `target` and `features`: the columns that are predicted, and those that predictions are made from."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from domain.config.strict import Strict

__all__ = ["Features", "Target"]


class Target(Strict):
    column: str = Field(description="Column to predict.")
    transform: Literal["none", "log1p"] = Field("none", description="Scale on which ridge and trees are fitted.")
    minimum: float | None = Field(
        None, description="Predictions and intervals never go below this; 0 for counts and sales."
    )

    @model_validator(mode="after")
    def _log_needs_positive(self) -> Self:
        if self.transform == "log1p" and self.minimum is not None and self.minimum < 0:
            raise ValueError("transform log1p needs a target of at least 0; set minimum: 0 or transform: none")
        return self


class Features(Strict):
    LATER = frozenset({"missing"})

    known: list[str] = Field([], description="Numeric columns known for future rows: price, promotion.")
    static: list[str] = Field([], description="Numeric columns that do not change within a segment.")
    categorical: list[str] = Field(
        [], description="Text columns known for future rows; one indicator per frequent value."
    )
    missing: dict[str, Literal["zero", "last", "reject"]] = Field(
        {},
        description="Meaning of a blank cell, by numeric column: 0, the last known value (the mean in regressions), or "
        "no row to train on and no prediction. Without a rule: zero for a column that is mostly blank, else last.",
    )
    max_levels: int = Field(
        32, ge=2, le=256, description="At most this many values of a categorical column get an indicator."
    )
    lags: list[Annotated[int, Field(ge=1, le=366)]] | Literal["auto", "none"] = Field(
        "auto", description="Past values, in periods."
    )
    rolling: list[Annotated[int, Field(ge=2, le=366)]] | Literal["auto", "none"] = Field(
        "auto", description="Windows of rolling means."
    )
    calendar: Literal["auto", "none"] = Field("auto", description="Fourier terms of the season.")

    @property
    def numeric(self) -> tuple[str, ...]:
        return (*self.known, *self.static)
