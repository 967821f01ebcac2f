"""Read the history and the current forecast of one segment, as the report's chart takes them."""

import math
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from adapters.queries.current_forecasts import current_forecasts
from adapters.queries.fleet_tables import OBSERVATIONS, FleetTables
from adapters.queries.segment_rows import SegmentRows
from domain.errors import LakeError
from domain.reporting.series_charts import SeriesExample

__all__ = ["read_series"]


def read_series(tables: FleetTables, segment: str) -> SeriesExample:
    """Read the series of a segment of a forecast fleet; without a forecast, its history alone.

    segment : canonical key. Raises LakeError if there is neither.
    """
    history = SegmentRows.of(tables, segment).read(OBSERVATIONS, ["time", "target"]).sort_by("time").to_pylist()
    parts = [part for part in current_forecasts(tables, segment=segment) if part.num_rows]
    forecast = pa.concat_tables(parts).sort_by("time").to_pylist() if parts else []
    if not history and not forecast:
        raise LakeError(
            f"fleet {tables.fleet}: segment {segment} has neither observations nor forecasts; "
            f"run `myriad run {tables.fleet}` first"
        )
    return SeriesExample(
        segment=segment,
        caption="",
        times=[row["time"] for row in history],
        history=[_number(row, "target") for row in history],
        forecast_times=[row["time"] for row in forecast],
        prediction=[_number(row, "prediction") for row in forecast],
        lower=[_number(row, "lower") for row in forecast],
        upper=[_number(row, "upper") for row in forecast],
        model=forecast[0]["model_name"] or "" if forecast else "",
    )


def _number(row: Mapping[str, Any], column: str) -> float:
    return math.nan if row[column] is None else row[column]
