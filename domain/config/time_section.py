"""Section `time`: the time of a row, and the periods and seasons of a series."""

from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator

from domain.config.frequency import FrequencyRule, frequency_rule
from domain.config.strict import Strict

__all__ = ["LONGEST_SEASON", "Time"]

LONGEST_SEASON = 2_016


class Time(Strict):
    column: str = Field(description="Column with the time of a row.")
    frequency: str = Field(
        description="Length of a period: 15min, 30min, h, 6h, D, B, W, SM, M, Q, Y or another alias of pandas.",
        examples=["15min", "h", "D", "B", "W", "W-FRI", "M", "Q", "Y"],
    )
    format: str | None = Field(
        None, description="strptime format, or `excel` for day numbers; default: ISO 8601, 2024-Q3 or 2024-W05."
    )
    zone: str = Field(
        "auto",
        description="IANA time zone of dates, and of times without a zone; auto: dates are those that the file writes, "
        "and times without a zone are in UTC.",
    )
    season: int | list[int] | Literal["auto"] = Field(
        "auto",
        description="Periods per season, or of a short and a long season; auto: 7, 52, 12, 4 or 1, of hours a day, and "
        "of shorter periods a day and a week.",
    )
    gaps: Literal["interpolate", "zero", "previous"] = Field(
        "interpolate",
        description="Value of periods without a row; weekdays or hours that never have a row are no periods, unless "
        "gaps are zero.",
    )

    @field_validator("frequency")
    @classmethod
    def _known_frequency(cls, frequency: str) -> str:
        frequency_rule(frequency)
        return frequency

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        try:
            if zone != "auto":
                ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
            raise ValueError("give an IANA time zone such as Europe/Berlin, or auto") from exc
        return zone

    @field_validator("season")
    @classmethod
    def _positive_season(cls, season: int | list[int] | str) -> int | list[int] | str:
        seasons = [season] if isinstance(season, int) else season
        if isinstance(seasons, list):
            few = 1 <= len(seasons) <= 2 and all(1 <= periods <= LONGEST_SEASON for periods in seasons)
            if not few or (len(seasons) == 2 and not 1 < seasons[0] < seasons[1]) or seasons[-1] % seasons[0]:
                raise ValueError(
                    f"give `auto`, a number of periods from 1 to {LONGEST_SEASON:,}, or two of which the second is a "
                    "multiple of the first, such as [24, 168]"
                )
        return season

    @property
    def rule(self) -> FrequencyRule:
        """Length and beginning of the periods."""
        return frequency_rule(self.frequency)

    @property
    def seasons(self) -> tuple[int, ...]:
        """Periods of each season, the shortest first."""
        if self.season == "auto":
            return self.rule.seasons
        return (self.season,) if isinstance(self.season, int) else tuple(self.season)

    @property
    def periods_per_season(self) -> int:
        """Periods of the shortest season."""
        return self.seasons[0]

    @property
    def zone_name(self) -> str:
        """The zone of times that name none."""
        return "UTC" if self.zone == "auto" else self.zone
