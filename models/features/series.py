"""Observations of forecast segments as dense right-aligned arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from domain.arrays import FloatArray, IntArray
from domain.calendar.ordinals import positions, skipped_positions
from domain.calendar.periods_ahead import PeriodPattern, PeriodsAhead, find_period_pattern
from domain.config.time_section import Time
from domain.data.partitioning import run_length_encode
from domain.data.tables import category_column, feature_column
from models.features.feature_spec import FeatureSpec
from models.features.panel import Panel

__all__ = [
    "CovariatesAhead",
    "Series",
    "build_series",
    "encode_covariates",
    "future_covariates",
    "lacking_columns",
    "one_row_a_position",
    "row_covariates",
]

MAX_PERIODS = 20_000


@dataclass(frozen=True)
class CovariatesAhead:
    """Covariates of the periods after each series.

    Parameters
    ----------
    values : float64 [S, H, K].
    carried : periods in which some covariates are carried forward from the last known period, [S, H].
    missing : those, and periods without a row, [S, H].
    zeroed : blank cells that mean 0, [S, H, K].
    unknown : all blank cells, [S, H, K].
    """

    values: FloatArray
    carried: npt.NDArray[np.bool_]
    missing: npt.NDArray[np.bool_]
    zeroed: npt.NDArray[np.bool_]
    unknown: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Series:
    """Series of several segments.

    Parameters
    ----------
    segments : keys, in the order of every array's first axis.
    panel : target values [S, T], gaps filled by the fleet's rule.
    covariates : float64 [S, T, K], numeric features then indicators of categories, gaps filled from the past.
    last_times : time of the last column, [S].
    rows : number of rows that the values come from, [S].
    pattern : when they have rows.
    """

    segments: tuple[str, ...]
    panel: Panel
    covariates: FloatArray
    last_times: npt.NDArray[np.datetime64]
    rows: IntArray
    pattern: PeriodPattern

    @cached_property
    def closed(self) -> npt.NDArray[np.bool_]:
        """Mask [S, T] of the columns that are no periods, such as Sundays of a segment that never has a row on one."""
        return self.pattern.closed_columns(self.panel.ends, self.panel.values.shape[1])

    def ahead(self, horizon: int) -> list[PeriodsAhead]:
        """The next periods of each segment."""
        return self.pattern.ahead(self.last_times, horizon)

    def take(self, index: Sequence[int] | IntArray) -> "Series":
        """The series of some segments."""
        picked = np.asarray(index, dtype=np.int64)
        segments = tuple(self.segments[i] for i in picked)
        return Series(
            segments,
            self.panel.take(picked),
            self.covariates[picked],
            self.last_times[picked],
            self.rows[picked],
            self.pattern.take(picked),
        )


def build_series(observations: pa.Table, spec: FeatureSpec, time: Time) -> Series:
    """Series of the segments in `observations`, which are sorted by segment and time.

    Each period is one column; excluded rows count as gaps. Of histories longer than MAX_PERIODS periods, the newest
    part remains.
    """
    if "excluded" in observations.column_names:
        observations = observations.filter(pa.array(~observations["excluded"].to_numpy().astype(bool)))
    starts, lengths = run_length_encode(observations["segment"])
    n_segments = len(starts)
    times = observations["time"].to_numpy().astype("datetime64[us]")
    period = positions(times, time, spec.zone)
    code = np.repeat(np.arange(n_segments), lengths)
    ends = period[starts + lengths - 1] if n_segments else np.zeros(0, np.int64)
    spans = np.minimum(ends - period[starts] + 1, MAX_PERIODS) if n_segments else ends
    width = int(spans.max()) if n_segments else 0
    column = width - 1 - (ends[code] - period)  # Negative where the row is too old to be kept.
    kept_rows = column >= 0
    values = np.full((n_segments, width), np.nan)
    target = observations["target"].to_numpy()
    values[code[kept_rows], column[kept_rows]] = target[kept_rows]
    if spec.zone is not None:
        _average_repeated(values, code[kept_rows], column[kept_rows], target[kept_rows])
    inputs = encode_covariates(observations, spec)
    covariates = np.full((n_segments, width, inputs.shape[1]), np.nan)
    covariates[code[kept_rows], column[kept_rows]] = inputs[kept_rows]
    for k in range(inputs.shape[1]) if spec.zone is not None else ():
        known = kept_rows & ~np.isnan(inputs[:, k])
        _average_repeated(covariates[..., k], code[known], column[known], inputs[known, k])
    covariates[..., spec.zero_covariates] = np.nan_to_num(covariates[..., spec.zero_covariates])
    if n_segments:
        # A cut may fall into a gap: the series then starts at the next row.
        spans = width - np.argmax(~np.isnan(values), axis=1)
    valid = Panel(values, spans, ends, spec.season, spec.short_season).valid
    filled = Panel(_filled(values, valid, ends, spec.zone, time), spans, ends, spec.season, spec.short_season)
    names = observations["segment"].take(pa.array(starts)).to_pylist()
    last = times[starts + lengths - 1] if n_segments else times[:0]
    pattern = find_period_pattern(times, starts, lengths, time, spec.zone)
    return Series(tuple(names), filled, _carry(covariates), last, lengths, pattern)


def _average_repeated(values: FloatArray, code: IntArray, column: IntArray, target: FloatArray) -> None:
    """Put the mean where several rows have one column, as in the hour that clocks repeat. values : changed in place."""
    place = code * values.shape[1] + column
    counts = np.bincount(place, minlength=values.size)
    repeated = np.flatnonzero(counts > 1)
    if len(repeated):
        sums = np.bincount(place, weights=target, minlength=values.size)
        values[np.unravel_index(repeated, values.shape)] = sums[repeated] / counts[repeated]


def one_row_a_position(places: IntArray, periods: IntArray, values: FloatArray) -> tuple[IntArray, FloatArray]:
    """Positions and covariates of one segment with the mean of an hour that clocks repeat, as the history has it.

    places, periods : positions and ordinals of rows, the newest input last, [n]. values : [n, K].
    """
    own, first, row = np.unique(periods, return_index=True, return_inverse=True)
    positions_of, place = np.unique(places[first], return_inverse=True)
    if len(positions_of) == len(own):
        return places, values
    means = np.full((len(positions_of), values.shape[1]), np.nan)
    for k in range(values.shape[1]):
        known = ~np.isnan(values[:, k])
        newest = np.full(len(own), np.nan)
        newest[row[known]] = values[known, k]
        counts = np.bincount(place, weights=~np.isnan(newest), minlength=len(positions_of))
        sums = np.bincount(place, weights=np.nan_to_num(newest), minlength=len(positions_of))
        means[:, k] = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return positions_of, means


def encode_covariates(rows: pa.Table, spec: FeatureSpec) -> FloatArray:
    """Covariates of rows, float64 [n, K]: numeric columns as they are, and an indicator per known category value."""
    columns: list[FloatArray] = [rows[feature_column(name)].to_numpy() for name in spec.numeric]
    for name, known in spec.categories.items():
        values = rows[category_column(name)].combine_chunks().dictionary_encode()
        codes = values.indices.to_numpy(zero_copy_only=False)
        texts = values.dictionary.to_pylist()
        for value in known:
            code = texts.index(value) if value in texts else -1
            columns.append((codes == code).astype(np.float64))
    stacked: FloatArray = np.column_stack(columns) if columns else np.zeros((rows.num_rows, 0))
    return stacked


def row_covariates(rows: pa.Table, spec: FeatureSpec) -> FloatArray:
    """Covariates of rows that are no series, float64 [n, K]: blank cells are 0 where they mean that, else NaN."""
    covariates = encode_covariates(rows, spec)
    covariates[:, spec.zero_covariates] = np.nan_to_num(covariates[:, spec.zero_covariates])
    return covariates


def lacking_columns(rows: pa.Table, spec: FeatureSpec) -> list[str]:
    """Features of a spec for which the rows have no column, by their names in the fleet file."""
    columns = {name: feature_column(name) for name in spec.numeric}
    columns |= {name: category_column(name) for name in spec.categories}
    return [name for name, column in columns.items() if column not in rows.column_names]


def future_covariates(
    series: Series, spec: FeatureSpec, future: Mapping[str, tuple[IntArray, FloatArray]]
) -> CovariatesAhead:
    """Covariates of the next periods.

    Parameters
    ----------
    future : positions of periods [n] and covariates [n, K] by segment. Periods without a row keep the last known
        values, but for the columns of the spec whose blank cells mean 0.
    """
    n_segments, n_covariates, horizon = len(series.segments), series.covariates.shape[2], spec.horizon
    result = np.full((n_segments, horizon, n_covariates), np.nan)
    has_row = np.zeros((n_segments, horizon), bool)
    for index, segment in enumerate(series.segments):
        if segment in future:
            periods, values = future[segment]
            step = periods - series.panel.ends[index]
            inside = (step >= 1) & (step <= horizon)
            has_row[index, step[inside] - 1] = True
            for k in range(n_covariates):
                known = inside & ~np.isnan(values[:, k])
                result[index, step[known] - 1, k] = values[known, k]
    unknown = np.isnan(result)
    zeroed = np.zeros_like(unknown)
    zeroed[..., spec.zero_covariates] = unknown[..., spec.zero_covariates]
    carried = (unknown & ~zeroed).any(axis=2)
    missing = unknown.any(axis=2) & (carried | ~has_row)
    joined = _carry(np.concatenate([series.covariates[:, -1:, :], np.where(zeroed, 0.0, result)], axis=1))
    return CovariatesAhead(joined[:, -horizon:, :], carried, missing, zeroed, unknown)


def _filled(
    values: FloatArray, valid: npt.NDArray[np.bool_], ends: IntArray, zone: str | None, time: Time
) -> FloatArray:
    """Values with gaps filled by the fleet's rule; an hour that clocks skip lies between its neighbours, never at 0."""
    if zone is None or time.gaps != "zero":
        return _fill(values, valid, time.gaps)
    series, column = np.nonzero(np.isnan(values) & valid)
    gaps = ~skipped_positions(ends[series] - (values.shape[1] - 1 - column), time, zone)
    values[series[gaps], column[gaps]] = 0.0
    return _fill(values, valid, "interpolate")


def _fill(values: FloatArray, valid: npt.NDArray[np.bool_], rule: str) -> FloatArray:
    """Values with the gaps inside each segment filled; NaN remains before its start."""
    missing = np.isnan(values) & valid
    if not missing.any():
        return values
    if rule == "zero":
        return np.where(missing, 0.0, values)
    width = values.shape[1]
    columns = np.arange(width)[None, :]
    known = ~np.isnan(values)
    before = np.maximum.accumulate(np.where(known, columns, 0), axis=1)
    left = np.take_along_axis(values, before, axis=1)
    if rule == "previous":
        return np.where(missing, left, values)
    after = np.minimum.accumulate(np.where(known, columns, width - 1)[:, ::-1], axis=1)[:, ::-1]
    right = np.take_along_axis(values, after, axis=1)
    share = (columns - before) / np.maximum(after - before, 1)
    return np.where(missing, left + share * (right - left), values)


def _carry(covariates: FloatArray) -> FloatArray:
    """Fill missing covariates from the past, then from the future, then with 0."""
    if covariates.size == 0 or not np.isnan(covariates).any():
        return covariates
    width = covariates.shape[1]
    columns = np.arange(width)[None, :, None]
    known = ~np.isnan(covariates)
    before = np.maximum.accumulate(np.where(known, columns, 0), axis=1)
    filled = np.take_along_axis(covariates, before, axis=1)
    known = ~np.isnan(filled)
    after = np.minimum.accumulate(np.where(known, columns, width - 1)[:, ::-1], axis=1)[:, ::-1]
    return np.nan_to_num(np.take_along_axis(filled, after, axis=1), nan=0.0)
