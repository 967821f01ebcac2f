"""Section `validation`: rows that are not trained on."""

from datetime import date
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from domain.config.strict import Strict

__all__ = ["Validation"]


class Validation(Strict):
    LATER: ClassVar[frozenset[str]] = frozenset({"time_range"})

    outliers: Literal["keep", "exclude", "quarantine"] = Field(
        "keep", description="Treatment of outliers; exclude: kept, but not trained on."
    )
    outlier_threshold: float = Field(
        8.0, gt=0, description="Robust z-score (distance from the rolling median over 1.4826 MAD)."
    )
    duplicates: Literal["first", "last"] = Field(
        "first",
        description="Row of a file that is accepted if several share a (segment, period), or a row_key. Of several "
        "files, the last by name counts: 2023-10 after 2023-9.",
    )
    max_quarantined_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="If partitioning rejects a larger share of the rows, as duplicates or outliers, the run stops.",
    )
    time_range: list[str] | Literal["auto", "off"] = Field(
        "auto",
        description="First and last date of rows to train on. auto: rows are rejected that are later than now by more "
        "than the horizon, or years away from all others of their segment.",
    )

    @field_validator("time_range")
    @classmethod
    def _two_dates(cls, time_range: list[str] | str) -> list[str] | str:
        if isinstance(time_range, list):
            message = 'give `auto`, `off`, or two dates in quotes, such as ["2015-01-01", "2030-12-31"]'
            try:
                first, last = (date.fromisoformat(text) for text in time_range)
            except ValueError as exc:
                raise ValueError(message) from exc
            if first > last:
                raise ValueError(message)
        return time_range
