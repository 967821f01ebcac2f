"""Covariates of future periods, by segment."""

from collections.abc import Iterator, Mapping
from functools import cached_property

import numpy as np
import pyarrow as pa

from domain.arrays import FloatArray, IntArray
from domain.config.fleet import Time
from domain.data.calendar import ordinals
from domain.data.partitioning import run_length_encode
from models.features.feature_spec import FeatureSpec
from models.features.series import encode_covariates

__all__ = ["FutureCovariates", "periods_ahead"]


class FutureCovariates:
    """Covariates of future periods, out of scoring input.

    Parameters
    ----------
    rows : scoring input with `rank`, from the oldest input to the newest, and with `path` and `row`.
    clock : time of the fleet.
    source : input id of periods that no row covers.
    """

    def __init__(self, rows: pa.Table, clock: Time, source: str) -> None:
        # Where two inputs have the same period the newer one wins: rows are applied in order.
        self._rows = rows.sort_by([(name, "ascending") for name in ("segment", "rank", "path", "row")])
        self._source = source
        self._frequency = clock.frequency
        self._encoded: dict[str, Mapping[str, tuple[IntArray, FloatArray]]] = {}

    def encoded(self, contract: FeatureSpec) -> Mapping[str, tuple[IntArray, FloatArray]]:
        """Segment -> (period ordinals [n], covariates [n, K] of the contract), the newest input last."""
        key = contract.to_json()
        if key not in self._encoded:
            values = encode_covariates(self._rows, contract)
            self._encoded[key] = {segment: (self._periods[part], values[part]) for segment, part in self._parts()}
        return self._encoded[key]

    def input_ids(self, segment: str, periods: IntArray) -> list[str]:
        """The input that the covariates of each period came from."""
        known = self._inputs.get(segment, {})
        return [known.get(period, self._source) for period in periods.tolist()]

    @cached_property
    def _periods(self) -> IntArray:
        return ordinals(self._rows["time"].to_numpy().astype("datetime64[us]"), self._frequency)

    @cached_property
    def _inputs(self) -> Mapping[str, Mapping[int, str]]:
        """Segment -> period -> newest input that has a row for it."""
        ids = self._rows["input_id"].to_pylist()
        return {
            segment: dict(zip(self._periods[part].tolist(), ids[part], strict=True)) for segment, part in self._parts()
        }

    def _parts(self) -> Iterator[tuple[str, slice]]:
        """Rows of each segment."""
        starts, lengths = run_length_encode(self._rows["segment"])
        segments = self._rows["segment"].take(pa.array(starts)).to_pylist()
        for segment, start, length in zip(segments, starts.tolist(), lengths.tolist(), strict=True):
            yield segment, slice(start, start + length)


def periods_ahead(end: int, steps: int) -> IntArray:
    """Ordinals of the `steps` periods after period `end`."""
    return np.arange(end + 1, end + 1 + steps)
