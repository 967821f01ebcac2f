"""Section `melt` of a source: tables with one column per period or per segment."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from domain.config.strict import Strict

__all__ = ["Melt"]

_Name = Annotated[str, Field(min_length=1)]


class Melt(Strict):
    """Columns of a wide table that become rows: one row per cell that has a value."""

    keep: list[_Name] = Field(
        [], description="Columns that stay as they are, such as those of segment_by; all others become rows."
    )
    ignore: list[_Name] = Field([], description="Columns that are left out, such as one with totals.")
    name: str = Field(
        "name", min_length=1, description="Column that gets the names of the melted columns, such as the months."
    )
    value: str = Field("value", min_length=1, description="Column that gets their values.")

    @model_validator(mode="after")
    def _apart(self) -> Self:
        names = [*self.keep, *self.ignore]
        for key, name in (("name", self.name), ("value", self.value)):
            if name in names:
                raise ValueError(f"{key}: '{name}' is one of `keep` or `ignore`; give the new column another name")
        if self.name == self.value:
            raise ValueError(f"name: '{self.name}' is also `value`; give the two new columns different names")
        if both := [name for name in self.keep if name in self.ignore]:
            raise ValueError(f"ignore: '{both[0]}' is one of `keep` too; name it once")
        return self

    def columns(self, names: list[str]) -> list[str]:
        """Return those of a table's columns that become rows."""
        return [name for name in names if name not in self.keep and name not in self.ignore]

    def names(self, names: list[str]) -> list[str]:
        """Return the columns of the melted table."""
        return [*(name for name in names if name in self.keep), self.name, self.value]
