"""Features of a forecast: one row is (segment, origin, step). The same code serves training and every kind of scoring.

A fleet has one superset of columns, described by its `FeatureSpec`; each model's graph selects what it needs.
Lags, rolling means and states are in the target's own unit; a graph applies the fleet's transform itself.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property

import numpy as np

from domain.arrays import FloatArray, IntArray
from domain.calendar.zones import season_zone
from domain.config.blanks import zero_columns
from domain.config.fleet import Fleet
from domain.config.task_types import ForecastTask, RegressionTask, TaskBindings, TaskType, task_type
from models.features.panel import Panel

__all__ = ["STATES", "Design", "FeatureSpec", "base_features", "feature_spec_of", "state_columns"]

STATES = ("level", "trend", "multiplier", "addend")
_HARMONICS = 3
_LATER = ("zone", "short_season", "zero", "centred")
"""Fields that are younger than the first models; left out while empty, so that contracts keep their identity."""


@dataclass(frozen=True)
class Design:
    """Base columns that linear models and trees use: `values` relative to the `anchor` column, `others` as they are."""

    values: tuple[int, ...]
    others: tuple[int, ...]
    anchor: int | None

    @property
    def width(self) -> int:
        return len(self.values) + len(self.others)


@dataclass(frozen=True)
class FeatureSpec:
    """The feature columns in order, with the settings needed to compute them; stored beside every model.

    zone : by whose clock hours are counted; None for UTC. short_season : periods of a season within `season`, such as
    the day within the week of quarter hours; 0 without one. Its newest value, and waves over it, are features too.
    """

    task: str
    season: int = 1
    frequency: str | None = None
    horizon: int = 1
    transform: str = "none"
    minimum: float | None = None
    lags: tuple[int, ...] = ()
    season_lags: int = 0
    windows: tuple[int, ...] = ()
    harmonics: int = 0
    numeric: tuple[str, ...] = ()
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    states: tuple[str, ...] = ()
    zone: str | None = None
    short_season: int = 0
    zero: tuple[str, ...] = ()
    """Numeric columns whose blank cells mean 0. Their means over the anchor's window are features too: what they add to
    the level now, such as a week of promotion, they do not add to the periods to come."""
    centred: bool = False
    """Features and predictions are relative to the centre among the model's parameters."""

    @property
    def task_type(self) -> TaskType:
        """The strategy of its task."""
        return task_type(self.task)

    @property
    def has_short_lag(self) -> bool:
        """Whether the newest value of the target's phase in the short season is a feature."""
        return self.short_season > 0 and self.season_lags > 0

    @property
    def short_harmonics(self) -> int:
        """Pairs of waves over the short season."""
        return min(self.harmonics, self.short_season // 2)

    @cached_property
    def covariates(self) -> tuple[str, ...]:
        """Names of the covariates: numeric columns, then an indicator per category value."""
        indicators = (f"{name}={value}" for name, values in self.categories.items() for value in values)
        return (*self.numeric, *indicators)

    @cached_property
    def base(self) -> tuple[str, ...]:
        """Columns that do not depend on a model's parameters."""
        if not self.task_type.periodic:
            return self.covariates
        values = (*(f"lag_{i}" for i in self.lags), *(f"season_lag_{i + 1}" for i in range(self.season_lags)))
        values = (*values, *(("short_season_lag",) if self.has_short_lag else ()))
        waves = waves_of(self.harmonics)
        short = (f"short_{wave}" for wave in waves_of(self.short_harmonics))
        means = (f"mean_{w}" for w in self.windows)
        return ("step", *values, *means, *waves, *short, *self.covariates, *(f"{name}.recent" for name in self.zero))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All columns: the base, then the states of the smoothing candidates."""
        return (*self.base, *(f"{name}.{state}" for name in self.states for state in STATES))

    @cached_property
    def design(self) -> Design:
        """The base columns that linear models and trees use."""
        if not self.task_type.periodic:
            return Design((), tuple(range(len(self.base))), None)
        n_values = len(self.lags) + self.season_lags + self.has_short_lag + len(self.windows)
        values = tuple(range(1, 1 + n_values))
        # The last window is the longest: relative to its mean, a model is independent of the level of the series.
        return Design(values, (0, *range(1 + n_values, len(self.base))), n_values)

    @cached_property
    def zero_covariates(self) -> list[int]:
        """Places of the covariates whose blank cells mean 0."""
        return [self.numeric.index(name) for name in self.zero]

    def column(self, name: str) -> int:
        return self.names.index(name)

    def to_json(self) -> str:
        return self._json

    @cached_property
    def _json(self) -> str:
        # Not sorted: the order of the categorical columns is the order of their features.
        content = asdict(self)
        for name in _LATER:
            if not content[name]:
                del content[name]
        return json.dumps(content)

    @classmethod
    def from_json(cls, text: str) -> "FeatureSpec":
        raw = json.loads(text)
        for name in ("lags", "windows", "numeric", "states", "zero"):
            raw[name] = tuple(raw.get(name, ()))
        raw["categories"] = {name: tuple(values) for name, values in raw["categories"].items()}
        return cls(**raw)


def feature_spec_of(
    fleet: Fleet, categories: Mapping[str, tuple[str, ...]], blank_shares: Mapping[str, float] | None = None
) -> FeatureSpec:
    """The feature spec of a fleet.

    categories : values of each categorical column that get an indicator. blank_shares : share of blank cells of the
    numeric columns; left out where only the settings matter.
    """
    spec = FEATURE_SPECS[fleet.task](fleet, categories)
    return replace(spec, zero=zero_columns(fleet, blank_shares or {}))


def _row_spec(fleet: Fleet, categories: Mapping[str, tuple[str, ...]]) -> FeatureSpec:
    """Covariates alone."""
    return FeatureSpec(
        fleet.task,
        transform=fleet.target.transform,
        minimum=fleet.target.minimum,
        numeric=fleet.features.numeric,
        categories=dict(categories),
    )


def _series_spec(fleet: Fleet, categories: Mapping[str, tuple[str, ...]]) -> FeatureSpec:
    """Lags, means, season and states of the series, and covariates of the target period."""
    *shorter, season = fleet.clock.seasons
    short, features = next(iter(shorter), 0), fleet.features
    lags = (1, 2, 3) if features.lags == "auto" else () if features.lags == "none" else _ascending(features.lags)
    auto = _ascending((3, short or (season if 3 < season <= 26 else 8)))
    windows = auto if features.rolling == "auto" else () if features.rolling == "none" else _ascending(features.rolling)
    return FeatureSpec(
        fleet.task,
        season=season,
        frequency=fleet.clock.frequency,
        horizon=fleet.steps,
        transform=fleet.target.transform,
        lags=lags,
        season_lags=0 if season == 1 or features.lags == "none" else 2 if season <= 26 else 1,
        windows=windows or (1,),
        harmonics=min(_HARMONICS, season // 2) if features.calendar == "auto" else 0,
        states=tuple(candidate.name for candidate in fleet.candidates if candidate.spec.family == "smoothing"),
        minimum=fleet.target.minimum,
        numeric=fleet.features.numeric,
        categories=dict(categories),
        zone=season_zone(fleet.clock),
        short_season=short,
    )


FEATURE_SPECS = TaskBindings[Callable[[Fleet, Mapping[str, tuple[str, ...]]], FeatureSpec]](
    "feature spec", {ForecastTask.name: _series_spec, RegressionTask.name: _row_spec}
)


def waves_of(harmonics: int) -> tuple[str, ...]:
    """Names of the columns of some harmonics."""
    return tuple(f"{wave}_{k + 1}" for k in range(harmonics) for wave in ("sin", "cos"))


def _ascending(periods: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(set(periods)))


def base_features(panel: Panel, covariates: FloatArray, spec: FeatureSpec, origins: IntArray) -> FloatArray:
    """Base columns for every segment, origin and step, float64 [S, O, H, k].

    A value from before a segment's start is replaced by the segment's mean up to the origin.

    Parameters
    ----------
    covariates : [S, T + H, K]; the last H periods lie after the panel.
    origins : columns of the panel, [O].
    """
    values, steps = panel.values, np.arange(1, spec.horizon + 1)
    n_segments, width = values.shape
    shape = (n_segments, len(origins), len(steps))
    mean = _running_mean(values, width)[:, origins]
    columns: list[FloatArray] = [np.broadcast_to(steps.astype(float), shape)]
    for lag in spec.lags:
        columns.append(np.broadcast_to(_at(values, origins - lag + 1, mean)[:, :, None], shape))
    for past in range(spec.season_lags):
        back = -(-steps // spec.season) + past
        at = origins[:, None] + steps[None, :] - spec.season * back[None, :]
        columns.append(_at(values, at.ravel(), np.repeat(mean, len(steps), axis=1)).reshape(shape))
    if spec.has_short_lag:
        at = origins[:, None] + steps[None, :] - spec.short_season * -(-steps // spec.short_season)[None, :]
        columns.append(_at(values, at.ravel(), np.repeat(mean, len(steps), axis=1)).reshape(shape))
    for window in spec.windows:
        columns.append(np.broadcast_to(_running_mean(values, window)[:, origins][:, :, None], shape))
    target = origins[:, None] + steps[None, :]
    position = panel.ends[:, None, None] - (width - 1) + target[None]
    for season, harmonics in ((spec.season, spec.harmonics), (spec.short_season, spec.short_harmonics)):
        for harmonic in range(1, harmonics + 1):
            angle = 2 * np.pi * harmonic * (position % season) / season
            columns += [np.sin(angle), np.cos(angle)]
    columns += [covariates[:, target.ravel(), k].reshape(shape) for k in range(covariates.shape[2])]
    for k in spec.zero_covariates:
        recent = _running_mean(np.where(panel.valid, covariates[:, :width, k], np.nan), spec.windows[-1])[:, origins]
        columns.append(np.broadcast_to(recent[:, :, None], shape))
    return np.stack(columns, axis=-1)


def _at(values: FloatArray, columns: IntArray, default: FloatArray) -> FloatArray:
    """values[:, columns], [S, n]; the default before a segment's start."""
    selected = values[:, np.maximum(columns, 0)]
    return np.where((columns[None, :] < 0) | np.isnan(selected), default, selected)


def _running_mean(values: FloatArray, window: int) -> FloatArray:
    """Mean of the last `window` known values up to each column; 0 before a segment's start."""
    known = ~np.isnan(values)
    sums = np.cumsum(np.where(known, values, 0.0), axis=1)
    counts = np.cumsum(known, axis=1)
    if window < values.shape[1]:
        sums[:, window:] -= sums[:, :-window].copy()
        counts[:, window:] -= counts[:, :-window].copy()
    means: FloatArray = sums / np.maximum(counts, 1)
    return means


def state_columns(
    level: FloatArray, trend: FloatArray, multiplier: FloatArray, addend: FloatArray, phases: IntArray
) -> FloatArray:
    """State columns of one smoothing candidate, [S, H, 4], in the order of STATES.

    level, trend : [S]. multiplier, addend : [S, m] by absolute phase. phases : of the target periods, [S, H].
    """
    shape = phases.shape
    return np.stack(
        [
            np.broadcast_to(level[:, None], shape),
            np.broadcast_to(trend[:, None], shape),
            np.take_along_axis(multiplier, phases, axis=1),
            np.take_along_axis(addend, phases, axis=1),
        ],
        axis=-1,
    )
