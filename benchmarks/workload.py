"""Workload of the benchmarks: simulated weekly sales of many segments, as arrays and as rows for peers."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from domain.calendar.periods_ahead import PeriodPattern
from domain.config.fleet import Fleet, parse_fleet
from domain.data.simulation import SimulationSpec, simulate
from models.features.feature_spec import FeatureSpec, feature_spec_of
from models.features.series import Series, build_series

__all__ = ["BUCKET", "Workload", "peer_rows", "workload"]

BUCKET = 128
"""Segments per bucket, as `myriad` partitions a fleet of this kind."""

_FLEET = {
    "name": "simulated",
    "task": "forecast",
    "source": {"path": "sales/*.parquet"},
    "segment_by": ["store", "brand"],
    "time": {"column": "week", "frequency": "W"},
    "target": {"column": "units", "transform": "log1p", "minimum": 0.0},
    "features": {"known": ["price", "promo"]},
    "horizon": 8,
}


@dataclass(frozen=True)
class Workload:
    """Segments of 122 weeks each."""

    fleet: Fleet
    contract: FeatureSpec
    series: Series

    @property
    def buckets(self) -> list[Series]:
        """The series, divided into buckets."""
        indices = range(len(self.series.segments))
        return [self.series.take(indices[start : start + BUCKET]) for start in range(0, len(indices), BUCKET)]


def workload(segments: int, candidates: list[str]) -> Workload:
    """Simulate a fleet of `segments` segments in the form that it has after partitioning."""
    fleet = parse_fleet({**_FLEET, "candidates": candidates}, "benchmarks/workload.py")
    contract = feature_spec_of(fleet, {})
    chunks = [chunk.sales for chunk in simulate(_spec(segments))]
    parts = [build_series(_observations(sales), contract, fleet.clock) for sales in chunks]
    return Workload(fleet, contract, _joined(parts))


def _spec(segments: int) -> SimulationSpec:
    return SimulationSpec(stores=-(-segments // len(SimulationSpec.brands)), max_segments=segments)


def _observations(sales: pa.Table) -> pa.Table:
    stores, brands = sales["store"].to_pylist(), sales["brand"].to_pylist()
    keys = [f"store={store}/brand={brand}" for store, brand in zip(stores, brands, strict=True)]
    return pa.table(
        {
            "segment": pa.array(keys, pa.string()),
            "time": sales["week"].cast(pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC")),
            "target": sales["units"].cast(pa.float64()),
            "x_price": sales["price"].cast(pa.float64()),
            "x_promo": sales["promo"].cast(pa.float64()),
        }
    )


def _joined(parts: list[Series]) -> Series:
    first = parts[0]
    panels = type(first.panel).join([part.panel for part in parts])
    names = tuple(name for part in parts for name in part.segments)
    columns = (np.concatenate([getattr(part, name) for part in parts]) for name in ("covariates", "last_times", "rows"))
    return Series(names, panels, *columns, PeriodPattern.join([part.pattern for part in parts]))


def peer_rows(segments: int) -> pd.DataFrame:
    """Simulate the rows that a peer trains on: one per week, with 12 precomputed features, by segment and week."""
    frames = [chunk.sales.to_pandas() for chunk in simulate(_spec(segments))]
    frame = pd.concat(frames, ignore_index=True)
    frame.insert(0, "segment", frame.store.astype(str) + "/" + frame.brand.astype(str))
    frame = frame.drop(columns=["store", "brand"])
    units = frame.groupby("segment", sort=False).units
    for lag in (1, 2, 3, 4, 8, 52):
        frame[f"lag_{lag}"] = units.shift(lag)
    frame["mean_4"] = units.transform(lambda values: values.shift(1).rolling(4).mean())
    week = pd.to_datetime(frame.week)
    angle = 2 * np.pi * week.dt.isocalendar().week.astype(float) / 52
    frame["sin"], frame["cos"] = np.sin(angle), np.cos(angle)
    frame["trend"] = frame.groupby("segment", sort=False).cumcount()
    return frame.fillna(0.0)
