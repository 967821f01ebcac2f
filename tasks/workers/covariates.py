"""Covariates of future periods, by segment."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from domain.arrays import FloatArray, IntArray
from domain.config.fleet import Time
from domain.data.calendar import ordinals
from domain.data.partitioning import run_length_encode
from models.features.feature_spec import FeatureSpec
from models.features.series import encode_covariates

__all__ = ["Future", "future_of", "periods_ahead"]


@dataclass(frozen=True)
class Future:
    """Covariates given for future periods, by segment.

    rows : ordinals and covariates, the newest input last. inputs : period -> id of the newest input that has a row for
    it. source : what stands for the other periods.
    """

    rows: Mapping[str, tuple[IntArray, FloatArray]]
    inputs: Mapping[str, Mapping[int, str]]
    source: str

    def input_ids(self, segment: str, periods: IntArray) -> list[str]:
        """Where the covariates of each period came from."""
        known = self.inputs.get(segment, {})
        return [known.get(period, self.source) for period in periods.tolist()]


def future_of(rows: pa.Table, contract: FeatureSpec, time: Time, source: str) -> Future:
    """Covariates of rows (of scoring input, with their rank) as a contract wants them."""
    # Where two inputs give the same period the newer one wins: rows are applied in order.
    rows = rows.sort_by([(name, "ascending") for name in ("segment", "rank", "path", "row")])
    encoded, times = encode_covariates(rows, contract), rows["time"].to_numpy().astype("datetime64[us]")
    periods, ids = ordinals(times, time.frequency), rows["input_id"].to_pylist()
    found: dict[str, tuple[IntArray, FloatArray]] = {}
    inputs: dict[str, dict[int, str]] = {}
    starts, lengths = run_length_encode(rows["segment"])
    for segment, start, length in zip(rows["segment"].take(pa.array(starts)).to_pylist(), starts, lengths, strict=True):
        part = slice(int(start), int(start + length))
        found[segment] = (periods[part], encoded[part])
        inputs[segment] = dict(zip(periods[part].tolist(), ids[part], strict=True))
    return Future(found, inputs, source)


def periods_ahead(end: int, horizon: int) -> IntArray:
    """Ordinals of the periods after one."""
    return np.arange(end + 1, end + 1 + horizon)
