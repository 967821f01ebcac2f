"""Covariates of future periods, by segment."""

from collections.abc import Iterator, Mapping
from functools import cached_property

import pyarrow as pa

from domain.arrays import FloatArray, IntArray
from domain.calendar.ordinals import Times, ordinals, positions
from domain.config.fleet import Fleet
from domain.config.time_section import Time
from domain.data.partitioning import run_length_encode
from models.features.feature_spec import FeatureSpec
from models.features.series import encode_covariates, one_row_a_position
from models.inference.row_notes import unknown_categories

__all__ = ["FutureCovariates"]


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
        self._clock = clock
        self._notes: dict[str, Mapping[str, Mapping[int, str]]] = {}
        self._encoded: dict[str, Mapping[str, tuple[IntArray, FloatArray]]] = {}

    def encoded(self, contract: FeatureSpec) -> Mapping[str, tuple[IntArray, FloatArray]]:
        """Segment -> (positions of periods [n], covariates [n, K] of the contract), the newest input last."""
        key = contract.to_json()
        if key not in self._encoded:
            values, places = encode_covariates(self._rows, contract), positions(self._times, self._clock, contract.zone)
            rows = {segment: (places[part], values[part]) for segment, part in self._parts()}
            if contract.zone is not None:
                periods = ordinals(self._times, self._clock)
                rows = {
                    segment: one_row_a_position(places[part], periods[part], values[part])
                    for segment, part in self._parts()
                }
            self._encoded[key] = rows
        return self._encoded[key]

    def notes(self, contract: FeatureSpec, segment: str, end: int, fleet: Fleet) -> list[str]:
        """Notes on unknown categories, one per step after position `end`; see `unknown_categories`."""
        key = contract.to_json()
        if key not in self._notes:
            notes = unknown_categories(self._rows, contract, fleet.features.max_levels)
            parts = self._parts() if any(notes) else ()
            places = positions(self._times, self._clock, contract.zone).tolist()
            self._notes[key] = {name: dict(zip(places[part], notes[part], strict=True)) for name, part in parts}
        of_segment = self._notes[key].get(segment, {})
        return [of_segment.get(end + step, "") for step in range(1, contract.horizon + 1)]

    def input_ids(self, segment: str, periods: IntArray) -> list[str]:
        """The input that the covariates of each period came from."""
        known = self._inputs.get(segment, {})
        return [known.get(period, self._source) for period in periods.tolist()]

    @cached_property
    def _times(self) -> Times:
        times: Times = self._rows["time"].to_numpy().astype("datetime64[us]")
        return times

    @cached_property
    def _inputs(self) -> Mapping[str, Mapping[int, str]]:
        """Segment -> period -> newest input that has a row for it."""
        ids, periods = self._rows["input_id"].to_pylist(), ordinals(self._times, self._clock)
        return {segment: dict(zip(periods[part].tolist(), ids[part], strict=True)) for segment, part in self._parts()}

    def _parts(self) -> Iterator[tuple[str, slice]]:
        """Rows of each segment."""
        starts, lengths = run_length_encode(self._rows["segment"])
        segments = self._rows["segment"].take(pa.array(starts)).to_pylist()
        for segment, start, length in zip(segments, starts.tolist(), lengths.tolist(), strict=True):
            yield segment, slice(start, start + length)
