"""Simulation of weekly sales of stores and brands from known effects: price, promotion, season, trend and level.

Every random number is a hash of its purpose (seed, name, store or segment, week), never the next number of a stream.
The rows of a segment are therefore the same in any chunk, file or process, and for any number of other segments.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from domain.arrays import BoolArray, FloatArray, IntArray

__all__ = ["KINDS", "Kind", "SimulationChunk", "SimulationSpec", "segment_kinds", "simulate"]


Kind = Literal["regular", "short", "intermittent", "dead", "gappy", "unseen"]
KINDS: tuple[Kind, ...] = ("regular", "short", "intermittent", "dead", "gappy", "unseen")
_REGULAR, _SHORT, _INTERMITTENT, _DEAD, _GAPPY, _UNSEEN = range(len(KINDS))

_WEEKS_PER_YEAR = 365.25 / 7
_SHORT_WEEKS = 20  # a short segment has 1 to 20 weeks
_PROMO_SHARE = 0.12
_OUTLIER_FACTOR = 30.0


@dataclass(frozen=True)
class SimulationSpec:
    """Size, effects and flaws of a simulated fleet.

    Segments are numbered store by store: segment i is store i // brands + 1 and brand i % brands.
    max_segments : the last store lacks the brands beyond this number; default all.
    elasticity, promo_uplift : d log(units) / d log(price), and the effect of a promotion on log(units), for the median
    segment.
    noise : standard deviation of log(units) around its expectation.
    short_share ... unseen_share : shares of the segments. Dead segments ended long ago and have no future; unseen
    segments have nothing else.
    duplicate_share ... unparsable_share : shares of the sales rows. A duplicate repeats the key with other units, a
    null has no units, an outlier has 30 times as many, an unparsable row has text: `units` becomes a text column.
    """

    stores: int = 400
    brands: tuple[str, ...] = ("amber", "citra", "grove")
    max_segments: int | None = None
    weeks: int = 122
    horizon: int = 8
    first_week: date = date(2023, 1, 2)
    seed: int = 0
    elasticity: float = -2.2
    promo_uplift: float = 0.35
    noise: float = 0.2
    short_share: float = 0.0
    intermittent_share: float = 0.0
    dead_share: float = 0.0
    gappy_share: float = 0.0
    unseen_share: float = 0.0
    duplicate_share: float = 0.0
    null_share: float = 0.0
    outlier_share: float = 0.0
    unparsable_share: float = 0.0

    def __post_init__(self) -> None:
        for name in ("stores", "weeks", "horizon"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)} is not allowed; give a whole number, at least 1")
        if self.max_segments is not None and self.max_segments < 1:
            raise ValueError(f"max_segments: {self.max_segments} is not allowed; give a whole number, at least 1")
        if not self.brands or len(set(self.brands)) < len(self.brands):
            raise ValueError(f"brands: {self.brands} is not allowed; give at least one name, each once")
        for group in (self.kind_shares, self.dirt_shares):
            if min(group) < 0 or sum(group) > 1:
                raise ValueError(f"shares: {group} is not allowed; give shares of at least 0 that add up to at most 1")

    @property
    def segments(self) -> int:
        """Number of segments of all kinds."""
        total = self.stores * len(self.brands)
        return total if self.max_segments is None else min(self.max_segments, total)

    @property
    def kind_shares(self) -> tuple[float, ...]:
        """Shares of all kinds but regular, in the order of `KINDS`."""
        return (self.short_share, self.intermittent_share, self.dead_share, self.gappy_share, self.unseen_share)

    @property
    def dirt_shares(self) -> tuple[float, ...]:
        """Shares of duplicates, nulls, outliers, unparsable rows."""
        return (self.duplicate_share, self.null_share, self.outlier_share, self.unparsable_share)


@dataclass(frozen=True)
class SimulationChunk:
    """Tables of some segments, sorted by store, brand and week.

    sales : week, store, brand, units, price, promo of the past. future : the same without units, for the next `horizon`
    weeks. actuals : week, store, brand, units of those weeks.
    """

    sales: pa.Table
    future: pa.Table
    actuals: pa.Table


def simulate(spec: SimulationSpec, segments: range | None = None, chunk: int = 2000) -> Iterator[SimulationChunk]:
    """Yield the tables of `chunk` segments at a time; their rows depend on neither `segments` nor `chunk`."""
    selection = range(spec.segments) if segments is None else segments
    for start in range(selection.start, selection.stop, chunk):
        yield _chunk(spec, np.arange(start, min(start + chunk, selection.stop), dtype=np.int64))


def segment_kinds(spec: SimulationSpec, segments: IntArray) -> IntArray:
    """Return the kind of each segment as an index into `KINDS`."""
    edges = np.cumsum(spec.kind_shares)
    place = np.searchsorted(edges, _uniform(spec.seed, "kind", segments), side="right")
    return np.where(place < len(edges), place + 1, _REGULAR)


def _hash(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64. Source: Steele, Lea & Flood, OOPSLA 2014."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _uniform(seed: int, purpose: str, *indices: IntArray) -> FloatArray:
    """Uniform numbers in (0, 1), one for each combination of indices (broadcast), independent between purposes."""
    salt = hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=8).digest()
    state = np.frombuffer(salt, dtype="<u8").astype(np.uint64)
    for index in indices:
        state = _hash((state ^ index.astype(np.uint64)) + np.uint64(0x9E3779B97F4A7C15))
    return np.asarray(((state >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53)


def _normal(seed: int, purpose: str, *indices: IntArray) -> FloatArray:
    """Standard normal numbers. Source: Box & Muller, Ann. Math. Statist. 29 (1958)."""
    radius = np.sqrt(-2.0 * np.log(_uniform(seed, purpose + "/r", *indices)))
    return np.asarray(radius * np.cos(2.0 * np.pi * _uniform(seed, purpose + "/a", *indices)))


@dataclass(frozen=True)
class _Cells:
    """A chunk as arrays [S, W] over all weeks, past and future; `present` masks those with a row."""

    segments: IntArray
    units: FloatArray
    price: FloatArray
    promo: IntArray
    present: BoolArray


def _cells(spec: SimulationSpec, segments: IntArray) -> _Cells:
    seed, index = spec.seed, segments[:, None]
    week = np.arange(spec.weeks + spec.horizon, dtype=np.int64)[None, :]
    promo = _uniform(seed, "promotion", index, week) < _PROMO_SHARE
    price, discount = _prices(spec, index, week, promo)
    elasticity = spec.elasticity * np.exp(0.15 * _normal(seed, "elasticity", index))
    uplift = spec.promo_uplift * np.exp(0.2 * _normal(seed, "uplift", index))
    log_units = _expected_log_units(spec, index, week) + elasticity * discount + uplift * promo
    units = np.asarray(np.exp(log_units + spec.noise * _normal(seed, "noise", index, week)).round(), dtype=np.float64)
    kinds = segment_kinds(spec, segments)[:, None]
    bought = _uniform(seed, "purchase", index, week) < 0.15 + 0.3 * _uniform(seed, "purchase share", index)
    small = np.ceil(4 * _uniform(seed, "purchase size", index, week))
    units = np.where(kinds == _INTERMITTENT, np.where(bought, small, 0.0), units)
    return _Cells(segments, units, price, promo.astype(np.int64), _present(spec, index, week, kinds))


def _prices(spec: SimulationSpec, index: IntArray, week: IntArray, promo: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Price to the cent, and log(price / regular price of the segment)."""
    brands = len(spec.brands)
    brand_price = 1.5 + 2.5 * _uniform(spec.seed, "brand price", index % brands)
    regular = brand_price * np.exp(0.05 * _normal(spec.seed, "store price", index // brands))
    # A store changes its price about every four weeks and lowers it for a promotion.
    step = 0.06 * _normal(spec.seed, "price", index, week // 4)
    depth = 0.1 + 0.2 * _uniform(spec.seed, "depth", index, week)
    price = np.maximum(np.round(regular * np.exp(step) * np.where(promo, 1.0 - depth, 1.0), 2), 0.01)
    return price, np.log(price / regular)


def _expected_log_units(spec: SimulationSpec, index: IntArray, week: IntArray) -> FloatArray:
    """log(units) at the regular price: size of the store, brand, season, trend and a drifting level."""
    seed, brands = spec.seed, len(spec.brands)
    size = 5.0 + 0.6 * _normal(seed, "store size", index // brands) + 0.5 * _normal(seed, "brand size", index % brands)
    size = size + 0.3 * _normal(seed, "segment size", index)
    phase = 0.25 * _uniform(seed, "phase", index % brands) + 0.05 * _uniform(seed, "own phase", index)
    amplitude = 0.1 + 0.25 * _uniform(seed, "season amplitude", index)
    season = amplitude * np.cos(2.0 * np.pi * (week / _WEEKS_PER_YEAR - phase))
    trend = 0.1 * _normal(seed, "trend", index) * week / _WEEKS_PER_YEAR
    drift = np.cumsum(0.02 * _normal(seed, "drift", index, week), axis=1)
    return np.asarray(size + season + trend + drift)


def _present(spec: SimulationSpec, index: IntArray, week: IntArray, kinds: IntArray) -> BoolArray:
    seed, past = spec.seed, week < spec.weeks
    length = np.ceil(_uniform(seed, "length", index) * min(_SHORT_WEEKS, spec.weeks))
    end = np.ceil((0.2 + 0.5 * _uniform(seed, "end", index)) * spec.weeks)
    gap = _uniform(seed, "gap", index, week) < 0.1 + 0.3 * _uniform(seed, "gap share", index)
    absent = (kinds == _SHORT) & (week < spec.weeks - length)
    absent |= (kinds == _DEAD) & (week >= end)
    absent |= (kinds == _GAPPY) & gap & past
    return np.asarray(~(absent | ((kinds == _UNSEEN) & past)))


def _chunk(spec: SimulationSpec, segments: IntArray) -> SimulationChunk:
    cells = _cells(spec, segments)
    past = np.arange(cells.present.shape[1]) < spec.weeks
    sales = _sales(spec, cells, *np.nonzero(cells.present & past))
    rows, weeks = np.nonzero(cells.present & ~past)
    keys = _keys(spec, segments[rows], weeks)
    units = pa.array(cells.units[rows, weeks])
    return SimulationChunk(sales, _with_covariates(keys, cells, rows, weeks), keys.append_column("units", units))


def _keys(spec: SimulationSpec, segments: IntArray, weeks: IntArray) -> pa.Table:
    brands = len(spec.brands)
    names = pa.DictionaryArray.from_arrays(pa.array((segments % brands).astype(np.int32)), pa.array(spec.brands))
    days = np.datetime64(spec.first_week, "D") + 7 * weeks
    columns = [pa.array(days), pa.array(segments // brands + 1), names.cast(pa.string())]
    return pa.table(columns, names=["week", "store", "brand"])


def _with_covariates(table: pa.Table, cells: _Cells, rows: IntArray, weeks: IntArray) -> pa.Table:
    table = table.append_column("price", pa.array(cells.price[rows, weeks]))
    return table.append_column("promo", pa.array(cells.promo[rows, weeks]))


def _sales(spec: SimulationSpec, cells: _Cells, rows: IntArray, weeks: IntArray) -> pa.Table:
    """Rows of the past, including the flawed ones."""
    edges = np.cumsum(spec.dirt_shares)
    dirt = np.searchsorted(edges, _uniform(spec.seed, "dirt", cells.segments[rows], weeks), side="right")
    duplicate, null, outlier, unparsable = (dirt == kind for kind in range(len(edges)))
    units = np.where(outlier, cells.units[rows, weeks] * _OUTLIER_FACTOR, cells.units[rows, weeks])
    # The wrong copy follows the right row.
    copies = np.repeat(np.arange(len(rows)), np.where(duplicate, 2, 1))
    copied = np.diff(copies, prepend=-1) == 0
    values = pa.array(np.where(copied, units[copies] + 1.0, units[copies]), mask=null[copies])
    if spec.unparsable_share > 0:
        values = pc.if_else(pa.array(unparsable[copies]), "12,5 ?", values.cast(pa.string()))
    table = _keys(spec, cells.segments[rows[copies]], weeks[copies]).append_column("units", values)
    return _with_covariates(table, cells, rows[copies], weeks[copies])
