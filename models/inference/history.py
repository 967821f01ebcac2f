"""Observations, and their series under the contract of each model."""

from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from domain.config.time_section import Time
from models.features.feature_spec import FeatureSpec
from models.features.series import Series, build_series, lacking_columns

__all__ = ["History"]


class History:
    """Observations of segments or levels, sorted by segment and time; series are built once per contract."""

    def __init__(self, rows: pa.Table, clock: Time) -> None:
        self.rows = rows
        self._clock = clock
        self._series: dict[str, Series] = {}

    @cached_property
    def segments(self) -> list[str]:
        """Segments that have a row, excluded ones included, in the order of the rows."""
        segments: list[str] = pc.unique(self.rows["segment"]).to_pylist()
        return segments

    def lacking(self, contract: FeatureSpec) -> list[str]:
        """Features of a contract that the rows have no column for, by their names in the fleet file."""
        return lacking_columns(self.rows, contract)

    def series(self, contract: FeatureSpec) -> Series:
        """The series of all segments that have a usable row."""
        key = contract.to_json()
        if key not in self._series:
            self._series[key] = build_series(self.rows, contract, self._clock)
        return self._series[key]

    def series_of(self, segment: str, contract: FeatureSpec) -> Series | None:
        """The series of one segment; None where it has no usable row."""
        series = self.series(contract)
        return series.take([series.segments.index(segment)]) if segment in series.segments else None

    def series_among(self, segments: list[str], contract: FeatureSpec) -> Series:
        """The series of those of some segments that have a usable row; built anew by every call."""
        rows = self.rows.filter(pc.is_in(self.rows["segment"], pa.array(segments, pa.string())))
        return build_series(rows, contract, self._clock)
