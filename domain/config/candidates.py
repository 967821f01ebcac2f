"""The registry of candidates: one entry per kind of model, with everything but its code.

The fleet file, its reference in docs/fleet.md, `myriad new`, estimates and training all read this registry. To add a
candidate, write its code in one new module under `models/` and name it in the `make` of one new entry below. `make` is
an import path rather than a reference, because the domain does not import models; training resolves it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from domain.config.task_types import ForecastTask, RegressionTask, task_type

__all__ = [
    "CANDIDATES",
    "ENSEMBLE",
    "ESTIMATOR",
    "CandidateSpec",
    "Family",
    "FitCost",
    "TypicalSegment",
    "proposed",
]

Family = Literal["smoothing", "constant", "linear", "estimator"]

ENSEMBLE = "combination"
"""The weighted combination of a fleet's candidates; it competes unless `combine: false`."""


@dataclass(frozen=True)
class FitCost:
    """Time that one fit of one segment takes on one core: milliseconds per fit, plus microseconds per row."""

    fit_ms: float
    row_us: float = 0.0


@dataclass(frozen=True)
class TypicalSegment:
    """A typical segment of a fleet that `myriad new` describes.

    Parameters
    ----------
    periods : length of its history; of a regression fleet, its rows.
    season : periods per season, 1 for none.
    intermittent : many periods are zero or missing.
    """

    task: str
    periods: float
    season: int = 1
    intermittent: bool = False


def _never(segment: TypicalSegment) -> bool:
    return False


@dataclass(frozen=True)
class CandidateSpec:
    """A candidate as everything but its own code sees it.

    Parameters
    ----------
    name : as fleet files have it.
    family : smoothing (a function of states at the forecast origin), constant, linear, or estimator (scikit-learn's
        interface, fitted segment by segment).
    complexity : rank among candidates whose errors are close; the lowest wins.
    cost : of a fit, by task. Forecast fleets fit whole buckets at once, regression fleets segment by segment.
    summary : one sentence for the reference of the fleet file.
    make : import path of its class. A smoothing method (`models.smoothing.base.SmoothingMethod`) takes no arguments;
        any other class takes a `CandidateConfig` and a `Fleet` and is a candidate of each of its tasks
        (`models.training.base`).
    suits : whether `myriad new` proposes it for fleets with such segments.
    """

    name: str
    family: Family
    complexity: int
    cost: Mapping[str, FitCost]
    summary: str
    make: str
    suits: Callable[[TypicalSegment], bool] = _never

    @property
    def tasks(self) -> frozenset[str]:
        """The tasks that it is able to do."""
        return frozenset(self.cost)


def _every_series(segment: TypicalSegment) -> bool:
    return task_type(segment.task).periodic


def _regular_series(segment: TypicalSegment) -> bool:
    return _every_series(segment) and not segment.intermittent


def _intermittent_series(segment: TypicalSegment) -> bool:
    return _every_series(segment) and segment.intermittent


def _seasonal_series(segment: TypicalSegment) -> bool:
    """Long enough to show a season; in longer series, seasonal smoothing costs more than it gains."""
    return _regular_series(segment) and segment.season > 1 and 3 * segment.season <= segment.periods <= 2_000


def _every_table(segment: TypicalSegment) -> bool:
    return not task_type(segment.task).periodic


def _enough_rows_for_ridge(segment: TypicalSegment) -> bool:
    least = 3 * segment.season if segment.intermittent else max(3 * segment.season, 40)
    return _every_table(segment) or segment.periods >= least


# Costs were measured on the 2-core cloud machine that Myriad is developed on (M3, oj, flights and simulated fleets).
_SMOOTHING_COST: Mapping[str, FitCost] = {ForecastTask.name: FitCost(0.25)}
_CONSTANT_COST: Mapping[str, FitCost] = {RegressionTask.name: FitCost(0.1)}
_ESTIMATOR_COST: Mapping[str, FitCost] = {
    ForecastTask.name: FitCost(45.0),
    RegressionTask.name: FitCost(45.0, row_us=2.0),
}

CANDIDATES: dict[str, CandidateSpec] = {
    spec.name: spec
    for spec in (
        CandidateSpec(
            "seasonal_naive",
            "smoothing",
            complexity=0,
            cost={ForecastTask.name: FitCost(0.03)},
            summary="The last season repeated; the last value where there is no season. Also the naive baseline.",
            make="models.smoothing.naive.SeasonalNaive",
            suits=_every_series,
        ),
        CandidateSpec(
            "moving_average",
            "smoothing",
            complexity=1,
            cost={ForecastTask.name: FitCost(0.05)},
            summary="Mean of the last 3, 6 or 12 deseasonalised periods.",
            make="models.smoothing.moving_average.MovingAverage",
            suits=_every_series,
        ),
        CandidateSpec(
            "ses",
            "smoothing",
            complexity=2,
            cost=_SMOOTHING_COST,
            summary="Simple exponential smoothing of the deseasonalised series.",
            make="models.smoothing.exponential.Ses",
            suits=_every_series,
        ),
        CandidateSpec(
            "holt_damped",
            "smoothing",
            complexity=3,
            cost=_SMOOTHING_COST,
            summary="Exponential smoothing with a damped trend, deseasonalised.",
            make="models.smoothing.exponential.HoltDamped",
            suits=_regular_series,
        ),
        CandidateSpec(
            "ets",
            "smoothing",
            complexity=4,
            cost=_SMOOTHING_COST,
            summary="Exponential smoothing with a damped trend and a season, additive or multiplicative.",
            make="models.smoothing.ets.Ets",
            suits=_seasonal_series,
        ),
        CandidateSpec(
            "theta",
            "smoothing",
            complexity=3,
            cost=_SMOOTHING_COST,
            summary="The dynamic optimised theta model.",
            make="models.smoothing.theta.Theta",
            suits=_regular_series,
        ),
        CandidateSpec(
            "adida",
            "smoothing",
            complexity=4,
            cost=_SMOOTHING_COST,
            summary="Damped trend on the means of blocks of periods, deseasonalised.",
            make="models.smoothing.adida.Adida",
            suits=_intermittent_series,
        ),
        CandidateSpec(
            "croston",
            "smoothing",
            complexity=2,
            cost=_SMOOTHING_COST,
            summary="Croston's method for intermittent demand, with the correction of Syntetos and Boylan.",
            make="models.smoothing.croston.Croston",
            suits=_intermittent_series,
        ),
        CandidateSpec(
            "mean",
            "constant",
            complexity=0,
            cost=_CONSTANT_COST,
            summary="Mean of the segment's target.",
            make="models.regressors.constant.Mean",
        ),
        CandidateSpec(
            "median",
            "constant",
            complexity=0,
            cost=_CONSTANT_COST,
            summary="Median of the segment's target.",
            make="models.regressors.constant.Median",
            suits=_every_table,
        ),
        CandidateSpec(
            "ridge",
            "linear",
            complexity=5,
            cost={ForecastTask.name: FitCost(0.3), RegressionTask.name: FitCost(1.5, row_us=5.0)},
            summary="Ridge regression; the penalty is chosen on the newest part of the training rows.",
            make="models.regressors.ridge.Ridge",
            suits=_enough_rows_for_ridge,
        ),
        CandidateSpec(
            "lightgbm",
            "estimator",
            complexity=9,
            cost=_ESTIMATOR_COST,
            summary="LightGBM, one segment at a time; 100 trees of at most 15 leaves unless `params` says otherwise.",
            make="models.regressors.lightgbm.LightGbm",
            suits=_every_table,
        ),
    )
}
"""The built-in candidates by name, in the order of the reference."""

ESTIMATOR = CandidateSpec(
    "estimator",
    "estimator",
    complexity=9,
    cost=_ESTIMATOR_COST,
    summary="Any scikit-learn compatible regressor, named by its import path.",
    make="models.regressors.estimators.Estimator",
)
"""The entry of every candidate that a fleet file names by import path."""


def proposed(segment: TypicalSegment) -> list[str]:
    """Names of the candidates that suit such segments, the simplest first."""
    suitable = [spec for spec in CANDIDATES.values() if segment.task in spec.tasks and spec.suits(segment)]
    return [spec.name for spec in sorted(suitable, key=lambda spec: spec.complexity)]
